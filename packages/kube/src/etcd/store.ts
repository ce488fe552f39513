/**
 * The storage contract: etcd's v3 API as a TypeScript interface, bytes in and out.
 *
 * Two implementations, one compliance suite: the in-process engine of `@cloudless/datastore` and the gRPC
 * client of `@cloudless/apiserver` that speaks to any etcd v3 endpoint. Field names and meanings are those of
 * etcd's rpc.proto and kv.proto. Errors are {@link EtcdError} with etcd's gRPC code and text.
 *
 * Revisions are `number`: etcd's are int64, and 2^53 revisions outlast any disk; an implementation refuses
 * larger ones. Lease IDs use all 63 bits and are `bigint`.
 */

/** etcd's mvccpb.KeyValue. `createRevision === 0` never occurs in a result. */
export interface KeyValue {
  key: Uint8Array;
  value: Uint8Array;
  createRevision: number;
  modRevision: number;
  /** 1 at creation, +1 with each put. */
  version: number;
  /** 0n when no lease is attached. */
  lease: bigint;
}

export type SortTarget = 'key' | 'version' | 'create' | 'mod' | 'value';

export interface RangeRequest {
  key: Uint8Array;
  /** Absent: the one key. `\0`: every key ≥ `key`. Otherwise the half-open interval [key, rangeEnd). */
  rangeEnd?: Uint8Array | undefined;
  /** 0 or absent: no limit. */
  limit?: number | undefined;
  /** 0 or absent: now. */
  revision?: number | undefined;
  sortOrder?: 'none' | 'ascend' | 'descend' | undefined;
  sortTarget?: SortTarget | undefined;
  /** Served from memory without asking other writers. */
  serializable?: boolean | undefined;
  keysOnly?: boolean | undefined;
  countOnly?: boolean | undefined;
  minModRevision?: number | undefined;
  maxModRevision?: number | undefined;
  minCreateRevision?: number | undefined;
  maxCreateRevision?: number | undefined;
}

export interface RangeResponse {
  /** Revision of the store when the request was served (not the requested one). */
  revision: number;
  kvs: KeyValue[];
  more: boolean;
  /** Number of keys in the range, whatever the limit. */
  count: number;
}

export interface PutRequest {
  key: Uint8Array;
  value: Uint8Array;
  /** The value's bytes never change any more, and are no part of a larger buffer: a store in this process may keep them. */
  isFinal?: boolean | undefined;
  lease?: bigint | undefined;
  prevKv?: boolean | undefined;
  ignoreValue?: boolean | undefined;
  ignoreLease?: boolean | undefined;
}

export interface PutResponse {
  revision: number;
  prevKv?: KeyValue | undefined;
}

export interface DeleteRangeRequest {
  key: Uint8Array;
  rangeEnd?: Uint8Array | undefined;
  prevKv?: boolean | undefined;
}

export interface DeleteRangeResponse {
  revision: number;
  deleted: number;
  prevKvs: KeyValue[];
}

export interface Compare {
  key: Uint8Array;
  rangeEnd?: Uint8Array | undefined;
  target: 'version' | 'create' | 'mod' | 'value' | 'lease';
  result: 'equal' | 'greater' | 'less' | 'not-equal';
  /** `Uint8Array` for `value`, `bigint` for `lease`, `number` for the rest. */
  operand: number | bigint | Uint8Array;
}

export type RequestOp =
  | { range: RangeRequest }
  | { put: PutRequest }
  | { deleteRange: DeleteRangeRequest }
  | { txn: TxnRequest };

export type ResponseOp =
  | { range: RangeResponse }
  | { put: PutResponse }
  | { deleteRange: DeleteRangeResponse }
  | { txn: TxnResponse };

export interface TxnRequest {
  compare: Compare[];
  success: RequestOp[];
  failure: RequestOp[];
}

export interface TxnResponse {
  revision: number;
  succeeded: boolean;
  responses: ResponseOp[];
}

export interface WatchRequest {
  key: Uint8Array;
  rangeEnd?: Uint8Array | undefined;
  /** First revision to deliver; 0 or absent: from now. */
  startRevision?: number | undefined;
  prevKv?: boolean | undefined;
  /** Also send periodic progress when idle. */
  progressNotify?: boolean | undefined;
  filters?: Array<'noput' | 'nodelete'> | undefined;
}

export interface WatchEvent {
  type: 'put' | 'delete';
  /** For a delete: key and modRevision only. */
  kv: KeyValue;
  prevKv?: KeyValue | undefined;
}

/** What a watch receives, in order. After `canceled` nothing follows. */
export type WatchMessage =
  /** Every event of one or more whole transactions, revisions ascending. `revision`: of the last event. */
  | { type: 'events'; revision: number; events: WatchEvent[] }
  /** Everything up to `revision` has been delivered. */
  | { type: 'progress'; revision: number }
  /** `compactRevision` > 0: the start revision is compacted. `error`: the connection broke; watch again. */
  | { type: 'canceled'; compactRevision: number; error?: Error | undefined };

export interface WatchHandle {
  /** Resolves once the watch is registered; no event from `startRevision` on is missed after that. */
  readonly created: Promise<void>;
  /** Asks for a `progress` message as soon as everything committed by now has been delivered. */
  requestProgress(): void;
  /** Stops delivery at once. */
  cancel(): void;
}

export interface LeaseStatus {
  id: bigint;
  /** Remaining seconds; -1 when the lease does not exist. */
  ttlSeconds: number;
  grantedTtlSeconds: number;
  keys: Uint8Array[];
}

export interface StoreStatus {
  /** etcd version whose features are implemented, such as `3.5.24`. */
  version: string;
  revision: number;
  compactRevision: number;
  /** Bytes on disk, and of those in use. */
  dbSizeBytes: number;
  dbSizeInUseBytes: number;
}

export interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** An ordered, watchable, durable store. */
export interface EtcdStore {
  range(request: RangeRequest, options?: CallOptions): Promise<RangeResponse>;
  put(request: PutRequest, options?: CallOptions): Promise<PutResponse>;
  deleteRange(request: DeleteRangeRequest, options?: CallOptions): Promise<DeleteRangeResponse>;
  txn(request: TxnRequest, options?: CallOptions): Promise<TxnResponse>;
  /** Forgets history before `revision`. Resolves when reads below it fail; space is given back behind. */
  compact(revision: number, options?: CallOptions): Promise<void>;
  /**
   * Calls `receive` in order, one call at a time, never before this returns. A receiver that returns a promise
   * hears nothing more until it settles: the store keeps no queue for it and reads on from its history.
   */
  watch(request: WatchRequest, receive: (message: WatchMessage) => void | Promise<void>): WatchHandle;
  leaseGrant(
    ttlSeconds: number,
    id?: bigint,
    options?: CallOptions,
  ): Promise<{ id: bigint; ttlSeconds: number }>;
  leaseRevoke(id: bigint, options?: CallOptions): Promise<void>;
  /** Renews once; `ttlSeconds` 0 when the lease is gone. */
  leaseKeepAlive(id: bigint, options?: CallOptions): Promise<{ ttlSeconds: number }>;
  leaseTimeToLive(id: bigint, withKeys?: boolean, options?: CallOptions): Promise<LeaseStatus>;
  leaseLeases(options?: CallOptions): Promise<bigint[]>;
  status(options?: CallOptions): Promise<StoreStatus>;
  /** Ends watches and connections. */
  close(): Promise<void>;
}

/** gRPC codes that etcd uses. */
export const grpcCode = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
  unauthenticated: 16,
} as const;

/** An error with etcd's gRPC code and etcd's own text, which clients match on. */
export class EtcdError extends Error {
  readonly code: number;

  constructor(code: number, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'EtcdError';
    this.code = code;
  }
}

/** etcd's texts (api/v3rpc/rpctypes/error.go). */
export const etcdErrors = {
  emptyKey: () => new EtcdError(grpcCode.invalidArgument, 'etcdserver: key is not provided'),
  duplicateKey: () =>
    new EtcdError(grpcCode.invalidArgument, 'etcdserver: duplicate key given in txn request'),
  tooManyOps: () => new EtcdError(grpcCode.invalidArgument, 'etcdserver: too many operations in txn request'),
  valueProvided: () => new EtcdError(grpcCode.invalidArgument, 'etcdserver: value is provided'),
  leaseProvided: () => new EtcdError(grpcCode.invalidArgument, 'etcdserver: lease is provided'),
  keyNotFound: () => new EtcdError(grpcCode.invalidArgument, 'etcdserver: key not found'),
  requestTooLarge: () => new EtcdError(grpcCode.invalidArgument, 'etcdserver: request is too large'),
  compacted: () =>
    new EtcdError(grpcCode.outOfRange, 'etcdserver: mvcc: required revision has been compacted'),
  futureRevision: () =>
    new EtcdError(grpcCode.outOfRange, 'etcdserver: mvcc: required revision is a future revision'),
  noSpace: () => new EtcdError(grpcCode.resourceExhausted, 'etcdserver: mvcc: database space exceeded'),
  leaseNotFound: () => new EtcdError(grpcCode.notFound, 'etcdserver: requested lease not found'),
  leaseExists: () => new EtcdError(grpcCode.failedPrecondition, 'etcdserver: lease already exists'),
  leaseTtlTooLarge: () => new EtcdError(grpcCode.outOfRange, 'etcdserver: too large lease TTL'),
  stopped: () => new EtcdError(grpcCode.unavailable, 'etcdserver: server stopped'),
};

/** The end of the range that holds every key with this prefix (clientv3.GetPrefixRangeEnd). */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  const end = Uint8Array.from(prefix);
  for (let i = end.length - 1; i >= 0; i--) {
    const byte = end[i] as number;
    if (byte < 0xff) {
      end[i] = byte + 1;
      return end.subarray(0, i + 1);
    }
  }
  return Uint8Array.of(0);
}
