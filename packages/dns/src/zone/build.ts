import { createHash } from 'node:crypto';
import type { ResourceRecord } from '../wire/message.ts';
import { isSubdomain, lowerName, parentOf, rrType } from '../wire/name.ts';
import { canonicalData } from '../wire/rdata/data.ts';
import { canonicalKey } from './name-tree.ts';
import { hasSameData, inCanonicalOrder, recordsOf, StoredRRset } from './rrset.ts';
import type { RRset, Zone, ZoneDifference, ZoneNode } from './zone.ts';

/** Records that make no zone: `message` names the record and what is wrong. */
export class ZoneContentError extends Error {
  override readonly name = 'ZoneContentError';
}

/** Where the serial is in the RDATA of a SOA: five numbers of four octets end it (RFC 1035 section 3.3.13). */
const serialFromEnd = 20;

/** The serial in the RDATA of a SOA. */
export function soaSerial(data: Buffer): number {
  return data.readUInt32BE(data.length - serialFromEnd);
}

/** Whether serial `a` is higher than `b` in the sense of RFC 1982 section 3.2. */
export function isSerialHigher(a: number, b: number): boolean {
  const distance = (a - b) >>> 0;
  return distance !== 0 && distance < 0x8000_0000;
}

class StoredNode implements ZoneNode {
  readonly name: string;
  readonly sets: readonly StoredRRset[];
  readonly isDelegation: boolean;

  constructor(name: string, sets: readonly StoredRRset[], isDelegation: boolean) {
    this.name = name;
    this.sets = sets;
    this.isDelegation = isDelegation;
  }

  rrset(type: number): RRset | undefined {
    for (const set of this.sets) if (set.type === type) return set;
    return undefined;
  }

  types(): readonly number[] {
    return this.sets.map(({ type }) => type);
  }
}

/** What versions of a zone that differ in the serial alone have in common. */
class ZoneContent {
  readonly origin: string;
  readonly nodes: ReadonlyMap<string, StoredNode>;
  readonly recordCount: number;
  #ordered: readonly StoredNode[] | undefined;
  #hash: string | undefined;

  constructor(origin: string, nodes: ReadonlyMap<string, StoredNode>, recordCount: number) {
    this.origin = origin;
    this.nodes = nodes;
    this.recordCount = recordCount;
  }

  /** Nodes in canonical order of their names. */
  get ordered(): readonly StoredNode[] {
    return (this.#ordered ??= [...this.nodes.values()]
      .map((node) => ({ node, key: canonicalKey(node.name) }))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ node }) => node));
  }

  get hash(): string {
    return (this.#hash ??= this.#digest());
  }

  #digest(): string {
    const digest = createHash('sha256');
    for (const node of this.ordered)
      for (const { name, type, ttlSeconds, data } of node.sets) {
        digest.update(`${name} ${type} ${ttlSeconds} ${data.map((one) => one.length).join(' ')}\n`);
        for (const one of data) digest.update(type === rrType.SOA ? withoutSerial(one) : one);
      }
    return digest.digest('hex');
  }
}

function withoutSerial(soa: Buffer): Buffer {
  const copy = Buffer.from(soa);
  copy.writeUInt32BE(0, copy.length - serialFromEnd);
  return copy;
}

/** A zone in the main thread's memory. */
class StoredZone implements Zone {
  readonly #content: ZoneContent;
  readonly #apex: StoredNode;
  readonly soa: RRset;
  readonly serial: number;

  constructor(content: ZoneContent, apex: StoredNode) {
    this.#content = content;
    this.#apex = apex;
    this.soa = apex.rrset(rrType.SOA) as RRset;
    this.serial = soaSerial(this.soa.data[0] as Buffer);
  }

  get origin(): string {
    return this.#content.origin;
  }

  get recordCount(): number {
    return this.#content.recordCount;
  }

  get contentHash(): string {
    return this.#content.hash;
  }

  node(name: string): ZoneNode | undefined {
    return name === this.#apex.name ? this.#apex : this.#content.nodes.get(name);
  }

  /** Every node, empty non-terminals too, in no order that means anything: quicker than {@link rrsets}. */
  *nodes(): Iterable<StoredNode> {
    yield this.#apex;
    for (const node of this.#content.nodes.values()) if (node.name !== this.#apex.name) yield node;
  }

  *rrsets(): Iterable<RRset> {
    yield this.soa;
    for (const set of this.#apex.sets) if (set.type !== rrType.SOA) yield set;
    for (const node of this.#content.ordered) if (node.name !== this.#apex.name) yield* node.sets;
  }

  withSerial(serial: number): Zone {
    if (serial === this.serial) return this;
    const data = Buffer.from(this.soa.data[0] as Buffer);
    data.writeUInt32BE(serial >>> 0, data.length - serialFromEnd);
    const soa = new StoredRRset(this.origin, rrType.SOA, this.soa.ttlSeconds, [data]);
    const sets = this.#apex.sets.map((set) => (set.type === rrType.SOA ? soa : set));
    return new StoredZone(this.#content, new StoredNode(this.origin, sets, false));
  }
}

/** Nodes of a zone with their record sets, quickest way, in no particular order. */
export function* nodesOf(
  zone: Zone,
): Iterable<{ name: string; isDelegation: boolean; sets: readonly RRset[] }> {
  if (zone instanceof StoredZone) {
    yield* zone.nodes();
    return;
  }
  throw new TypeError('only zones made by zoneOf can be listed by node');
}

/**
 * A zone of these records: names and order do not matter, a record that is there twice counts once, and a set whose
 * records differ in TTL has the lowest (RFC 2181 section 5.2). Throws {@link ZoneContentError} when there is not exactly
 * one SOA, at the origin, or a record is outside the zone. What is merely odd is `checkZone`'s to say.
 */
export function zoneOf(origin: string, records: Iterable<ResourceRecord>): Zone {
  const apex = lowerName(origin);
  const byName = new Map<string, SetParts[]>();
  for (const record of records) {
    const name = lowerName(record.name);
    let sets = byName.get(name);
    if (!sets) {
      if (!isSubdomain(name, apex)) throw new ZoneContentError(`${name}. is not in the zone ${apex}.`);
      byName.set(name, (sets = []));
    }
    addToSets(sets, record);
  }
  const nodes = new Map<string, StoredNode>();
  let count = 0;
  for (const [name, sets] of byName) {
    const node = nodeOf(name, apex, sets);
    for (const set of node.sets) count += set.data.length;
    nodes.set(name, node);
  }
  addEmptyNonTerminals(nodes, apex);
  return new StoredZone(new ZoneContent(apex, nodes, count), apexOf(apex, nodes));
}

/** A record set while its records are gathered. */
interface SetParts {
  readonly type: number;
  ttlSeconds: number;
  readonly data: Buffer[];
}

function addToSets(sets: SetParts[], { type, ttlSeconds, data }: ResourceRecord): void {
  for (const set of sets) {
    if (set.type !== type) continue;
    set.data.push(data);
    set.ttlSeconds = Math.min(set.ttlSeconds, ttlSeconds);
    return;
  }
  sets.push({ type, ttlSeconds, data: [data] });
}

function nodeOf(name: string, apex: string, parts: readonly SetParts[]): StoredNode {
  const sets = parts.map(
    ({ type, ttlSeconds, data }) =>
      new StoredRRset(
        name,
        type,
        ttlSeconds,
        inCanonicalOrder(data, (one) => canonicalData(type, one)),
      ),
  );
  if (sets.length > 1) sets.sort((a, b) => a.type - b.type);
  if (name === apex) return new StoredNode(name, sets, false);
  let isDelegation = false;
  for (const { type } of sets) {
    if (type === rrType.SOA)
      throw new ZoneContentError(`${name}. has a SOA record, which belongs at the zone's top, ${apex}.`);
    if (type === rrType.NS) isDelegation = true;
  }
  return new StoredNode(name, sets, isDelegation);
}

function apexOf(apex: string, nodes: ReadonlyMap<string, StoredNode>): StoredNode {
  const top = nodes.get(apex);
  const soaCount = top?.rrset(rrType.SOA)?.data.length ?? 0;
  if (!top || soaCount !== 1)
    throw new ZoneContentError(
      `zone ${apex}. has ${soaCount === 0 ? 'no SOA record' : `${soaCount} SOA records`}`,
    );
  return top;
}

/** Names that exist only because there are names below them (RFC 8499). */
function addEmptyNonTerminals(nodes: Map<string, StoredNode>, apex: string): void {
  for (const name of Array.from(nodes.keys())) {
    if (name === apex) continue;
    for (let above = parentOf(name); above !== undefined && above !== apex; above = parentOf(above)) {
      if (nodes.has(above)) break;
      nodes.set(above, new StoredNode(above, [], false));
    }
  }
}

/**
 * What must be taken away from and added to `from` to get `to`, SOA apart. A set whose TTL changed is taken away and
 * added whole, as RFC 1995 has it.
 */
export function differenceOf(from: Zone, to: Zone): ZoneDifference {
  return { from: from.soa, to: to.soa, removed: missingIn(to, from), added: missingIn(from, to) };
}

/** Records of `whole` that `other` lacks. */
function missingIn(other: Zone, whole: Zone): ResourceRecord[] {
  const missing: ResourceRecord[] = [];
  for (const { name, sets } of nodesOf(whole)) {
    const node = other.node(name);
    for (const set of sets) {
      if (set.type === rrType.SOA) continue;
      const there = node?.rrset(set.type);
      if (there === set) continue;
      if (!there || there.ttlSeconds !== set.ttlSeconds) missing.push(...recordsOf(set));
      else if (!hasSameData(there, set)) {
        const kept = new Set(there.data.map((one) => one.toString('latin1')));
        missing.push(...recordsOf(set).filter(({ data }) => !kept.has(data.toString('latin1'))));
      }
    }
  }
  return missing;
}

/** Whether nothing but the serial tells two versions apart; cheaper than their hashes when the difference is known. */
export function isSameContent(from: Zone, to: Zone, difference: ZoneDifference): boolean {
  const [a, b] = [from.soa, to.soa];
  return (
    difference.removed.length === 0 &&
    difference.added.length === 0 &&
    a.ttlSeconds === b.ttlSeconds &&
    withoutSerial(a.data[0] as Buffer).equals(withoutSerial(b.data[0] as Buffer))
  );
}
