import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { LeaseChange } from '../log/log.ts';

/** Node's timers hold at most 2^31-1 ms. */
const maxDelayMs = 2 ** 31 - 1;
/** After a refused revocation (disk full), the next attempt. */
const retryMs = 1000;

interface Expiry {
  readonly ttlMs: number;
  /** On the monotonic clock. */
  atMs: number;
}

/**
 * Watches over the leases' time. Renewals are in memory only, as in etcd: after a restart every lease has its
 * full time again, and so it has when another server's lessor takes over (`authority.ts`).
 */
export class Lessor {
  readonly #clock: Clock;
  readonly #expire: (id: bigint) => Promise<void>;
  readonly #expiries = new Map<bigint, Expiry>();
  #timer: ClockTimer | undefined;
  #wakeMs = Infinity;
  #stopped = false;
  #owns: boolean;

  /**
   * @param expire revokes the lease through the log
   * @param owns whether time runs here; false: somewhere else until {@link own}
   */
  constructor(clock: Clock, expire: (id: bigint) => Promise<void>, owns: boolean) {
    this.#clock = clock;
    this.#expire = expire;
    this.#owns = owns;
  }

  /** Whether this lessor is the one that revokes. */
  get owns(): boolean {
    return this.#owns;
  }

  /** Takes over, every lease with its full time, or leaves the leases to another. */
  own(isOwner: boolean): void {
    this.#owns = isOwner;
    this.#timer?.cancel();
    this.#wakeMs = Infinity;
    if (!isOwner) return;
    const now = this.#clock.monotonicMs();
    for (const expiry of this.#expiries.values()) {
      expiry.atMs = now + expiry.ttlMs;
      this.#wakeAt(expiry.atMs);
    }
  }

  /** Forgets every lease. */
  clear(): void {
    this.#expiries.clear();
  }

  /** Takes over durable changes. */
  changed(changes: readonly LeaseChange[]): void {
    const now = this.#clock.monotonicMs();
    for (const change of changes) {
      if (change.type === 'revoke') {
        this.#expiries.delete(change.id);
      } else {
        const ttlMs = change.ttlSeconds * 1000;
        this.#expiries.set(change.id, { ttlMs, atMs: now + ttlMs });
        this.#wakeAt(now + ttlMs);
      }
    }
  }

  /** Gives the lease its full time again; false when there is none. */
  renew(id: bigint): boolean {
    const expiry = this.#expiries.get(id);
    if (expiry === undefined) return false;
    expiry.atMs = this.#clock.monotonicMs() + expiry.ttlMs;
    return true;
  }

  /** Milliseconds left; undefined when there is no such lease. */
  remainingMs(id: bigint): number | undefined {
    const expiry = this.#expiries.get(id);
    return expiry === undefined ? undefined : Math.max(0, expiry.atMs - this.#clock.monotonicMs());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #wakeAt(atMs: number): void {
    if (this.#stopped || !this.#owns || atMs >= this.#wakeMs) return;
    this.#timer?.cancel();
    this.#wakeMs = atMs;
    const delayMs = Math.min(maxDelayMs, Math.max(0, Math.ceil(atMs - this.#clock.monotonicMs())));
    this.#timer = this.#clock.setTimeout(() => this.#wake(), delayMs);
  }

  #wake(): void {
    this.#wakeMs = Infinity;
    if (!this.#owns) return;
    const now = this.#clock.monotonicMs();
    let next = Infinity;
    for (const [id, expiry] of this.#expiries) {
      if (expiry.atMs <= now) {
        void this.#expire(id).catch(() => this.#wakeAt(this.#clock.monotonicMs() + retryMs));
      } else {
        next = Math.min(next, expiry.atMs);
      }
    }
    if (next < Infinity) this.#wakeAt(next);
  }
}
