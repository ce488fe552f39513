import { type Clock, sleep } from '@cloudless/kube/clock';
import {
  EtcdError,
  type EtcdStore,
  grpcCode,
  type KeyValue,
  prefixEnd,
  type WatchHandle,
  type WatchMessage,
} from '@cloudless/kube/etcd/store';
import type { Logger } from '@cloudless/kube/logger';
import type { KubeObject } from '@cloudless/kube/object';
import type { ObjectCodec } from '../storage/codec.ts';
import { keyBytes, type ResourceKeys } from '../storage/keys.ts';
import { Entry } from './entry.ts';
import { FieldIndex } from './field-index.ts';
import { Change, History } from './history.ts';
import { OrderedEntries } from './ordered.ts';
import { tooLargeRevision } from './revisions.ts';
import { type ChangeListener, type Route, Routes } from './routes.ts';

export type { ChangeListener } from './routes.ts';

/** Objects loaded per request when a cache fills; keeps single answers of a gRPC store small. */
const loadPageSize = 2_000;
/** Wait before the storage watch is opened again after it broke; doubles up to the maximum. */
const reconnectMinMs = 50;
const reconnectMaxMs = 5_000;
/** How often a waiting read asks the store for progress again (upstream: cacher's progress requester, 100 ms). */
const progressIntervalMs = 100;
/** How long a read waits for its revision before it is refused (upstream: blockTimeout, 3 s). */
const freshTimeoutMs = 3_000;

export interface CacheParts {
  store: EtcdStore;
  keys: ResourceKeys;
  codec: ObjectCodec;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
}

/** Upstream serves all but Events from a cache, which may yet reach a version. */
const isCachedUpstream = ({ root, prefixLength }: ResourceKeys): boolean =>
  root.slice(prefixLength) !== '/events/';

interface Waiter {
  revision: number;
  resolve: () => void;
  reject: (error: Error) => void;
}

/**
 * All objects of one storage resource as bytes, kept current by one storage watch: an ordered map of entries and a
 * history of changes that all watchers share.
 */
export class StorageCache {
  readonly codec: ObjectCodec;
  readonly keys: ResourceKeys;
  readonly entries = new OrderedEntries();
  readonly history = new History(0);
  /** Resolves when the first load is done; rejects only when the server stops before that. */
  readonly ready: Promise<void>;
  readonly #parts: CacheParts;
  readonly #listeners = new Set<ChangeListener>();
  readonly #routes = new Routes();
  readonly #indexes = new Map<string, FieldIndex>();
  readonly #waiters = new Set<Waiter>();
  /** Values this process is writing, by key: when they come back by the watch they need no parsing. */
  readonly #written = new Map<string, { value: Uint8Array; object: KubeObject }>();
  #revision = 0;
  /** Revision of the last change of this resource. */
  #lastChange = 0;
  #handle: WatchHandle | undefined;
  #reading: { promise: Promise<number>; next: Promise<number> | undefined } | undefined;
  #reconnectMs = reconnectMinMs;
  #progress: { cancel(): void } | undefined;
  /** A progress request is on its way; readers have come since. */
  #asked = false;
  #askAgain = false;

  constructor(parts: CacheParts) {
    this.#parts = parts;
    this.codec = parts.codec;
    this.keys = parts.keys;
    this.ready = this.#start();
    this.ready.catch(() => {});
    parts.signal.addEventListener('abort', () => this.#stop(), { once: true });
  }

  /** Complete up to this revision. */
  get revision(): number {
    return this.#revision;
  }

  /** No object of this resource changed after this revision, as far as the cache knows. */
  get lastChange(): number {
    return this.#lastChange;
  }

  get(namespace: string, name: string): Entry | undefined {
    return this.entries.get(namespace, name);
  }

  /** Watches and subscriptions at the moment. */
  get watchers(): number {
    return this.#listeners.size + this.#routes.size;
  }

  /**
   * Calls `listener` after each batch, with a `route` only for (and with) changes of objects that have or had its value;
   * returns the way to unsubscribe.
   */
  subscribe(listener: ChangeListener, route?: Route): () => void {
    if (route) return this.#routes.add(route, listener);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The entries that a route leads to, in key order, by an index that is made on first use and kept from then on. */
  indexed({ field, value, valueOf }: Route): readonly Entry[] {
    let index = this.#indexes.get(field);
    if (!index) this.#indexes.set(field, (index = new FieldIndex(valueOf, this.entries.all())));
    return index.of(value);
  }

  #reindex(old: Entry | undefined, entry: Entry | undefined): void {
    for (const index of this.#indexes.values()) index.replace(old, entry);
  }

  /** Says what is about to be written, so that its return by the watch reuses `object` (frozen). */
  expect(key: string, value: Uint8Array, object: KubeObject): void {
    this.#written.set(key, { value, object });
  }

  /** Takes back {@link expect} after a write that failed. */
  unexpect(key: string, value: Uint8Array): void {
    if (this.#written.get(key)?.value === value) this.#written.delete(key);
  }

  /** An entry of this resource from what the store returned; the cached one when it is the same revision. */
  entryOf(
    kv: { key: Uint8Array; value: Uint8Array; modRevision: number },
    object?: KubeObject,
  ): Entry | undefined {
    const key = Buffer.from(kv.key.buffer, kv.key.byteOffset, kv.key.byteLength).toString('utf8');
    const at = this.keys.parse(key);
    if (!at) return undefined;
    const cached = this.entries.get(at.namespace, at.name);
    if (cached?.revision === kv.modRevision) return cached;
    return new Entry(this.codec, { key, ...at, revision: kv.modRevision }, kv.value, object);
  }

  /** Resolves once everything committed to the store before the call is in the cache. */
  async fresh(): Promise<void> {
    await this.ready;
    await this.reach(await this.#storeRevision());
  }

  /** Resolves once the cache is complete up to `revision`; 504 when that takes longer than 3 s. */
  async reach(revision: number): Promise<void> {
    await this.ready;
    if (this.#revision >= revision) return;
    await new Promise<void>((resolve, reject) => {
      const settle = (done: () => void) => (): void => {
        timer.cancel();
        this.#waiters.delete(waiter);
        done();
      };
      const waiter: Waiter = {
        revision,
        resolve: settle(resolve),
        reject: (error) => settle(() => reject(error))(),
      };
      const timer = this.#parts.clock.setTimeout(
        () => waiter.reject(tooLargeRevision(revision, this.#revision, isCachedUpstream(this.keys))),
        freshTimeoutMs,
      );
      this.#waiters.add(waiter);
      this.#askProgress();
    });
  }

  /** The store's revision, read after the call began; concurrent callers share the read that starts next. */
  #storeRevision(): Promise<number> {
    const read = async (): Promise<number> => {
      const { revision } = await this.#parts.store.range({
        key: keyBytes(this.keys.root),
        limit: 1,
        countOnly: true,
      });
      return revision;
    };
    const begin = (): Promise<number> => {
      const promise = read().finally(() => {
        if (this.#reading?.promise === promise) this.#reading = undefined;
      });
      this.#reading = { promise, next: undefined };
      return promise;
    };
    if (!this.#reading) return begin();
    const current = this.#reading;
    current.next ??= current.promise.then(begin, begin);
    return current.next;
  }

  /** Asks for progress on behalf of a reader; one question is open at a time, the next follows its answer. */
  #askProgress(): void {
    if (this.#asked) {
      this.#askAgain = true;
      return;
    }
    this.#asked = true;
    this.#askAgain = false;
    this.#handle?.requestProgress();
    // An answer may be lost with its connection, and may come before the revision a reader waits for.
    this.#progress ??= this.#parts.clock.setTimeout(() => {
      this.#progress = undefined;
      this.#asked = false;
      if (this.#waiters.size > 0) this.#askProgress();
    }, progressIntervalMs);
  }

  async #start(): Promise<void> {
    for (;;) {
      this.#parts.signal.throwIfAborted();
      try {
        await this.#load();
        return;
      } catch (error) {
        this.#parts.signal.throwIfAborted();
        this.#parts.log.warn({ err: error, prefix: this.keys.root }, 'cannot load a resource, trying again');
        await this.#pause();
      }
    }
  }

  async #pause(): Promise<void> {
    const delay = this.#reconnectMs;
    this.#reconnectMs = Math.min(delay * 2, reconnectMaxMs);
    await sleep(this.#parts.clock, delay, this.#parts.signal);
  }

  /** Reads everything at one revision, tells listeners what differs from what was known, and watches from there. */
  async #load(): Promise<void> {
    const { store } = this.#parts;
    const end = prefixEnd(keyBytes(this.keys.root));
    const loaded: KeyValue[] = [];
    let revision = 0;
    let from = keyBytes(this.keys.root);
    for (;;) {
      const page = await store.range({ key: from, rangeEnd: end, limit: loadPageSize, revision });
      if (revision === 0) revision = page.revision;
      for (const kv of page.kvs) loaded.push(kv);
      const last = page.kvs.at(-1);
      if (!page.more || !last) break;
      from = Buffer.concat([last.key, Buffer.of(0)]);
    }
    this.#replace(loaded, revision);
    this.#watch();
  }

  #replace(loaded: readonly KeyValue[], revision: number): void {
    const first = this.#revision === 0;
    const changes: Change[] = [];
    const seen = new Set<string>();
    for (const kv of loaded) {
      const entry = this.entryOf(kv);
      if (!entry) continue;
      seen.add(entry.key);
      const old = this.entries.set(entry);
      this.#reindex(old, entry);
      if (old?.revision === entry.revision) continue;
      changes.push(new Change(old ? 'modified' : 'added', entry.revision, entry, old));
    }
    for (const old of this.entries.snapshot()) {
      if (seen.has(old.key)) continue;
      this.entries.delete(old.namespace, old.name);
      this.#reindex(old, undefined);
      changes.push(new Change('deleted', revision, old.at(revision), old));
    }
    this.#revision = revision;
    this.#lastChange = revision;
    this.history.reset(revision);
    changes.sort((a, b) => a.revision - b.revision);
    if (!first && changes.length > 0) this.#tell(changes);
    this.#wake();
  }

  #watch(): void {
    if (this.#parts.signal.aborted) return;
    const root = keyBytes(this.keys.root);
    this.#handle = this.#parts.store.watch(
      { key: root, rangeEnd: prefixEnd(root), startRevision: this.#revision + 1, progressNotify: true },
      (message) => this.#receive(message),
    );
    this.#asked = false;
    if (this.#waiters.size > 0) this.#askProgress();
  }

  #receive(message: WatchMessage): void {
    if (message.type === 'canceled') {
      this.#handle = undefined;
      if (!this.#parts.signal.aborted) void this.#recover(message.compactRevision > 0, message.error);
      return;
    }
    this.#reconnectMs = reconnectMinMs;
    if (message.type === 'events') this.#take(message);
    if (message.revision > this.#revision) this.#revision = message.revision;
    if (message.type === 'progress') this.#asked = false;
    this.#wake();
    if (!this.#asked && this.#askAgain && this.#waiters.size > 0) this.#askProgress();
  }

  #take(message: Extract<WatchMessage, { type: 'events' }>): void {
    const changes: Change[] = [];
    for (const { type, kv } of message.events) {
      const change = type === 'put' ? this.#put(kv) : this.#delete(kv);
      if (change) {
        this.history.push(change);
        changes.push(change);
        this.#lastChange = change.revision;
      }
    }
    this.#revision = message.revision;
    if (changes.length > 0) this.#tell(changes);
  }

  #put(kv: KeyValue): Change | undefined {
    const entry = this.entryOf(kv);
    if (!entry) return undefined;
    const written = this.#written.get(entry.key);
    let fresh = entry;
    if (written) {
      this.#written.delete(entry.key);
      if (Buffer.compare(written.value, kv.value) === 0) {
        const at = { key: entry.key, namespace: entry.namespace, name: entry.name, revision: entry.revision };
        fresh = new Entry(this.codec, at, written.value, written.object);
      }
    }
    const old = this.entries.set(fresh);
    this.#reindex(old, fresh);
    return new Change(old ? 'modified' : 'added', fresh.revision, fresh, old);
  }

  #delete(kv: KeyValue): Change | undefined {
    const key = Buffer.from(kv.key.buffer, kv.key.byteOffset, kv.key.byteLength).toString('utf8');
    const at = this.keys.parse(key);
    const old = at && this.entries.delete(at.namespace, at.name);
    this.#reindex(old, undefined);
    return old && new Change('deleted', kv.modRevision, old.at(kv.modRevision), old);
  }

  #tell(changes: readonly Change[]): void {
    const tell = (listener: ChangeListener, theirs: readonly Change[]): void => {
      try {
        listener(theirs);
      } catch (error) {
        this.#parts.log.error({ err: error, prefix: this.keys.root }, 'a listener of the cache failed');
      }
    };
    for (const listener of this.#listeners) tell(listener, changes);
    this.#routes.deliver(changes, tell);
  }

  #wake(): void {
    for (const waiter of this.#waiters) if (this.#revision >= waiter.revision) waiter.resolve();
    if (this.#waiters.size === 0) {
      this.#progress?.cancel();
      this.#progress = undefined;
      this.#askAgain = false;
    }
  }

  /** Opens the watch again where it broke; loads everything anew when the history is compacted. */
  async #recover(compacted: boolean, error: Error | undefined): Promise<void> {
    this.#parts.log.debug(
      { err: error, compacted, prefix: this.keys.root },
      'storage watch ended, opening it again',
    );
    if (!compacted) await this.#pause();
    while (!this.#parts.signal.aborted) {
      try {
        if (compacted) await this.#load();
        else this.#watch();
        return;
      } catch (cause) {
        this.#parts.log.warn({ err: cause, prefix: this.keys.root }, 'cannot watch a resource, trying again');
        compacted ||= cause instanceof EtcdError && cause.code === grpcCode.outOfRange;
        await this.#pause();
      }
    }
  }

  #stop(): void {
    this.#handle?.cancel();
    this.#handle = undefined;
    this.#progress?.cancel();
    this.#progress = undefined;
    const error = new Error('the API server is stopping');
    for (const waiter of this.#waiters) waiter.reject(error);
  }
}
