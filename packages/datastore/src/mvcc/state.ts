import type {
  FactChange,
  FactName,
  LeaseChange,
  LoadedRecord,
  LogBatch,
  LogHead,
  LogRecord,
} from '../log/log.ts';
import { History } from './history.ts';
import { type BinaryKey, keyOf } from './key.ts';
import { OrderedIndex } from './ordered-index.ts';
import type { ValueCache } from './value-cache.ts';
import { keyValueOf, tombstoneBytes, Version } from './version.ts';

/** A lease and the keys that die with it. */
export interface LeaseState {
  readonly id: bigint;
  readonly ttlSeconds: number;
  readonly keys: Set<BinaryKey>;
}

/** Where the store stands. */
export interface StateHead extends LogHead {
  /** 0: never compacted. */
  readonly compactRevision: number;
}

/** What one durable batch changed, for publishing. */
export interface Committed {
  readonly versions: readonly Version[];
  readonly leases: readonly LeaseChange[];
  readonly facts: readonly FactChange[];
  /** Set when the batch compacted. */
  readonly compactRevision: number | undefined;
}

type Undo =
  | { version: Version }
  | { fact: FactName; was: bigint | undefined }
  | { granted: LeaseState }
  | { revoked: LeaseState };

/** A point inside a batch to which changes can be taken back. */
export interface Savepoint {
  readonly pending: StateHead;
  readonly undo: number;
  readonly records: number;
  readonly leases: number;
  readonly facts: number;
}

/**
 * The multi-version store as a pure state machine: what the log says, in memory, plus the changes of the batch
 * that is being made durable. No I/O, no clock.
 *
 * Two views: **pending** (all evaluated changes; later transactions of a batch see earlier ones) and **visible**
 * (durable; all that reads and watches see). `commit` makes pending visible, `rollback` forgets it.
 */
export class MvccState {
  readonly index = new OrderedIndex();
  readonly history = new History();
  readonly leases = new Map<bigint, LeaseState>();
  readonly facts = new Map<FactName, bigint>();
  readonly #cache: ValueCache;
  #visible: StateHead = { revision: 1, position: 0, compactRevision: 0 };
  #pending: StateHead = this.#visible;
  #undo: Undo[] = [];
  #records: LogRecord[] = [];
  #versions: Version[] = [];
  #leaseChanges: LeaseChange[] = [];
  #factChanges: FactChange[] = [];
  /** Whether the transaction being evaluated has written. */
  #wrote = false;

  constructor(cache: ValueCache) {
    this.#cache = cache;
  }

  get visible(): StateHead {
    return this.#visible;
  }

  get pending(): StateHead {
    return this.#pending;
  }

  /** The revision at which the transaction being evaluated reads: its own writes included. */
  get readRevision(): number {
    return this.#wrote ? this.#pending.revision + 1 : this.#pending.revision;
  }

  /** Whether anything waits to be made durable. */
  get hasPending(): boolean {
    return (
      this.#records.length > 0 ||
      this.#leaseChanges.length > 0 ||
      this.#factChanges.length > 0 ||
      this.#pending.compactRevision !== this.#visible.compactRevision
    );
  }

  /** Writes a new version of a key in the transaction being evaluated. The value is copied unless it is final. */
  put(keyBytes: Uint8Array, value: Uint8Array, lease: bigint, isFinal = false): Version {
    const key = keyOf(keyBytes);
    const prev = this.index.get(key);
    const alive = prev !== undefined && !prev.isTombstone;
    const revision = this.#pending.revision + 1;
    const version = new Version(
      key,
      revision,
      this.#pending.position + 1,
      alive ? prev.createRevision : revision,
      alive ? prev.version + 1 : 1,
      lease,
      value.byteLength,
      prev,
    );
    version.kv = keyValueOf(version, isFinal ? value : new Uint8Array(value));
    this.#write(version, version.kv.key, version.kv.value);
    return version;
  }

  /** Writes the tombstone of a key that exists. */
  delete(head: Version): void {
    const version = new Version(
      head.key,
      this.#pending.revision + 1,
      this.#pending.position + 1,
      0,
      0,
      0n,
      tombstoneBytes,
      head,
    );
    this.#write(version, Buffer.from(head.key, 'latin1'), undefined);
  }

  #write(version: Version, key: Uint8Array, value: Uint8Array | undefined): void {
    this.#detach(version.prev);
    this.#attach(version);
    this.index.set(version);
    this.#undo.push({ version });
    this.#versions.push(version);
    const { position, revision, createRevision, lease } = version;
    this.#records.push({ position, revision, key, createRevision, version: version.version, lease, value });
    this.#pending = { ...this.#pending, position };
    this.#wrote = true;
  }

  /** Ends the transaction being evaluated: its writes, if any, take one revision. Returns the store's. */
  endTransaction(): number {
    if (this.#wrote) this.#pending = { ...this.#pending, revision: this.#pending.revision + 1 };
    this.#wrote = false;
    return this.#pending.revision;
  }

  grant(id: bigint, ttlSeconds: number): void {
    const lease: LeaseState = { id, ttlSeconds, keys: new Set() };
    this.leases.set(id, lease);
    this.#undo.push({ granted: lease });
    this.#changeLease({ type: 'grant', id, ttlSeconds });
  }

  /** Forgets the lease and writes tombstones for its keys, in key order. */
  revoke(lease: LeaseState): void {
    for (const key of [...lease.keys].sort()) this.delete(this.index.get(key) as Version);
    this.leases.delete(lease.id);
    this.#undo.push({ revoked: lease });
    this.#changeLease({ type: 'revoke', id: lease.id });
  }

  #changeLease(change: LeaseChange): void {
    this.#leaseChanges.push(change);
    this.#pending = { ...this.#pending, position: this.#pending.position + 1 };
  }

  setFact(name: FactName, value: bigint): void {
    this.#undo.push({ fact: name, was: this.facts.get(name) });
    this.facts.set(name, value);
    this.#factChanges.push({ name, value });
    this.#pending = { ...this.#pending, position: this.#pending.position + 1 };
  }

  /** Gives up history before `revision`. */
  compact(revision: number): void {
    // A change like any other: whoever shares the log learns of it by the position.
    this.#pending = { ...this.#pending, compactRevision: revision, position: this.#pending.position + 1 };
  }

  #attach(version: Version): void {
    if (version.lease !== 0n) this.leases.get(version.lease)?.keys.add(version.key);
  }

  #detach(version: Version | undefined): void {
    if (version !== undefined && version.lease !== 0n)
      this.leases.get(version.lease)?.keys.delete(version.key);
  }

  savepoint(): Savepoint {
    return {
      pending: this.#pending,
      undo: this.#undo.length,
      records: this.#records.length,
      leases: this.#leaseChanges.length,
      facts: this.#factChanges.length,
    };
  }

  /** Takes back everything since `savepoint`. */
  rollbackTo(savepoint: Savepoint): void {
    for (let i = this.#undo.length - 1; i >= savepoint.undo; i--) this.#takeBack(this.#undo[i] as Undo);
    this.#undo.length = savepoint.undo;
    this.#records.length = savepoint.records;
    this.#versions.length = savepoint.records;
    this.#leaseChanges.length = savepoint.leases;
    this.#factChanges.length = savepoint.facts;
    this.#pending = savepoint.pending;
    this.#wrote = false;
  }

  /** Takes back all that is not durable. */
  rollback(): void {
    this.rollbackTo({ pending: this.#visible, undo: 0, records: 0, leases: 0, facts: 0 });
  }

  #takeBack(undo: Undo): void {
    if ('granted' in undo) {
      this.leases.delete(undo.granted.id);
    } else if ('revoked' in undo) {
      this.leases.set(undo.revoked.id, undo.revoked);
    } else if ('fact' in undo) {
      if (undo.was === undefined) this.facts.delete(undo.fact);
      else this.facts.set(undo.fact, undo.was);
    } else {
      const { version } = undo;
      const { prev } = version;
      this.#detach(version);
      // A tombstone below the compaction would have been forgotten by now, had it been the newest.
      if (prev === undefined || (prev.isTombstone && prev.revision < this.#visible.compactRevision)) {
        this.index.delete(version.key);
      } else {
        this.index.set(prev);
        this.#attach(prev);
      }
    }
  }

  /** The pending changes as the log takes them. */
  batch(): LogBatch {
    const { revision, position, compactRevision } = this.#pending;
    return {
      records: this.#records,
      leases: this.#leaseChanges,
      facts: this.#factChanges,
      compactRevision: compactRevision === this.#visible.compactRevision ? undefined : compactRevision,
      head: { revision, position },
    };
  }

  /** Makes the pending changes visible. Call when they are durable. */
  commit(): Committed {
    const compactRevision =
      this.#pending.compactRevision === this.#visible.compactRevision
        ? undefined
        : this.#pending.compactRevision;
    const committed = {
      versions: this.#versions,
      leases: this.#leaseChanges,
      facts: this.#factChanges,
      compactRevision,
    };
    this.#visible = this.#pending;
    for (const version of this.#versions) {
      this.history.append(version);
      const { kv } = version;
      version.kv = undefined;
      if (kv !== undefined) this.#cache.admit(version, kv);
    }
    this.#undo = [];
    this.#records = [];
    this.#versions = [];
    this.#leaseChanges = [];
    this.#factChanges = [];
    return committed;
  }

  /** Takes over rows that are durable already: at load, and what other writers appended. */
  adopt(records: readonly LoadedRecord[], compactRevision: number, garbage: number[]): Version[] {
    const versions: Version[] = [];
    for (const record of records) {
      const { key, revision, position, createRevision, version, lease, valueBytes } = record;
      let prev = this.index.get(key);
      this.#detach(prev);
      if (prev !== undefined && revision <= compactRevision) {
        if (!prev.isTombstone || prev.revision === compactRevision) garbage.push(prev.position);
        prev = undefined;
      }
      const adopted = new Version(key, revision, position, createRevision, version, lease, valueBytes, prev);
      if (adopted.isTombstone && revision < compactRevision) {
        garbage.push(position);
        this.index.delete(key);
        continue;
      }
      this.#attach(adopted);
      this.index.set(adopted);
      if (revision >= compactRevision) {
        this.history.append(adopted);
        versions.push(adopted);
      }
    }
    return versions;
  }

  /** Takes over lease changes that are durable already. */
  adoptLeases(changes: readonly LeaseChange[]): void {
    for (const change of changes) {
      if (change.type === 'revoke') this.leases.delete(change.id);
      else this.leases.set(change.id, { id: change.id, ttlSeconds: change.ttlSeconds, keys: new Set() });
    }
  }

  /** Takes over facts that are durable already. */
  adoptFacts(changes: readonly FactChange[]): void {
    for (const { name, value } of changes) this.facts.set(name, value);
  }

  /** Forgets everything, to be adopted anew. Nothing may be pending. */
  clear(): void {
    this.index.clear();
    this.history.dropBefore(Infinity);
    this.leases.clear();
    this.facts.clear();
  }

  /** Sets where the log ends. Nothing may be pending. */
  adoptHead(head: StateHead): void {
    this.#visible = head;
    this.#pending = head;
  }

  /**
   * Cuts what the visible compaction made unreachable out of the version chains, in steps of `stepChanges`;
   * yields the log positions that may be removed once no read begun before is under way. Other calls may come
   * between the steps. Keeps, as etcd does, the changes of the compacted revision itself, so that a watch from
   * there misses nothing.
   */
  *cut(stepChanges: number): Generator<number[], void> {
    const { compactRevision } = this.#visible;
    const last = this.history.indexOf(compactRevision + 1);
    for (let from = 0; from < last; from += stepChanges) {
      const garbage: number[] = [];
      for (let i = from; i < Math.min(from + stepChanges, last); i++) {
        this.#cutOne(this.history.at(i), compactRevision, garbage);
      }
      yield garbage;
    }
    this.history.dropBefore(compactRevision);
  }

  #cutOne(version: Version, compactRevision: number, garbage: number[]): void {
    const { prev } = version;
    if (prev !== undefined) {
      // A tombstone is a change itself and gets its own turn.
      if (!prev.isTombstone) garbage.push(prev.position);
      this.#cache.drop(prev);
      version.prev = undefined;
    }
    if (version.isTombstone && version.revision < compactRevision) {
      garbage.push(version.position);
      if (this.index.get(version.key) === version) this.index.delete(version.key);
    }
  }
}
