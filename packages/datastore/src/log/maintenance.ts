import type { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import { SqliteWriter, type StepResult, type WriterRequest } from './sqlite-writer.ts';

export type MaintenanceRequest = { id: number } & (WriterRequest | { op: 'close' });

export interface MaintenanceReply {
  id: number;
  result: StepResult;
  error?: { message: string; errcode: number | undefined };
}

interface Waiting {
  resolve: (result: StepResult) => void;
  reject: (error: Error) => void;
}

export interface MaintenanceOptions {
  path: string;
  /** The main thread's connection. */
  db: DatabaseSync;
  /** The -wal file is copied into the database when it holds so many bytes. */
  checkpointBytes: number;
}

/**
 * The one writer of the database file: applying segments, checkpoints, removals and vacuuming, on a thread of its own.
 * The thread is started by the first call that needs one, since a short-lived or small store never does, and does not
 * keep the process alive while idle.
 */
export class Maintenance {
  readonly #options: MaintenanceOptions;
  #worker: Worker | undefined;
  #nextId = 1;
  readonly #waiting = new Map<number, Waiting>();
  bytesWritten = 0;
  checkpoints = 0;

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  /** Runs one step on the thread, behind those asked for before. @throws SQLite's error, with its `errcode`. */
  async run(request: WriterRequest): Promise<StepResult> {
    return this.#account(await this.#send(request));
  }

  /** Runs steps that are small: here and at once while there is no thread. */
  async runSmall(...requests: readonly WriterRequest[]): Promise<void> {
    if (this.#worker !== undefined) {
      for (const request of requests) await this.run(request);
      return;
    }
    const { path, db, checkpointBytes } = this.#options;
    const writer = new SqliteWriter(path, db, checkpointBytes);
    try {
      for (const request of requests) this.#account(writer.run(request));
    } finally {
      writer.close();
    }
  }

  #account(result: StepResult): StepResult {
    this.bytesWritten += result.bytesWritten;
    this.checkpoints += result.checkpoints;
    return result;
  }

  #send(request: WriterRequest | { op: 'close' }): Promise<StepResult> {
    const worker = (this.#worker ??= this.#start());
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.ref();
      // A worker has no origin: the rule means windows.
      // oxlint-disable-next-line unicorn/require-post-message-target-origin
      worker.postMessage({ ...request, id });
    });
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    await this.#send({ op: 'close' }).catch(() => undefined);
    worker.ref();
    await exited;
  }

  #start(): Worker {
    const { path, checkpointBytes } = this.#options;
    const worker = new Worker(new URL('./maintenance-worker.ts', import.meta.url), {
      name: 'datastore-maintenance',
      workerData: { path, checkpointBytes },
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 },
    });
    worker.on('message', (reply: MaintenanceReply) => this.#settle(reply));
    worker.on('error', (error) => this.#abandon(error as Error));
    worker.on('exit', () => this.#abandon(new Error('the maintenance thread ended')));
    return worker;
  }

  #settle({ id, result, error }: MaintenanceReply): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#worker?.unref();
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(Object.assign(new Error(error.message), { errcode: error.errcode }));
  }

  #abandon(error: Error): void {
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
