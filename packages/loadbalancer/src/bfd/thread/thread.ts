import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { LoopThread } from '@cloudless/kube/native/loop-thread';
import type { BfdState } from '../bfd.ts';
import type { BfdCommand, BfdReport, SessionOrder } from './messages.ts';

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
  readonly #thread = new LoopThread<BfdCommand>(new URL('./worker.ts', import.meta.url), 'the thread of BFD');
  readonly #sessions = new Map<number, { order: SessionOrder; listener: SessionListener }>();
  readonly #removals = new Map<number, () => void>();
  #restart: ClockTimer | undefined;
  #nextId = 1;
  #isStopped = false;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
    this.#start();
  }

  #start(): void {
    const worker = this.#thread.start({});
    worker.on('message', (report: BfdReport) => this.#hear(report));
    worker.on('error', (error) => this.#failed(error));
    for (const { order } of this.#sessions.values()) this.#thread.tell({ kind: 'add', session: order });
  }

  #failed(error: unknown): void {
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
    this.#thread.tell({ kind: 'add', session });
    return id;
  }

  /** Resolves when the peer has been told. */
  async remove(id: number): Promise<void> {
    if (!this.#sessions.delete(id) || !this.#thread.isRunning) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#removals.set(id, resolve);
    this.#thread.tell({ kind: 'remove', id });
    await promise;
  }

  /** Ends the thread with its last user. */
  async release(): Promise<void> {
    if (shared?.thread !== this || --shared.users > 0) return;
    shared = undefined;
    this.#isStopped = true;
    this.#restart?.cancel();
    await this.#thread.end();
  }
}
