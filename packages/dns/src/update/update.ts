import { lowerName } from '../wire/name.ts';
import type { Message } from '../wire/message.ts';
import { extendedError, rcode, rrClass, rrType } from '../wire/types.ts';
import type { Permission } from '../transfer/keys.ts';
import { type Asker, isPermitted } from '../transfer/permission.ts';
import type { ServedZone } from '../zone/zones.ts';
import { ChangeRefusedError, type RecordKeeper } from './change.ts';
import { changesOf, checkUpdates } from './changes.ts';
import { checkForm } from './form.ts';
import { checkPrerequisites } from './prerequisites.ts';
import { UpdateError } from './update-error.ts';

/** What an UPDATE is answered. */
export interface UpdateOutcome {
  readonly rcode: number;
  /** Why it was not made: for the log, and for an extended error (RFC 8914). */
  readonly reason?: { readonly code: number; readonly text: string };
  /** Of the version that has the update. */
  readonly serial?: number;
}

export interface UpdateContext {
  readonly zones: { readonly all: ReadonlyMap<string, ServedZone> };
  readonly allow: readonly Permission[];
  /** None: there is nowhere to keep records. */
  readonly keeper: RecordKeeper | undefined;
}

/**
 * Makes an UPDATE (RFC 2136): whether the zone is ours, who asks, prerequisites, then all of the update or nothing. Unlike
 * section 3 has it, permission comes before prerequisites: they would tell a stranger what is in the zone.
 * Resolves when the change is stored and served. Rejects only for a fault of our own.
 */
export async function makeUpdate(
  message: Message,
  asker: Asker,
  { zones, allow, keeper }: UpdateContext,
): Promise<UpdateOutcome> {
  const [zone] = message.questions;
  if (!zone || message.questions.length !== 1 || zone.type !== rrType.SOA)
    return refusal(rcode.formErr, extendedError.other, 'an update names one zone, with type SOA');
  try {
    checkForm(message.answers);
    checkForm(message.authorities);
  } catch (error) {
    if (error instanceof UpdateError) return refusal(error.rcode, extendedError.other, error.message);
    throw error;
  }
  const origin = lowerName(zone.name);
  const served = zone.class === rrClass.IN ? zones.all.get(origin) : undefined;
  if (!served)
    return refusal(rcode.notAuth, extendedError.notAuthoritative, `${origin}. is no zone of this server`);
  if (!isPermitted(allow, asker, origin)) {
    const who = asker.key === undefined ? `${asker.address}, without a TSIG key,` : `key ${asker.key}`;
    return refusal(rcode.refused, extendedError.prohibited, `${who} may not update ${origin}.`);
  }
  if (served.role === 'secondary')
    return refusal(
      rcode.refused,
      extendedError.notSupported,
      `${origin}. is a secondary zone here, and updates are not forwarded: send them to its primary`,
    );
  if (!keeper)
    return refusal(
      rcode.refused,
      extendedError.notSupported,
      'this server keeps no records: it has no cluster',
    );
  try {
    const by = asker.key === undefined ? asker.address : `key ${asker.key}`;
    const { serial } = await keeper.apply(origin, (current) => checkedChanges(message, current), by);
    return { rcode: rcode.noError, serial };
  } catch (error) {
    if (error instanceof UpdateError) return refusal(error.rcode, extendedError.other, error.message);
    if (error instanceof ChangeRefusedError) return keepersRefusal(error);
    throw error;
  }
}

function checkedChanges(
  message: Message,
  zone: Parameters<typeof changesOf>[0],
): ReturnType<typeof changesOf> {
  checkPrerequisites(zone, message.answers);
  checkUpdates(zone.origin, message.authorities);
  return changesOf(zone, message.authorities);
}

function keepersRefusal(error: ChangeRefusedError): UpdateOutcome {
  if (error.reason === 'unavailable') return refusal(rcode.servFail, extendedError.notReady, error.message);
  if (error.reason === 'not-found')
    return refusal(rcode.notAuth, extendedError.notAuthoritative, error.message);
  return refusal(rcode.refused, extendedError.prohibited, error.message);
}

function refusal(code: number, infoCode: number, text: string): UpdateOutcome {
  return { rcode: code, reason: { code: infoCode, text } };
}
