import { randomBytes } from 'node:crypto';
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
import { Committer, unavailable } from './committer.ts';
import { Compactor } from './compactor.ts';
import { DatastoreFailedError, LogUnavailableError, RowGoneError } from './errors.ts';
import { Lessor } from './lease/lessor.ts';
import { HeadLooks } from './log/head-looks.ts';
import type { MeasuredHistory } from './history/history.ts';
import type { LoadedRecord, LoadedState, Log, LogChanges } from './log/log.ts';
import type { Identity } from './maintenance/identity.ts';
import { costOf, leaseCostBytes } from './maintenance/quota.ts';
import { StoreMaintenance } from './maintenance/store-maintenance.ts';
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
import { bytesOf } from './mvcc/key.ts';
import { respondRange, respondTxn } from './mvcc/respond.ts';
import { select } from './mvcc/select.ts';
import { type Committed, MvccState } from './mvcc/state.ts';
import { ValueCache } from './mvcc/value-cache.ts';
import { ValueReader } from './mvcc/value-reader.ts';
import type { Version } from './mvcc/version.ts';
import { type Counters, type DatastoreFigures, newCounters } from './metrics.ts';
import { WatchHub } from './watch/hub.ts';

/** The etcd version whose behaviour is implemented; API servers enable features by it. */
export const etcdVersion = '3.5.24';
/** etcd: lease.MaxLeaseTTL, and the minimum that its default election timeout gives. */
const maxLeaseTtlSeconds = 9_000_000_000;
const minLeaseTtlSeconds = 2;
/** etcd: --experimental-watch-progress-notify-interval. */
const progressIntervalMs = 10 * 60 * 1000;
/** How often a watch tries to read its history while the log is out of reach. */
const retryReadMs = 250;
/** Writes wait no longer for a slow shared log; etcd's own requests time out after 7 s (7 = 5 + 2 × election time-out). */
const maxCommitWaitMs = 7000;

export interface EngineOptions {
  /** Named in errors: the path of the file, the address of the database. */
  name: string;
  log: Log;
  clock?: Clock | undefined;
  logger?: Logger | undefined;
  /** Budget for values kept in memory. */
  cacheBytes?: number | undefined;
  /** Gathers transactions for so long before each flush: fewer writes to the device, later answers. */
  commitWindowMs?: number | undefined;
  limits?: Partial<Limits> | undefined;
  /** Size of the database at which writes are refused; none by default. */
  quotaBytes?: number | undefined;
  /** How often an idle watch that asked for it is told the revision; default 10 minutes, etcd's. */
  progressIntervalMs?: number | undefined;
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
  readonly #lessor: Lessor;
  readonly #compactor: Compactor;
  readonly #maintenance: StoreMaintenance;
  readonly #counters: Counters = newCounters();
  #reportFailure: (error: Error) => void = () => undefined;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  readonly #looks = new HeadLooks(() => this.#lookAtHead());
  #following = false;

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
    this.#committer = new Committer({
      state,
      log: this.#log,
      values,
      publish: (committed) => this.#publish(committed),
      shared:
        this.#log.catchUp === undefined
          ? undefined
          : {
              catchUp: (hold) => this.#catchUp(hold),
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
      mend: (error) => this.#mend(error),
    });
    const authority = this.#log.leaseAuthority;
    this.#lessor = new Lessor(this.#clock, (id) => this.#revokeExpired(id), authority === undefined);
    this.#compactor = new Compactor(state, values, this.#log, this.#logger);
    this.#maintenance = new StoreMaintenance({
      state,
      committer: this.#committer,
      compactor: this.#compactor,
      logger: this.#logger,
      quotaBytes: options.quotaBytes ?? Infinity,
      sizeBytes: () => this.#log.size().bytesInUse,
      current: () => this.#current(),
      history: (callOptions) => this.history(callOptions),
    });
  }

  /** Rebuilds the state from the log, and follows it from then on. */
  async load(): Promise<void> {
    const garbage: number[] = [];
    await this.#adoptAll(await this.#log.load(), garbage);
    if (garbage.length > 0) this.#compactor.start(garbage);
    this.#log.leaseAuthority?.serve({
      renew: (id) => this.#renewHere(id),
      remainingMs: async (id) => {
        if (this.#lessor.remainingMs(id) === undefined) await this.#current();
        return this.#lessor.remainingMs(id);
      },
      own: async (isOwner) => {
        if (isOwner) await this.#current();
        this.#lessor.own(isOwner);
      },
      leaseCount: () => this.#state.leases.size,
    });
    this.#log.follow?.(() => this.#follow());
    void this.#log.failed?.then((error) => this.#fail(error));
  }

  async #adoptAll(loaded: LoadedState, garbage: number[]): Promise<void> {
    const state = this.#state;
    const { compactRevision, leases, facts, records } = loaded;
    const grants = leases.map(({ id, ttlSeconds }) => ({ type: 'grant' as const, id, ttlSeconds }));
    state.adoptLeases(grants);
    state.adoptFacts(facts);
    let revision = Math.max(1, compactRevision);
    let position = 0;
    for await (const piece of records) {
      state.adopt(piece, compactRevision, garbage);
      ({ revision, position } = piece[piece.length - 1] as LoadedRecord);
    }
    // An import may end with revisions that left no row.
    revision = Math.max(revision, compactRevision);
    state.adoptHead({ ...(loaded.head ?? { revision, position }), compactRevision });
    this.#lessor.changed(grants);
  }

  /** Starts over from what the log holds: others compacted and removed what this engine had not seen yet. */
  async #reload(loaded: LoadedState): Promise<void> {
    this.#logger.warn('this server fell behind a compaction: it reads everything again');
    // All of it is here before the old state goes: no read sees half of it.
    const pieces: Array<readonly LoadedRecord[]> = [];
    for await (const piece of loaded.records) pieces.push(piece);
    const { revision } = this.#state.visible;
    this.#state.clear();
    this.#lessor.clear();
    const grants = loaded.leases.map(({ id, ttlSeconds }) => ({ type: 'grant' as const, id, ttlSeconds }));
    this.#state.adoptLeases(grants);
    this.#state.adoptFacts(loaded.facts);
    const garbage: number[] = [];
    for (const piece of pieces) this.#state.adopt(piece, loaded.compactRevision, garbage);
    const { compactRevision, head = this.#state.visible } = loaded;
    this.#state.adoptHead({ ...head, compactRevision });
    this.#lessor.changed(grants);
    this.#hub.resume(revision + 1);
    this.#compactor.start(garbage);
  }

  #publish({ versions, leases, compactRevision }: Committed): void {
    const deletes = versions.filter((version) => version.isTombstone).length;
    this.#counters.deletes += deletes;
    this.#counters.puts += versions.length - deletes;
    this.#lessor.changed(leases);
    this.#hub.publish(versions);
    if (compactRevision !== undefined) this.#compactor.start();
  }

  /** Takes over what other writers of the log appended; whether that was anything. */
  async #catchUp(hold = false): Promise<boolean> {
    const state = this.#state;
    const changes = await (this.#log.catchUp as NonNullable<Log['catchUp']>)(state.visible, hold);
    if (changes.reload !== undefined) {
      await this.#reload(changes.reload);
      return true;
    }
    const { leases, facts, compactRevision, head } = changes;
    if (head.position === state.visible.position) return false;
    const compacted = compactRevision > state.visible.compactRevision;
    const versions = this.#adoptInOrder(changes);
    state.adoptHead({ ...head, compactRevision: Math.max(compactRevision, state.visible.compactRevision) });
    state.adoptFacts(facts);
    this.#publish({ versions, leases, facts, compactRevision: compacted ? compactRevision : undefined });
    return true;
  }

  /** A lease is there before the keys that use it, and until those that die with it are gone. */
  #adoptInOrder({ records, leases }: LogChanges): Version[] {
    const state = this.#state;
    const versions: Version[] = [];
    let at = 0;
    for (const change of leases) {
      const from = at;
      while (at < records.length && (records[at] as LoadedRecord).position < change.position) at++;
      versions.push(...state.adopt(records.slice(from, at), state.visible.compactRevision, []));
      state.adoptLeases([change]);
    }
    for (const version of state.adopt(records.slice(at), state.visible.compactRevision, [])) {
      versions.push(version);
    }
    return versions;
  }

  /** Others appended: catch up, so that watches hear of it. */
  #follow(): void {
    if (this.#following || this.#closing !== undefined || this.#failure !== undefined) return;
    this.#following = true;
    this.#committer
      .between(async () => {
        // What is told from here on is not seen by this look any more.
        this.#following = false;
        await this.#catchUp();
      })
      .catch((error: unknown) => {
        this.#following = false;
        if (error instanceof LogUnavailableError || this.#closing !== undefined) return;
        this.#fail(error);
      });
  }

  /** Before a linearizable read: what others wrote is visible. Undefined when there are no others. */
  #current(): Promise<void> | undefined {
    return this.#log.catchUp === undefined ? undefined : this.#looks.look();
  }

  async #lookAtHead(): Promise<void> {
    try {
      const position = await this.#log.headPosition?.();
      if (position !== undefined && position <= this.#state.visible.position) return;
      // Through the committer, so that no batch is half-way evaluated on the older state.
      await this.#committer.between(async () => {
        if (position === undefined || position > this.#state.visible.position) await this.#catchUp();
      });
    } catch (error) {
      if (error instanceof LogUnavailableError) throw unavailable(error);
      throw error instanceof EtcdError ? error : this.#fail(error);
    }
  }

  /**
   * The result of a read, made again after catching up while rows that it needs turn out to be removed: by then
   * the revision it wants is known to be compacted, or the newest one is another.
   */
  async #read<T>(read: () => T | Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await read();
      } catch (error) {
        if (error instanceof LogUnavailableError) throw unavailable(error);
        if (!(error instanceof RowGoneError)) throw error;
        await this.#committer.between(async () => void (await this.#catchUp()));
      }
    }
  }

  /** What a watch does about a failed read: it waits for a log that is out of reach, and catches up with one ahead. */
  async #mend(error: unknown): Promise<boolean> {
    if (this.#closing !== undefined || this.#failure !== undefined) return false;
    if (error instanceof RowGoneError) {
      const caughtUp = this.#committer.between(async () => void (await this.#catchUp()));
      return caughtUp.then(
        () => true,
        (reason: unknown) => this.#mend(reason),
      );
    }
    if (!(error instanceof LogUnavailableError)) return false;
    await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, retryReadMs));
    return true;
  }

  #fail(cause: unknown): Error {
    const error = new DatastoreFailedError(this.#name, cause);
    const rejection = new EtcdError(grpcCode.unavailable, error.message, error);
    if (this.#failure === undefined) {
      this.#failure = rejection;
      this.#logger.fatal({ err: error }, 'the datastore failed');
      this.#lessor.stop();
      this.#hub.end(rejection);
      this.#reportFailure(error);
    }
    return rejection;
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
    if (!request.serializable) await this.#current();
    this.#counters.ranges++;
    const respond = (): RangeResponse | Promise<RangeResponse> =>
      respondRange(select(this.#state, request, this.#state.visible), this.#values);
    return abortable(this.#read(respond), options);
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
    await this.#current();
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
    return abortable(this.#read(evaluate), options);
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
    if (ttlSeconds > maxLeaseTtlSeconds) throw etcdErrors.leaseTtlTooLarge();
    const ttl = Math.max(minLeaseTtlSeconds, ttlSeconds);
    await this.#maintenance.admit(leaseCostBytes);
    const proposal = this.#committer.propose({
      bytes: 16,
      evaluate: () => {
        this.#maintenance.check(true);
        if (id !== 0n && this.#state.leases.has(id)) throw etcdErrors.leaseExists();
        const granted = id === 0n ? this.#unusedLeaseId() : id;
        this.#state.grant(granted, ttl);
        return { id: granted, ttlSeconds: ttl };
      },
    });
    return abortable(proposal, options);
  }

  #unusedLeaseId(): bigint {
    for (;;) {
      const id = randomBytes(8).readBigUInt64BE() >> 1n;
      if (id !== 0n && !this.#state.leases.has(id)) return id;
    }
  }

  async leaseRevoke(id: bigint, options?: CallOptions): Promise<void> {
    this.#alive(options);
    await abortable(
      this.#revoke(id, () => true),
      options,
    );
  }

  #revoke(id: bigint, isDue: () => boolean): Promise<void> {
    return this.#committer.propose({
      bytes: 1024,
      evaluate: () => {
        if (!isDue()) return;
        this.#maintenance.check(false);
        const lease = this.#state.leases.get(id);
        if (lease === undefined) throw etcdErrors.leaseNotFound();
        this.#state.revoke(lease);
        this.#state.endTransaction();
      },
    });
  }

  async #revokeExpired(id: bigint): Promise<void> {
    try {
      // A renewal may have come between the timer and this evaluation.
      await this.#revoke(id, () => this.#lessor.owns && this.#lessor.remainingMs(id) === 0);
    } catch (error) {
      if (error instanceof EtcdError && error.code === grpcCode.notFound) return;
      if (this.#closing !== undefined || this.#failure !== undefined) return;
      this.#logger.warn({ err: error, lease: id.toString(16) }, 'an expired lease could not be revoked yet');
      throw error;
    }
  }

  async leaseKeepAlive(id: bigint, options?: CallOptions): Promise<{ ttlSeconds: number }> {
    this.#alive(options);
    const authority = this.#log.leaseAuthority;
    if (authority === undefined) return { ttlSeconds: this.#renew(id) };
    return { ttlSeconds: await abortable(this.#askLessor(authority.renew(id)), options) };
  }

  /** Renews here; the TTL in seconds, 0 when there is no such lease. */
  #renew(id: bigint): number {
    const lease = this.#state.leases.get(id);
    return lease !== undefined && this.#lessor.renew(id) ? lease.ttlSeconds : 0;
  }

  /** For another server, which may know of a grant before this one does. */
  async #renewHere(id: bigint): Promise<number> {
    const ttlSeconds = this.#renew(id);
    if (ttlSeconds > 0) return ttlSeconds;
    await this.#current();
    return this.#renew(id);
  }

  async #askLessor<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw error instanceof LogUnavailableError ? unavailable(error) : error;
    }
  }

  async leaseTimeToLive(id: bigint, withKeys = false, options?: CallOptions): Promise<LeaseStatus> {
    this.#alive(options);
    // A proposal that writes nothing: answered from durable state, in order with the writes before it.
    const proposal = this.#committer.propose({
      bytes: 0,
      evaluate: () => {
        const lease = this.#state.leases.get(id);
        if (lease === undefined) return { id, ttlSeconds: -1, grantedTtlSeconds: 0, keys: [] };
        const { ttlSeconds } = lease;
        return {
          id,
          ttlSeconds,
          grantedTtlSeconds: ttlSeconds,
          keys: withKeys ? [...lease.keys].sort() : [],
        };
      },
    });
    const found = await abortable(proposal, options);
    const authority = this.#log.leaseAuthority;
    const remainingMs =
      authority === undefined || found.ttlSeconds < 0
        ? this.#lessor.remainingMs(id)
        : await abortable(this.#askLessor(authority.remainingMs(id)), options);
    const ttlSeconds =
      found.ttlSeconds < 0 || remainingMs === undefined ? -1 : Math.floor(remainingMs / 1000);
    return { ...found, ttlSeconds, keys: found.keys.map(bytesOf) };
  }

  async leaseLeases(options?: CallOptions): Promise<bigint[]> {
    this.#alive(options);
    const proposal = this.#committer.propose({ bytes: 0, evaluate: () => [...this.#state.leases.keys()] });
    return abortable(proposal, options);
  }

  async status(options?: CallOptions): Promise<StoreStatus> {
    this.#alive(options);
    // As etcd's: of this server. A database out of reach does not keep it from saying what it knows.
    await this.#current()?.catch(() => undefined);
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
    const [{ gatherRetained }, { historyOfState }] = await Promise.all([
      import('./history/retained.ts'),
      import('./history/state-history.ts'),
    ]);
    await this.#current();
    let release = (): void => undefined;
    try {
      const gathering = Promise.withResolvers<Awaited<ReturnType<typeof gatherRetained>>>();
      // Begun between two batches, where leases and keys agree, and gone on with beside the next ones.
      await this.#committer.between(async () => {
        release = this.#compactor.hold();
        gatherRetained(this.#state).then(gathering.resolve, gathering.reject);
      });
      const retained = await gathering.promise;
      const log = this.#log;
      const values = {
        hot: (version: Version) => {
          this.#alive(options);
          return this.#values.hot(version)?.value;
        },
        readValue: (position: number) => log.readValue(position),
        ...(log.readValues && { readValues: log.readValues.bind(log) }),
      };
      return historyOfState({ name: this.#name, retained, values, close: async () => release() });
    } catch (error) {
      release();
      throw error;
    }
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
    this.#lessor.stop();
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
