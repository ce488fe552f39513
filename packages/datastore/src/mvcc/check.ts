import {
  type DeleteRangeRequest,
  EtcdError,
  etcdErrors,
  grpcCode,
  type PutRequest,
  type RangeRequest,
  type RequestOp,
  type TxnRequest,
} from '@cloudless/kube/etcd/store';
import { contains, intervalOf, type KeyInterval, keyOf } from './key.ts';

/** etcd's defaults (`--max-txn-ops`, `--max-request-bytes`). */
export interface Limits {
  readonly maxTxnOps: number;
  readonly maxRequestBytes: number;
}

export const defaultLimits: Limits = { maxTxnOps: 128, maxRequestBytes: 1.5 * 1024 * 1024 };

/** Refuses what etcd refuses before looking at the store (upstream: server/etcdserver/api/v3rpc/key.go). */
export function checkRange(request: RangeRequest): void {
  if (request.key.byteLength === 0) throw etcdErrors.emptyKey();
}

export function checkPut(request: PutRequest, limits: Limits): void {
  if (request.key.byteLength === 0) throw etcdErrors.emptyKey();
  if (request.ignoreValue && request.value.byteLength > 0) throw etcdErrors.valueProvided();
  if (request.ignoreLease && request.lease) throw etcdErrors.leaseProvided();
  if (request.key.byteLength + request.value.byteLength > limits.maxRequestBytes) {
    throw etcdErrors.requestTooLarge();
  }
}

export function checkDelete(request: DeleteRangeRequest, limits: Limits): void {
  if (request.key.byteLength === 0) throw etcdErrors.emptyKey();
  if (request.key.byteLength + (request.rangeEnd?.byteLength ?? 0) > limits.maxRequestBytes) {
    throw etcdErrors.requestTooLarge();
  }
}

/** @returns the bytes of its keys and values, both branches together */
export function checkTxn(request: TxnRequest, limits: Limits): number {
  checkLevel(request, limits.maxTxnOps, limits);
  collectWrites(request.success);
  collectWrites(request.failure);
  const bytes = bytesOfTxn(request);
  if (bytes > limits.maxRequestBytes) throw etcdErrors.requestTooLarge();
  return bytes;
}

function checkLevel(request: TxnRequest, maxOps: number, limits: Limits): void {
  const ops = Math.max(request.compare.length, request.success.length, request.failure.length);
  if (ops > maxOps) throw etcdErrors.tooManyOps();
  for (const compare of request.compare) {
    if (compare.key.byteLength === 0) throw etcdErrors.emptyKey();
  }
  for (const op of request.success) checkOp(op, maxOps - ops, limits);
  for (const op of request.failure) checkOp(op, maxOps - ops, limits);
}

function checkOp(op: RequestOp, maxOps: number, limits: Limits): void {
  if ('range' in op) checkRange(op.range);
  else if ('put' in op) checkPut(op.put, limits);
  else if ('deleteRange' in op) checkDelete(op.deleteRange, limits);
  else if ('txn' in op) checkLevel(op.txn, maxOps, limits);
  else throw etcdErrors.keyNotFound();
}

interface Writes {
  puts: Set<string>;
  deletes: KeyInterval[];
}

const none: Writes = { puts: new Set(), deletes: [] };

/** No key may be put twice, or put and deleted, on one path (upstream: checkIntervals). */
function collectWrites(ops: readonly RequestOp[]): Writes {
  if (ops.length === 1 && 'put' in (ops[0] as object)) {
    return { puts: new Set([keyOf((ops[0] as { put: PutRequest }).put.key)]), deletes: [] };
  }
  if (ops.every((op) => 'range' in op)) return none;
  const deletes = ops.flatMap((op) =>
    'deleteRange' in op && !isToTheEnd(op.deleteRange)
      ? [intervalOf(op.deleteRange.key, op.deleteRange.rangeEnd)]
      : [],
  );
  const puts = new Set<string>();
  const addPut = (key: string): void => {
    if (deletes.some((interval) => contains(interval, key))) throw etcdErrors.duplicateKey();
    puts.add(key);
  };
  for (const op of ops) {
    if (!('txn' in op)) continue;
    const success = collectWrites(op.txn.success);
    const failure = collectWrites(op.txn.failure);
    for (const key of success.puts) {
      if (puts.has(key)) throw etcdErrors.duplicateKey();
      addPut(key);
    }
    for (const key of failure.puts) {
      // Either branch may put the same key: only one of them runs.
      if (puts.has(key) && !success.puts.has(key)) throw etcdErrors.duplicateKey();
      addPut(key);
    }
    deletes.push(...success.deletes, ...failure.deletes);
  }
  for (const op of ops) {
    if (!('put' in op)) continue;
    const key = keyOf(op.put.key);
    if (puts.has(key)) throw etcdErrors.duplicateKey();
    addPut(key);
  }
  return { puts, deletes };
}

/** etcd's check takes the end `\0` for a name: it sees no overlap with a deletion of everything from a key on. */
function isToTheEnd({ rangeEnd }: DeleteRangeRequest): boolean {
  return rangeEnd !== undefined && rangeEnd.byteLength === 1 && rangeEnd[0] === 0;
}

function bytesOfTxn(request: TxnRequest): number {
  let bytes = 0;
  for (const { key, rangeEnd, operand } of request.compare) {
    bytes += key.byteLength + (rangeEnd?.byteLength ?? 0);
    if (operand instanceof Uint8Array) bytes += operand.byteLength;
  }
  for (const op of [...request.success, ...request.failure]) {
    if ('put' in op) bytes += op.put.key.byteLength + op.put.value.byteLength;
    else if ('range' in op) bytes += op.range.key.byteLength + (op.range.rangeEnd?.byteLength ?? 0);
    else if ('txn' in op) bytes += bytesOfTxn(op.txn);
    else bytes += op.deleteRange.key.byteLength + (op.deleteRange.rangeEnd?.byteLength ?? 0);
  }
  return bytes;
}

/** Refuses numbers that cannot be revisions. */
export function checkRevision(what: string, revision: number): void {
  if (!Number.isSafeInteger(revision)) {
    throw new EtcdError(grpcCode.invalidArgument, `etcdserver: ${what} ${revision} is not a revision`);
  }
}
