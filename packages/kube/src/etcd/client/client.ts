import {
  type CallOptions,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  EtcdError,
  type EtcdStore,
  etcdErrors,
  grpcCode,
  type LeaseStatus,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RangeResponse,
  type StoreStatus,
  type TxnRequest,
  type TxnResponse,
  type WatchHandle,
  type WatchMessage,
  type WatchRequest,
} from '../store.ts';
import { etcdRoot } from '../facts.ts';
import { type Logger, logger } from '../../logger.ts';
import { type MethodDefinition, serviceDefinition } from '../../protobuf/facts.ts';
import type { Alarm, AlarmType, EtcdMaintenance, HashKvResponse } from '../maintenance.ts';
import { type EndpointOptions, Endpoints } from './endpoints.ts';
import { MaintenanceClient } from './maintenance.ts';
import { type ProgressMeans, progressMeansOf } from './progress.ts';
import { WatchStream } from './watch-stream.ts';
import {
  deleteToWire,
  keyValueOf,
  putToWire,
  rangeOf,
  rangeToWire,
  revisionOf,
  txnOf,
  txnToWire,
  type WireDeleteRangeResponse,
  type WireHeader,
  type WirePutResponse,
  type WireRangeResponse,
  type WireTxnResponse,
} from './wire.ts';

/** A connection is a store, and what keeps it healthy and movable. */
export type EtcdConnection = EtcdStore & EtcdMaintenance;

export interface EtcdOptions extends EndpointOptions {
  log?: Logger | undefined;
}

/** Oldest version whose transactions and watches are what we rely on. */
const minVersion = [3, 4] as const;
/** Fence keys go by themselves when their client does. */
const fenceTtlSeconds = 300;

interface Services {
  readonly kv: Record<string, MethodDefinition>;
  readonly lease: Record<string, MethodDefinition>;
  readonly maintenance: Record<string, MethodDefinition>;
  readonly watch: Record<string, MethodDefinition>;
}

interface WireStatus {
  header?: WireHeader;
  version: string;
  dbSize: bigint;
  dbSizeInUse: bigint;
}

/**
 * Connects to an etcd v3 cluster: etcd itself, or anything that speaks its gRPC API. Resolves when at least one
 * of the servers has answered.
 *
 * @throws EtcdError naming every endpoint and why it did not answer (its cause is an AggregateError of those);
 *   TypeError for bad options
 */
export async function connectEtcd(options: EtcdOptions): Promise<EtcdConnection> {
  const log = options.log ?? logger('etcd');
  const root = etcdRoot();
  const services: Services = {
    kv: serviceDefinition(root, 'etcdserverpb.KV'),
    lease: serviceDefinition(root, 'etcdserverpb.Lease'),
    maintenance: serviceDefinition(root, 'etcdserverpb.Maintenance'),
    watch: serviceDefinition(root, 'etcdserverpb.Watch'),
  };
  const endpoints = new Endpoints(options);
  try {
    const versions = await versionsOf(endpoints, methodOf(services.maintenance, 'Status'), log);
    // A watch may move to any of the servers: the oldest decides.
    const isSound = versions.every((version) => progressMeansOf(version) === 'request');
    log.info({ endpoints: endpoints.addresses, versions }, 'connected to etcd');
    return new EtcdClient(endpoints, services, log, isSound ? 'request' : 'fence');
  } catch (error) {
    endpoints.close();
    throw error;
  }
}

function methodOf(service: Record<string, MethodDefinition>, name: string): MethodDefinition {
  const method = service[name];
  if (method === undefined) throw new Error(`etcd's facts have no method ${name}`);
  return method;
}

async function versionsOf(endpoints: Endpoints, status: MethodDefinition, log: Logger): Promise<string[]> {
  const answers = await endpoints.all<WireStatus>(status, {});
  const failures = answers.flatMap((answer, i) => {
    if (answer.status === 'fulfilled') return [];
    const [why, address] = [String(answer.reason.message), endpoints.addresses[i] as string];
    return [why.includes(address) ? why : `etcd ${address}: ${why}`];
  });
  const versions = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.version] : []));
  if (versions.length === 0) {
    throw new EtcdError(
      grpcCode.unavailable,
      `no etcd endpoint answers: ${failures.join('; ')}. Check the addresses, the certificates and that etcd runs`,
      new AggregateError(failures.map((failure) => new Error(failure))),
    );
  }
  for (const failure of failures) log.warn({ failure }, 'an etcd endpoint does not answer');
  for (const version of versions) {
    const [major = 0, minor = 0] = version.split('.').map(Number);
    if (major < minVersion[0] || (major === minVersion[0] && minor < minVersion[1])) {
      throw new EtcdError(
        grpcCode.failedPrecondition,
        `etcd ${version} is too old: ${minVersion.join('.')} or newer is needed`,
      );
    }
  }
  return versions;
}

class EtcdClient implements EtcdConnection {
  readonly #endpoints: Endpoints;
  readonly #services: Services;
  readonly #watches: WatchStream;
  readonly #maintenance: MaintenanceClient;
  #compactRevision = 0;
  #fenceLease: Promise<bigint> | undefined;

  constructor(endpoints: Endpoints, services: Services, log: Logger, progress: ProgressMeans) {
    this.#endpoints = endpoints;
    this.#services = services;
    this.#maintenance = new MaintenanceClient(endpoints, services.maintenance);
    this.#watches = new WatchStream({
      endpoints,
      method: methodOf(services.watch, 'Watch'),
      log,
      progress: () => progress,
      writeFence: (key) => this.#writeFence(key),
    });
  }

  #kv<T>(name: string, request: object, repeatable: boolean, options: CallOptions | undefined): Promise<T> {
    const method = methodOf(this.#services.kv, name);
    return this.#endpoints.unary<T>(method, request, { ...options, repeatable });
  }

  #lease<T>(
    name: string,
    request: object,
    repeatable: boolean,
    options: CallOptions | undefined,
  ): Promise<T> {
    const method = methodOf(this.#services.lease, name);
    return this.#endpoints.unary<T>(method, request, { ...options, repeatable });
  }

  async range(request: RangeRequest, options?: CallOptions): Promise<RangeResponse> {
    const response = await this.#kv<WireRangeResponse>('Range', rangeToWire(request), true, options);
    return rangeOf(response, revisionOf(response));
  }

  async put(request: PutRequest, options?: CallOptions): Promise<PutResponse> {
    const response = await this.#kv<WirePutResponse>('Put', putToWire(request), false, options);
    const { prevKv } = response;
    return {
      revision: revisionOf(response),
      ...(prevKv === undefined ? {} : { prevKv: keyValueOf(prevKv) }),
    };
  }

  async deleteRange(request: DeleteRangeRequest, options?: CallOptions): Promise<DeleteRangeResponse> {
    const response = await this.#kv<WireDeleteRangeResponse>(
      'DeleteRange',
      deleteToWire(request),
      false,
      options,
    );
    const { deleted, prevKvs } = response;
    return { revision: revisionOf(response), deleted: Number(deleted), prevKvs: prevKvs.map(keyValueOf) };
  }

  async txn(request: TxnRequest, options?: CallOptions): Promise<TxnResponse> {
    const isRead = [...request.success, ...request.failure].every((op) => 'range' in op);
    const response = await this.#kv<WireTxnResponse>('Txn', txnToWire(request), isRead, options);
    return txnOf(response, revisionOf(response));
  }

  async compact(revision: number, options?: CallOptions): Promise<void> {
    await this.#kv('Compact', { revision }, false, options);
    this.#compactRevision = Math.max(this.#compactRevision, revision);
  }

  watch(request: WatchRequest, receive: (message: WatchMessage) => void | Promise<void>): WatchHandle {
    return this.#watches.watch(request, receive);
  }

  async leaseGrant(
    ttlSeconds: number,
    id = 0n,
    options?: CallOptions,
  ): Promise<{ id: bigint; ttlSeconds: number }> {
    const request = { TTL: ttlSeconds, ID: id };
    const response = await this.#lease<{ ID: bigint; TTL: bigint; error: string }>(
      'LeaseGrant',
      request,
      false,
      options,
    );
    if (response.error) throw new EtcdError(grpcCode.unknown, response.error);
    return { id: response.ID, ttlSeconds: Number(response.TTL) };
  }

  async leaseRevoke(id: bigint, options?: CallOptions): Promise<void> {
    await this.#lease('LeaseRevoke', { ID: id }, false, options);
  }

  async leaseKeepAlive(id: bigint, options?: CallOptions): Promise<{ ttlSeconds: number }> {
    const { call, failed } = this.#endpoints.stream(methodOf(this.#services.lease, 'LeaseKeepAlive'));
    return new Promise((resolve, reject) => {
      const cancel = (): void => call.cancel();
      options?.signal?.addEventListener('abort', cancel, { once: true });
      const settled = (): void => options?.signal?.removeEventListener('abort', cancel);
      call.on('data', (message) => {
        settled();
        resolve({ ttlSeconds: Number((message as { TTL: bigint }).TTL) });
        call.end();
      });
      call.on('error', (error) => {
        settled();
        reject(failed(error));
      });
      // Settles nothing after an answer.
      call.on('end', () => reject(etcdErrors.stopped()));
      call.write({ ID: id });
      if (options?.signal?.aborted) cancel();
    });
  }

  async leaseTimeToLive(id: bigint, withKeys = false, options?: CallOptions): Promise<LeaseStatus> {
    const response = await this.#lease<{ ID: bigint; TTL: bigint; grantedTTL: bigint; keys: Uint8Array[] }>(
      'LeaseTimeToLive',
      { ID: id, keys: withKeys },
      true,
      options,
    );
    return {
      id: response.ID,
      ttlSeconds: Number(response.TTL),
      grantedTtlSeconds: Number(response.grantedTTL),
      keys: response.keys,
    };
  }

  async leaseLeases(options?: CallOptions): Promise<bigint[]> {
    const { leases } = await this.#lease<{ leases: Array<{ ID: bigint }> }>('LeaseLeases', {}, true, options);
    return leases.map(({ ID }) => ID);
  }

  /** `compactRevision` is what this client knows of: etcd's API does not tell it. */
  async status(options?: CallOptions): Promise<StoreStatus> {
    const method = methodOf(this.#services.maintenance, 'Status');
    const response = await this.#endpoints.unary<WireStatus>(method, {}, { ...options, repeatable: true });
    return {
      version: response.version,
      revision: revisionOf(response),
      compactRevision: this.#compactRevision,
      dbSizeBytes: Number(response.dbSize),
      dbSizeInUseBytes: Number(response.dbSizeInUse),
    };
  }

  alarms(options?: CallOptions): Promise<Alarm[]> {
    return this.#maintenance.alarms(options);
  }

  activateAlarm(alarm: AlarmType, options?: CallOptions): Promise<Alarm[]> {
    return this.#maintenance.activateAlarm(alarm, options);
  }

  deactivateAlarm(alarm: AlarmType, options?: CallOptions): Promise<Alarm[]> {
    return this.#maintenance.deactivateAlarm(alarm, options);
  }

  defragment(options?: CallOptions): Promise<void> {
    return this.#maintenance.defragment(options);
  }

  hashKv(revision: number, options?: CallOptions): Promise<HashKvResponse> {
    return this.#maintenance.hashKv(revision, options);
  }

  hash(options?: CallOptions): Promise<{ hash: number; revision: number }> {
    return this.#maintenance.hash(options);
  }

  snapshot(options?: CallOptions): AsyncIterable<Uint8Array> {
    return this.#maintenance.snapshot(options);
  }

  /** One lease for all fences of this client, so that they do not stay behind. */
  async #writeFence(key: Uint8Array): Promise<void> {
    const value = new Uint8Array(0);
    try {
      this.#fenceLease ??= this.leaseGrant(fenceTtlSeconds).then(({ id }) => id);
      await this.put({ key, value, lease: await this.#fenceLease });
    } catch (error) {
      this.#fenceLease = undefined;
      if (!(error instanceof EtcdError) || error.code !== grpcCode.notFound) throw error;
      this.#fenceLease = this.leaseGrant(fenceTtlSeconds).then(({ id }) => id);
      await this.put({ key, value, lease: await this.#fenceLease });
    }
  }

  async close(): Promise<void> {
    this.#watches.close();
    const lease = await this.#fenceLease?.catch(() => undefined);
    if (lease !== undefined) await this.leaseRevoke(lease).catch(() => undefined);
    this.#endpoints.close();
  }
}
