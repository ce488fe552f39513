import type { ResourceRecord } from '../wire/message.ts';
import { isSubdomain, lowerName } from '../wire/name.ts';
import { canonicalData } from '../wire/rdata/data.ts';
import { rcode, rrClass, rrType, typeName } from '../wire/types.ts';
import { soaSerial, isSerialHigher } from '../zone/build.ts';
import { inCanonicalOrder } from '../zone/rrset.ts';
import type { RRset, Zone } from '../zone/zone.ts';
import type { RRsetChange } from './change.ts';
import { isNoDataType } from './form.ts';
import { classOf, UpdateError } from './update-error.ts';

/** Made by the signer of a zone: nobody else may write them. */
const signerTypes: ReadonlySet<number> = new Set([
  rrType.RRSIG,
  rrType.NSEC,
  rrType.NSEC3,
  rrType.NSEC3PARAM,
]);

/** May stand beside a CNAME (RFC 2136 section 3.4.2.2, RFC 4034). */
const besideCname: ReadonlySet<number> = new Set([rrType.CNAME, rrType.SIG, rrType.KEY, rrType.NXT]);

/** Looks through the update section before anything is done (RFC 2136 section 3.4.1). Throws {@link UpdateError}. */
export function checkUpdates(origin: string, updates: readonly ResourceRecord[]): void {
  for (const record of updates) {
    const name = lowerName(record.name);
    const set = `${name}. ${typeName(record.type)}`;
    const wrong = (why: string): UpdateError => new UpdateError(rcode.formErr, `${set} ${why}`);
    if (!isSubdomain(name, origin))
      throw new UpdateError(rcode.notZone, `${name}. is not in zone ${origin}.`);
    if (classOf(record) === rrClass.ANY) {
      if (record.ttlSeconds !== 0 || record.data.length > 0) throw wrong('is deleted with a TTL or data');
      if (isNoDataType(record.type) && record.type !== rrType.ANY)
        throw wrong('cannot be deleted: no record has this type');
    } else if (classOf(record) === rrClass.NONE) {
      if (record.ttlSeconds !== 0) throw wrong('is deleted with a TTL');
      if (isNoDataType(record.type)) throw wrong('cannot be deleted: no record has this type');
    } else if (classOf(record) !== rrClass.IN) throw wrong(`has class ${classOf(record)}`);
    if (signerTypes.has(record.type))
      throw new UpdateError(rcode.refused, `${set} is made by the signer of the zone and cannot be updated`);
  }
}

interface WorkingSet {
  readonly ttlSeconds: number;
  readonly data: readonly Buffer[];
}

/**
 * What the update section makes of the zone, record by record in its order (RFC 2136 section 3.4.2), as the record sets
 * that are other than before. Pure; {@link checkUpdates} has passed.
 */
export function changesOf(zone: Zone, updates: readonly ResourceRecord[]): RRsetChange[] {
  const names = new WorkingNames(zone);
  for (const record of updates) {
    const name = lowerName(record.name);
    if (classOf(record) === rrClass.IN) addRecord(names, name, record);
    else if (classOf(record) === rrClass.ANY) deleteSets(names, name, record.type);
    else deleteRecord(names, name, record);
  }
  return names.changes();
}

/** The names an update touches, as they are after each of its records. */
class WorkingNames {
  readonly zone: Zone;
  readonly #names = new Map<string, Map<number, WorkingSet>>();

  constructor(zone: Zone) {
    this.zone = zone;
  }

  of(name: string): Map<number, WorkingSet> {
    let sets = this.#names.get(name);
    if (!sets) {
      const node = this.zone.node(name);
      sets = new Map(node?.types().map((type) => [type, node.rrset(type) as RRset]));
      this.#names.set(name, sets);
    }
    return sets;
  }

  changes(): RRsetChange[] {
    const changes: RRsetChange[] = [];
    for (const [name, sets] of this.#names) {
      const node = this.zone.node(name);
      for (const type of node?.types() ?? [])
        if (!sets.has(type)) changes.push({ kind: 'delete', name, type });
      for (const [type, { ttlSeconds, data }] of sets) {
        const before = node?.rrset(type);
        const ordered = inCanonicalOrder([...data], (one) => canonicalData(type, one));
        const isSame =
          before?.ttlSeconds === ttlSeconds &&
          before.data.length === ordered.length &&
          before.data.every((one, i) => one.equals(ordered[i] as Buffer));
        if (!isSame) changes.push({ kind: 'replace', rrset: { name, type, ttlSeconds, data: ordered } });
      }
    }
    return changes;
  }
}

function addRecord(names: WorkingNames, name: string, { type, ttlSeconds, data }: ResourceRecord): void {
  const sets = names.of(name);
  if (type === rrType.CNAME && [...sets.keys()].some((other) => !besideCname.has(other))) return;
  if (!besideCname.has(type) && sets.has(rrType.CNAME)) return;
  // A delegation of a wildcard means nothing (RFC 4592 section 4.2); passed over, as BIND does.
  if (type === rrType.NS && (name === '*' || name.startsWith('*.'))) return;
  if (type === rrType.SOA) {
    const current = sets.get(type)?.data[0];
    if (name !== names.zone.origin || !current || !isSerialHigher(soaSerial(data), soaSerial(current)))
      return;
  }
  const before = sets.get(type)?.data ?? [];
  const kept = before.filter((one) => !takesPlaceOf(type, data, one));
  // One set has one TTL (RFC 2181 section 5.2): the newest record's.
  sets.set(type, { ttlSeconds, data: [...kept, data] });
}

/** Whether a record that is added stands for the one there, rather than beside it. */
function takesPlaceOf(type: number, added: Buffer, there: Buffer): boolean {
  if (type === rrType.CNAME || type === rrType.SOA || type === rrType.DNAME) return true;
  // Address and protocol (RFC 2136 section 3.4.2.2).
  if (type === rrType.WKS) return added.subarray(0, 5).equals(there.subarray(0, 5));
  return isSameData(type, added, there);
}

function isSameData(type: number, a: Buffer, b: Buffer): boolean {
  return a.equals(b) || canonicalData(type, a).equals(canonicalData(type, b));
}

/** The zone's own SOA and NS records stay, whatever is deleted (RFC 2136 section 3.4.2.3). */
function deleteSets(names: WorkingNames, name: string, type: number): void {
  const sets = names.of(name);
  const isKept = (one: number): boolean =>
    name === names.zone.origin && (one === rrType.SOA || one === rrType.NS);
  for (const one of sets.keys()) if ((type === rrType.ANY || type === one) && !isKept(one)) sets.delete(one);
}

/** One record goes; the SOA and the zone's last NS record stay (RFC 2136 section 3.4.2.4). */
function deleteRecord(names: WorkingNames, name: string, { type, data }: ResourceRecord): void {
  const sets = names.of(name);
  const set = sets.get(type);
  if (!set || type === rrType.SOA) return;
  const kept = set.data.filter((one) => !isSameData(type, one, data));
  if (kept.length === 0 && type === rrType.NS && name === names.zone.origin) return;
  if (kept.length === 0) sets.delete(type);
  else sets.set(type, { ttlSeconds: set.ttlSeconds, data: kept });
}
