import { closeSync, fdatasync, fstatSync, openSync, writeSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Logger } from '@cloudless/kube/logger';
import { NoSpaceError } from '../errors.ts';
import { keyOf } from '../mvcc/key.ts';
import { FlushTimes } from './flush-times.ts';
import type {
  FactName,
  LoadedRecord,
  LoadedState,
  Log,
  LogBatch,
  LogFigures,
  LogHead,
  LogRecord,
} from './log.ts';
import { Maintenance } from './maintenance.ts';
import {
  corrupt,
  explain,
  frameBytes,
  isDiskFull,
  openFile,
  pageBytes,
  walHeaderBytes,
} from './sqlite-file.ts';
import { Turns } from './turns.ts';

const rowsPerLoad = 2000;
/** Rows are inserted for so long before the event loop turns. */
const sliceMs = 5;
/** The -wal file grows by so many zeroed bytes at a time. */
const extentBytes = 1024 * 1024;
const checkpointRetryMs = 1000;

export interface SqliteLogOptions {
  path: string;
  log: Logger;
  /** Copies the -wal file into the database when it holds so many bytes. */
  checkpointBytes: number;
  /** Free pages that removal leaves for coming appends before the file is made smaller. */
  reservePages: number;
  /** How the -wal file is made durable; replaced only by tests that prove what happens without it. */
  flush: (fd: number) => Promise<void>;
}

/** The kernel's fdatasync on the thread pool. */
export const flushToDevice = (fd: number): Promise<void> =>
  new Promise((resolve, reject) => {
    fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
  });

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * The log as one table of an SQLite database in WAL mode. An append is one small transaction, which SQLite
 * writes to the end of the -wal file, and one fdatasync of that file by us: so an acknowledgement costs one
 * flush and never waits for a checkpoint, which runs on a thread of its own.
 */
export class SqliteLog implements Log {
  readonly #path: string;
  readonly #options: SqliteLogOptions;
  readonly #db: DatabaseSync;
  readonly #lock: DatabaseSync;
  readonly #maintenance: Maintenance;
  /** Who may write: SQLite allows one writer, and the main thread must never wait for it inside SQLite. */
  readonly #turns = new Turns();
  readonly #statements: Statements;
  readonly #walFd: number;
  #walBytesAllocated: number;
  #walFrames = 0;
  #checkpointing: Promise<void> | undefined;
  #noCheckpointBefore = 0;
  #closed = false;
  readonly #flushTimes = new FlushTimes();
  #bytesWritten = 0;
  #checkpoints = 0;
  #rowsRemoved = 0;
  #bytesReclaimed = 0;

  /** @throws DatastoreFileError */
  constructor(options: SqliteLogOptions) {
    const { path } = options;
    this.#path = path;
    this.#options = options;
    const { db, lock } = openFile(path, options.checkpointBytes * 2);
    this.#db = db;
    this.#lock = lock;
    this.#maintenance = new Maintenance(path);
    try {
      this.#statements = prepare(db);
      // Our own descriptor of the -wal file only: SQLite takes no POSIX lock on it, so closing it drops none.
      this.#walFd = openSync(`${path}-wal`, 'r+');
      this.#walBytesAllocated = fstatSync(this.#walFd).size;
      this.#walFrames = this.#countFrames();
    } catch (error) {
      db.close();
      lock.close();
      throw explain(path, error);
    }
  }

  load(): LoadedState {
    try {
      const compactRevision = Number(this.#statements.fact.get('compact_revision')?.['value'] ?? 0);
      const leases = this.#statements.leases.all() as Array<{ id: string; ttl: number }>;
      const facts = this.#statements.facts.all() as Array<{ name: FactName; value: string }>;
      return {
        compactRevision,
        leases: leases.map(({ id, ttl }) => ({ id: BigInt(id), ttlSeconds: ttl })),
        facts: facts.map(({ name, value }) => ({ name, value: BigInt(value) })),
        records: this.#loadRecords(compactRevision),
      };
    } catch (error) {
      throw explain(this.#path, error);
    }
  }

  async *#loadRecords(compactRevision: number): AsyncGenerator<readonly LoadedRecord[]> {
    try {
      let position = 0;
      let revision = 1;
      for (;;) {
        const rows = this.#statements.load.all(position, rowsPerLoad) as unknown as Row[];
        if (rows.length === 0) break;
        const records = rows.map(recordOf);
        for (const record of records) {
          this.#verifyOrder(record, revision, compactRevision);
          ({ revision, position } = record);
        }
        yield records;
        await nextTurn();
      }
      if (compactRevision > revision) {
        throw corrupt(
          this.#path,
          `it ends at revision ${revision}, before its compaction at ${compactRevision}`,
        );
      }
      // Frames that a killed process wrote may be in the page cache only; from here on they count.
      if (this.#walFrames > 0) await this.#options.flush(this.#walFd);
    } catch (error) {
      throw explain(this.#path, error);
    }
  }

  /** Every revision after the compaction is there, or something was lost. */
  #verifyOrder(record: LoadedRecord, last: number, compactRevision: number): void {
    const { revision } = record;
    if (revision < last) throw corrupt(this.#path, `revision ${revision} follows ${last}`);
    const expected = Math.max(last, compactRevision, 1) + 1;
    if (revision > expected)
      throw corrupt(this.#path, `revisions ${expected} to ${revision - 1} are missing`);
  }

  async append(_expected: LogHead, batch: LogBatch): Promise<'appended'> {
    const done = await this.#turns.take();
    try {
      await this.#write(batch);
      const start = performance.now();
      await this.#options.flush(this.#walFd);
      this.#flushTimes.observe((performance.now() - start) / 1000);
    } finally {
      done();
    }
    if (this.#walFrames * frameBytes > this.#options.checkpointBytes) this.#checkpointBehind();
    return 'appended';
  }

  async #write(batch: LogBatch): Promise<void> {
    const { begin, commit, rollback } = this.#statements;
    try {
      this.#extendWal(batch);
      begin.run();
      await this.#insert(batch);
      commit.run();
    } catch (error) {
      if (this.#db.isTransaction) rollback.run();
      throw isDiskFull(error) || isEnospc(error) ? new NoSpaceError(this.#path, error) : error;
    } finally {
      this.#accountFrames();
    }
  }

  async #insert({ records, leases, facts, compactRevision }: LogBatch): Promise<void> {
    const { insert, grant, revoke, setFact } = this.#statements;
    let until = performance.now() + sliceMs;
    for (let i = 0; i < records.length; i++) {
      const { position, revision, key, createRevision, version, lease, value } = records[i] as LogRecord;
      insert.run(
        position,
        revision,
        key,
        createRevision,
        version,
        lease === 0n ? null : lease,
        value ?? null,
      );
      if (i % 256 === 255 && performance.now() > until) {
        await nextTurn();
        until = performance.now() + sliceMs;
      }
    }
    for (const change of leases) {
      if (change.type === 'grant') grant.run(change.id, change.ttlSeconds);
      else revoke.run(change.id);
    }
    for (const { name, value } of facts) setFact.run(name, value);
    if (compactRevision !== undefined) setFact.run('compact_revision', compactRevision);
  }

  /**
   * Writes zeros behind the frames, a piece at a time, so that a flush finds its blocks allocated and writes no
   * metadata (measured: 0.13 instead of 0.63 ms). SQLite ends reading at the first frame that is not its own.
   */
  #extendWal({ records }: LogBatch): void {
    const rowBytes = records.reduce(
      (sum, { key, value }) => sum + key.byteLength + (value?.byteLength ?? 0),
      0,
    );
    const needed =
      walHeaderBytes + (this.#walFrames + 16) * frameBytes + Math.ceil(rowBytes * 1.25) + records.length * 64;
    if (needed <= this.#walBytesAllocated) return;
    const size = fstatSync(this.#walFd).size;
    const target = Math.ceil(needed / extentBytes) * extentBytes;
    try {
      this.#walBytesAllocated = size;
      const zeros = new Uint8Array(Math.max(0, target - size));
      const written = writeSync(this.#walFd, zeros, 0, zeros.length, size);
      this.#walBytesAllocated += written;
      this.#bytesWritten += written;
    } catch (error) {
      // The frames themselves may still fit; SQLite will say.
      if (!isEnospc(error)) throw error;
    }
  }

  #countFrames(): number {
    // NOOP reports the frames in the -wal file and copies nothing.
    return Math.max(0, Number(this.#statements.walState.get()?.['log'] ?? 0));
  }

  #accountFrames(): void {
    const frames = this.#countFrames();
    const written = frames >= this.#walFrames ? frames - this.#walFrames : frames;
    this.#bytesWritten += written * frameBytes;
    this.#walFrames = frames;
  }

  #checkpointBehind(): void {
    if (this.#checkpointing !== undefined || this.#closed) return;
    if (performance.now() < this.#noCheckpointBefore) return;
    this.#checkpointing = this.#checkpoint()
      .catch((error: unknown) => {
        // The frames stay in the -wal file and are copied later; nothing is lost by that.
        this.#noCheckpointBefore = performance.now() + checkpointRetryMs;
        const message = error instanceof Error ? error.message : String(error);
        this.#options.log.warn(
          { error: message, path: this.#path },
          'checkpoint failed, will be tried again',
        );
      })
      .finally(() => {
        this.#checkpointing = undefined;
      });
  }

  /** Copies most frames beside the writers, and the rest while they wait, so that the file can start over. */
  async #checkpoint(): Promise<void> {
    const first = await this.#maintenance.run({ op: 'checkpoint' });
    const done = await this.#turns.take();
    try {
      const second = await this.#maintenance.run({ op: 'checkpoint' });
      this.#bytesWritten += ((first.pagesWritten ?? 0) + (second.pagesWritten ?? 0)) * pageBytes;
      if (second.done > 0) this.#checkpoints++;
    } finally {
      done();
    }
  }

  readValue(position: number): Uint8Array {
    const row = this.#statements.value.get(position) as [Uint8Array | null] | undefined;
    const value = row?.[0];
    if (!value) throw corrupt(this.#path, `the row at position ${position} is missing`);
    return value;
  }

  async remove(positions: readonly number[], signal: AbortSignal): Promise<void> {
    // In order, so that each step touches neighbouring pages.
    let rest = Float64Array.from(positions).sort();
    while (rest.length > 0 && !signal.aborted && !this.#closed) {
      const step = rest.subarray(0, 4096).slice();
      const { done } = await this.#inTurn({ op: 'remove', positions: step });
      this.#rowsRemoved += done;
      rest = rest.subarray(done);
    }
  }

  async reclaim(signal: AbortSignal): Promise<void> {
    const { reservePages } = this.#options;
    const { bytes, bytesInUse } = this.size();
    // Free pages are used again by coming appends: give back only what is clearly too much.
    if (bytes - bytesInUse <= Math.max(reservePages * pageBytes, bytes / 5)) return;
    while (!signal.aborted && !this.#closed) {
      const { total, done } = await this.#inTurn({ op: 'vacuum', keepPages: reservePages });
      this.#bytesReclaimed += done * pageBytes;
      if (done === 0 || total <= reservePages) break;
    }
  }

  /** Runs one step while no append does, then lets appends through. */
  async #inTurn(request: { op: 'remove'; positions: Float64Array } | { op: 'vacuum'; keepPages: number }) {
    const done = await this.#turns.take();
    try {
      const result = await this.#maintenance.run(request);
      this.#accountFrames();
      return result;
    } catch (error) {
      throw isDiskFull(error) ? new NoSpaceError(this.#path, error) : error;
    } finally {
      done();
      if (this.#walFrames * frameBytes > this.#options.checkpointBytes) this.#checkpointBehind();
    }
  }

  size(): { bytes: number; bytesInUse: number } {
    const pages = Number(this.#statements.pages.get()?.['page_count'] ?? 0);
    const free = Number(this.#statements.freePages.get()?.['freelist_count'] ?? 0);
    return { bytes: pages * pageBytes, bytesInUse: (pages - free) * pageBytes };
  }

  figures(): LogFigures {
    return {
      appends: this.#flushTimes.count,
      bytesWritten: this.#bytesWritten,
      checkpoints: this.#checkpoints,
      rowsRemoved: this.#rowsRemoved,
      bytesReclaimed: this.#bytesReclaimed,
      flushSeconds: this.#flushTimes.buckets(),
      flushSecondsSum: this.#flushTimes.sum,
    };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#checkpointing;
    const done = await this.#turns.take();
    await this.#maintenance.close();
    closeSync(this.#walFd);
    this.#db.close();
    this.#lock.close();
    done();
  }
}

function isEnospc(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return code === 'ENOSPC' || code === 'EDQUOT';
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
  begin: StatementSync;
  commit: StatementSync;
  rollback: StatementSync;
  insert: StatementSync;
  grant: StatementSync;
  revoke: StatementSync;
  fact: StatementSync;
  facts: StatementSync;
  setFact: StatementSync;
  value: StatementSync;
  load: StatementSync;
  leases: StatementSync;
  walState: StatementSync;
  pages: StatementSync;
  freePages: StatementSync;
}

function prepare(db: DatabaseSync): Statements {
  const statements = {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    rollback: db.prepare('ROLLBACK'),
    insert: db.prepare('INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)'),
    grant: db.prepare('INSERT INTO lease (id, ttl) VALUES (?, ?)'),
    revoke: db.prepare('DELETE FROM lease WHERE id = ?'),
    fact: db.prepare('SELECT value FROM fact WHERE name = ?'),
    facts: db.prepare("SELECT name, CAST(value AS TEXT) AS value FROM fact WHERE name <> 'compact_revision'"),
    setFact: db.prepare(
      'INSERT INTO fact (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    ),
    value: db.prepare('SELECT value FROM log WHERE position = ?'),
    load: db.prepare(
      // Lease ids have 63 bits: as text they need no big-integer mode for the other columns.
      'SELECT position, revision, key, created, version, CAST(lease AS TEXT), length(value)' +
        ' FROM log WHERE position > ? ORDER BY position LIMIT ?',
    ),
    leases: db.prepare('SELECT CAST(id AS TEXT) AS id, ttl FROM lease'),
    walState: db.prepare('PRAGMA wal_checkpoint(NOOP)'),
    pages: db.prepare('PRAGMA page_count'),
    freePages: db.prepare('PRAGMA freelist_count'),
  };
  statements.value.setReturnArrays(true);
  statements.load.setReturnArrays(true);
  return statements;
}
