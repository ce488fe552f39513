import { Worker } from 'node:worker_threads';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import type { RequestHandler } from './request.ts';
import { RequestDesk } from './request-desk.ts';
import type { ThreadCommand, ThreadReport } from './threads/messages.ts';

/** How a thread is started, told and ended: one on Node's loop, or one on a loop of its own. */
export interface ThreadKind {
  start(data: object): Worker;
  tell(command: ThreadCommand): void;
  end(): Promise<void>;
}

/** A thread on Node's own loop. */
export class NodeThread implements ThreadKind {
  readonly #script: URL;
  #worker: Worker | undefined;

  constructor(script: URL) {
    this.#script = script;
  }

  start(data: object): Worker {
    const worker = new Worker(this.#script, { workerData: data });
    this.#worker = worker;
    worker.once('exit', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    return worker;
  }

  tell(command: ThreadCommand): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker?.postMessage(command);
  }

  async end(): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    const { promise: stopped, resolve } = Promise.withResolvers<void>();
    worker.on('message', (report: ThreadReport) => {
      if (report.kind === 'stopped') resolve();
    });
    worker.once('exit', () => resolve());
    this.tell({ kind: 'stop' });
    await stopped;
    await worker.terminate();
  }
}

/** A thread that failed is started again after so long; twice as long each time, up to the longest. */
const restartMs = 50;
const longestRestartMs = 5000;
/** One that ran so long has its next restart at once again. */
const soundMs = 30_000;

export interface ThreadHostOptions {
  readonly kind: ThreadKind;
  /** With what it starts, now. */
  data(): object;
  readonly onRequest: RequestHandler;
  /** What is not about requests. */
  report(report: ThreadReport): void;
  /** The thread has begun, with all that {@link data} gave it. */
  started(): void;
  readonly log: Logger;
  readonly clock: Clock;
}

/** The main side of one serving thread: starts it, as often as it fails, and hears it. */
export class ThreadHost {
  readonly #options: ThreadHostOptions;
  readonly #desk: RequestDesk;
  #restart: ClockTimer | undefined;
  #waitMs = restartMs;
  #startedMs = 0;
  #isStopped = false;

  constructor(options: ThreadHostOptions) {
    this.#options = options;
    this.#desk = new RequestDesk(
      options.onRequest,
      (request, message) => this.tell({ kind: 'answer', request, message }),
      options.log,
    );
  }

  tell(command: ThreadCommand): void {
    this.#options.kind.tell(command);
  }

  /** Resolves with the ports once it listens; rejects with its error, and the code of that, when it cannot. */
  start(): Promise<{ port: number; tlsPort: number | undefined }> {
    const worker = this.#options.kind.start(this.#options.data());
    this.#startedMs = this.#options.clock.monotonicMs();
    return new Promise((resolve, reject) => {
      let isListening = false;
      worker.on('message', (report: ThreadReport) => {
        if (report.kind === 'listening') {
          isListening = true;
          this.#options.started();
          resolve(report);
        } else if (report.kind === 'failed') {
          const failure = Object.assign(new Error(report.message), { code: report.code });
          void worker.terminate().then(() => reject(failure));
        } else this.#hear(report);
      });
      worker.once('error', (error) => {
        if (isListening) this.#failed(error);
        else reject(error);
      });
    });
  }

  #hear(report: ThreadReport): void {
    if (report.kind === 'request') this.#desk.begin(report.request, report.message, report.peer);
    else if (report.kind === 'taken') this.#desk.taken(report.request);
    else if (report.kind === 'gone') this.#desk.gone(report.request);
    else this.#options.report(report);
  }

  #failed(error: unknown): void {
    this.#desk.allGone();
    if (this.#isStopped) return;
    const { log, clock } = this.#options;
    log.error({ err: error }, 'a thread that serves DNS failed and is started again');
    if (clock.monotonicMs() - this.#startedMs > soundMs) this.#waitMs = restartMs;
    this.#again();
  }

  #again(): void {
    this.#restart?.cancel();
    this.#restart = this.#options.clock.setTimeout(() => void this.#startAgain(), this.#waitMs);
    this.#waitMs = Math.min(this.#waitMs * 2, longestRestartMs);
  }

  async #startAgain(): Promise<void> {
    try {
      await this.start();
    } catch (error) {
      if (this.#isStopped) return;
      this.#options.log.error({ err: error }, 'a thread that serves DNS could not be started');
      this.#again();
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#restart?.cancel();
    this.#desk.allGone();
    await this.#options.kind.end();
  }
}
