/** The worker's side of maintenance.ts: a second connection, so that the main thread never waits for these. */
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { MaintenanceReply, MaintenanceRequest, StepResult } from './maintenance.ts';
import { configure, sqliteErrorCode } from './sqlite-file.ts';

/** A step lets writers wait no longer than this, plus its commit. */
const stepMs = 4;
const busyTimeoutMs = 5000;
const pagesPerVacuum = 64;

const port = parentPort;
if (port === null) throw new Error('maintenance-worker.ts runs as a worker thread only');

const db = new DatabaseSync((workerData as { path: string }).path);
configure(db, busyTimeoutMs);
const begin = db.prepare('BEGIN IMMEDIATE');
const commit = db.prepare('COMMIT');
const deleteRow = db.prepare('DELETE FROM log WHERE position = ?');
const freePages = db.prepare('PRAGMA freelist_count');

/** Copies pages from the -wal file to the database; `total === done` means the -wal file can start over. */
function checkpoint(): StepResult {
  const row = db.prepare('PRAGMA wal_checkpoint(PASSIVE)').get() as { log: number; checkpointed: number };
  return { total: row.log, done: row.checkpointed };
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
