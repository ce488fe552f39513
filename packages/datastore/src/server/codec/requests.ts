/**
 * The requests of etcd's KV and Watch services off the wire. Field numbers: `packages/kube/data/etcd-v3-proto.json`.
 * Keys and values are views of the request's bytes.
 */
import {
  compareResults,
  compareTargets,
  sortOrders,
  sortTargets,
  watchFilters,
} from '@cloudless/kube/etcd/enums';
import {
  type Compare,
  type DeleteRangeRequest,
  EtcdError,
  grpcCode,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
  type TxnRequest,
  type WatchRequest,
} from '@cloudless/kube/etcd/store';
import { Reader, WireError } from './reader.ts';

const none = new Uint8Array(0);
/** Nesting deeper than any limit on operations allows; protobuf's own parsers stop at 100. */
const maxDepth = 100;

const invalidSort = (): EtcdError =>
  new EtcdError(grpcCode.invalidArgument, 'etcdserver: invalid sort option');

/** @throws WireError; EtcdError for a sort option that is none */
export function decodeRange(bytes: Uint8Array): RangeRequest {
  return rangeOf(new Reader(bytes));
}

function rangeOf(reader: Reader): RangeRequest {
  const request: RangeRequest = { key: none };
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) request.key = reader.bytes();
    else if (field === 2) request.rangeEnd = reader.bytes();
    else if (field === 3) request.limit = reader.integer();
    else if (field === 4) request.revision = reader.integer();
    else if (field === 5) request.sortOrder = named(sortOrders, reader.integer());
    else if (field === 6) request.sortTarget = named(sortTargets, reader.integer());
    else if (field === 7) request.serializable = reader.bool();
    else if (field === 8) request.keysOnly = reader.bool();
    else if (field === 9) request.countOnly = reader.bool();
    else if (field === 10) request.minModRevision = reader.integer();
    else if (field === 11) request.maxModRevision = reader.integer();
    else if (field === 12) request.minCreateRevision = reader.integer();
    else if (field === 13) request.maxCreateRevision = reader.integer();
    else reader.skip();
  }
  return request;
}

function named<T>(names: readonly T[], number: number): T {
  const name = names[number];
  if (name === undefined) throw invalidSort();
  return name;
}

/** @throws WireError */
export function decodePut(bytes: Uint8Array): PutRequest {
  return putOf(new Reader(bytes));
}

function putOf(reader: Reader): PutRequest {
  const request: PutRequest = { key: none, value: none };
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) request.key = reader.bytes();
    else if (field === 2) request.value = reader.bytes();
    else if (field === 3) request.lease = reader.int64();
    else if (field === 4) request.prevKv = reader.bool();
    else if (field === 5) request.ignoreValue = reader.bool();
    else if (field === 6) request.ignoreLease = reader.bool();
    else reader.skip();
  }
  return request;
}

/** @throws WireError */
export function decodeDelete(bytes: Uint8Array): DeleteRangeRequest {
  return deleteOf(new Reader(bytes));
}

function deleteOf(reader: Reader): DeleteRangeRequest {
  const request: DeleteRangeRequest = { key: none };
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) request.key = reader.bytes();
    else if (field === 2) request.rangeEnd = reader.bytes();
    else if (field === 3) request.prevKv = reader.bool();
    else reader.skip();
  }
  return request;
}

/** @throws WireError; EtcdError for a sort option that is none */
export function decodeTxn(bytes: Uint8Array): TxnRequest {
  return txnOf(new Reader(bytes), 0);
}

function txnOf(reader: Reader, depth: number): TxnRequest {
  if (depth > maxDepth) throw new WireError(`transactions are nested more than ${maxDepth} deep`);
  const request: TxnRequest = { compare: [], success: [], failure: [] };
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) request.compare.push(compareOf(reader.message()));
    else if (field === 2) request.success.push(opOf(reader.message(), depth));
    else if (field === 3) request.failure.push(opOf(reader.message(), depth));
    else reader.skip();
  }
  return request;
}

/** An operation that holds none stays empty: the engine refuses it as etcd does. */
function opOf(reader: Reader, depth: number): RequestOp {
  let op = {} as RequestOp;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) op = { range: rangeOf(reader.message()) };
    else if (field === 2) op = { put: putOf(reader.message()) };
    else if (field === 3) op = { deleteRange: deleteOf(reader.message()) };
    else if (field === 4) op = { txn: txnOf(reader.message(), depth + 1) };
    else reader.skip();
  }
  return op;
}

function compareOf(reader: Reader): Compare {
  let result = 0;
  let target = 0;
  let key: Uint8Array = none;
  let rangeEnd: Uint8Array | undefined;
  /** The operand that was sent, by the target that it belongs to. */
  let operand: { target: number; value: Compare['operand'] } | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) result = reader.integer();
    else if (field === 2) target = reader.integer();
    else if (field === 3) key = reader.bytes();
    else if (field === 7) operand = { target: 3, value: reader.bytes() };
    else if (field === 8) operand = { target: 4, value: reader.int64() };
    else if (field >= 4 && field <= 6) operand = { target: field - 4, value: reader.integer() };
    else if (field === 64) rangeEnd = reader.bytes();
    else reader.skip();
  }
  const initial = target === 3 ? none : target === 4 ? 0n : 0;
  return {
    key,
    ...(rangeEnd === undefined ? {} : { rangeEnd }),
    target: compareTargets[target] ?? refuse(`comparison target ${target}`),
    result: compareResults[result] ?? refuse(`comparison result ${result}`),
    // An operand of another target counts as none (upstream: etcdserver/txn/txn.go, compareKV).
    operand: operand !== undefined && operand.target === target ? operand.value : initial,
  };
}

function refuse(what: string): never {
  throw new EtcdError(grpcCode.invalidArgument, `etcdserver: ${what} is none`);
}

/** @throws WireError */
export function decodeCompaction(bytes: Uint8Array): { revision: number; physical: boolean } {
  const reader = new Reader(bytes);
  const request = { revision: 0, physical: false };
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) request.revision = reader.integer();
    else if (field === 2) request.physical = reader.bool();
    else reader.skip();
  }
  return request;
}

export interface WatchCreate extends WatchRequest {
  /** 0n: the server chooses. */
  watchId: bigint;
  fragment: boolean;
}

export type WatchCommand = { create: WatchCreate } | { cancel: bigint } | { progress: true };

/** Undefined for a command that is not known. @throws WireError */
export function decodeWatch(bytes: Uint8Array): WatchCommand | undefined {
  const reader = new Reader(bytes);
  let command: WatchCommand | undefined;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) command = { create: watchCreateOf(reader.message()) };
    else if (field === 2) command = { cancel: watchIdOf(reader.message()) };
    else if (field === 3) {
      reader.message();
      command = { progress: true };
    } else reader.skip();
  }
  return command;
}

function watchCreateOf(reader: Reader): WatchCreate {
  const create: WatchCreate = { key: none, watchId: 0n, fragment: false };
  const unwanted: number[] = [];
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) create.key = reader.bytes().slice();
    else if (field === 2) create.rangeEnd = reader.bytes().slice();
    else if (field === 3) create.startRevision = reader.integer();
    else if (field === 4) create.progressNotify = reader.bool();
    else if (field === 5) reader.integers(unwanted);
    else if (field === 6) create.prevKv = reader.bool();
    else if (field === 7) create.watchId = reader.int64();
    else if (field === 8) create.fragment = reader.bool();
    else reader.skip();
  }
  create.filters = unwanted.flatMap((number) => watchFilters[number] ?? []);
  return create;
}

function watchIdOf(reader: Reader): bigint {
  let id = 0n;
  for (let field = reader.next(); field !== 0; field = reader.next()) {
    if (field === 1) id = reader.int64();
    else reader.skip();
  }
  return id;
}
