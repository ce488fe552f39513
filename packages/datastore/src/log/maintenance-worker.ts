/** The worker's side of maintenance.ts: a second connection, so that the main thread never waits for these. */
import { closeSync, openSync, readSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { MaintenanceReply, MaintenanceRequest, StepResult } from './maintenance.ts';
import { configure, frameBytes, sqliteErrorCode, walHeaderBytes } from './sqlite-file.ts';

/** A step lets writers wait no longer than this, plus its commit. */
const stepMs = 4;
const busyTimeoutMs = 5000;
const pagesPerVacuum = 64;

const port = parentPort;
if (port === null) throw new Error('maintenance-worker.ts runs as a worker thread only');

const { path } = workerData as { path: string };
const db = new DatabaseSync(path);
configure(db, busyTimeoutMs);
const begin = db.prepare('BEGIN IMMEDIATE');
const commit = db.prepare('COMMIT');
const deleteRow = db.prepare('DELETE FROM log WHERE position = ?');
const freePages = db.prepare('PRAGMA freelist_count');

interface WalState {
  log: number;
  checkpointed: number;
}

/** Copies pages from the -wal file to the database; `total === done` means the -wal file can start over. */
function checkpoint(): StepResult {
  const before = db.prepare('PRAGMA wal_checkpoint(NOOP)').get() as unknown as WalState;
  const after = db.prepare('PRAGMA wal_checkpoint(PASSIVE)').get() as unknown as WalState;
  // What was complete before may have started over since: then everything is new.
  const from = before.checkpointed <= after.checkpointed ? before.checkpointed : 0;
  return {
    total: after.log,
    done: after.checkpointed,
    pagesWritten: distinctPages(from, after.checkpointed),
  };
}

/** How many pages the frames [from, to) of the -wal file hold: a page written often is copied once. */
function distinctPages(from: number, to: number): number {
  const pages = new Set<number>();
  const number = Buffer.alloc(4);
  const fd = openSync(`${path}-wal`, 'r');
  try {
    for (let frame = from; frame < to; frame++) {
      readSync(fd, number, 0, 4, walHeaderBytes + frame * frameBytes);
      pages.add(number.readUInt32BE());
    }
  } finally {
    closeSync(fd);
  }
  return pages.size;
}

/** Deletes rows until the time is up; returns how many. */
function remove(positions: Float64Array): StepResult {
  const until = performance.now() + stepMs;
  let done = 0;
  inTransaction(() => {
    while (done < positions.length && (done % 16 !== 0 || performance.now() < until)) {
      deleteRow.run(positions[done++] as number);
    }
  });
  return { total: positions.length, done };
}

/** Moves pages from the end of the file into free ones; `total` is how many pages are free now. */
function vacuum(keepPages: number): StepResult {
  const until = performance.now() + stepMs;
  const before = countFree();
  let free = before;
  while (free > keepPages && performance.now() < until) {
    db.exec(`PRAGMA incremental_vacuum(${Math.min(pagesPerVacuum, free - keepPages)})`);
    const now = countFree();
    if (now >= free) break;
    free = now;
  }
  return { total: free, done: before - free };
}

const countFree = (): number => (freePages.get() as { freelist_count: number }).freelist_count;

function inTransaction(work: () => void): void {
  begin.run();
  try {
    work();
    commit.run();
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

function close(): StepResult {
  db.close();
  port?.close();
  return { total: 0, done: 0 };
}

function run(request: MaintenanceRequest): StepResult {
  if (request.op === 'checkpoint') return checkpoint();
  if (request.op === 'remove') return remove(request.positions);
  if (request.op === 'vacuum') return vacuum(request.keepPages);
  return close();
}

port.on('message', (request: MaintenanceRequest) => {
  try {
    port.postMessage({ id: request.id, result: run(request) } satisfies MaintenanceReply);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const errcode = sqliteErrorCode(error);
    port.postMessage({
      id: request.id,
      result: { total: 0, done: 0 },
      error: { message, errcode },
    } satisfies MaintenanceReply);
  }
});
