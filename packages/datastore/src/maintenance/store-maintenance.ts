import type { Alarm, AlarmType, EtcdMaintenance, HashKvResponse } from '@cloudless/kube/etcd/maintenance';
import { type CallOptions, EtcdError, etcdErrors, grpcCode } from '@cloudless/kube/etcd/store';
import type { Logger } from '@cloudless/kube/logger';
import { abortable } from '../abortable.ts';
import { type Committer, unavailable } from '../committer.ts';
import type { Compactor } from '../compactor.ts';
import { LogUnavailableError, NoSpaceError } from '../errors.ts';
import type { History } from '../history/history.ts';
import { checkRevision } from '../mvcc/check.ts';
import type { MvccState } from '../mvcc/state.ts';
import { alarmsOf, checkAlarms, withAlarm } from './alarms.ts';
import { drawClusterId, type Identity, identityOf } from './identity.ts';
import { Quota } from './quota.ts';

export interface StoreMaintenanceOptions {
  state: MvccState;
  committer: Committer;
  compactor: Compactor;
  logger: Logger;
  /** Size of the database at which writes are refused; `Infinity`: none. */
  quotaBytes: number;
  /** Bytes in use now. */
  sizeBytes: () => number;
  /** Resolves when what other writers of the log wrote is visible. */
  current: () => Promise<void> | undefined;
  history: (options: CallOptions | undefined) => Promise<History>;
}

/** The engine's part of etcd's Maintenance service: quota and alarms, hashes, defragmentation, and who the store is. */
export class StoreMaintenance implements Omit<EtcdMaintenance, 'snapshot'> {
  readonly #options: StoreMaintenanceOptions;
  readonly #quota: Quota;

  constructor(options: StoreMaintenanceOptions) {
    this.#options = options;
    this.#quota = new Quota(options.quotaBytes, options.sizeBytes);
  }

  get raisedAlarms(): ReadonlySet<AlarmType> {
    return alarmsOf(this.#options.state.facts.get('alarms') ?? 0n);
  }

  get quotaBytes(): number {
    return this.#quota.bytes;
  }

  /**
   * Asks for room before something is proposed that may write so many bytes: undefined when there is, otherwise a
   * rejection, and the alarm is raised for good, until somebody takes it back.
   */
  admit(costBytes: number): Promise<never> | undefined {
    return costBytes === 0 || this.#quota.admits(costBytes) ? undefined : this.#refuseForSpace();
  }

  async #refuseForSpace(): Promise<never> {
    if (!this.raisedAlarms.has('nospace')) {
      const { logger, quotaBytes } = this.#options;
      logger.warn({ quotaBytes }, 'the quota is reached: alarm NOSPACE is raised');
      await this.activateAlarm('nospace');
    }
    throw etcdErrors.noSpace();
  }

  /** Refuses, while something is evaluated, what raised alarms forbid. @throws EtcdError */
  check(grows: boolean): void {
    checkAlarms(this.#options.state.facts.get('alarms'), grows);
  }

  /** Drawn once, and the same for every server of the store, for ever. */
  async identity(): Promise<Identity> {
    const { committer, state } = this.#options;
    const clusterId = await committer.propose({
      bytes: 0,
      evaluate: () => {
        const known = state.facts.get('cluster_id');
        if (known !== undefined) return known;
        const drawn = drawClusterId();
        state.setFact('cluster_id', drawn);
        return drawn;
      },
    });
    return identityOf(clusterId);
  }

  async alarms(): Promise<Alarm[]> {
    await this.#options.current();
    const { memberId } = await this.identity();
    return [...this.raisedAlarms].map((alarm) => ({ memberId, alarm }));
  }

  activateAlarm(alarm: AlarmType, options?: CallOptions): Promise<Alarm[]> {
    return this.#setAlarm(alarm, true, options);
  }

  deactivateAlarm(alarm: AlarmType, options?: CallOptions): Promise<Alarm[]> {
    return this.#setAlarm(alarm, false, options);
  }

  async #setAlarm(alarm: AlarmType, isRaised: boolean, options: CallOptions | undefined): Promise<Alarm[]> {
    const { committer, state } = this.#options;
    const proposal = committer.propose({
      bytes: 16,
      evaluate: () => {
        const before = state.facts.get('alarms') ?? 0n;
        const after = withAlarm(before, alarm, isRaised);
        if (after !== before) state.setFact('alarms', after);
      },
    });
    await abortable(proposal, options);
    return this.alarms();
  }

  /** Removes what compactions left, and gives all free space back to the file system. */
  async defragment(options?: CallOptions): Promise<void> {
    const done = this.#options.compactor.defragment().catch((error: unknown) => {
      if (error instanceof LogUnavailableError) throw unavailable(error);
      if (!(error instanceof NoSpaceError)) throw error;
      throw new EtcdError(grpcCode.resourceExhausted, error.message, error);
    });
    await abortable(done, options);
  }

  async hashKv(revision: number, options?: CallOptions): Promise<HashKvResponse> {
    checkRevision('hash revision', revision);
    const { hashKv } = await import('./hash.ts');
    return this.#withHistory((history) => hashKv(history, revision), options);
  }

  async hash(options?: CallOptions): Promise<{ hash: number; revision: number }> {
    const { hashAll } = await import('./hash.ts');
    return this.#withHistory(hashAll, options);
  }

  async #withHistory<T>(
    read: (history: History) => Promise<T>,
    options: CallOptions | undefined,
  ): Promise<T> {
    const history = await this.#options.history(options);
    try {
      return await read(history);
    } finally {
      await history.close();
    }
  }
}
