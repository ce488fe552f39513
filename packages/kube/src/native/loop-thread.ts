import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { checked, libc, linux } from './libc.ts';

/** What a thread with a {@link Loop} is started with, besides its own: the ends of its {@link Mailbox}. */
export interface LoopThreadData {
  /** An eventfd: written after each command, and to stop. */
  readonly wakeFd: number;
  /** One Int32: 1 means stop. Seen even when a message would not be. */
  readonly stopFlag: SharedArrayBuffer;
}

/**
 * The main side of a thread that runs a {@link Loop} with a {@link Mailbox}: starts it, as often as it fails, tells it
 * commands, and ends it. It is told to stop when the process exits too: in a system call it would keep it from ending.
 */
export class LoopThread<C> {
  readonly #script: URL;
  readonly #wakeFd: number;
  readonly #stopFlag = new SharedArrayBuffer(4);
  #worker: Worker | undefined;
  #ended: Promise<void> = Promise.resolve();
  #isStopped = false;

  /** @param name `the thread of BFD`, for the error of a machine without descriptors */
  constructor(script: URL, name: string) {
    this.#script = script;
    this.#wakeFd = checked(libc().eventfd(0, linux.EFD_NONBLOCK | linux.EFD_CLOEXEC), 'eventfd', name);
    process.on('exit', this.#tellToStop);
  }

  /** The thread has neither failed nor been told to stop. */
  get isRunning(): boolean {
    return this.#worker !== undefined && !this.#isStopped;
  }

  /** Starts the thread, which ran never or has failed. */
  start(data: object): Worker {
    const ends: LoopThreadData = { wakeFd: this.#wakeFd, stopFlag: this.#stopFlag };
    const worker = new Worker(this.#script, { workerData: { ...data, ...ends } });
    const gone = (): void => {
      if (this.#worker === worker) this.#worker = undefined;
    };
    worker.once('error', gone);
    this.#ended = new Promise((resolve) => {
      worker.once('exit', () => {
        gone();
        resolve();
      });
    });
    this.#worker = worker;
    return worker;
  }

  /** Nobody hears it while the thread does not run. */
  tell(command: C): void {
    if (!this.isRunning) return;
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker?.postMessage(command);
    this.#wake();
  }

  /** Ends the thread for good. */
  async end(): Promise<void> {
    this.#isStopped = true;
    process.off('exit', this.#tellToStop);
    this.#tellToStop();
    await this.#ended;
    libc().close(this.#wakeFd);
  }

  #wake(): void {
    const one = new Uint8Array(8);
    one[0] = 1;
    writeSync(this.#wakeFd, one);
  }

  readonly #tellToStop = (): void => {
    Atomics.store(new Int32Array(this.#stopFlag), 0, 1);
    this.#wake();
  };
}
