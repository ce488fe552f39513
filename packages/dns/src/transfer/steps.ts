import type { ResourceRecord } from '../wire/message.ts';
import { typeName } from '../wire/types.ts';
import { recordsOf } from '../zone/rrset.ts';
import type { Zone } from '../zone/zone.ts';

/** One difference of an IXFR as it comes (RFC 1995 section 4). */
export interface TransferStep {
  readonly from: ResourceRecord;
  readonly removed: ResourceRecord[];
  to: ResourceRecord | undefined;
  readonly added: ResourceRecord[];
}

/** A difference does not fit what is held: the zone must be transferred whole. */
export class DifferenceError extends Error {
  override readonly name = 'DifferenceError';
}

/** One record set while steps are applied: its records by data. */
type WorkingSet = Map<string, ResourceRecord>;

/**
 * The records of `held` after the steps, with `soa` as the SOA. Each record that goes must be there and each that comes must
 * not (RFC 1995 section 4), else {@link DifferenceError}: then the two servers' versions are not the same.
 */
export function applySteps(
  held: Zone,
  steps: readonly TransferStep[],
  soa: ResourceRecord,
): Iterable<ResourceRecord> {
  const touched = new Map<string, WorkingSet>();
  const setOf = ({ name, type }: ResourceRecord): WorkingSet => {
    const key = `${type} ${name}`;
    let set = touched.get(key);
    if (!set) {
      const there = held.node(name)?.rrset(type);
      set = new Map(there && recordsOf(there).map((record) => [keyOf(record), record]));
      touched.set(key, set);
    }
    return set;
  };
  for (const step of steps) {
    for (const record of step.removed)
      if (!setOf(record).delete(keyOf(record)))
        throw new DifferenceError(`it takes away ${describe(record)}, which is not there`);
    for (const record of step.added) addTo(setOf(record), record);
  }
  return merged(held, touched, soa);
}

function addTo(set: WorkingSet, record: ResourceRecord): void {
  const key = keyOf(record);
  if (set.has(key)) throw new DifferenceError(`it adds ${describe(record)}, which is there`);
  // One set has one TTL: what is newer says it.
  for (const [other, there] of set)
    if (there.ttlSeconds !== record.ttlSeconds) set.set(other, { ...there, ttlSeconds: record.ttlSeconds });
  set.set(key, record);
}

function* merged(
  held: Zone,
  touched: ReadonlyMap<string, WorkingSet>,
  soa: ResourceRecord,
): Iterable<ResourceRecord> {
  yield soa;
  for (const rrset of held.rrsets())
    if (rrset !== held.soa && !touched.has(`${rrset.type} ${rrset.name}`)) yield* recordsOf(rrset);
  for (const set of touched.values()) yield* set.values();
}

function keyOf({ data }: ResourceRecord): string {
  return data.toString('latin1');
}

function describe({ name, type }: ResourceRecord): string {
  return `a ${typeName(type)} record of ${name}.`;
}
