import type { KeyValue } from '@cloudless/kube/etcd/store';
import type { ValueCache } from './value-cache.ts';
import { keyValueOf, type Version } from './version.ts';

/** Reading cold values stops after so long to let the event loop turn. */
const sliceMs = 4;
const coldReadsPerClockLook = 64;

/** Values read from a distant log in one request. */
const maxDistantValues = 1000;
const maxDistantBytes = 4 * 1024 * 1024;

export interface ValueSource {
  readValue(position: number): Uint8Array | Promise<Uint8Array>;
  /** Present where each request takes long and one may ask for many values. */
  readValues?: ((positions: readonly number[]) => Promise<Uint8Array[]>) | undefined;
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Values of versions: from the cache, or from the log without holding up the event loop. */
export class ValueReader {
  readonly #cache: ValueCache;
  readonly #source: ValueSource;
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(cache: ValueCache, source: ValueSource) {
    this.#cache = cache;
    this.#source = source;
  }

  /** The value if it is in memory. */
  hot(version: Version): KeyValue | undefined {
    return this.#cache.get(version);
  }

  /** The results for these versions, in order; at once when all are hot, or cold ones are few and near. */
  read(versions: readonly Version[]): KeyValue[] | Promise<KeyValue[]> {
    const kvs: KeyValue[] = [];
    const cold = this.#readSlice(versions, kvs);
    if (kvs.length === versions.length) return kvs;
    const rest =
      this.#source.readValues === undefined
        ? this.#readRest(versions, kvs, cold)
        : this.#readDistant(versions, kvs, this.#source.readValues);
    this.#underWay.add(rest);
    return rest.finally(() => this.#underWay.delete(rest));
  }

  /** Resolves when every read begun before the call has ended: until then rows must not be removed. */
  async drained(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  /** Extends `kvs` until the time is up or the log answers later; returns that answer. */
  #readSlice(versions: readonly Version[], kvs: KeyValue[]): Promise<Uint8Array> | undefined {
    let coldReads = 0;
    let until = 0;
    while (kvs.length < versions.length) {
      const version = versions[kvs.length] as Version;
      let kv = this.#cache.get(version);
      if (kv === undefined) {
        if (this.#source.readValues !== undefined) return undefined;
        if (coldReads++ % coldReadsPerClockLook === 0) {
          const now = performance.now();
          if (until === 0) until = now + sliceMs;
          else if (now > until) return undefined;
        }
        const value = this.#source.readValue(version.position);
        if (value instanceof Promise) return value;
        kv = this.#keep(version, value);
      }
      kvs.push(kv);
    }
    return undefined;
  }

  async #readRest(
    versions: readonly Version[],
    kvs: KeyValue[],
    cold: Promise<Uint8Array> | undefined,
  ): Promise<KeyValue[]> {
    for (;;) {
      if (cold === undefined) await nextTurn();
      else kvs.push(this.#keep(versions[kvs.length] as Version, await cold));
      cold = this.#readSlice(versions, kvs);
      if (kvs.length === versions.length) return kvs;
    }
  }

  /** Asks for many cold values at a time; those that are hot meanwhile need none. */
  async #readDistant(
    versions: readonly Version[],
    kvs: KeyValue[],
    readValues: NonNullable<ValueSource['readValues']>,
  ): Promise<KeyValue[]> {
    while (kvs.length < versions.length) {
      const positions: number[] = [];
      const found = new Map<number, KeyValue>();
      let to = kvs.length;
      for (let bytes = 0; to < versions.length; to++) {
        const version = versions[to] as Version;
        const kv = this.#cache.get(version);
        // Kept here: reading on may push it out of the cache.
        if (kv !== undefined) found.set(to, kv);
        else if (positions.length >= maxDistantValues || bytes >= maxDistantBytes) break;
        else {
          positions.push(version.position);
          bytes += version.valueBytes;
        }
      }
      const values = await readValues(positions);
      for (let at = kvs.length, next = 0; at < to; at++) {
        kvs.push(found.get(at) ?? this.#keep(versions[at] as Version, values[next++] as Uint8Array));
      }
    }
    return kvs;
  }

  #keep(version: Version, value: Uint8Array): KeyValue {
    const kv = keyValueOf(version, value);
    this.#cache.admit(version, kv);
    return kv;
  }
}
