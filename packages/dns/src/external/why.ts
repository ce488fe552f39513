import { compareNames, lowerName, parseName, WireError } from '../wire/name.ts';
import { printData } from '../wire/rdata/data.ts';
import { typeName } from '../wire/types.ts';
import type { RRset } from '../zone/zone.ts';
import type { ServedZone, Zones } from '../zone/zones.ts';
import { objectText } from './compose.ts';
import type { ZoneComposer } from './composer.ts';
import type { ServedRecords, ShownRecords, WhyAnswer } from './external-dns.ts';
import type { LostRecords, ObjectReference, WantedRecords } from './records.ts';

/** A record set as a master file has it. */
export function shown({ name, type, ttlSeconds, data }: RRset): ShownRecords {
  return { name, type: typeName(type), ttlSeconds, data: data.map((one) => printData(type, one)) };
}

/** The objects whose record set of this name and type is served. */
export function makersIn(composer: ZoneComposer, name: string, type: number): ObjectReference[] {
  const origin = composer.originOf(name);
  const won = (origin === undefined ? undefined : composer.zone(origin)?.won) ?? [];
  return won.filter(({ rrset }) => rrset.name === name && rrset.type === type).map(({ from }) => from);
}

const keyOf = ({ name, type }: { name: string; type: number }): string => `${type} ${name}`;

/** Who has a zone's records. */
function makersOf(won: readonly WantedRecords[]): Map<string, ObjectReference[]> {
  const makers = new Map<string, ObjectReference[]>();
  for (const { rrset, from } of won) {
    const list = makers.get(keyOf(rrset));
    if (list) list.push(from);
    else makers.set(keyOf(rrset), [from]);
  }
  return makers;
}

/** The record sets that are served, with the objects behind them. */
export function* servedRecords(
  served: ServedZone,
  composer: ZoneComposer,
  isWanted: (rrset: RRset) => boolean = () => true,
): Iterable<ServedRecords> {
  const { origin } = served.zone;
  if (served.isExpired) return;
  const makers = makersOf(composer.zone(origin)?.won ?? []);
  for (const rrset of served.zone.rrsets())
    if (isWanted(rrset)) yield { ...shown(rrset), origin, from: makers.get(keyOf(rrset)) ?? [] };
}

/** Who made the records of a name, who lost, and one sentence about it. */
export function whyOf(asked: string, composer: ZoneComposer, zones: Zones): WhyAnswer {
  let name: string;
  try {
    name = lowerName(parseName(asked.trim() || '.'));
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return { ...nothing(asked), message: `${asked} is no name: ${error.message}` };
  }
  const served = zones.find(name);
  const lost = lostAt(name, composer);
  if (!served) {
    const outside = [...composer.outside()].filter(({ rrset }) => rrset.name === name);
    const wanted = outside.map(({ from }) => objectText(from)).join(', ');
    const message = wanted
      ? `${name} is wanted by ${wanted}, and no zone here holds it: add its zone, or take the name away`
      : `no zone here holds ${name}`;
    return { ...nothing(name), lost, message };
  }
  const { origin, serial } = served.zone;
  const records = [...servedRecords(served, composer, (rrset) => rrset.name === name)];
  return {
    name,
    origin,
    serial,
    records,
    lost,
    message: served.isExpired
      ? `zone ${origin}. has nothing to serve, so it is answered with SERVFAIL`
      : sentence(name, served, records, lost.length),
  };
}

const nothing = (name: string): WhyAnswer => ({
  name,
  origin: undefined,
  serial: undefined,
  records: [],
  lost: [],
  message: '',
});

function sentence(
  name: string,
  { zone }: ServedZone,
  records: readonly ServedRecords[],
  lost: number,
): string {
  const losers = lost === 0 ? '' : `; ${lost === 1 ? 'one record set' : `${lost} record sets`} lost`;
  if (records.length === 0) {
    const exists = zone.node(name) ? 'exists only because there are names below it' : 'is not in zone';
    return `${name} ${exists}${zone.node(name) ? '' : ` ${zone.origin}.`}${losers}`;
  }
  const parts = records.map(
    ({ type, from }) =>
      `${type} by ${from.length === 0 ? "the zone's text" : from.map(objectText).join(' and ')}`,
  );
  return `${name} has ${parts.join(', ')}${losers}`;
}

function lostAt(name: string, composer: ZoneComposer): WhyAnswer['lost'] {
  const origin = composer.originOf(name);
  const lost: LostRecords[] = [
    ...((origin === undefined ? undefined : composer.zone(origin)?.lost) ?? []),
    ...composer.invalid(),
  ];
  return lost
    .filter(({ wanted }) => wanted.rrset.name === name)
    .map(({ wanted, reason, message, winner }) => ({
      ...shown(wanted.rrset),
      from: wanted.from,
      reason,
      message,
      winner,
    }));
}

/** What objects ask for and no zone holds, by name. */
export function outsideRecords(composer: ZoneComposer): Array<ShownRecords & { from: ObjectReference }> {
  return [...composer.outside()]
    .map(({ rrset, from }) => ({ ...shown(rrset), from }))
    .sort((a, b) => compareNames(a.name, b.name));
}
