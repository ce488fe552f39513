import { type Clock, type ClockTimer, systemClock } from '../clock.ts';
import type { KubeClient } from '../client/client.ts';
import { coordination } from '../generated/resources.ts';
import type { Lease, LeaseSpec } from '../generated/types/coordination-v1.ts';
import { type Running, running } from '../lifecycle.ts';
import type { Logger } from '../logger.ts';
import { isConflict, isNotFound } from '../status.ts';
import { formatMicroTime } from '../time.ts';

export interface LeaderElectionOptions {
  client: KubeClient;
  /** Of the Lease: upstream's are `kube-system/kube-controller-manager`, `kube-system/kube-scheduler`. */
  namespace: string;
  name: string;
  /** Unique for each candidate, such as `host_uuid`. */
  identity: string;
  /** Runs while this candidate leads; `signal` aborts when it leads no more, and then it must end at once. */
  lead: (signal: AbortSignal) => Promise<void> | void;
  /** Told when somebody else is seen to lead. */
  onNewLeader?: ((identity: string) => void) | undefined;
  /** Others may take over after this time without renewal. Default 15 s. */
  leaseDurationMs?: number | undefined;
  /** The leader gives up after this time of failing to renew. Default 10 s. */
  renewDeadlineMs?: number | undefined;
  /** Between tries. Default 2 s. */
  retryPeriodMs?: number | undefined;
  /** Give the Lease up when stopped, so that another takes over at once. Default true. */
  releaseOnStop?: boolean | undefined;
  signal?: AbortSignal | undefined;
  clock?: Clock | undefined;
  log?: Pick<Logger, 'info' | 'warn' | 'debug'> | undefined;
  /** 0 ≤ x < 1, for jitter. */
  random?: (() => number) | undefined;
}

export interface LeaderElection extends Running {
  readonly isLeader: boolean;
  /** Holder that was last seen; empty before any. */
  readonly leader: string;
}

/** Share of the retry period by which candidates spread (client-go: leaderelection.JitterFactor). */
const jitter = 1.2;

/**
 * Stands for election over a Lease (upstream: client-go/tools/leaderelection). Clocks of candidates may differ:
 * each only measures how long the Lease has not changed. A leader that loses the Lease stands again.
 */
export function startLeaderElection(options: LeaderElectionOptions): LeaderElection {
  return new Elector(options);
}

class Elector implements LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #clock: Clock;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  readonly #stopping = new AbortController();
  readonly #signal: AbortSignal;
  readonly #running: Running;
  /** The Lease as last seen or written, and when that was, on the monotonic clock. */
  #lease: Lease | undefined;
  #observedAtMs = 0;
  #leader = '';
  #leading: { ending: AbortController; ended: Promise<void> } | undefined;

  constructor(options: LeaderElectionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    if (this.#leaseDurationMs <= this.#renewDeadlineMs) {
      throw new Error('leaseDuration must be greater than renewDeadline');
    }
    if (this.#renewDeadlineMs <= jitter * this.#retryPeriodMs) {
      throw new Error('renewDeadline must be greater than retryPeriod*JitterFactor');
    }
    this.#signal = options.signal
      ? AbortSignal.any([options.signal, this.#stopping.signal])
      : this.#stopping.signal;
    const ended = this.#run();
    this.#running = running(async () => {
      this.#stopping.abort(new Error('leader election is stopped'));
      await ended;
    });
  }

  get isLeader(): boolean {
    return this.#leading !== undefined;
  }

  get leader(): string {
    return this.#leader;
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#running.stop();
  }

  async #run(): Promise<void> {
    while (!this.#signal.aborted) {
      // oxlint-disable-next-line no-await-in-loop -- candidate, leader, candidate again
      if (!(await this.#acquire())) return;
      this.#options.log?.info({ lease: this.#options.name }, 'leading');
      this.#begin();
      // oxlint-disable-next-line no-await-in-loop
      await this.#renew();
      // oxlint-disable-next-line no-await-in-loop
      await this.#end();
    }
  }

  /** Tries until this candidate holds the Lease; false when stopped. */
  async #acquire(): Promise<boolean> {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop
      if (await this.#tryAcquireOrRenew()) return true;
      const random = (this.#options.random ?? Math.random)();
      // oxlint-disable-next-line no-await-in-loop
      await this.#sleep(this.#retryPeriodMs * (1 + jitter * random));
      if (this.#signal.aborted) return false;
    }
  }

  /** Renews until that has failed for the deadline, or the election is stopped. */
  async #renew(): Promise<void> {
    let renewedAtMs = this.#clock.monotonicMs();
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop
      await this.#sleep(this.#retryPeriodMs);
      if (this.#signal.aborted) return;
      const leftMs = renewedAtMs + this.#renewDeadlineMs - this.#clock.monotonicMs();
      // oxlint-disable-next-line no-await-in-loop
      if (await this.#within(leftMs, (signal) => this.#tryAcquireOrRenew(signal))) {
        renewedAtMs = this.#clock.monotonicMs();
      } else if (this.#clock.monotonicMs() - renewedAtMs >= this.#renewDeadlineMs || !this.#holds()) {
        this.#options.log?.warn({ lease: this.#options.name }, 'lost the lease');
        return;
      }
    }
  }

  #holds(): boolean {
    return this.#lease?.spec?.holderIdentity === this.#options.identity;
  }

  /** The outcome, or false when it takes longer than there is: a leader must not wait on a dead connection. */
  async #within(leftMs: number, attempt: (signal: AbortSignal) => Promise<boolean>): Promise<boolean> {
    const deadline = new AbortController();
    const timer = this.#clock.setTimeout(
      () => deadline.abort(new Error('renew deadline')),
      Math.max(0, leftMs),
    );
    const late = new Promise<boolean>((resolve) => {
      deadline.signal.addEventListener('abort', () => resolve(false), { once: true });
    });
    try {
      return await Promise.race([attempt(deadline.signal), late]);
    } finally {
      timer.cancel();
    }
  }

  #begin(): void {
    const ending = new AbortController();
    const ended = (async () => this.#options.lead(ending.signal))().catch((error: unknown) => {
      if (!ending.signal.aborted) this.#options.log?.warn({ err: error }, 'the leader failed');
    });
    this.#leading = { ending, ended };
  }

  async #end(): Promise<void> {
    const leading = this.#leading;
    this.#leading = undefined;
    leading?.ending.abort(new Error('no longer the leader'));
    await leading?.ended;
    if (this.#options.releaseOnStop ?? true) await this.#release();
  }

  async #release(): Promise<void> {
    const { client, namespace, name } = this.#options;
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- again only after a conflict
        const lease = await client.get(coordination.leases, name, { namespace });
        if (lease.spec?.holderIdentity !== this.#options.identity) return;
        const now = formatMicroTime(this.#clock.nowMs());
        const spec: LeaseSpec = {
          holderIdentity: '',
          leaseDurationSeconds: 1,
          leaseTransitions: lease.spec.leaseTransitions ?? 0,
          acquireTime: now,
          renewTime: now,
        };
        // oxlint-disable-next-line no-await-in-loop
        await client.update(coordination.leases, { ...lease, spec });
        return;
      } catch (error) {
        if (isConflict(error)) continue;
        this.#options.log?.debug({ err: error }, 'could not release the lease; it will expire');
        return;
      }
    }
  }

  async #tryAcquireOrRenew(signal: AbortSignal = this.#signal): Promise<boolean> {
    try {
      return await this.#attempt(signal);
    } catch (error) {
      if (!this.#signal.aborted) this.#options.log?.debug({ err: error }, 'lease not acquired or renewed');
      return false;
    }
  }

  async #attempt(signal: AbortSignal): Promise<boolean> {
    const { client, namespace, name, identity } = this.#options;
    const held = this.#lease;
    if (held && this.#holds() && this.#isValid()) {
      try {
        this.#observe(await client.update(coordination.leases, this.#renewed(held), { signal }));
        return true;
      } catch (error) {
        if (!isConflict(error)) throw error;
        // Somebody wrote it: look again.
      }
    }
    let lease: Lease;
    try {
      lease = await client.get(coordination.leases, name, { namespace, signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const fresh = this.#renewed({ metadata: { name, namespace } });
      this.#observe(await client.create(coordination.leases, fresh, { signal }));
      return true;
    }
    if (lease.metadata.resourceVersion !== held?.metadata.resourceVersion) this.#observe(lease);
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder !== '' && holder !== identity && this.#isValid()) return false;
    this.#observe(await client.update(coordination.leases, this.#renewed(lease), { signal }));
    return true;
  }

  #isValid(): boolean {
    const durationMs = (this.#lease?.spec?.leaseDurationSeconds ?? 0) * 1000;
    return this.#observedAtMs + durationMs > this.#clock.monotonicMs();
  }

  #observe(lease: Lease): void {
    this.#lease = lease;
    this.#observedAtMs = this.#clock.monotonicMs();
    const holder = lease.spec?.holderIdentity ?? '';
    if (holder === this.#leader) return;
    this.#leader = holder;
    this.#options.onNewLeader?.(holder);
  }

  /** The Lease as this candidate writes it. */
  #renewed(lease: Lease): Lease {
    const now = formatMicroTime(this.#clock.nowMs());
    const old = lease.spec;
    const mine = old?.holderIdentity === this.#options.identity;
    const transitions = old?.leaseTransitions ?? 0;
    return {
      ...lease,
      spec: {
        holderIdentity: this.#options.identity,
        leaseDurationSeconds: Math.floor(this.#leaseDurationMs / 1000),
        acquireTime: mine ? (old.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: mine || !old ? transitions : transitions + 1,
      },
    };
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#signal.removeEventListener('abort', end);
        resolve();
      };
      const timer: ClockTimer = this.#clock.setTimeout(end, delayMs);
      this.#signal.addEventListener('abort', end, { once: true });
      if (this.#signal.aborted) end();
    });
  }
}
