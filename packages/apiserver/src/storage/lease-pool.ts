import type { Clock } from '@cloudless/kube/clock';
import type { EtcdStore } from '@cloudless/kube/etcd/store';

/** Upstream's defaults (apiserver/pkg/storage/etcd3/lease_manager.go). */
const reuseSeconds = 60;
const maxObjectsPerLease = 1_000;

/**
 * Leases for keys that expire, shared by writes that come close together: a lease a key would cost a timer and a
 * row each. A key may so live up to a minute, or 5 % of the TTL, longer than asked.
 */
export class LeasePool {
  readonly #store: EtcdStore;
  readonly #clock: Clock;
  readonly #ttlSeconds: number;
  #current: { id: Promise<bigint>; reuseUntilMs: number; objects: number } | undefined;

  constructor(store: EtcdStore, clock: Clock, ttlSeconds: number) {
    this.#store = store;
    this.#clock = clock;
    this.#ttlSeconds = ttlSeconds;
  }

  /** A lease with at least the TTL left. */
  async next(): Promise<bigint> {
    const now = this.#clock.monotonicMs();
    const current = this.#current;
    if (current && now < current.reuseUntilMs && current.objects < maxObjectsPerLease) {
      current.objects++;
      return await current.id;
    }
    const slackSeconds = Math.min(reuseSeconds, Math.ceil(this.#ttlSeconds * 0.05));
    const id = this.#store.leaseGrant(this.#ttlSeconds + slackSeconds).then((lease) => lease.id);
    const fresh = { id, reuseUntilMs: now + slackSeconds * 1_000, objects: 1 };
    this.#current = fresh;
    try {
      return await id;
    } catch (error) {
      if (this.#current === fresh) this.#current = undefined;
      throw error;
    }
  }
}
