import type { BinaryKey } from './key.ts';
import { type Version, visibleAt } from './version.ts';

const maxChunkKeys = 512;

/** A run of neighbouring keys with the newest version of each. */
class Chunk {
  keys: BinaryKey[];
  heads: Version[];
  /** Heads that are no tombstone. */
  live = 0;
  /** No head here is newer than this revision. */
  newest = 0;

  constructor(keys: BinaryKey[], heads: Version[]) {
    this.keys = keys;
    this.heads = heads;
    for (const head of heads) {
      if (!head.isTombstone) this.live++;
      if (head.revision > this.newest) this.newest = head.revision;
    }
  }
}

/** First position whose key is ≥ `key`. */
function lowerBound(keys: readonly BinaryKey[], key: BinaryKey): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as BinaryKey) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Keys in order, each with its newest version: a list of sorted chunks. A look-up is two binary searches, an
 * insert moves at most half a chunk; counting a long range adds up whole chunks instead of visiting keys.
 */
export class OrderedIndex {
  #chunks: Chunk[] = [];
  /** First key of each chunk. */
  #firsts: BinaryKey[] = [];
  #size = 0;

  /** Keys, deleted ones that are not yet compacted included. */
  get size(): number {
    return this.#size;
  }

  clear(): void {
    this.#chunks = [];
    this.#firsts = [];
    this.#size = 0;
  }

  /** Position of the chunk that holds `key` or would. */
  #chunkOf(key: BinaryKey): number {
    const firsts = this.#firsts;
    let low = 0;
    let high = firsts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((firsts[middle] as BinaryKey) <= key) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? 0 : low - 1;
  }

  /** The newest version of `key`, tombstones and undurable ones included. */
  get(key: BinaryKey): Version | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)];
    if (chunk === undefined) return undefined;
    const at = lowerBound(chunk.keys, key);
    return chunk.keys[at] === key ? chunk.heads[at] : undefined;
  }

  /** Makes `version` the newest of its key. */
  set(version: Version): void {
    const { key } = version;
    const chunkAt = this.#chunkOf(key);
    const chunk = this.#chunks[chunkAt];
    if (chunk === undefined) {
      this.#chunks.push(new Chunk([key], [version]));
      this.#firsts.push(key);
      this.#size++;
      return;
    }
    const at = lowerBound(chunk.keys, key);
    if (version.revision > chunk.newest) chunk.newest = version.revision;
    if (!version.isTombstone) chunk.live++;
    if (chunk.keys[at] === key) {
      if (!(chunk.heads[at] as Version).isTombstone) chunk.live--;
      chunk.heads[at] = version;
      return;
    }
    chunk.keys.splice(at, 0, key);
    chunk.heads.splice(at, 0, version);
    this.#size++;
    if (at === 0) this.#firsts[chunkAt] = key;
    if (chunk.keys.length > maxChunkKeys) this.#split(chunkAt, chunk);
  }

  #split(chunkAt: number, chunk: Chunk): void {
    // Appending in order is common (a namespace filling up, a restart): leave full chunks behind then.
    const last = chunkAt === this.#chunks.length - 1;
    const middle = last ? Math.floor(maxChunkKeys * 0.9) : maxChunkKeys >>> 1;
    const right = new Chunk(chunk.keys.slice(middle), chunk.heads.slice(middle));
    const left = new Chunk(chunk.keys.slice(0, middle), chunk.heads.slice(0, middle));
    this.#chunks.splice(chunkAt, 1, left, right);
    this.#firsts.splice(chunkAt + 1, 0, right.keys[0] as BinaryKey);
  }

  /** Forgets the key. */
  delete(key: BinaryKey): void {
    const chunkAt = this.#chunkOf(key);
    const chunk = this.#chunks[chunkAt];
    if (chunk === undefined) return;
    const at = lowerBound(chunk.keys, key);
    if (chunk.keys[at] !== key) return;
    if (!(chunk.heads[at] as Version).isTombstone) chunk.live--;
    chunk.keys.splice(at, 1);
    chunk.heads.splice(at, 1);
    this.#size--;
    if (chunk.keys.length === 0) {
      this.#chunks.splice(chunkAt, 1);
      this.#firsts.splice(chunkAt, 1);
    } else if (at === 0) {
      this.#firsts[chunkAt] = chunk.keys[0] as BinaryKey;
    }
  }

  /** Visits the newest version of each key in [start, end) in order until `visit` returns false. */
  scan(start: BinaryKey, end: BinaryKey | undefined, visit: (head: Version) => boolean): void {
    let chunkAt = this.#chunkOf(start);
    let at = lowerBound(this.#chunks[chunkAt]?.keys ?? [], start);
    for (; chunkAt < this.#chunks.length; chunkAt++, at = 0) {
      const chunk = this.#chunks[chunkAt] as Chunk;
      for (; at < chunk.keys.length; at++) {
        if (end !== undefined && (chunk.keys[at] as BinaryKey) >= end) return;
        if (!visit(chunk.heads[at] as Version)) return;
      }
    }
  }

  /** Number of keys in [start, end) that exist at `revision`. */
  count(start: BinaryKey, end: BinaryKey | undefined, revision: number): number {
    let count = 0;
    let chunkAt = this.#chunkOf(start);
    let at = lowerBound(this.#chunks[chunkAt]?.keys ?? [], start);
    for (; chunkAt < this.#chunks.length; chunkAt++, at = 0) {
      const chunk = this.#chunks[chunkAt] as Chunk;
      const whole = at === 0 && (end === undefined || (chunk.keys[chunk.keys.length - 1] as BinaryKey) < end);
      if (whole && chunk.newest <= revision) {
        count += chunk.live;
        continue;
      }
      for (; at < chunk.keys.length; at++) {
        if (end !== undefined && (chunk.keys[at] as BinaryKey) >= end) return count;
        if (visibleAt(chunk.heads[at], revision) !== undefined) count++;
      }
    }
    return count;
  }
}
