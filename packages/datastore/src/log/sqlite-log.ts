import { closeSync, fdatasync, fstatSync, openSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Logger } from '@cloudless/kube/logger';
import { NoSpaceError } from '../errors.ts';
import { keyOf } from '../mvcc/key.ts';
import type { FactName, LoadedRecord, LoadedState, Log, LogBatch, LogFigures, LogHead } from './log.ts';
import { RecordOrder } from './order.ts';
import { Maintenance } from './maintenance.ts';
import { type OpenedSegments, openSegments } from './segment-files.ts';
import { corrupt, explain, isNoSpace, openFile, pageBytes } from './sqlite-file.ts';
import type { StepResult, WriterRequest } from './sqlite-writer.ts';
import { WriteAhead } from './write-ahead.ts';

const rowsPerLoad = 2000;
/** With no more than this left to apply, closing starts no thread for it. */
const maxBytesAppliedHere = 256 * 1024;

export interface SqliteLogOptions {
  path: string;
  log: Logger;
  /** Copies the -wal file into the database when it holds so many bytes. */
  checkpointBytes: number;
  /** Full size of each of the two segments. */
  segmentBytes: number;
  /** Free pages that removal leaves for coming appends before the file is made smaller. */
  reservePages: number;
  /** Makes a segment durable in place of synchronous writes; only for tests that prove what happens without. */
  flush?: ((fd: number) => Promise<void>) | undefined;
}

/** The kernel's fdatasync on the thread pool. */
const flushToDevice = (fd: number): Promise<void> =>
  new Promise((resolve, reject) => {
    fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
  });

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * The log as one table of an SQLite database, with two segments in front of it. An append is one frame in a segment and
 * one flush of that file, both in one call on the thread pool; the database gets it later, from the thread that is its only writer. So an acknowledgement
 * costs one flush of as few blocks as can be, and this thread never waits for a lock or a checkpoint of SQLite's.
 */
export class SqliteLog implements Log {
  readonly #path: string;
  readonly #options: SqliteLogOptions;
  readonly #db: DatabaseSync;
  readonly #lock: DatabaseSync;
  readonly #maintenance: Maintenance;
  readonly #statements: Statements;
  readonly #walFd: number;
  readonly #opened: OpenedSegments;
  readonly #ahead: WriteAhead;
  readonly #epoch: number;
  /** Whether the database says that it has segments. */
  #marked: boolean;
  /** Whether what is left to do when closing is so little that this thread does it. */
  #closesHere = false;
  /** Whether what is stored is known to be sound: until it was read, and after a failed flush, it is left as it is. */
  #isSound = false;
  #closed = false;
  #rowsRemoved = 0;
  #bytesReclaimed = 0;

  /** @throws DatastoreFileError */
  constructor(options: SqliteLogOptions) {
    const { path, checkpointBytes, log } = options;
    this.#path = path;
    this.#options = options;
    const { db, lock, mark } = openFile(path);
    this.#db = db;
    this.#lock = lock;
    let walFd: number | undefined;
    try {
      this.#statements = prepare(db);
      // Our own descriptor of the -wal file only: SQLite takes no POSIX lock on it, so closing it drops none.
      walFd = openSync(`${path}-wal`, 'r+');
      this.#walFd = walFd;
      this.#opened = openSegments(path, mark, options.flush === undefined);
    } catch (error) {
      if (walFd !== undefined) closeSync(walFd);
      db.close();
      lock.close();
      throw explain(path, error);
    }
    this.#marked = mark !== undefined;
    this.#epoch = mark?.epoch ?? 1 + Math.floor(Math.random() * 2 ** 48);
    this.#maintenance = new Maintenance({ path, db, checkpointBytes });
    const { torn } = this.#opened;
    if (torn !== undefined) {
      log.warn(
        { segment: torn.path, byte: torn.at },
        'the last write before the stop was cut off; it had not been acknowledged and is dropped',
      );
    }
    this.#ahead = new WriteAhead({
      ...this.#opened,
      path,
      log,
      segmentBytes: options.segmentBytes,
      epoch: this.#epoch,
      flush: options.flush,
      begin: () => this.#begin(),
      apply: (piece) => this.#write({ op: 'apply', piece, epoch: this.#epoch }),
      settle: () => this.#write({ op: 'settle' }),
    });
  }

  load(): LoadedState {
    try {
      const { pending } = this.#opened;
      const compactRevision =
        pending.compactRevision || Number(this.#statements.fact.get('compact_revision')?.['value'] ?? 0);
      const rows = this.#statements.leases.all() as Array<{ id: string; ttl: number }>;
      const leases = new Map(rows.map(({ id, ttl }) => [BigInt(id), ttl]));
      for (const change of pending.leases) {
        if (change.type === 'grant') leases.set(change.id, change.ttlSeconds);
        else leases.delete(change.id);
      }
      const facts = this.#statements.facts.all() as Array<{ name: FactName; value: string }>;
      return {
        compactRevision,
        leases: [...leases].map(([id, ttlSeconds]) => ({ id, ttlSeconds })),
        facts: [...facts.map(({ name, value }) => ({ name, value: BigInt(value) })), ...pending.facts],
        records: this.#loadRecords(compactRevision),
      };
    } catch (error) {
      throw explain(this.#path, error);
    }
  }

  async *#loadRecords(compactRevision: number): AsyncGenerator<readonly LoadedRecord[]> {
    try {
      const order = new RecordOrder(compactRevision);
      for await (const records of this.#pieces()) {
        const problem = order.problem(records);
        if (problem !== undefined) throw corrupt(this.#path, problem);
        yield records;
      }
      // What a killed process wrote may be in the page cache only; from here on it counts, and the segments may be
      // used again in place of what the database has.
      const { flush = flushToDevice } = this.#options;
      if (this.#marked) for (const { fd } of this.#opened.segments) await flush(fd);
      if (fstatSync(this.#walFd).size > 0) await flush(this.#walFd);
      this.#isSound = true;
    } catch (error) {
      throw explain(this.#path, error);
    }
  }

  /** The rows of the database, then those that only the segments have. */
  async *#pieces(): AsyncGenerator<readonly LoadedRecord[]> {
    let position = 0;
    for (;;) {
      const rows = this.#statements.load.all(position, rowsPerLoad) as unknown as Row[];
      const last = rows[rows.length - 1];
      if (last === undefined) break;
      [position] = last;
      yield rows.map(recordOf);
      await nextTurn();
    }
    const { records } = this.#opened.pending;
    for (let i = 0; i < records.length; i += rowsPerLoad) {
      yield records.slice(i, i + rowsPerLoad);
      await nextTurn();
    }
  }

  async append(_expected: LogHead, batch: LogBatch): Promise<'appended'> {
    try {
      await this.#ahead.append(batch);
      return 'appended';
    } catch (error) {
      if (!(error instanceof NoSpaceError)) this.#isSound = false;
      throw error;
    }
  }

  async #begin(): Promise<void> {
    if (this.#marked) return;
    await this.#write({ op: 'begin', epoch: this.#epoch }, true);
    await (this.#options.flush ?? flushToDevice)(this.#walFd);
    this.#marked = true;
  }

  /** One step of the database's writer. @throws NoSpaceError */
  async #write(request: WriterRequest, isSmall = this.#closesHere): Promise<void> {
    try {
      if (isSmall) await this.#maintenance.runSmall(request);
      else await this.#maintenance.run(request);
    } catch (error) {
      throw isNoSpace(error) ? new NoSpaceError(this.#path, error) : error;
    }
  }

  readValue(position: number): Uint8Array {
    const ahead = this.#ahead.readValue(position);
    if (ahead !== undefined) return ahead;
    const row = this.#statements.value.get(position) as [Uint8Array | null] | undefined;
    const value = row?.[0];
    if (!value) throw corrupt(this.#path, `the row at position ${position} is missing`);
    return value;
  }

  async remove(positions: readonly number[], signal: AbortSignal): Promise<void> {
    // In order, so that each step touches neighbouring pages.
    let rest = Float64Array.from(this.#ahead.drop(positions)).sort();
    this.#rowsRemoved += positions.length - rest.length;
    while (rest.length > 0 && !signal.aborted && !this.#closed) {
      const { done } = await this.#step({ op: 'remove', positions: rest.subarray(0, 4096).slice() });
      this.#rowsRemoved += done;
      rest = rest.subarray(done);
    }
  }

  async reclaim(signal: AbortSignal, all = false): Promise<void> {
    const reservePages = all ? 0 : this.#options.reservePages;
    const { bytes, bytesInUse } = this.#fileSize();
    // Free pages are used again by coming appends: give back only what is clearly too much.
    if (!all && bytes - bytesInUse <= Math.max(reservePages * pageBytes, bytes / 5)) return;
    while (!signal.aborted && !this.#closed) {
      const { total, done } = await this.#step({ op: 'vacuum', keepPages: reservePages });
      this.#bytesReclaimed += done * pageBytes;
      if (done === 0 || total <= reservePages) break;
    }
  }

  async #step(request: WriterRequest): Promise<StepResult> {
    try {
      return await this.#maintenance.run(request);
    } catch (error) {
      throw isNoSpace(error) ? new NoSpaceError(this.#path, error) : error;
    }
  }

  #fileSize(): { bytes: number; bytesInUse: number } {
    const pages = Number(this.#statements.pages.get()?.['page_count'] ?? 0);
    const free = Number(this.#statements.freePages.get()?.['freelist_count'] ?? 0);
    return { bytes: pages * pageBytes, bytesInUse: (pages - free) * pageBytes };
  }

  size(): { bytes: number; bytesInUse: number } {
    const { bytes, bytesInUse } = this.#fileSize();
    const { pendingBytes } = this.#ahead;
    return { bytes: bytes + pendingBytes, bytesInUse: bytesInUse + pendingBytes };
  }

  figures(): LogFigures {
    const { flushTimes } = this.#ahead;
    return {
      appends: flushTimes.count,
      bytesWritten: this.#ahead.bytesWritten + this.#maintenance.bytesWritten,
      checkpoints: this.#maintenance.checkpoints,
      rowsRemoved: this.#rowsRemoved,
      bytesReclaimed: this.#bytesReclaimed,
      flushSeconds: flushTimes.buckets(),
      flushSecondsSum: flushTimes.sum,
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#isSound && this.#marked) await this.#finish();
    await this.#ahead.close();
    await this.#maintenance.close();
    closeSync(this.#walFd);
    this.#db.close();
    this.#lock.close();
  }

  /** Brings everything into the database, so that it is whole without its segments. */
  async #finish(): Promise<void> {
    this.#closesHere = this.#ahead.pendingBytes < maxBytesAppliedHere;
    try {
      await this.#ahead.applyAll();
      await this.#write({ op: 'finish' });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#options.log.warn(
        { error: message, path: this.#path },
        'the last writes stay in the segments until the next start',
      );
    }
  }
}

type Row = [number, number, Uint8Array, number, number, string | null, number | null];

function recordOf(row: Row): LoadedRecord {
  const [position, revision, key, createRevision, version, lease, valueBytes] = row;
  return {
    position,
    revision,
    key: keyOf(key),
    createRevision,
    version,
    lease: lease === null ? 0n : BigInt(lease),
    valueBytes: valueBytes ?? -1,
  };
}

interface Statements {
  fact: StatementSync;
  facts: StatementSync;
  value: StatementSync;
  load: StatementSync;
  leases: StatementSync;
  pages: StatementSync;
  freePages: StatementSync;
}

function prepare(db: DatabaseSync): Statements {
  const statements = {
    fact: db.prepare('SELECT value FROM fact WHERE name = ?'),
    facts: db.prepare(
      'SELECT name, CAST(value AS TEXT) AS value FROM fact' +
        " WHERE name NOT IN ('compact_revision', 'segment_epoch', 'segment_applied')",
    ),
    value: db.prepare('SELECT value FROM log WHERE position = ?'),
    load: db.prepare(
      // Lease ids have 63 bits: as text they need no big-integer mode for the other columns.
      'SELECT position, revision, key, created, version, CAST(lease AS TEXT), length(value)' +
        ' FROM log WHERE position > ? ORDER BY position LIMIT ?',
    ),
    leases: db.prepare('SELECT CAST(id AS TEXT) AS id, ttl FROM lease'),
    pages: db.prepare('PRAGMA page_count'),
    freePages: db.prepare('PRAGMA freelist_count'),
  };
  statements.value.setReturnArrays(true);
  statements.load.setReturnArrays(true);
  return statements;
}
