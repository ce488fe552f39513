import type { Clock, ClockTimer } from '@cloudless/kube/clock';

/**
 * Runs `work` when woken, never twice at a time: what wakes it meanwhile makes it run once more. `work` answers after
 * how many milliseconds it wants to run again by itself; undefined: not before it is woken. It must not throw.
 */
export class WakeLoop {
  readonly #clock: Clock;
  readonly #work: (signal: AbortSignal) => Promise<number | undefined>;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;
  #dirty = false;
  #timer: ClockTimer | undefined;

  constructor(clock: Clock, work: (signal: AbortSignal) => Promise<number | undefined>) {
    this.#clock = clock;
    this.#work = work;
  }

  /** Aborted when the loop is stopped. */
  get signal(): AbortSignal {
    return this.#stopped.signal;
  }

  wake(): void {
    this.#dirty = true;
    if (this.signal.aborted) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#dirty) this.wake();
    });
  }

  /** Aborts what runs and waits for its end. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#timer?.cancel();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#dirty && !this.signal.aborted) {
      this.#dirty = false;
      this.#timer?.cancel();
      const againInMs = await this.#work(this.signal);
      if (againInMs === undefined || this.signal.aborted) continue;
      this.#timer = this.#clock.setTimeout(() => this.wake(), againInMs);
    }
  }
}
