import type { LeaseAuthority } from '../lease/authority.ts';
import type { BinaryKey } from '../mvcc/key.ts';

/**
 * The log seam: everything the engine asks of durable storage. A log is an ordered sequence of rows; each
 * write of a key is one row, at a position that only ever grows. Two shapes fit:
 *
 * - one writer (SQLite): the engine is the only one who appends, so `append` always finds the head where the
 *   engine left it, and `catchUp` is absent;
 * - several writers (PostgreSQL): a one-row head orders them; `append` writes only if the head is still the
 *   expected one, otherwise the engine catches up, evaluates the same requests again and tries again. Such a log
 *   is somewhere else and may be out of reach for a while: then its methods throw LogUnavailableError, and the
 *   engine refuses what needs it until it is back.
 *
 * No method is called again before `append` has settled, except the reads.
 */
export interface Log {
  /**
   * Reads everything that is retained: leases and the compaction at once, records in position order, in pieces
   * of at least one. When `records` has ended, all that it gave is durable.
   *
   * @throws DatastoreFileError when what is stored cannot be a log of ours.
   */
  load(): LoadedState | Promise<LoadedState>;
  /**
   * Appends the batch if the head is still `expected`. `'appended'`: all of it is durable and survives power
   * loss. `'head-moved'`: nothing was written, another process appended first.
   *
   * @throws NoSpaceError when the disk is full: nothing was written, later appends may succeed.
   * @throws LogUnavailableError when the log is out of reach; it says whether anything may have been written.
   * Any other error means the log cannot be trusted any more: the engine stops.
   */
  append(expected: LogHead, batch: LogBatch): Promise<'appended' | 'head-moved'>;
  /**
   * What others appended after `head`. Absent when this process is the only writer. `hold`: nobody else appends
   * from then on until this engine's next `append` or `release`, which takes turns among those who compete.
   *
   * @throws LogUnavailableError
   */
  catchUp?(head: LogHead, hold: boolean): Promise<LogChanges>;
  /** Lets others append again after a `catchUp` that held the log. */
  release?(): Promise<void>;
  /**
   * Position of the head at some moment after the call, for linearizable reads; beside appends and catching up.
   *
   * @throws LogUnavailableError
   */
  headPosition?(): Promise<number>;
  /** Calls `moved` whenever others may have appended. */
  follow?(moved: () => void): void;
  /** Owns the time of leases when several servers share the log. */
  readonly leaseAuthority?: LeaseAuthority | undefined;
  /** Resolves when the log cannot be trusted any more, whatever the engine does. */
  readonly failed?: Promise<Error> | undefined;
  /**
   * The value in the row at `position`; the row must be retained and no tombstone.
   *
   * @throws RowGoneError when another server removed it after a compaction that this engine has not seen yet
   * @throws LogUnavailableError
   */
  readValue(position: number): Uint8Array | Promise<Uint8Array>;
  /** The same for many, in order, where each request takes long. */
  readValues?(positions: readonly number[]): Promise<Uint8Array[]>;
  /** Removes rows that no read can reach any more, in small steps beside appends. */
  remove(positions: readonly number[], signal: AbortSignal): Promise<void>;
  /**
   * Gives space of removed rows back to the file system, in small steps beside appends. Some may be kept for coming
   * appends, unless all of it is asked for.
   */
  reclaim(signal: AbortSignal, all?: boolean): Promise<void>;
  size(): { bytes: number; bytesInUse: number };
  figures(): LogFigures;
  close(): Promise<void>;
}

/** Where the log ends. Two heads are equal when both numbers are. */
export interface LogHead {
  readonly revision: number;
  /** Of the last change: rows, lease changes and compactions each take a position. */
  readonly position: number;
}

/** One write of one key. */
export interface LogRecord {
  readonly position: number;
  readonly revision: number;
  readonly key: Uint8Array;
  /** 0 for a tombstone. */
  readonly createRevision: number;
  /** 0 for a tombstone. */
  readonly version: number;
  readonly lease: bigint;
  /** Undefined for a tombstone. */
  readonly value: Uint8Array | undefined;
}

/** A row without its value, as loading and catching up deliver it. */
export interface LoadedRecord {
  readonly position: number;
  readonly revision: number;
  readonly key: BinaryKey;
  readonly createRevision: number;
  readonly version: number;
  readonly lease: bigint;
  /** -1 for a tombstone. */
  readonly valueBytes: number;
}

export type LeaseChange =
  | { readonly type: 'grant'; readonly id: bigint; readonly ttlSeconds: number }
  | { readonly type: 'revoke'; readonly id: bigint };

/**
 * A number that lives with the log: `cluster_id`, who this store is, drawn once, and `alarms`, a bit for each alarm
 * that is raised (bit 0 nospace, bit 1 corrupt).
 */
export type FactName = 'cluster_id' | 'alarms';

/** A change like any other: it takes a position. The last value counts. */
export interface FactChange {
  readonly name: FactName;
  /** At most 63 bits. */
  readonly value: bigint;
}

export interface LogBatch {
  readonly records: readonly LogRecord[];
  readonly leases: readonly LeaseChange[];
  readonly facts: readonly FactChange[];
  /** Present when history before it is given up. */
  readonly compactRevision: number | undefined;
  /** The head after this batch. */
  readonly head: LogHead;
}

export interface LogChanges {
  /** Set when rows that the engine has not seen were removed since: it takes this over instead of the rest. */
  readonly reload?: LoadedState | undefined;
  readonly records: readonly LoadedRecord[];
  /** In order of position, like the records. */
  readonly leases: ReadonlyArray<LeaseChange & { readonly position: number }>;
  /** May hold facts that did not change. */
  readonly facts: readonly FactChange[];
  readonly compactRevision: number;
  readonly head: LogHead;
}

export interface LoadedState {
  /** 0: never compacted. */
  readonly compactRevision: number;
  readonly leases: ReadonlyArray<{ id: bigint; ttlSeconds: number }>;
  readonly facts: readonly FactChange[];
  /** Where the log ends; absent: at its last record. */
  readonly head?: LogHead | undefined;
  readonly records: AsyncIterable<readonly LoadedRecord[]>;
}

/** Counters since start, for metrics and the wear figure. */
export interface LogFigures {
  /** Durable appends (each is one flush to the device). */
  readonly appends: number;
  /** Bytes handed to the device by appends, compaction and checkpoints. */
  readonly bytesWritten: number;
  readonly checkpoints: number;
  readonly rowsRemoved: number;
  readonly bytesReclaimed: number;
  /** Cumulative count of flushes that took at most the bound, seconds. */
  readonly flushSeconds: ReadonlyArray<{ le: number; count: number }>;
  readonly flushSecondsSum: number;
}
