import type { Clock } from '../clock.ts';

/** Says how long an item that failed waits before it is tried again. */
export interface RateLimiter<T> {
  /** Milliseconds until the item may be tried; counts a failure. */
  whenMs(item: T): number;
  /** The item succeeded, or is given up. */
  forget(item: T): void;
  /** Failures so far. */
  retries(item: T): number;
}

/** `baseMs * 2^failures`, at most `maxMs` (upstream: ItemExponentialFailureRateLimiter). */
export class ExponentialBackoff<T> implements RateLimiter<T> {
  readonly #baseMs: number;
  readonly #maxMs: number;
  readonly #failures = new Map<T, number>();

  constructor(baseMs: number, maxMs: number) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
  }

  whenMs(item: T): number {
    const failures = this.#failures.get(item) ?? 0;
    this.#failures.set(item, failures + 1);
    return Math.min(this.#baseMs * 2 ** failures, this.#maxMs);
  }

  forget(item: T): void {
    this.#failures.delete(item);
  }

  retries(item: T): number {
    return this.#failures.get(item) ?? 0;
  }
}

/** A token bucket over all items together (upstream: BucketRateLimiter over x/time/rate). */
export class TokenBucket<T> implements RateLimiter<T> {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #tokens: number;
  #atMs: number;

  constructor(perSecond: number, burst: number, clock: Clock) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#clock = clock;
    this.#tokens = burst;
    this.#atMs = clock.monotonicMs();
  }

  /** Takes a token now, or a future one: the count may go below zero, and the wait tells how long. */
  whenMs(): number {
    this.#refill();
    this.#tokens -= 1;
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perMs;
  }

  /** Takes a token if there is one now. */
  tryTake(): boolean {
    this.#refill();
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #refill(): void {
    const now = this.#clock.monotonicMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#atMs) * this.#perMs);
    this.#atMs = now;
  }

  forget(): void {
    // Shared by all items: nothing to forget.
  }

  retries(): number {
    return 0;
  }
}

/** The longest wait that any of several asks for. */
export class LongestOf<T> implements RateLimiter<T> {
  readonly #limiters: ReadonlyArray<RateLimiter<T>>;

  constructor(...limiters: ReadonlyArray<RateLimiter<T>>) {
    this.#limiters = limiters;
  }

  whenMs(item: T): number {
    return Math.max(...this.#limiters.map((limiter) => limiter.whenMs(item)));
  }

  forget(item: T): void {
    for (const limiter of this.#limiters) limiter.forget(item);
  }

  retries(item: T): number {
    return Math.max(...this.#limiters.map((limiter) => limiter.retries(item)));
  }
}

/** Upstream's default for controllers: 5 ms doubling to 1,000 s for each item, 10 a second (burst 100) in all. */
export function defaultRateLimiter<T>(clock: Clock): RateLimiter<T> {
  return new LongestOf<T>(new ExponentialBackoff<T>(5, 1_000_000), new TokenBucket<T>(10, 100, clock));
}
