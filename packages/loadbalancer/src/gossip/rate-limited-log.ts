import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';

const quietMs = 60_000;
const maxKeys = 1_024;

/**
 * Warnings that a peer can cause: each kind and peer once a minute, with how many were held back meanwhile. The memory
 * for it is bounded, so that made-up peers cannot fill it.
 */
export class RateLimitedLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #seen = new Map<string, { sinceMs: number; heldBack: number }>();

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** `key` says which warnings are repetitions of one another; `fields` are asked for only when it is told. */
  warn(key: string, fields: () => Record<string, unknown>, text: string): void {
    const nowMs = this.#clock.monotonicMs();
    const seen = this.#seen.get(key);
    if (seen && nowMs - seen.sinceMs < quietMs) {
      seen.heldBack++;
      return;
    }
    if (!seen && this.#seen.size >= maxKeys) this.#forget(nowMs);
    if (!seen && this.#seen.size >= maxKeys) return;
    this.#seen.set(key, { sinceMs: nowMs, heldBack: 0 });
    this.#log.warn({ ...fields(), ...(seen && seen.heldBack > 0 ? { heldBack: seen.heldBack } : {}) }, text);
  }

  #forget(nowMs: number): void {
    for (const [key, { sinceMs }] of this.#seen) if (nowMs - sinceMs >= quietMs) this.#seen.delete(key);
  }
}
