import { createHash } from 'node:crypto';
import { rrType } from '../wire/types.ts';
import { canonicalKey } from '../zone/name-tree.ts';
import type { RRset, Zone, ZoneNode } from '../zone/zone.ts';

/**
 * A zone with the signatures and proofs that stand in it as records. A name's RRSIGs are one set per type that they
 * cover, since each has that set's TTL (RFC 4034 section 3); `node()` gives them as one, with the lowest.
 */
export class SignedZone implements Zone {
  readonly #unsigned: Zone;
  readonly #sets: readonly RRset[];
  readonly #signing: string;
  readonly #signSoa: (soa: RRset) => RRset;
  readonly recordCount: number;
  #nodes: ReadonlyMap<string, SignedNode> | undefined;

  /**
   * `sets` in any order, the SOA and its RRSIG among them or not: they are made of `unsigned`'s. `signing` tells apart
   * signatures of other keys and times, in the hash of the content.
   */
  constructor(unsigned: Zone, sets: readonly RRset[], signing: string, signSoa: (soa: RRset) => RRset) {
    this.#unsigned = unsigned;
    this.#signing = signing;
    this.#signSoa = signSoa;
    this.#sets = inOrder(unsigned, sets);
    this.recordCount = sets.reduce((count, set) => count + set.data.length, 0);
  }

  get origin(): string {
    return this.#unsigned.origin;
  }

  get serial(): number {
    return this.#unsigned.serial;
  }

  get soa(): RRset {
    return this.#unsigned.soa;
  }

  get contentHash(): string {
    return createHash('sha256').update(`${this.#unsigned.contentHash} ${this.#signing}`).digest('hex');
  }

  rrsets(): Iterable<RRset> {
    return this.#sets;
  }

  node(name: string): ZoneNode | undefined {
    this.#nodes ??= nodesOf(this.#unsigned, this.#sets);
    return this.#nodes.get(name) ?? this.#unsigned.node(name);
  }

  withSerial(serial: number): Zone {
    if (serial === this.serial) return this;
    const unsigned = this.#unsigned.withSerial(serial);
    const kept = this.#sets.filter((set) => !isOfSoa(set));
    return new SignedZone(
      unsigned,
      [unsigned.soa, this.#signSoa(unsigned.soa), ...kept],
      this.#signing,
      this.#signSoa,
    );
  }
}

/** The SOA set, or signatures over it. */
function isOfSoa({ type, data }: RRset): boolean {
  return type === rrType.SOA || (type === rrType.RRSIG && data[0]?.readUInt16BE(0) === rrType.SOA);
}

/** The SOA and what signs it first, then by name, and a name's sets by type with each one's signatures behind it. */
function inOrder({ origin }: Zone, sets: readonly RRset[]): RRset[] {
  const keys = new Map<string, string>();
  for (const { name } of sets) if (!keys.has(name)) keys.set(name, name === origin ? '' : canonicalKey(name));
  return sets
    .map((set) => ({ set, key: keys.get(set.name) as string, rank: rankOf(set) }))
    .sort((a, b) => (a.key === b.key ? a.rank - b.rank : a.key < b.key ? -1 : 1))
    .map(({ set }) => set);
}

function rankOf({ type, data }: RRset): number {
  const covered = type === rrType.RRSIG ? (data[0]?.readUInt16BE(0) ?? 0) : type;
  return (covered === rrType.SOA ? 0 : covered * 2) + (type === rrType.RRSIG ? 1 : 0);
}

class SignedNode implements ZoneNode {
  readonly name: string;
  readonly isDelegation: boolean;
  readonly #sets = new Map<number, RRset>();

  constructor(name: string, isDelegation: boolean) {
    this.name = name;
    this.isDelegation = isDelegation;
  }

  add(set: RRset): void {
    const there = this.#sets.get(set.type);
    this.#sets.set(
      set.type,
      there
        ? {
            ...there,
            ttlSeconds: Math.min(there.ttlSeconds, set.ttlSeconds),
            data: [...there.data, ...set.data],
          }
        : set,
    );
  }

  rrset(type: number): RRset | undefined {
    return this.#sets.get(type);
  }

  types(): readonly number[] {
    return [...this.#sets.keys()];
  }
}

function nodesOf(unsigned: Zone, sets: readonly RRset[]): ReadonlyMap<string, SignedNode> {
  const nodes = new Map<string, SignedNode>();
  for (const set of sets) {
    let node = nodes.get(set.name);
    if (!node) {
      node = new SignedNode(set.name, unsigned.node(set.name)?.isDelegation ?? false);
      nodes.set(set.name, node);
    }
    node.add(set);
  }
  return nodes;
}
