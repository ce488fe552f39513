import type { SecondaryStatus } from '../transfer/secondaries.ts';
import type { Zones } from '../zone/zones.ts';
import type { Content } from './content.ts';
import type { ExternalDnsStatus, ZoneStatus } from './external-dns.ts';
import { outsideRecords } from './why.ts';

/** The state of everything, in order of the zones' names. */
export function statusOf(view: {
  content: Content;
  zones: Zones;
  secondaries: readonly SecondaryStatus[];
  isReady: boolean;
}): ExternalDnsStatus {
  const { content, zones, secondaries, isReady } = view;
  const all = [...primaries(content, zones), ...secondaries.map((one) => secondary(one, zones))];
  return {
    ready: isReady,
    waitingFor: content.publisher.waitingFor,
    zones: all.sort((a, b) => (a.origin < b.origin ? -1 : 1)),
    problems: content.problems(),
    sources: content.sources(),
    outside: outsideRecords(content.composer),
  };
}

function primaries({ composer, publisher }: Content, zones: Zones): ZoneStatus[] {
  return Array.from(composer.composed, ({ origin, zone, won, lost }) => {
    const served = zones.all.get(origin);
    const isServed = served !== undefined && !served.isExpired;
    const isWaiting = publisher.pending.has(origin) || !isServed;
    return {
      origin,
      role: 'primary',
      state: !zone ? 'bad' : isWaiting ? 'waiting' : 'serving',
      serial: isServed ? served.zone.serial : undefined,
      records: isServed ? served.zone.recordCount : 0,
      derived: won.length,
      lost: lost.length,
      signed: served?.signing !== undefined,
      problems: composer.problems(origin),
    };
  });
}

function secondary({ origin, state, serial, error }: SecondaryStatus, zones: Zones): ZoneStatus {
  return {
    origin,
    role: 'secondary',
    state,
    serial,
    records: zones.all.get(origin)?.zone.recordCount ?? 0,
    derived: 0,
    lost: 0,
    signed: false,
    problems: error === undefined ? [] : [{ severity: 'error', place: undefined, message: error }],
  };
}
