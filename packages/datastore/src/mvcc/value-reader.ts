import type { KeyValue } from '@cloudless/kube/etcd/store';
import type { ValueCache } from './value-cache.ts';
import { keyValueOf, type Version } from './version.ts';

/** Reading cold values stops after so long to let the event loop turn. */
const sliceMs = 4;
const coldReadsPerClockLook = 64;

export type ReadValue = (position: number) => Uint8Array | Promise<Uint8Array>;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Values of versions: from the cache, or from the log without holding up the event loop. */
export class ValueReader {
  readonly #cache: ValueCache;
  readonly #readValue: ReadValue;
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(cache: ValueCache, readValue: ReadValue) {
    this.#cache = cache;
    this.#readValue = readValue;
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
    const rest = this.#readRest(versions, kvs, cold);
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
        if (coldReads++ % coldReadsPerClockLook === 0) {
          const now = performance.now();
          if (until === 0) until = now + sliceMs;
          else if (now > until) return undefined;
        }
        const value = this.#readValue(version.position);
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

  #keep(version: Version, value: Uint8Array): KeyValue {
    const kv = keyValueOf(version, value);
    this.#cache.admit(version, kv);
    return kv;
  }
}
