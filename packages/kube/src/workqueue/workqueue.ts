import { type Clock, type ClockTimer, systemClock } from '../clock.ts';
import { type Running, running } from '../lifecycle.ts';
import type { Logger } from '../logger.ts';
import { isConflict } from '../status.ts';
import type { WorkQueueMetrics } from './metrics.ts';
import { type RateLimiter, defaultRateLimiter } from './rate-limiter.ts';

export {
  ExponentialBackoff,
  LongestOf,
  type RateLimiter,
  TokenBucket,
  defaultRateLimiter,
} from './rate-limiter.ts';
export { type WorkQueueMetrics, workQueueMetrics } from './metrics.ts';

/** A longer one fires at once in JavaScript; an item that comes early is only looked at in vain. */
const longestTimerMs = 2 ** 31 - 1;

export interface WorkQueueOptions<T> {
  /** Label of the metrics; upstream's queue name where there is one. */
  name: string;
  clock?: Clock;
  rateLimiter?: RateLimiter<T>;
  metrics?: WorkQueueMetrics;
}

/**
 * Items to work on (upstream: client-go/util/workqueue). An item that waits is there once, however often it is
 * added; one that is added while it is worked on is worked on again afterwards, never twice at a time. Items are
 * compared as `Map` keys, so use strings. First come, first served.
 */
export class WorkQueue<T = string> {
  readonly name: string;
  readonly #clock: Clock;
  readonly #limiter: RateLimiter<T>;
  readonly #metrics: WorkQueueMetrics | undefined;
  /** Waiting items in order; a Set keeps insertion order and knows duplicates. */
  readonly #waiting = new Set<T>();
  readonly #processing = new Map<T, number>();
  /** Added again while being processed. */
  readonly #again = new Set<T>();
  readonly #addedAtMs = new Map<T, number>();
  readonly #delayed = new Map<T, { timer: ClockTimer; atMs: number }>();
  readonly #takers: Array<(item: T | undefined) => void> = [];
  #closed = false;

  constructor(options: WorkQueueOptions<T>) {
    this.name = options.name;
    this.#clock = options.clock ?? systemClock;
    this.#limiter = options.rateLimiter ?? defaultRateLimiter<T>(this.#clock);
    this.#metrics = options.metrics;
    this.#metrics?.observe(this.name, () => this.#runningSeconds());
  }

  /** Waiting items; those being processed or delayed are not counted. */
  get length(): number {
    return this.#waiting.size;
  }

  add(item: T): void {
    if (this.#closed) return;
    if (this.#processing.has(item)) {
      if (this.#again.has(item)) return;
      this.#again.add(item);
    } else if (this.#waiting.has(item)) return;
    this.#metrics?.adds.inc({ name: this.name });
    this.#addedAtMs.set(item, this.#clock.monotonicMs());
    if (!this.#processing.has(item)) this.#push(item);
  }

  /** Adds after a delay; of several delays for one item the shortest holds. */
  addAfter(item: T, delayMs: number): void {
    if (this.#closed) return;
    if (delayMs <= 0) {
      this.add(item);
      return;
    }
    const atMs = this.#clock.monotonicMs() + delayMs;
    const earlier = this.#delayed.get(item);
    if (earlier) {
      if (earlier.atMs <= atMs) return;
      earlier.timer.cancel();
    }
    const timer = this.#clock.setTimeout(
      () => {
        this.#delayed.delete(item);
        this.add(item);
      },
      Math.min(delayMs, longestTimerMs),
    );
    this.#delayed.set(item, { timer, atMs });
  }

  /** Adds after the wait that the rate limiter asks for; counts a failure. */
  addRateLimited(item: T): void {
    this.#metrics?.retries.inc({ name: this.name });
    this.addAfter(item, this.#limiter.whenMs(item));
  }

  /** Ends the item's back-off. */
  forget(item: T): void {
    this.#limiter.forget(item);
  }

  /** How often the item was added rate limited since it was last forgotten. */
  numRequeues(item: T): number {
    return this.#limiter.retries(item);
  }

  /** The next item, or undefined once the queue is shut down and empty. Call `done` with it afterwards. */
  get(): Promise<T | undefined> {
    for (const item of this.#waiting) {
      this.#waiting.delete(item);
      this.#take(item);
      return Promise.resolve(item);
    }
    if (this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#takers.push(resolve));
  }

  /** The item is worked on no more. */
  done(item: T): void {
    const startedAtMs = this.#processing.get(item);
    if (startedAtMs === undefined) return;
    this.#processing.delete(item);
    this.#metrics?.workSeconds.observe({ name: this.name }, (this.#clock.monotonicMs() - startedAtMs) / 1000);
    if (this.#again.delete(item) && !this.#closed) this.#push(item);
  }

  /** Takes no more items; delayed ones are dropped, waiting ones are still given out. */
  shutDown(): void {
    this.#closed = true;
    for (const { timer } of this.#delayed.values()) timer.cancel();
    this.#delayed.clear();
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  #push(item: T): void {
    const taker = this.#takers.shift();
    if (taker) {
      this.#take(item);
      taker(item);
      return;
    }
    this.#waiting.add(item);
    this.#metrics?.depth.set({ name: this.name }, this.#waiting.size);
  }

  #take(item: T): void {
    const now = this.#clock.monotonicMs();
    this.#processing.set(item, now);
    this.#metrics?.depth.set({ name: this.name }, this.#waiting.size);
    this.#metrics?.queueSeconds.observe(
      { name: this.name },
      (now - (this.#addedAtMs.get(item) ?? now)) / 1000,
    );
    this.#addedAtMs.delete(item);
  }

  #runningSeconds(): number[] {
    const now = this.#clock.monotonicMs();
    return [...this.#processing.values()].map((startedAtMs) => (now - startedAtMs) / 1000);
  }
}

export interface WorkerOptions {
  signal?: AbortSignal | undefined;
  log?: Pick<Logger, 'warn' | 'debug'> | undefined;
  /** Called with each failure, after it was logged. */
  onError?: ((item: unknown, error: unknown) => void) | undefined;
}

/**
 * Works on a queue with `count` workers until the signal aborts. A handler that throws has its item tried again
 * with back-off; one that answers `{ requeueAfterMs }` has it tried again then. Stopping waits for what is being
 * worked on.
 */
export function runWorkers<T>(
  queue: WorkQueue<T>,
  count: number,
  handler: (item: T, signal: AbortSignal) => Promise<void | { requeueAfterMs: number }>,
  options: WorkerOptions = {},
): Running {
  const stopping = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, stopping.signal]) : stopping.signal;
  const work = async (): Promise<void> => {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- a worker does one item after another
      const item = await queue.get();
      if (item === undefined || signal.aborted) return;
      try {
        // oxlint-disable-next-line no-await-in-loop
        const result = await handler(item, signal);
        queue.forget(item);
        if (result) queue.addAfter(item, result.requeueAfterMs);
      } catch (error) {
        if (signal.aborted) return;
        // A conflict only says that the cache was behind: the next try has the newer object.
        const level = isConflict(error) ? 'debug' : 'warn';
        options.log?.[level]({ queue: queue.name, item, err: error }, 'work failed; will be tried again');
        options.onError?.(item, error);
        queue.addRateLimited(item);
      } finally {
        queue.done(item);
      }
    }
  };
  const shutDown = (): void => queue.shutDown();
  if (signal.aborted) shutDown();
  else signal.addEventListener('abort', shutDown, { once: true });
  const workers = Array.from({ length: count }, work);
  return running(async () => {
    stopping.abort();
    await Promise.all(workers);
  });
}
