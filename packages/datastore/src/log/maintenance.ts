import { Worker } from 'node:worker_threads';

export type MaintenanceRequest =
  | { id: number; op: 'checkpoint' }
  | { id: number; op: 'remove'; positions: Float64Array }
  | { id: number; op: 'vacuum'; keepPages: number }
  | { id: number; op: 'close' };

type Distribute<T> = T extends unknown ? Omit<T, 'id'> : never;

export interface MaintenanceReply {
  id: number;
  result: StepResult;
  error?: { message: string; errcode: number | undefined };
}

export interface StepResult {
  /** What there is to do (rows, frames) or what is left (free pages). */
  total: number;
  done: number;
  /** Of a checkpoint: pages written to the database. */
  pagesWritten?: number;
}

interface Waiting {
  resolve: (result: StepResult) => void;
  reject: (error: Error) => void;
}

/**
 * Checkpoints, removals and vacuuming on a thread of their own. The thread is started by the first call, since
 * a short-lived or small store never needs one, and does not keep the process alive while idle.
 */
export class Maintenance {
  readonly #path: string;
  #worker: Worker | undefined;
  #nextId = 1;
  readonly #waiting = new Map<number, Waiting>();

  constructor(path: string) {
    this.#path = path;
  }

  /** Runs one step. @throws SQLite's error, with its `errcode`. */
  run(request: Distribute<MaintenanceRequest>): Promise<StepResult> {
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
    await this.run({ op: 'close' }).catch(() => undefined);
    worker.ref();
    await exited;
  }

  #start(): Worker {
    const worker = new Worker(new URL('./maintenance-worker.ts', import.meta.url), {
      name: 'datastore-maintenance',
      workerData: { path: this.#path },
      resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
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
