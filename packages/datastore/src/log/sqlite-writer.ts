import { closeSync, fdatasyncSync, openSync, readSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { changesOf, frameAt, type FrameHeader, recordsOf } from './frame.ts';
import {
  corrupt,
  frameBytes,
  isDiskFull,
  pageBytes,
  segmentFacts,
  segmentPath,
  walHeaderBytes,
} from './sqlite-file.ts';
import type { Piece } from './write-ahead.ts';

/** A step of removal lets those who wait for the thread wait no longer than this, plus its commit. */
const stepMs = 4;
const pagesPerVacuum = 64;

export type WriterRequest =
  | { op: 'begin'; epoch: number }
  | { op: 'apply'; piece: Piece; epoch: number }
  | { op: 'settle' }
  | { op: 'remove'; positions: Float64Array }
  | { op: 'vacuum'; keepPages: number }
  | { op: 'finish' };

export interface StepResult {
  /** What there is to do (rows) or what is left (free pages). */
  total: number;
  done: number;
  /** Handed to the device: pages and frames of the -wal file. */
  bytesWritten: number;
  checkpoints: number;
}

interface WalState {
  log: number;
  checkpointed: number;
}

/**
 * Everything that changes the database file once it is open: one connection, on a thread of its own as soon as there is
 * more than a little to do. Nobody else writes, so nothing here waits for a lock.
 */
export class SqliteWriter {
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #checkpointBytes: number;
  readonly #statements: Statements;
  readonly #walFd: number;
  readonly #segmentFds: number[] = [];
  #walFrames = 0;

  /** `db`: its own connection, configured. */
  constructor(path: string, db: DatabaseSync, checkpointBytes: number) {
    this.#path = path;
    this.#db = db;
    this.#checkpointBytes = checkpointBytes;
    // A -wal file that once grew is cut when it starts over; what is left stays allocated, on a full disk too.
    db.exec(`PRAGMA journal_size_limit=${checkpointBytes * 2}`);
    this.#statements = prepare(db);
    // A descriptor of the -wal file only: SQLite takes no POSIX lock on it, so closing it drops none.
    this.#walFd = openSync(`${path}-wal`, 'r');
    this.#walFrames = this.#countFrames();
  }

  /** One step. A full disk is tried once more with an emptied -wal file. @throws SQLite's error, DatastoreFileError */
  run(request: WriterRequest): StepResult {
    const { total, done } = this.#stepWithRoom(request);
    const frames = this.#countFrames();
    const appended = frames >= this.#walFrames ? frames - this.#walFrames : frames;
    this.#walFrames = frames;
    let bytesWritten = appended * frameBytes;
    let checkpoints = 0;
    // The mark of a life with segments belongs into the database itself: who loses the -wal file is told so then.
    if (frames * frameBytes > this.#checkpointBytes || request.op === 'begin' || request.op === 'finish') {
      bytesWritten += this.#checkpoint();
      checkpoints = 1;
    }
    // After a checkpoint too: it may have been kept from copying everything.
    if (request.op === 'settle' || request.op === 'finish') fdatasyncSync(this.#walFd);
    return { total, done, bytesWritten, checkpoints };
  }

  #stepWithRoom(request: WriterRequest): { total: number; done: number } {
    try {
      return this.#step(request);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      this.#checkpoint();
      return this.#step(request);
    }
  }

  #step(request: WriterRequest): { total: number; done: number } {
    if (request.op === 'apply') return this.#apply(request.piece, request.epoch);
    if (request.op === 'remove') return this.#remove(request.positions);
    if (request.op === 'vacuum') return this.#vacuum(request.keepPages);
    if (request.op === 'begin') this.#begin(request.epoch);
    if (request.op === 'finish') this.#finish();
    return { total: 0, done: 0 };
  }

  #countFrames(): number {
    // NOOP reports the frames in the -wal file and copies nothing.
    return Math.max(0, (this.#statements.walState.get() as unknown as WalState).log);
  }

  /** From here on the segments may hold what the database lacks, and a version that knows none must keep away. */
  #begin(epoch: number): void {
    this.#inTransaction(() => {
      this.#statements.setFact.run(segmentFacts.epoch, epoch);
      this.#statements.setFact.run(segmentFacts.applied, 0);
      this.#db.exec('PRAGMA user_version=2');
    });
  }

  /** The database has everything: it is one of version 1 again. */
  #finish(): void {
    this.#inTransaction(() => {
      this.#statements.removeFact.run(segmentFacts.epoch);
      this.#statements.removeFact.run(segmentFacts.applied);
      this.#db.exec('PRAGMA user_version=1');
    });
  }

  #apply(
    { segment, from, to, frames, sequence, dropped }: Piece,
    epoch: number,
  ): { total: number; done: number } {
    const path = segmentPath(this.#path, segment);
    const fd = (this.#segmentFds[segment] ??= openSync(path, 'r'));
    const bytes = Buffer.allocUnsafe(to - from);
    for (let at = 0; at < bytes.length;) {
      const read = readSync(fd, bytes, at, bytes.length - at, from + at);
      if (read === 0) throw corrupt(this.#path, `its segment ${path} ends before byte ${to}`);
      at += read;
    }
    const leftOut = new Set(dropped);
    let done = 0;
    this.#inTransaction(() => {
      for (const at of frames) {
        const frame = frameAt(bytes, at - from, epoch);
        if (frame === undefined)
          throw corrupt(this.#path, `its segment ${path} cannot be read at byte ${at}`);
        done += this.#applyFrame(bytes, at - from, frame, leftOut);
      }
      this.#statements.setFact.run(segmentFacts.applied, sequence);
    });
    return { total: frames.length, done };
  }

  #applyFrame(bytes: Buffer, at: number, frame: FrameHeader, leftOut: ReadonlySet<number>): number {
    const { insert, grant, revoke, setFact } = this.#statements;
    let done = 0;
    const records = recordsOf(bytes, at, frame);
    let next = records.next();
    for (; !next.done; next = records.next()) {
      const { position, revision, key, createRevision, version, lease, valueAt, valueBytes } = next.value;
      if (leftOut.has(position)) continue;
      const value = valueAt < 0 ? null : bytes.subarray(valueAt, valueAt + valueBytes);
      insert.run(position, revision, key, createRevision, version, lease === 0n ? null : lease, value);
      done++;
    }
    const { leases, facts } = changesOf(bytes, next.value, frame);
    for (const change of leases) {
      if (change.type === 'grant') grant.run(change.id, change.ttlSeconds);
      else revoke.run(change.id);
    }
    for (const { name, value } of facts) setFact.run(name, value);
    if (frame.compactRevision > 0) setFact.run('compact_revision', frame.compactRevision);
    return done;
  }

  /** Copies pages from the -wal file to the database; returns the bytes of them. */
  #checkpoint(): number {
    const before = this.#statements.walState.get() as unknown as WalState;
    const after = this.#statements.checkpoint.get() as unknown as WalState;
    // What was complete before may have started over since: then everything is new.
    const from = before.checkpointed <= after.checkpointed ? before.checkpointed : 0;
    return this.#distinctPages(from, after.checkpointed) * pageBytes;
  }

  /** How many pages the frames [from, to) of the -wal file hold: a page written often is copied once. */
  #distinctPages(from: number, to: number): number {
    const pages = new Set<number>();
    const number = Buffer.alloc(4);
    for (let frame = from; frame < to; frame++) {
      readSync(this.#walFd, number, 0, 4, walHeaderBytes + frame * frameBytes);
      pages.add(number.readUInt32BE());
    }
    return pages.size;
  }

  /** Deletes rows until the time is up. */
  #remove(positions: Float64Array): { total: number; done: number } {
    const until = performance.now() + stepMs;
    let done = 0;
    this.#inTransaction(() => {
      while (done < positions.length && (done % 16 !== 0 || performance.now() < until)) {
        this.#statements.deleteRow.run(positions[done++] as number);
      }
    });
    return { total: positions.length, done };
  }

  /** Moves pages from the end of the file into free ones; `total` is how many pages are free now. */
  #vacuum(keepPages: number): { total: number; done: number } {
    const until = performance.now() + stepMs;
    const before = this.#countFree();
    let free = before;
    while (free > keepPages && performance.now() < until) {
      this.#db.exec(`PRAGMA incremental_vacuum(${Math.min(pagesPerVacuum, free - keepPages)})`);
      const now = this.#countFree();
      if (now >= free) break;
      free = now;
    }
    return { total: free, done: before - free };
  }

  #countFree(): number {
    return (this.#statements.freePages.get() as { freelist_count: number }).freelist_count;
  }

  #inTransaction(work: () => void): void {
    this.#statements.begin.run();
    try {
      work();
      this.#statements.commit.run();
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  /** Closes its descriptors; the connection is its owner's. */
  close(): void {
    closeSync(this.#walFd);
    for (const fd of this.#segmentFds) if (fd !== undefined) closeSync(fd);
  }
}

interface Statements {
  begin: StatementSync;
  commit: StatementSync;
  insert: StatementSync;
  grant: StatementSync;
  revoke: StatementSync;
  setFact: StatementSync;
  removeFact: StatementSync;
  deleteRow: StatementSync;
  walState: StatementSync;
  checkpoint: StatementSync;
  freePages: StatementSync;
}

function prepare(db: DatabaseSync): Statements {
  return {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    insert: db.prepare('INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)'),
    grant: db.prepare('INSERT INTO lease (id, ttl) VALUES (?, ?)'),
    revoke: db.prepare('DELETE FROM lease WHERE id = ?'),
    setFact: db.prepare(
      'INSERT INTO fact (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    ),
    removeFact: db.prepare('DELETE FROM fact WHERE name = ?'),
    deleteRow: db.prepare('DELETE FROM log WHERE position = ?'),
    walState: db.prepare('PRAGMA wal_checkpoint(NOOP)'),
    checkpoint: db.prepare('PRAGMA wal_checkpoint(PASSIVE)'),
    freePages: db.prepare('PRAGMA freelist_count'),
  };
}
