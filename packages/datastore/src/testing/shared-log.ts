import { keyOf } from '../mvcc/key.ts';
import type {
  FactChange,
  LeaseChange,
  LoadedRecord,
  LoadedState,
  Log,
  LogBatch,
  LogChanges,
  LogFigures,
  LogHead,
  LogRecord,
} from '../log/log.ts';

type Change = { position: number } & ({ record: LogRecord } | { lease: LeaseChange } | { fact: FactChange });

const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * A log in memory that several engines share, as several processes share a PostgreSQL database: a one-row head
 * orders them, and every answer comes later. It proves that nothing in the engine relies on being alone.
 */
export class SharedLog {
  head: LogHead = { revision: 1, position: 0 };
  compactRevision = 0;
  readonly changes: Change[] = [];
  readonly values = new Map<number, Uint8Array>();
  /** Appends refused because another engine was first. */
  conflicts = 0;

  readonly #followers = new Set<() => void>();

  /** One engine's connection. */
  connect(): Log {
    return new SharedLogConnection(this);
  }

  follow(moved: () => void): void {
    this.#followers.add(moved);
  }

  unfollow(moved: () => void): void {
    this.#followers.delete(moved);
  }

  /** As a notification does: later, and to the one who appended too. */
  notify(): void {
    for (const moved of this.#followers) setImmediate(() => this.#followers.has(moved) && moved());
  }
}

class SharedLogConnection implements Log {
  readonly #shared: SharedLog;
  #moved: (() => void) | undefined;

  constructor(shared: SharedLog) {
    this.#shared = shared;
  }

  load(): LoadedState {
    const { compactRevision, changes } = this.#shared;
    const leases = new Map<bigint, number>();
    for (const change of changes) {
      if (!('lease' in change)) continue;
      if (change.lease.type === 'grant') leases.set(change.lease.id, change.lease.ttlSeconds);
      else leases.delete(change.lease.id);
    }
    const records = changes.flatMap((change) => ('record' in change ? [loadedOf(change.record)] : []));
    return {
      compactRevision,
      leases: [...leases].map(([id, ttlSeconds]) => ({ id, ttlSeconds })),
      facts: changes.flatMap((change) => ('fact' in change ? [change.fact] : [])),
      records: pieces(records),
    };
  }

  async append(expected: LogHead, batch: LogBatch): Promise<'appended' | 'head-moved'> {
    await pause();
    const shared = this.#shared;
    if (expected.position !== shared.head.position || expected.revision !== shared.head.revision) {
      shared.conflicts++;
      return 'head-moved';
    }
    for (const record of batch.records) {
      shared.changes.push({ position: record.position, record });
      if (record.value !== undefined) shared.values.set(record.position, Uint8Array.from(record.value));
    }
    // Changes of leases and facts take the positions that the records left.
    const taken = new Set(batch.records.map(({ position }) => position));
    const free: number[] = [];
    for (let at = expected.position + 1; at <= batch.head.position; at++) if (!taken.has(at)) free.push(at);
    for (const lease of batch.leases) shared.changes.push({ position: free.shift() as number, lease });
    for (const fact of batch.facts) shared.changes.push({ position: free.shift() as number, fact });
    shared.changes.sort((a, b) => a.position - b.position);
    shared.compactRevision = batch.compactRevision ?? shared.compactRevision;
    shared.head = batch.head;
    shared.notify();
    await pause();
    return 'appended';
  }

  async catchUp(head: LogHead): Promise<LogChanges> {
    await pause();
    const changes = this.#shared.changes.filter(({ position }) => position > head.position);
    return {
      records: changes.flatMap((change) => ('record' in change ? [loadedOf(change.record)] : [])),
      leases: changes.flatMap((change) =>
        'lease' in change ? [{ ...change.lease, position: change.position }] : [],
      ),
      facts: changes.flatMap((change) => ('fact' in change ? [change.fact] : [])),
      compactRevision: this.#shared.compactRevision,
      head: this.#shared.head,
    };
  }

  async readValue(position: number): Promise<Uint8Array> {
    await pause();
    const value = this.#shared.values.get(position);
    if (value === undefined) throw new Error(`row ${position} is gone`);
    return value;
  }

  async remove(): Promise<void> {
    // Other engines may still read them: a shared log decides by itself when to remove rows.
  }

  async reclaim(): Promise<void> {}

  size(): { bytes: number; bytesInUse: number } {
    return { bytes: 0, bytesInUse: 0 };
  }

  figures(): LogFigures {
    return {
      appends: 0,
      bytesWritten: 0,
      checkpoints: 0,
      rowsRemoved: 0,
      bytesReclaimed: 0,
      flushSeconds: [],
      flushSecondsSum: 0,
    };
  }

  follow(moved: () => void): void {
    this.#moved = moved;
    this.#shared.follow(moved);
  }

  async close(): Promise<void> {
    if (this.#moved !== undefined) this.#shared.unfollow(this.#moved);
  }
}

async function* pieces(records: LoadedRecord[]): AsyncGenerator<LoadedRecord[]> {
  if (records.length > 0) yield records;
}

function loadedOf({ key, value, ...rest }: LogRecord): LoadedRecord {
  return { ...rest, key: keyOf(key), valueBytes: value === undefined ? -1 : value.byteLength };
}
