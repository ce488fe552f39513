import { type Clock, type ClockTimer, systemClock } from '@cloudless/kube/clock';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { typeName } from '../wire/types.ts';
import type { ZoneProblem } from '../zone/zone.ts';
import type { ZoneComposer } from './composer.ts';
import type { LostRecords, ObjectReference } from './records.ts';
import { isKept } from './wanted.ts';

/** Something wrong, and the object that it is wrong in. */
export interface PlacedProblem extends ZoneProblem {
  readonly subject?: ObjectReference | undefined;
}

export interface Reporter extends Running {
  /** Something changed: what is new to tell is told when it has lasted a second. */
  look(): void;
}

/** What goes away by itself, as while a file with several objects is applied, is not worth an Event. */
const settleMs = 1000;
const maxMessage = 1000;

interface Told {
  readonly subject: ObjectReference | undefined;
  readonly reason: string;
  readonly message: string;
}

/** Tells objects, by Events, which of their records are not served, and ConfigMaps what is wrong with their zones. */
export function startReporter(options: {
  composer: ZoneComposer;
  problems(): readonly PlacedProblem[];
  events: EventRecorder | undefined;
  log: Logger;
  clock?: Clock | undefined;
}): Reporter {
  const { composer, events, log, clock = systemClock } = options;
  let told = new Map<string, Told>();
  let timer: ClockTimer | undefined;

  const report = (): void => {
    timer = undefined;
    const now = new Map<string, Told>();
    const lost: LostRecords[] = [...composer.invalid()];
    for (const zone of composer.composed) lost.push(...zone.lost);
    for (const one of lost) {
      if (isKept(one.wanted)) continue;
      const { from, rrset } = one.wanted;
      const key = `${from.uid} ${rrset.name} ${typeName(rrset.type)} ${one.message}`;
      now.set(key, { subject: from, reason: eventReason(one), message: one.message });
    }
    for (const { severity, place, message, subject } of options.problems()) {
      const where = place ? `${place.source} line ${place.line}: ` : '';
      const reason = severity === 'error' ? 'ZoneRefused' : 'ZoneWarning';
      now.set(`${reason} ${where}${message}`, { subject, reason, message: `${where}${message}` });
    }
    for (const [key, { subject, reason, message }] of now) {
      if (told.has(key)) continue;
      log.warn(
        { reason, object: subject && `${subject.kind} ${subject.namespace ?? ''}/${subject.name}` },
        message,
      );
      if (subject) events?.event(eventSubject(subject), 'Warning', reason, message.slice(0, maxMessage));
    }
    told = now;
  };
  return {
    look() {
      timer ??= clock.setTimeout(report, settleMs);
    },
    ...running(() => timer?.cancel()),
  };
}

function eventReason({ reason, winner }: LostRecords): string {
  return winner || reason === 'WrittenByHand' ? 'RecordLost' : 'RecordRefused';
}

function eventSubject({ apiVersion, kind, namespace, name, uid }: ObjectReference): {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  namespace?: string;
} {
  return { apiVersion, kind, name, uid, ...(namespace === undefined ? {} : { namespace }) };
}
