import { randomBytes } from 'node:crypto';
import type { Clock } from '@cloudless/kube/clock';
import { EtcdError, etcdErrors, grpcCode, type LeaseStatus } from '@cloudless/kube/etcd/store';
import type { Logger } from '@cloudless/kube/logger';
import { type Committer, unavailable } from '../committer.ts';
import { LogUnavailableError } from '../errors.ts';
import type { LeaseChange } from '../log/log.ts';
import { leaseCostBytes } from '../maintenance/quota.ts';
import type { StoreMaintenance } from '../maintenance/store-maintenance.ts';
import { bytesOf } from '../mvcc/key.ts';
import type { MvccState } from '../mvcc/state.ts';
import type { LeaseAuthority } from './authority.ts';
import { Lessor } from './lessor.ts';

/** etcd: lease.MaxLeaseTTL, and the minimum that its default election timeout gives. */
const maxLeaseTtlSeconds = 9_000_000_000;
const minLeaseTtlSeconds = 2;

export interface LeasesOptions {
  state: MvccState;
  committer: Committer;
  maintenance: StoreMaintenance;
  clock: Clock;
  logger: Logger;
  /** Present when several servers share the log: one of them watches over the leases' time. */
  authority: LeaseAuthority | undefined;
  /** Resolves when what other writers of the log wrote is visible. */
  current: () => Promise<void> | undefined;
  /** Whether the store is closing or has failed. */
  isEnding: () => boolean;
}

/** The engine's part of etcd's Lease service. Grants and revocations go through the log like any write; time does not. */
export class Leases {
  readonly #options: LeasesOptions;
  readonly #lessor: Lessor;

  constructor(options: LeasesOptions) {
    this.#options = options;
    const isAlone = options.authority === undefined;
    this.#lessor = new Lessor(options.clock, (id) => this.#revokeExpired(id), isAlone);
  }

  /** Answers other servers, and takes the leases' time over when this one is chosen. */
  serve(): void {
    const { authority, state, current } = this.#options;
    authority?.serve({
      renew: (id) => this.#renewForOther(id),
      remainingMs: async (id) => {
        if (this.#lessor.remainingMs(id) === undefined) await current();
        return this.#lessor.remainingMs(id);
      },
      own: async (isOwner) => {
        if (isOwner) await current();
        this.#lessor.own(isOwner);
      },
      leaseCount: () => state.leases.size,
    });
  }

  /** Takes over durable changes. */
  changed(changes: readonly LeaseChange[]): void {
    this.#lessor.changed(changes);
  }

  /** Forgets every lease's time, before all are taken over anew. */
  clear(): void {
    this.#lessor.clear();
  }

  stop(): void {
    this.#lessor.stop();
  }

  async grant(ttlSeconds: number, id: bigint): Promise<{ id: bigint; ttlSeconds: number }> {
    const { committer, maintenance, state } = this.#options;
    if (ttlSeconds > maxLeaseTtlSeconds) throw etcdErrors.leaseTtlTooLarge();
    const ttl = Math.max(minLeaseTtlSeconds, ttlSeconds);
    await maintenance.admit(leaseCostBytes);
    return committer.propose({
      bytes: 16,
      evaluate: () => {
        maintenance.check(true);
        if (id !== 0n && state.leases.has(id)) throw etcdErrors.leaseExists();
        const granted = id === 0n ? this.#unusedId() : id;
        state.grant(granted, ttl);
        return { id: granted, ttlSeconds: ttl };
      },
    });
  }

  #unusedId(): bigint {
    for (;;) {
      const id = randomBytes(8).readBigUInt64BE() >> 1n;
      if (id !== 0n && !this.#options.state.leases.has(id)) return id;
    }
  }

  revoke(id: bigint): Promise<void> {
    return this.#revoke(id, () => true);
  }

  #revoke(id: bigint, isDue: () => boolean): Promise<void> {
    const { committer, maintenance, state } = this.#options;
    return committer.propose({
      bytes: 1024,
      evaluate: () => {
        if (!isDue()) return;
        maintenance.check(false);
        const lease = state.leases.get(id);
        if (lease === undefined) throw etcdErrors.leaseNotFound();
        state.revoke(lease);
        state.endTransaction();
      },
    });
  }

  async #revokeExpired(id: bigint): Promise<void> {
    const { logger, isEnding } = this.#options;
    try {
      // A renewal may have come between the timer and this evaluation.
      await this.#revoke(id, () => this.#lessor.owns && this.#lessor.remainingMs(id) === 0);
    } catch (error) {
      if (error instanceof EtcdError && error.code === grpcCode.notFound) return;
      if (isEnding()) return;
      logger.warn({ err: error, lease: id.toString(16) }, 'an expired lease could not be revoked yet');
      throw error;
    }
  }

  /** Renews once; the TTL in seconds, 0 when there is no such lease. */
  keepAlive(id: bigint): number | Promise<number> {
    const { authority } = this.#options;
    return authority === undefined ? this.#renew(id) : asked(authority.renew(id));
  }

  #renew(id: bigint): number {
    const lease = this.#options.state.leases.get(id);
    return lease !== undefined && this.#lessor.renew(id) ? lease.ttlSeconds : 0;
  }

  /** For another server, which may know of a grant before this one does. */
  async #renewForOther(id: bigint): Promise<number> {
    const ttlSeconds = this.#renew(id);
    if (ttlSeconds > 0) return ttlSeconds;
    await this.#options.current();
    return this.#renew(id);
  }

  async timeToLive(id: bigint, withKeys: boolean): Promise<LeaseStatus> {
    const { authority, committer, state } = this.#options;
    // A proposal that writes nothing: answered from durable state, in order with the writes before it.
    const found = await committer.propose({
      bytes: 0,
      evaluate: () => {
        const lease = state.leases.get(id);
        return lease && { ttlSeconds: lease.ttlSeconds, keys: withKeys ? [...lease.keys].sort() : [] };
      },
    });
    if (found === undefined) return { id, ttlSeconds: -1, grantedTtlSeconds: 0, keys: [] };
    const remainingMs =
      authority === undefined ? this.#lessor.remainingMs(id) : await asked(authority.remainingMs(id));
    return {
      id,
      ttlSeconds: remainingMs === undefined ? -1 : Math.floor(remainingMs / 1000),
      grantedTtlSeconds: found.ttlSeconds,
      keys: found.keys.map(bytesOf),
    };
  }

  list(): Promise<bigint[]> {
    const { committer, state } = this.#options;
    return committer.propose({ bytes: 0, evaluate: () => [...state.leases.keys()] });
  }
}

/** What the lessor answers, or etcd's error while it cannot be asked. */
async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw error instanceof LogUnavailableError ? unavailable(error) : error;
  }
}
