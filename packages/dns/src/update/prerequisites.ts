import type { ResourceRecord } from '../wire/message.ts';
import { isSubdomain, lowerName } from '../wire/name.ts';
import { canonicalData } from '../wire/rdata/data.ts';
import { rcode, rrClass, rrType, typeName } from '../wire/types.ts';
import type { Zone } from '../zone/zone.ts';
import { classOf, UpdateError } from './update-error.ts';

/** Throws {@link UpdateError} unless the zone is as the prerequisite section wants it (RFC 2136 section 3.2). */
export function checkPrerequisites(zone: Zone, prerequisites: readonly ResourceRecord[]): void {
  const wanted = new Map<string, ResourceRecord[]>();
  for (const record of prerequisites) {
    const name = lowerName(record.name);
    if (record.ttlSeconds !== 0) throw new UpdateError(rcode.formErr, `a prerequisite on ${name}. has a TTL`);
    if (!isSubdomain(name, zone.origin))
      throw new UpdateError(rcode.notZone, `the prerequisite's name ${name}. is not in zone ${zone.origin}.`);
    if (classOf(record) === rrClass.IN) {
      const key = `${record.type} ${name}`;
      const set = wanted.get(key);
      if (set) set.push(record);
      else wanted.set(key, [record]);
      continue;
    }
    if (classOf(record) !== rrClass.ANY && classOf(record) !== rrClass.NONE)
      throw new UpdateError(rcode.formErr, `a prerequisite on ${name}. has class ${classOf(record)}`);
    if (record.data.length > 0)
      throw new UpdateError(rcode.formErr, `a prerequisite on ${name}. has data it should not have`);
    checkExistence(zone, name, record);
  }
  for (const records of wanted.values()) checkValues(zone, records);
}

/** Sections 2.4.1 and 2.4.3 to 2.4.5: of a name or record set, whatever its data. */
function checkExistence(zone: Zone, name: string, record: ResourceRecord): void {
  const mustExist = classOf(record) === rrClass.ANY;
  const node = zone.node(name);
  if (record.type === rrType.ANY) {
    const isInUse = node !== undefined && node.types().length > 0;
    if (mustExist && !isInUse)
      throw new UpdateError(rcode.nxDomain, `${name}. has no records, and should have`);
    if (!mustExist && isInUse)
      throw new UpdateError(rcode.yxDomain, `${name}. has records, and should have none`);
    return;
  }
  const exists = node?.rrset(record.type) !== undefined;
  const set = `${name}. ${typeName(record.type)}`;
  if (mustExist && !exists) throw new UpdateError(rcode.nxRrset, `${set} does not exist, and should`);
  if (!mustExist && exists) throw new UpdateError(rcode.yxRrset, `${set} exists, and should not`);
}

/** Section 2.4.2: the set has this data, no more and no less; TTLs do not count. */
function checkValues(zone: Zone, records: readonly ResourceRecord[]): void {
  const [{ name, type }] = records as [ResourceRecord];
  const lower = lowerName(name);
  const keyOf = (data: Buffer): string => canonicalData(type, data).toString('latin1');
  const wanted = new Set(records.map(({ data }) => keyOf(data)));
  const there = new Set(zone.node(lower)?.rrset(type)?.data.map(keyOf));
  if (wanted.size !== there.size || [...wanted].some((key) => !there.has(key)))
    throw new UpdateError(
      rcode.nxRrset,
      `${lower}. ${typeName(type)} has other data than the prerequisite says`,
    );
}
