import type {
  DeleteRangeResponse,
  KeyValue,
  PutResponse,
  RangeResponse,
  ResponseOp,
  TxnResponse,
} from '@cloudless/kube/etcd/store';
import type { PendingOp, PendingTxn } from './evaluate.ts';
import { type Selection, sortByValue } from './select.ts';
import type { ValueReader } from './value-reader.ts';
import { keyValueOf } from './version.ts';

/** Answers that need no cold value come at once, so that the common case costs no extra turn of the loop. */
type Eventually<T> = T | Promise<T>;

function then<T, R>(value: Eventually<T>, map: (value: T) => R): Eventually<R> {
  return value instanceof Promise ? later(value, map) : map(value);
}

const later = async <T, R>(value: Promise<T>, map: (value: T) => R): Promise<R> => map(await value);

/** Reads the values of a range's result. */
export function respondRange(selection: Selection, values: ValueReader): Eventually<RangeResponse> {
  const { request, revision, versions, more, count } = selection;
  if (request.keysOnly && !selection.sortByValue) {
    return { revision, kvs: versions.map((version) => keyValueOf(version)), more, count };
  }
  return then(values.read(versions), (kvs) => {
    if (!selection.sortByValue) return { revision, kvs, more, count };
    const sorted = sortByValue([...kvs], request);
    return {
      revision,
      count,
      more: sorted.more,
      kvs: request.keysOnly ? sorted.kvs.map(withoutValue) : sorted.kvs,
    };
  });
}

const withoutValue = (kv: KeyValue): KeyValue => ({ ...kv, value: new Uint8Array(0) });

/** Reads the values of a transaction's results. */
export function respondTxn(pending: PendingTxn, values: ValueReader): Eventually<TxnResponse> {
  const { revision, succeeded } = pending;
  const responses = pending.responses.map((op) => respondOp(op, revision, values));
  return isSettled(responses)
    ? { revision, succeeded, responses }
    : later(Promise.all(responses.map(async (response) => response)), (all) => ({
        revision,
        succeeded,
        responses: all,
      }));
}

function isSettled<T>(responses: Array<Eventually<T>>): responses is T[] {
  return !responses.some((response) => response instanceof Promise);
}

function respondOp(op: PendingOp, revision: number, values: ValueReader): Eventually<ResponseOp> {
  if ('range' in op) return then(respondRange(op.range, values), (range) => ({ range }));
  if ('put' in op) {
    const { prev } = op.put;
    if (prev === undefined) return { put: { revision } satisfies PutResponse };
    return then(values.read([prev]), ([prevKv]) => ({ put: { revision, prevKv } }));
  }
  if ('deleteRange' in op) {
    const { deleted, prevs } = op.deleteRange;
    const respond = (prevKvs: KeyValue[]): ResponseOp => ({
      deleteRange: { revision, deleted, prevKvs } satisfies DeleteRangeResponse,
    });
    return prevs.length === 0 ? respond([]) : then(values.read(prevs), respond);
  }
  return then(respondTxn(op.txn, values), (txn) => ({ txn }));
}
