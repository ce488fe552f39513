import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { checked, libc, linux } from '../../socket/libc.ts';
import type { BfdState } from '../bfd.ts';
import type { BfdCommand, BfdReport, BfdThreadData, SessionOrder } from './messages.ts';

/** Who hears of a session. */
export interface SessionListener {
  state(state: BfdState, diagnostic: string): void;
  problem(problem: string): void;
}

/** A thread that failed is started anew after so long: meanwhile its sessions are down. */
const restartAfterMs = 1000;

let shared: { readonly thread: BfdThread; users: number } | undefined;

/** The one thread of BFD of this process; {@link BfdThread.release} it. */
export function acquireThread(log: Logger, clock: Clock): BfdThread {
  shared ??= { thread: new BfdThread(log, clock), users: 0 };
  shared.users += 1;
  return shared.thread;
}

/** The main side of the thread. */
export class BfdThread {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #wakeFd: number;
  readonly #stopFlag = new SharedArrayBuffer(4);
  readonly #sessions = new Map<number, { order: SessionOrder; listener: SessionListener }>();
  readonly #removals = new Map<number, () => void>();
  #worker: Worker | undefined;
  #ended: Promise<void> = Promise.resolve();
  #restart: ClockTimer | undefined;
  #nextId = 1;
  #isStopped = false;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
    this.#wakeFd = checked(
      libc().eventfd(0, linux.EFD_NONBLOCK | linux.EFD_CLOEXEC),
      'eventfd',
      'the thread of BFD',
    );
    process.on('exit', this.#tellToStop);
    this.#start();
  }

  #start(): void {
    const data: BfdThreadData = { wakeFd: this.#wakeFd, stopFlag: this.#stopFlag };
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: data });
    this.#worker = worker;
    this.#ended = new Promise((resolve) => worker.once('exit', () => resolve()));
    worker.on('message', (report: BfdReport) => this.#hear(report));
    worker.on('error', (error) => this.#failed(error));
    for (const { order } of this.#sessions.values()) this.#tell({ kind: 'add', session: order });
  }

  #failed(error: unknown): void {
    this.#worker = undefined;
    for (const done of this.#removals.values()) done();
    this.#removals.clear();
    if (this.#isStopped) return;
    this.#log.error({ err: error }, 'the thread of BFD failed and is started anew');
    for (const { listener } of this.#sessions.values()) listener.state('Down', 'the thread of BFD failed');
    this.#restart = this.#clock.setTimeout(() => this.#start(), restartAfterMs);
  }

  #hear(report: BfdReport): void {
    if (report.kind === 'removed') {
      this.#removals.get(report.id)?.();
      this.#removals.delete(report.id);
      return;
    }
    const listener = this.#sessions.get(report.id)?.listener;
    if (report.kind === 'state') listener?.state(report.state, report.diagnostic);
    else listener?.problem(report.problem);
  }

  /** Its number, for {@link remove}. */
  add(order: Omit<SessionOrder, 'id'>, listener: SessionListener): number {
    const id = this.#nextId++;
    const session = { ...order, id };
    this.#sessions.set(id, { order: session, listener });
    this.#tell({ kind: 'add', session });
    return id;
  }

  /** Resolves when the peer has been told. */
  async remove(id: number): Promise<void> {
    if (!this.#sessions.delete(id) || this.#worker === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#removals.set(id, resolve);
    this.#tell({ kind: 'remove', id });
    await promise;
  }

  /** Ends the thread with its last user. */
  async release(): Promise<void> {
    if (shared?.thread !== this || --shared.users > 0) return;
    shared = undefined;
    this.#isStopped = true;
    this.#restart?.cancel();
    process.off('exit', this.#tellToStop);
    this.#tellToStop();
    await this.#ended;
    libc().close(this.#wakeFd);
  }

  #tell(command: BfdCommand): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    this.#worker?.postMessage(command);
    this.#wake();
  }

  #wake(): void {
    const one = new Uint8Array(8);
    one[0] = 1;
    writeSync(this.#wakeFd, one);
  }

  /** Also when the process exits: a thread in a system call would keep it from ending. */
  readonly #tellToStop = (): void => {
    Atomics.store(new Int32Array(this.#stopFlag), 0, 1);
    this.#wake();
  };
}
