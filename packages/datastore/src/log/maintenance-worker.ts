/** The worker's side of maintenance.ts: a second connection, so that the main thread never waits for these. */
import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type { MaintenanceReply, MaintenanceRequest } from './maintenance.ts';
import { configure, sqliteErrorCode } from './sqlite-file.ts';
import { SqliteWriter, type StepResult } from './sqlite-writer.ts';

const busyTimeoutMs = 5000;

const port = parentPort;
if (port === null) throw new Error('maintenance-worker.ts runs as a worker thread only');

const { path, checkpointBytes } = workerData as { path: string; checkpointBytes: number };
const db = new DatabaseSync(path);
configure(db, busyTimeoutMs);
const writer = new SqliteWriter(path, db, checkpointBytes);
const nothing: StepResult = { total: 0, done: 0, bytesWritten: 0, checkpoints: 0 };

function run(request: MaintenanceRequest): StepResult {
  if (request.op !== 'close') return writer.run(request);
  writer.close();
  db.close();
  port?.close();
  return nothing;
}

port.on('message', (request: MaintenanceRequest) => {
  try {
    port.postMessage({ id: request.id, result: run(request) } satisfies MaintenanceReply);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const errcode = sqliteErrorCode(error);
    port.postMessage({
      id: request.id,
      result: nothing,
      error: { message, errcode },
    } satisfies MaintenanceReply);
  }
});
