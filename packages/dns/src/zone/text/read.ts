import { lowerName } from '../../wire/name.ts';
import type { ZoneText } from '../../external/config.ts';
import { checkZone } from '../check/check-zone.ts';
import { ZoneContentError, zoneOf } from '../build.ts';
import type { Zone, ZoneProblem } from '../zone.ts';
import { parseZone, type PlacedRecord } from './parse.ts';

/** What a text is as a zone. */
export interface ReadZone {
  /** Undefined: there is an error among the problems. */
  readonly zone: Zone | undefined;
  /** As written, for composing with others; all records of a name and type have one TTL. */
  readonly records: readonly PlacedRecord[];
  /** All of them; what is wrong with the zone as a whole stands where its text begins. */
  readonly problems: readonly ZoneProblem[];
  /** Those among them of the zone that the text makes, not of its words: some go when records come from elsewhere. */
  readonly oddities: readonly ZoneProblem[];
}

/** Reads a zone's text and judges it as named-checkzone does. */
export function readZone(text: ZoneText): ReadZone {
  const parsed = parseZone(text);
  const origin = lowerName(text.origin);
  const asWritten = zoneIfAny(origin, parsed.records);
  const hasOneTtl = parsed.records.every((record) => hasTtlOf(asWritten, record));
  const records = hasOneTtl ? parsed.records : withOneTtl(parsed.records);
  const zone = hasOneTtl ? asWritten : zoneIfAny(origin, records);
  // What the zone lacks may be in the lines that could not be read.
  const hasErrors = parsed.problems.some(isError);
  const oddities = checkZone(origin, parsed.records, zone)
    .filter(({ place }) => place !== undefined || !hasErrors)
    .map((problem) => ({ ...problem, place: problem.place ?? text.place }));
  const problems = [...parsed.problems, ...oddities];
  return { zone: problems.some(isError) ? undefined : zone, records, problems, oddities };
}

/** Undefined: there is not one SOA, which is among the problems then. */
function zoneIfAny(origin: string, records: readonly PlacedRecord[]): Zone | undefined {
  try {
    return zoneOf(origin, records);
  } catch (error) {
    if (error instanceof ZoneContentError) return undefined;
    throw error;
  }
}

function isError({ severity }: ZoneProblem): boolean {
  return severity === 'error';
}

function hasTtlOf(zone: Zone | undefined, { name, type, ttlSeconds }: PlacedRecord): boolean {
  return zone?.node(name)?.rrset(type)?.ttlSeconds === ttlSeconds;
}

/**
 * Gives all records of a name and type one TTL (RFC 2181 section 5.2), the one that BIND gives them: of records one after
 * the other with the same owner the first one's, and if the owner comes again later, what it has there.
 */
function withOneTtl(records: readonly PlacedRecord[]): readonly PlacedRecord[] {
  const ttls = new Map<string, number>();
  let block = new Set<number>();
  let owner: string | undefined;
  for (const { name, type, ttlSeconds } of records) {
    if (name !== owner) [owner, block] = [name, new Set()];
    if (block.has(type)) continue;
    block.add(type);
    ttls.set(`${type} ${name}`, ttlSeconds);
  }
  return records.map((record) => {
    const ttlSeconds = ttls.get(`${record.type} ${record.name}`) as number;
    return ttlSeconds === record.ttlSeconds ? record : { ...record, ttlSeconds };
  });
}
