/** etcd's messages as they come off and go on the wire, and their conversion to the storage contract. */
import { compareResults, compareTargets, sortOrders, sortTargets } from '../enums.ts';
import type {
  Compare,
  DeleteRangeRequest,
  KeyValue,
  PutRequest,
  RangeRequest,
  RangeResponse,
  RequestOp,
  ResponseOp,
  TxnRequest,
  TxnResponse,
  WatchEvent,
} from '../store.ts';

export interface WireHeader {
  revision: bigint;
}

export interface WireKeyValue {
  key: Uint8Array;
  value: Uint8Array;
  createRevision: bigint;
  modRevision: bigint;
  version: bigint;
  lease: bigint;
}

export interface WireRangeResponse {
  header?: WireHeader;
  kvs: WireKeyValue[];
  more: boolean;
  count: bigint;
}

export interface WirePutResponse {
  header?: WireHeader;
  prevKv?: WireKeyValue;
}

export interface WireDeleteRangeResponse {
  header?: WireHeader;
  deleted: bigint;
  prevKvs: WireKeyValue[];
}

export interface WireResponseOp {
  responseRange?: WireRangeResponse;
  responsePut?: WirePutResponse;
  responseDeleteRange?: WireDeleteRangeResponse;
  responseTxn?: WireTxnResponse;
}

export interface WireTxnResponse {
  header?: WireHeader;
  succeeded: boolean;
  responses: WireResponseOp[];
}

export interface WireEvent {
  /** 0 put, 1 delete. */
  type: number;
  kv?: WireKeyValue;
  prevKv?: WireKeyValue;
}

export interface WireWatchResponse {
  header?: WireHeader;
  watchId: bigint;
  created: boolean;
  canceled: boolean;
  compactRevision: bigint;
  cancelReason: string;
  events: WireEvent[];
}

/** A name's number on the wire. */
export const numberOf = <T>(names: readonly T[], name: T): number => names.indexOf(name);

export const revisionOf = (response: { header?: WireHeader }): number =>
  Number(response.header?.revision ?? 0n);

/** Drops what is undefined: the codec takes absent fields, not undefined ones. */
function present<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>;
}

export function rangeToWire(request: RangeRequest): object {
  const { sortOrder, sortTarget, ...rest } = request;
  return present({
    ...rest,
    sortOrder: sortOrder === undefined ? undefined : numberOf(sortOrders, sortOrder),
    sortTarget: sortTarget === undefined ? undefined : numberOf(sortTargets, sortTarget),
  });
}

export const putToWire = (request: PutRequest): object => present({ ...request });
export const deleteToWire = (request: DeleteRangeRequest): object => present({ ...request });

function compareToWire({ key, rangeEnd, target, result, operand }: Compare): object {
  const field = {
    version: 'version',
    create: 'createRevision',
    mod: 'modRevision',
    value: 'value',
    lease: 'lease',
  };
  return present({
    key,
    rangeEnd,
    target: numberOf(compareTargets, target),
    result: numberOf(compareResults, result),
    [field[target]]: operand,
  });
}

function opToWire(op: RequestOp): object {
  if ('range' in op) return { requestRange: rangeToWire(op.range) };
  if ('put' in op) return { requestPut: putToWire(op.put) };
  if ('deleteRange' in op) return { requestDeleteRange: deleteToWire(op.deleteRange) };
  return { requestTxn: txnToWire(op.txn) };
}

export function txnToWire({ compare, success, failure }: TxnRequest): object {
  return {
    compare: compare.map(compareToWire),
    success: success.map(opToWire),
    failure: failure.map(opToWire),
  };
}

/**
 * Decoded bytes are views of the whole message. One small value kept from a long list must not keep the list,
 * so values that are a minor part of their message are copied out.
 */
function own(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength * 2 >= bytes.buffer.byteLength ? bytes : Uint8Array.prototype.slice.call(bytes);
}

export function keyValueOf(kv: WireKeyValue): KeyValue {
  return {
    key: own(kv.key),
    value: own(kv.value),
    createRevision: Number(kv.createRevision),
    modRevision: Number(kv.modRevision),
    version: Number(kv.version),
    lease: kv.lease,
  };
}

export function rangeOf(response: WireRangeResponse, revision: number): RangeResponse {
  return { revision, kvs: response.kvs.map(keyValueOf), more: response.more, count: Number(response.count) };
}

function opOf(op: WireResponseOp, revision: number): ResponseOp {
  if (op.responseRange) return { range: rangeOf(op.responseRange, revisionOf(op.responseRange)) };
  if (op.responsePut) {
    const { prevKv } = op.responsePut;
    return {
      put: { revision: revisionOf(op.responsePut), ...(prevKv ? { prevKv: keyValueOf(prevKv) } : {}) },
    };
  }
  if (op.responseDeleteRange) {
    const { deleted, prevKvs } = op.responseDeleteRange;
    return {
      deleteRange: {
        revision: revisionOf(op.responseDeleteRange),
        deleted: Number(deleted),
        prevKvs: prevKvs.map(keyValueOf),
      },
    };
  }
  // etcd leaves the header of a nested transaction empty.
  return { txn: txnOf(op.responseTxn ?? { succeeded: false, responses: [] }, revision) };
}

export function txnOf(response: WireTxnResponse, revision: number): TxnResponse {
  return {
    revision,
    succeeded: response.succeeded,
    responses: response.responses.map((op) => opOf(op, revision)),
  };
}

export function eventOf({ type, kv, prevKv }: WireEvent): WatchEvent {
  if (kv === undefined) throw new Error('etcd sent an event without a key');
  return {
    type: type === 1 ? 'delete' : 'put',
    kv: keyValueOf(kv),
    ...(prevKv === undefined ? {} : { prevKv: keyValueOf(prevKv) }),
  };
}
