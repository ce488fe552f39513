import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { goQuote } from '@cloudless/kube/field';
import { errors } from '@cloudless/kube/status';
import { parseDuration } from '../cel/lib/time-text.ts';

/** Upstream's `--request-timeout`: the longest that a request which is not long-running may take. */
export const defaultRequestTimeoutMs = 60_000;

/** Why Go's time.ParseDuration refuses a text. */
function durationFault(text: string): string {
  const found = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))*(?:\d+\.?\d*|\.\d+)([^\d.]*)/.exec(
    text,
  );
  const unit = found?.[1];
  if (unit === undefined || parseDuration(text) !== undefined) return `invalid duration ${goQuote(text)}`;
  if (unit === '') return `missing unit in duration ${goQuote(text)}`;
  if (/^(?:ns|us|µs|μs|ms|s|m|h)$/.test(unit)) return `invalid duration ${goQuote(text)}`;
  return `unknown unit ${goQuote(unit)} in duration ${goQuote(text)}`;
}

/**
 * Milliseconds that a request may take by its `timeout` parameter: what is longer than `maxMs`, or not above zero, is
 * `maxMs`. Throws 400 for what is no duration (upstream: endpoints/filters/request_deadline.go).
 */
export function requestTimeoutMs(query: URLSearchParams, maxMs: number): number {
  const text = query.get('timeout');
  if (text === null || text === '') return maxMs;
  const nanoseconds = parseDuration(text);
  if (nanoseconds === undefined)
    throw errors.badRequest(`invalid timeout specified in the request URL - time: ${durationFault(text)}`);
  const ms = Number(nanoseconds) / 1e6;
  return ms > 0 && ms < maxMs ? ms : maxMs;
}

/** The end of one request's time. */
export interface Deadline {
  cancel(): void;
}

interface Pending {
  readonly atMs: number;
  readonly expired: () => void;
}

/** Deadlines of requests. The usual ones share one timer, since they come in the order in which they were set. */
export class Deadlines {
  readonly #usualMs: number;
  readonly #clock: Clock;
  readonly #pending = new Set<Pending>();
  #timer: ClockTimer | undefined;

  constructor(usualMs: number, clock: Clock) {
    this.#usualMs = usualMs;
    this.#clock = clock;
  }

  /** Calls `expired` after `timeoutMs`, unless it is cancelled before. */
  set(timeoutMs: number, expired: () => void): Deadline {
    if (timeoutMs !== this.#usualMs) return this.#clock.setTimeout(expired, timeoutMs);
    const pending = { atMs: this.#clock.monotonicMs() + timeoutMs, expired };
    this.#pending.add(pending);
    if (!this.#timer) this.#arm(timeoutMs);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  /** Lets go of the timer; nothing expires any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#pending.clear();
  }

  #arm(delayMs: number): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      const nowMs = this.#clock.monotonicMs();
      for (const pending of this.#pending) {
        if (pending.atMs > nowMs) return this.#arm(pending.atMs - nowMs);
        this.#pending.delete(pending);
        pending.expired();
      }
    }, delayMs);
  }
}
