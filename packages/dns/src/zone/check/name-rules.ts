import { labelsOf } from '../../wire/name.ts';
import { canonicalData } from '../../wire/rdata/data.ts';
import { rrType, typeName } from '../../wire/types.ts';
import type { Draft, DraftRecord } from './draft.ts';

/** Types of which a name has one record at most (RFC 2181 section 10.1, RFC 6672 section 2.4). */
const singletons: readonly number[] = [rrType.SOA, rrType.CNAME, rrType.DNAME];

/** What may stand beside a CNAME (RFC 2181 section 10.1, RFC 4035 section 2.5). */
const besideCname: readonly number[] = [
  rrType.CNAME,
  rrType.RRSIG,
  rrType.NSEC,
  rrType.KEY,
  rrType.SIG,
  rrType.NXT,
];

/** Rules about the records of one name. */
export function checkName(
  draft: Draft,
  name: string,
  sets: ReadonlyMap<number, readonly DraftRecord[]>,
): void {
  for (const [type, records] of sets) {
    const different = withoutDuplicates(draft, type, records);
    if (singletons.includes(type) && different.length > 1)
      draft.error(
        different[1],
        `${name}. has ${different.length} ${typeName(type)} records: there can be one only`,
      );
    checkTtls(draft, type, records);
  }
  checkCname(draft, name, sets);
  checkWildcard(draft, name, sets);
  for (const type of [rrType.DS, rrType.CDS, rrType.DLV])
    for (const record of sets.get(type) ?? []) checkDigest(draft, record);
  const ds = sets.get(rrType.DS);
  if (ds && name === draft.origin)
    draft.error(ds[0], `${name}. has a DS record at the zone's top: it belongs in the zone above`);
  else if (ds && !sets.has(rrType.NS))
    draft.warning(ds[0], `${name}. has a DS record but no NS record: it is no delegation`);
}

/** Octets of a digest by its type's number (RFC 4034 section 5.1.3, RFC 4509, RFC 6605). */
const digestBytes: Readonly<Record<number, number | undefined>> = { 1: 20, 2: 32, 4: 48 };

function checkDigest(draft: Draft, { data, ...record }: DraftRecord): void {
  const wanted = digestBytes[data[3] as number];
  if (wanted !== undefined && data.length - 4 !== wanted)
    draft.error(
      { data, ...record },
      `the digest of ${record.name}. (${typeName(record.type)}) has ${data.length - 4} octets: type ${data[3]} has ${wanted}`,
    );
}

/** The records that differ; the others are warned of. */
function withoutDuplicates(
  draft: Draft,
  type: number,
  records: readonly DraftRecord[],
): readonly DraftRecord[] {
  if (records.length < 2) return records;
  const seen = new Map<string, DraftRecord>();
  for (const record of records) {
    const key = canonicalData(type, record.data).toString('latin1');
    const first = seen.get(key);
    if (!first) seen.set(key, record);
    else
      draft.warning(
        record,
        `${record.name}. has the same ${typeName(type)} record twice${lineOf(first)}: it counts once`,
      );
  }
  return [...seen.values()];
}

function checkTtls(draft: Draft, type: number, records: readonly DraftRecord[]): void {
  const [first] = records as [DraftRecord];
  const other = records.find(({ ttlSeconds }) => ttlSeconds !== first.ttlSeconds);
  if (other)
    draft.warning(
      other,
      `the ${typeName(type)} records of ${other.name}. differ in TTL, ${first.ttlSeconds} and ${other.ttlSeconds}: they can have one only`,
    );
}

function checkCname(draft: Draft, name: string, sets: ReadonlyMap<number, readonly DraftRecord[]>): void {
  const cname = sets.get(rrType.CNAME)?.[0];
  if (!cname) return;
  for (const [type, [record]] of sets)
    if (!besideCname.includes(type))
      draft.error(
        record,
        `${name}. has a CNAME record${lineOf(cname)} and a ${typeName(type)} record: a name with a CNAME can have no other data`,
      );
}

function checkWildcard(draft: Draft, name: string, sets: ReadonlyMap<number, readonly DraftRecord[]>): void {
  if (!name.includes('*')) return;
  const [first, ...others] = labelsOf(name);
  const [record] = [...sets.values()].flat();
  if (others.includes('*'))
    draft.warning(
      record,
      `${name}. has a * that is not its first label: it is no wildcard, but a name like others`,
    );
  if (first !== '*') return;
  const ns = sets.get(rrType.NS)?.[0];
  if (ns) draft.error(ns, `${name}. has an NS record: a wildcard cannot be delegated (RFC 4592 section 4.2)`);
  const dname = sets.get(rrType.DNAME)?.[0];
  if (dname)
    draft.warning(dname, `${name}. has a DNAME record: resolvers disagree about such (RFC 4592 section 4.4)`);
}

function lineOf({ place }: DraftRecord): string {
  return place ? ` (line ${place.line})` : '';
}
