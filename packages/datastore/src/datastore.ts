import {
  type CallOptions,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  EtcdError,
  etcdErrors,
  type EtcdStore,
  grpcCode,
  type KeyValue,
  type LeaseStatus,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RangeResponse,
  type ResponseOp,
  type StoreStatus,
  type TxnRequest,
  type TxnResponse,
  type WatchHandle,
  type WatchMessage,
  type WatchRequest,
} from '@cloudless/kube/etcd/store';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { type Logger, logger } from '@cloudless/kube/logger';
import type { Alarm, AlarmType, EtcdMaintenance, HashKvResponse } from '@cloudless/kube/etcd/maintenance';
import { abortable, canceled } from './abortable.ts';
import { Committer } from './committer.ts';
import { Compactor } from './compactor.ts';
import { DatastoreFailedError } from './errors.ts';
import { Follower } from './follower.ts';
import { Leases } from './lease/leases.ts';
import type { MeasuredHistory } from './history/history.ts';
import type { LoadedState, Log } from './log/log.ts';
import type { Identity } from './maintenance/identity.ts';
import { costOf } from './maintenance/quota.ts';
import { StoreMaintenance } from './maintenance/store-maintenance.ts';
import { adoptLog, adoptLogAgain } from './mvcc/adopt-log.ts';
import {
  checkDelete,
  checkPut,
  checkRange,
  checkRevision,
  checkTxn,
  defaultLimits,
  type Limits,
} from './mvcc/check.ts';
import { evaluateReadOnly, evaluateTxn, type HotValue, isReadOnly, ValueNeeded } from './mvcc/evaluate.ts';
import { respondRange, respondTxn } from './mvcc/respond.ts';
import { select } from './mvcc/select.ts';
import { type Committed, MvccState } from './mvcc/state.ts';
import { ValueCache } from './mvcc/value-cache.ts';
import { ValueReader } from './mvcc/value-reader.ts';
import type { Version } from './mvcc/version.ts';
import { type Counters, type DatastoreFigures, newCounters } from './metrics.ts';
import type { StoreOptions } from './options.ts';
import { WatchHub } from './watch/hub.ts';

/** The etcd version whose behaviour is implemented; API servers enable features by it. */
export const etcdVersion = '3.5.24';
/** etcd: --experimental-watch-progress-notify-interval. */
const progressIntervalMs = 10 * 60 * 1000;
/** Writes wait no longer for a slow shared log; etcd's own requests time out after 7 s (7 = 5 + 2 × election time-out). */
const maxCommitWaitMs = 7000;

export interface EngineOptions extends Omit<StoreOptions, 'log' | 'signal'> {
  /** Named in errors: the path of the file, the address of the database. */
  name: string;
  log: Log;
  logger?: Logger | undefined;
  limits?: Partial<Limits> | undefined;
}

/** The engine: etcd's store over any {@link Log}. Made by `openDatastore`, or by {@link startEngine}. */
export class Datastore implements EtcdStore, EtcdMaintenance {
  /** Resolves with the reason when storage failed and nothing can be acknowledged: end the process then. */
  readonly failed: Promise<Error>;
  readonly #name: string;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #limits: Limits;
  readonly #cache: ValueCache;
  readonly #state: MvccState;
  readonly #values: ValueReader;
  readonly #committer: Committer;
  readonly #hub: WatchHub;
  readonly #leases: Leases;
  readonly #follower: Follower;
  readonly #compactor: Compactor;
  readonly #maintenance: StoreMaintenance;
  readonly #counters: Counters = newCounters();
  #reportFailure: (error: Error) => void = () => undefined;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;

  /** Use {@link startEngine}: a store answers only once its log is loaded. */
  constructor(options: EngineOptions) {
    this.#name = options.name;
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
    this.#logger = options.logger ?? logger('datastore');
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#cache = new ValueCache(options.cacheBytes ?? 32 * 1024 * 1024);
    const state = new MvccState(this.#cache);
    this.#state = state;
    const log = this.#log;
    const values = new ValueReader(this.#cache, {
      readValue: (position) => {
        this.#counters.coldReads++;
        return log.readValue(position);
      },
      readValues:
        log.readValues &&
        ((positions) => {
          this.#counters.coldReads += positions.length;
          return (log.readValues as NonNullable<Log['readValues']>)(positions);
        }),
    });
    this.#values = values;
    this.failed = new Promise((resolve) => {
      this.#reportFailure = resolve;
    });
    this.#follower = new Follower({
      log,
      state,
      clock: this.#clock,
      between: (work) => this.#committer.between(work),
      publish: (committed) => this.#publish(committed),
      reload: (loaded) => this.#reload(loaded),
      fail: (error) => this.#fail(error),
      isEnding: () => this.#isEnding,
    });
    this.#committer = new Committer({
      state,
      log: this.#log,
      values,
      publish: (committed) => this.#publish(committed),
      shared:
        this.#log.catchUp === undefined
          ? undefined
          : {
              catchUp: (hold) => this.#follower.catchUp(hold),
              release: async () => this.#log.release?.(),
              maxWaitMs: maxCommitWaitMs,
            },
      fail: (error) => this.#fail(error),
      windowMs: options.commitWindowMs ?? 0,
    });
    this.#hub = new WatchHub({
      state,
      values,
      clock: this.#clock,
      log: this.#logger,
      progressIntervalMs: options.progressIntervalMs ?? progressIntervalMs,
      mend: (error) => this.#follower.mend(error),
    });
    this.#compactor = new Compactor(state, values, this.#log, this.#logger);
    this.#maintenance = new StoreMaintenance({
      state,
      committer: this.#committer,
      compactor: this.#compactor,
      logger: this.#logger,
      quotaBytes: options.quotaBytes ?? Infinity,
      sizeBytes: () => this.#log.size().bytesInUse,
      current: () => this.#follower.current(),
      history: (callOptions) => this.history(callOptions),
    });
    this.#leases = new Leases({
      state,
      committer: this.#committer,
      maintenance: this.#maintenance,
      clock: this.#clock,
      logger: this.#logger,
      authority: log.leaseAuthority,
      current: () => this.#follower.current(),
      isEnding: () => this.#isEnding,
    });
  }

  /** Rebuilds the state from the log, and follows it from then on. */
  async load(): Promise<void> {
    const { grants, garbage } = await adoptLog(this.#state, await this.#log.load());
    this.#leases.changed(grants);
    if (garbage.length > 0) this.#compactor.start(garbage);
    this.#leases.serve();
    this.#follower.start();
  }

  /** Starts over from what the log holds: others compacted and removed what this engine had not seen yet. */
  async #reload(loaded: LoadedState): Promise<void> {
    this.#logger.warn('this server fell behind a compaction: it reads everything again');
    const pieces = await Array.fromAsync(loaded.records);
    const { revision } = this.#state.visible;
    const { grants, garbage } = adoptLogAgain(this.#state, loaded, pieces);
    this.#leases.clear();
    this.#leases.changed(grants);
    this.#hub.resume(revision + 1);
    this.#compactor.start(garbage);
  }

  #publish({ versions, leases, compactRevision }: Committed): void {
    const deletes = versions.filter((version) => version.isTombstone).length;
    this.#counters.deletes += deletes;
    this.#counters.puts += versions.length - deletes;
    this.#leases.changed(leases);
    this.#hub.publish(versions);
    if (compactRevision !== undefined) this.#compactor.start();
  }

  #fail(cause: unknown): Error {
    const error = new DatastoreFailedError(this.#name, cause);
    const rejection = new EtcdError(grpcCode.unavailable, error.message, error);
    if (this.#failure === undefined) {
      this.#failure = rejection;
      this.#logger.fatal({ err: error }, 'the datastore failed');
      this.#leases.stop();
      this.#hub.end(rejection);
      this.#reportFailure(error);
    }
    return rejection;
  }

  get #isEnding(): boolean {
    return this.#closing !== undefined || this.#failure !== undefined;
  }

  /** @throws when the store is closed, failed, or the caller gave up */
  #alive(options: CallOptions | undefined): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closing !== undefined) throw etcdErrors.stopped();
    if (options?.signal?.aborted) throw canceled(options.signal);
  }

  async range(request: RangeRequest, options?: CallOptions): Promise<RangeResponse> {
    this.#alive(options);
    checkRange(request);
    checkRevision('range revision', request.revision ?? 0);
    if (!request.serializable) await this.#follower.current();
    this.#counters.ranges++;
    const respond = (): RangeResponse | Promise<RangeResponse> =>
      respondRange(select(this.#state, request, this.#state.visible), this.#values);
    return abortable(this.#follower.read(respond), options);
  }

  async put(request: PutRequest, options?: CallOptions): Promise<PutResponse> {
    this.#alive(options);
    checkPut(request, this.#limits);
    const response = await this.#write({ put: request }, request.value.byteLength, options);
    return (response as { put: PutResponse }).put;
  }

  async deleteRange(request: DeleteRangeRequest, options?: CallOptions): Promise<DeleteRangeResponse> {
    this.#alive(options);
    checkDelete(request, this.#limits);
    const response = await this.#write({ deleteRange: request }, 0, options);
    return (response as { deleteRange: DeleteRangeResponse }).deleteRange;
  }

  async #write(
    op: { put: PutRequest } | { deleteRange: DeleteRangeRequest },
    bytes: number,
    options: CallOptions | undefined,
  ): Promise<ResponseOp> {
    const response = await this.#propose({ compare: [], success: [op], failure: [] }, bytes, options);
    return response.responses[0] as ResponseOp;
  }

  async txn(request: TxnRequest, options?: CallOptions): Promise<TxnResponse> {
    this.#alive(options);
    const bytes = checkTxn(request, this.#limits);
    this.#counters.txns++;
    if (isReadOnly(request)) return this.#readOnly(request, options);
    return this.#propose(request, bytes, options);
  }

  async #readOnly(request: TxnRequest, options: CallOptions | undefined): Promise<TxnResponse> {
    await this.#follower.current();
    // Kept beside the cache, which may be too small for them.
    const loaded = new Map<Version, KeyValue>();
    const hot: HotValue = (version) => this.#values.hot(version) ?? loaded.get(version);
    const evaluate = async (): Promise<TxnResponse> => {
      for (;;) {
        try {
          return await respondTxn(evaluateReadOnly(this.#state, request, hot), this.#values);
        } catch (error) {
          if (!(error instanceof ValueNeeded)) throw error;
          const [kv] = await this.#values.read([error.version]);
          loaded.set(error.version, kv as KeyValue);
        }
      }
    };
    return abortable(this.#follower.read(evaluate), options);
  }

  async #propose(request: TxnRequest, bytes: number, options: CallOptions | undefined): Promise<TxnResponse> {
    const cost = costOf(request);
    const refusal = this.#maintenance.admit(cost);
    if (refusal !== undefined) await refusal;
    const proposal = this.#committer.propose({
      bytes,
      evaluate: (hot) => {
        if (options?.signal?.aborted) throw canceled(options.signal);
        this.#maintenance.check(cost > 0);
        return evaluateTxn(this.#state, request, hot);
      },
    });
    const pending = await abortable(proposal, options);
    return respondTxn(pending, this.#values);
  }

  async compact(revision: number, options?: CallOptions): Promise<void> {
    this.#alive(options);
    checkRevision('compaction revision', revision);
    const proposal = this.#committer.propose({
      bytes: 0,
      evaluate: () => {
        const { pending } = this.#state;
        this.#maintenance.check(false);
        if (revision > pending.revision) throw etcdErrors.futureRevision();
        if (revision <= pending.compactRevision) throw etcdErrors.compacted();
        this.#state.compact(revision);
      },
    });
    await abortable(proposal, options);
  }

  watch(request: WatchRequest, receive: (message: WatchMessage) => void | Promise<void>): WatchHandle {
    return this.#hub.watch(request, receive);
  }

  async leaseGrant(
    ttlSeconds: number,
    id = 0n,
    options?: CallOptions,
  ): Promise<{ id: bigint; ttlSeconds: number }> {
    this.#alive(options);
    return abortable(this.#leases.grant(ttlSeconds, id), options);
  }

  async leaseRevoke(id: bigint, options?: CallOptions): Promise<void> {
    this.#alive(options);
    await abortable(this.#leases.revoke(id), options);
  }

  async leaseKeepAlive(id: bigint, options?: CallOptions): Promise<{ ttlSeconds: number }> {
    this.#alive(options);
    return { ttlSeconds: await abortable(this.#leases.keepAlive(id), options) };
  }

  async leaseTimeToLive(id: bigint, withKeys = false, options?: CallOptions): Promise<LeaseStatus> {
    this.#alive(options);
    return abortable(this.#leases.timeToLive(id, withKeys), options);
  }

  async leaseLeases(options?: CallOptions): Promise<bigint[]> {
    this.#alive(options);
    return abortable(this.#leases.list(), options);
  }

  async status(options?: CallOptions): Promise<StoreStatus> {
    this.#alive(options);
    // As etcd's: of this server. A database out of reach does not keep it from saying what it knows.
    await this.#follower.current()?.catch(() => undefined);
    const { revision, compactRevision } = this.#state.visible;
    const { bytes, bytesInUse } = this.#log.size();
    return {
      version: etcdVersion,
      revision,
      compactRevision,
      dbSizeBytes: bytes,
      dbSizeInUseBytes: bytesInUse,
    };
  }

  /** Of everything that is readable. */
  get revision(): number {
    return this.#state.visible.revision;
  }

  /** Alarms that are raised. */
  get raisedAlarms(): ReadonlySet<AlarmType> {
    return this.#maintenance.raisedAlarms;
  }

  /** Size of the database at which writes are refused; `Infinity`: none. */
  get quotaBytes(): number {
    return this.#maintenance.quotaBytes;
  }

  alarms(options?: CallOptions): Promise<Alarm[]> {
    return this.#looking(options, () => this.#maintenance.alarms());
  }

  activateAlarm(alarm: AlarmType, options?: CallOptions): Promise<Alarm[]> {
    return this.#looking(options, () => this.#maintenance.activateAlarm(alarm, options));
  }

  deactivateAlarm(alarm: AlarmType, options?: CallOptions): Promise<Alarm[]> {
    return this.#looking(options, () => this.#maintenance.deactivateAlarm(alarm, options));
  }

  defragment(options?: CallOptions): Promise<void> {
    return this.#looking(options, () => this.#maintenance.defragment(options));
  }

  hashKv(revision: number, options?: CallOptions): Promise<HashKvResponse> {
    return this.#looking(options, () => this.#maintenance.hashKv(revision, options));
  }

  hash(options?: CallOptions): Promise<{ hash: number; revision: number }> {
    return this.#looking(options, () => this.#maintenance.hash(options));
  }

  async #looking<T>(options: CallOptions | undefined, after: () => Promise<T>): Promise<T> {
    this.#alive(options);
    return after();
  }

  /** Who this store is, to clients. */
  identity(): Promise<Identity> {
    return this.#maintenance.identity();
  }

  /** Counters and sizes, for metrics, `status` and the wear figure. */
  figures(): DatastoreFigures {
    const { revision, compactRevision } = this.#state.visible;
    return {
      ...this.#counters,
      revision,
      compactRevision,
      keys: this.#state.index.count('', undefined, revision),
      ...this.#hub.counts,
      leases: this.#state.leases.size,
      cacheBytes: this.#cache.bytes,
      size: this.#log.size(),
      log: this.#log.figures(),
    };
  }

  /**
   * Everything retained at this instant, read while writes go on. Compactions take effect at once, but give space back
   * only when it is closed.
   */
  async history(options?: CallOptions): Promise<MeasuredHistory> {
    this.#alive(options);
    const { historyOfEngine } = await import('./history/engine-history.ts');
    await this.#follower.current();
    return historyOfEngine({
      name: this.#name,
      state: this.#state,
      values: this.#values,
      log: this.#log,
      committer: this.#committer,
      compactor: this.#compactor,
      alive: () => this.#alive(options),
    });
  }

  /** Everything retained at this instant as etcd's snapshot file (etcd's Maintenance.Snapshot). */
  async *snapshot(options?: CallOptions): AsyncGenerator<Uint8Array> {
    this.#alive(options);
    const { pacedSnapshot } = await import('./snapshot/paced.ts');
    yield* pacedSnapshot(() => this.history(options), { clock: this.#clock, signal: options?.signal });
  }

  /** Resolves when space of all compactions so far has been given back. */
  async compacted(): Promise<void> {
    await this.#compactor.idle();
  }

  /** Answers what was asked before, ends watches, closes the log. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#leases.stop();
    await this.#committer.end(etcdErrors.stopped());
    this.#hub.end(etcdErrors.stopped());
    await this.#compactor.stop();
    await this.#values.drained();
    await this.#log.close();
  }
}

/** Loads the log and starts the engine on it. */
export async function startEngine(options: EngineOptions): Promise<Datastore> {
  const datastore = new Datastore(options);
  try {
    await datastore.load();
    return datastore;
  } catch (error) {
    await options.log.close();
    throw error;
  }
}
