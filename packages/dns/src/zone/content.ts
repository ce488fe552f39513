import { createHash, hash } from 'node:crypto';
import { rrType } from '../wire/types.ts';
import { canonicalKey } from './name-tree.ts';
import type { StoredRRset } from './rrset.ts';
import { withoutSerial } from './serial.ts';
import type { RRset, ZoneNode } from './zone.ts';

/** A name of a zone in the main thread. */
export class StoredNode implements ZoneNode {
  readonly name: string;
  /** In the order of their types. */
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

/**
 * What versions of a zone that differ in the serial alone have in common. One made by adding to another keeps that as
 * its base and holds only its own nodes: then order, hash and difference cost what was added, not what there is.
 */
export class ZoneContent {
  readonly origin: string;
  /** Nodes that the base lacks or has otherwise; without a base, all. */
  readonly own: ReadonlyMap<string, StoredNode>;
  /** Has no base itself. */
  readonly base: ZoneContent | undefined;
  readonly recordCount: number;
  #ordered: readonly StoredNode[] | undefined;
  #sums: Float64Array | undefined;
  #hash: string | undefined;

  constructor(origin: string, own: ReadonlyMap<string, StoredNode>, recordCount: number, base?: ZoneContent) {
    this.origin = origin;
    this.own = own;
    this.recordCount = recordCount;
    this.base = base;
  }

  node(name: string): StoredNode | undefined {
    return this.own.get(name) ?? this.base?.own.get(name);
  }

  /** In no order that means anything. */
  *nodes(): Iterable<StoredNode> {
    yield* this.own.values();
    if (this.base) for (const node of this.base.own.values()) if (!this.own.has(node.name)) yield node;
  }

  /** Nodes in canonical order of their names. */
  get ordered(): readonly StoredNode[] {
    return (this.#ordered ??= this.base ? merged(this.base.ordered, this.own) : inOrder(this.own));
  }

  /** Of all record sets except the serial, whatever their order. */
  get hash(): string {
    return (this.#hash ??= createHash('sha256').update(this.#digestSums()).digest('hex'));
  }

  /** The sum of the digests of all names, in eight parts modulo 2^32: what is added or replaced changes it alone. */
  #digestSums(): Float64Array {
    if (this.#sums) return this.#sums;
    const sums = this.base ? Float64Array.from(this.base.#digestSums()) : new Float64Array(8);
    for (const node of this.own.values()) {
      const before = this.base?.own.get(node.name);
      if (before) addDigest(sums, before, -1);
      addDigest(sums, node, 1);
    }
    return (this.#sums = sums);
  }
}

function addDigest(sums: Float64Array, { sets }: StoredNode, factor: 1 | -1): void {
  if (sets.length === 0) return;
  const parts: Buffer[] = [];
  for (const { name, type, ttlSeconds, data } of sets) {
    parts.push(Buffer.from(`${name} ${type} ${ttlSeconds} ${data.map((one) => one.length).join(' ')}\n`));
    for (const one of data) parts.push(type === rrType.SOA ? withoutSerial(one) : one);
  }
  const digest = hash('sha256', Buffer.concat(parts), 'buffer');
  for (let i = 0; i < sums.length; i++)
    sums[i] = ((sums[i] as number) + factor * digest.readUInt32BE(i * 4) + 2 ** 32) % 2 ** 32;
}

function inOrder(nodes: ReadonlyMap<string, StoredNode>): StoredNode[] {
  return [...nodes.values()]
    .map((node) => ({ node, key: canonicalKey(node.name) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(({ node }) => node);
}

/** A list in canonical order with some nodes put in, or in the place of those of their names. */
function merged(base: readonly StoredNode[], own: ReadonlyMap<string, StoredNode>): StoredNode[] {
  const result: StoredNode[] = [];
  let position = 0;
  for (const node of inOrder(own)) {
    const at = placeOf(node.name, base, position);
    while (position < at) result.push(base[position++] as StoredNode);
    if (base[at]?.name === node.name) position += 1;
    result.push(node);
  }
  while (position < base.length) result.push(base[position++] as StoredNode);
  return result;
}

/** The first place from `start` on whose name is not before `name`. */
function placeOf(name: string, nodes: readonly StoredNode[], start: number): number {
  const key = canonicalKey(name);
  let [low, high] = [start, nodes.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (canonicalKey((nodes[middle] as StoredNode).name) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
