import type { ResourceRecord } from '../wire/message.ts';
import { isSubdomain, lowerName, parentOf } from '../wire/name.ts';
import { canonicalData } from '../wire/rdata/data.ts';
import { rrType } from '../wire/types.ts';
import { StoredNode, ZoneContent } from './content.ts';
import { inCanonicalOrder, StoredRRset } from './rrset.ts';
import { soaSerial, withSoaSerial } from './serial.ts';
import type { RRset, Zone, ZoneNode } from './zone.ts';

export { isSerialHigher, soaSerial } from './serial.ts';

/** Records that make no zone: `message` names the record and what is wrong. */
export class ZoneContentError extends Error {
  override readonly name = 'ZoneContentError';
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
    return name === this.#apex.name ? this.#apex : this.#content.node(name);
  }

  /** Every node, empty non-terminals too, in no order that means anything: quicker than {@link rrsets}. */
  *nodes(): Iterable<StoredNode> {
    yield this.#apex;
    for (const node of this.#content.nodes()) if (node.name !== this.#apex.name) yield node;
  }

  *rrsets(): Iterable<RRset> {
    yield this.soa;
    for (const set of this.#apex.sets) if (set.type !== rrType.SOA) yield set;
    for (const node of this.#content.ordered) if (node.name !== this.#apex.name) yield* node.sets;
  }

  get content(): ZoneContent {
    return this.#content;
  }

  withSerial(serial: number): Zone {
    if (serial === this.serial) return this;
    const data = withSoaSerial(this.soa.data[0] as Buffer, serial);
    const soa = new StoredRRset(this.origin, rrType.SOA, this.soa.ttlSeconds, [data]);
    const sets = this.#apex.sets.map((set) => (set.type === rrType.SOA ? soa : set));
    return new StoredZone(this.#content, new StoredNode(this.origin, sets, false));
  }
}

/** A name of a zone with its record sets. */
export type ListedNode = Pick<StoredNode, 'name' | 'isDelegation' | 'sets'>;

/** Nodes of a zone, the apex first, else in no particular order, the quickest way. */
export function nodesOf(zone: Zone): Iterable<ListedNode> {
  return stored(zone).nodes();
}

/** The nodes of a zone without those that it is known to share with another one. */
export function nodesThatMayDiffer(zone: Zone, other: Zone): Iterable<ListedNode> {
  const [own, others] = [stored(zone).content, stored(other).content];
  if ((own.base ?? own) !== (others.base ?? others)) return nodesOf(zone);
  const names = new Set([zone.origin]);
  for (const { base, own: added } of [own, others])
    if (base) for (const name of added.keys()) names.add(name);
  return [...names].flatMap((name) => (zone.node(name) as StoredNode | undefined) ?? []);
}

function stored(zone: Zone): StoredZone {
  if (zone instanceof StoredZone) return zone;
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
 * The zone with these record sets instead of those that it has of their names and types. Everything else is shared, so it
 * costs what is added, however large the zone is. Names are lower case, at or below the origin; not for SOA records.
 */
export function zoneWith(zone: Zone, rrsets: Iterable<RRset>): Zone {
  const { content } = stored(zone);
  const origin = zone.origin;
  const own = new Map(content.base ? content.own : []);
  // The zone's serial may be another than its content was made with.
  own.set(origin, zone.node(origin) as StoredNode);
  let count = content.recordCount;
  const nodeNow = (name: string): StoredNode | undefined => own.get(name) ?? content.node(name);
  for (const { name, type, ttlSeconds, data } of rrsets) {
    if (type === rrType.SOA || !isSubdomain(name, origin))
      throw new ZoneContentError(`${name}. cannot be put into the zone ${origin}. so`);
    const ordered = inCanonicalOrder([...data], (one) => canonicalData(type, one));
    const before = nodeNow(name);
    count += ordered.length - (before?.rrset(type)?.data.length ?? 0);
    const others = before?.sets.filter((set) => set.type !== type) ?? [];
    const sets = [...others, new StoredRRset(name, type, ttlSeconds, ordered)].sort(
      (a, b) => a.type - b.type,
    );
    own.set(name, new StoredNode(name, sets, name !== origin && sets.some((set) => set.type === rrType.NS)));
    for (
      let above = parentOf(name);
      above !== undefined && isSubdomain(above, origin);
      above = parentOf(above)
    ) {
      if (nodeNow(above)) break;
      own.set(above, new StoredNode(above, [], false));
    }
  }
  const made = new ZoneContent(origin, own, count, content.base ?? content);
  return new StoredZone(made, nodeNow(origin) as StoredNode);
}
