import {
  type Compare,
  type DeleteRangeRequest,
  etcdErrors,
  type KeyValue,
  type PutRequest,
  type RequestOp,
  type TxnRequest,
} from '@cloudless/kube/etcd/store';
import { intervalOf } from './key.ts';
import { type Selection, select } from './select.ts';
import type { MvccState } from './state.ts';
import { type Version, visibleAt } from './version.ts';

/** An operation's result before its values are read. */
export type PendingOp =
  | { readonly range: Selection }
  | { readonly put: { readonly prev: Version | undefined } }
  | { readonly deleteRange: { readonly deleted: number; readonly prevs: readonly Version[] } }
  | { readonly txn: PendingTxn };

export interface PendingTxn {
  succeeded: boolean;
  /** The store's revision after the transaction. */
  revision: number;
  responses: PendingOp[];
}

/** Evaluation needs the value of a version that is not in memory: load it, then evaluate again. */
export class ValueNeeded extends Error {
  readonly version: Version;

  constructor(version: Version) {
    super(`the value of ${JSON.stringify(version.key)} at revision ${version.revision} is not in memory`);
    this.name = 'ValueNeeded';
    this.version = version;
  }
}

/** The hot value of a version, or undefined. */
export type HotValue = (version: Version) => KeyValue | undefined;

/**
 * Evaluates one transaction on the pending state: all comparisons first, then every check that etcd makes
 * before it applies anything, then the operations in order (upstream: server/etcdserver/txn/txn.go). Its
 * writes become pending; on an error the caller rolls back to its savepoint.
 *
 * @throws EtcdError when the transaction is refused as a whole; ValueNeeded
 */
export function evaluateTxn(state: MvccState, request: TxnRequest, hot: HotValue): PendingTxn {
  const view = { revision: state.pending.revision, compactRevision: state.pending.compactRevision };
  const path = decide(state, request, view, hot);
  check(state, path, view);
  const result = apply(state, path, hot);
  setRevision(result, state.endTransaction());
  return result;
}

/** Evaluates a transaction that only reads, at the visible revision. */
export function evaluateReadOnly(state: MvccState, request: TxnRequest, hot: HotValue): PendingTxn {
  const view = state.visible;
  const path = decide(state, request, view, hot);
  const responses = path.ops.map(({ op }): PendingOp => {
    if (!('range' in op)) throw new TypeError('not a read-only transaction');
    return { range: select(state, op.range, view) };
  });
  return { succeeded: path.succeeded, revision: view.revision, responses };
}

/** Whether every operation is a range (etcd: IsTxnReadonly). */
export function isReadOnly(request: TxnRequest): boolean {
  return request.success.every((op) => 'range' in op) && request.failure.every((op) => 'range' in op);
}

interface View {
  readonly revision: number;
  readonly compactRevision: number;
}

/** The branch that each comparison chose, nested ones included: all are decided before anything is written. */
interface Path {
  readonly succeeded: boolean;
  readonly ops: ReadonlyArray<{ readonly op: RequestOp; readonly nested: Path | undefined }>;
}

function decide(state: MvccState, request: TxnRequest, view: View, hot: HotValue): Path {
  const succeeded = request.compare.every((compare) => holds(state, compare, view, hot));
  const ops = succeeded ? request.success : request.failure;
  return {
    succeeded,
    ops: ops.map((op) => ({ op, nested: 'txn' in op ? decide(state, op.txn, view, hot) : undefined })),
  };
}

function holds(state: MvccState, compare: Compare, view: View, hot: HotValue): boolean {
  if (compare.rangeEnd === undefined || compare.rangeEnd.byteLength === 0) {
    const { start } = intervalOf(compare.key, undefined);
    return holdsFor(compare, visibleAt(state.index.get(start), view.revision), hot);
  }
  const { start, end } = intervalOf(compare.key, compare.rangeEnd);
  let any = false;
  let all = true;
  state.index.scan(start, end, (head) => {
    const version = visibleAt(head, view.revision);
    if (version === undefined) return true;
    any = true;
    all = holdsFor(compare, version, hot);
    return all;
  });
  return any ? all : holdsFor(compare, undefined, hot);
}

function holdsFor(compare: Compare, version: Version | undefined, hot: HotValue): boolean {
  if (compare.target === 'value') {
    // A missing key equals no value, not even the empty one, and differs from none either.
    if (version === undefined) return false;
    const kv = hot(version);
    if (kv === undefined) throw new ValueNeeded(version);
    return verdict[compare.result](Buffer.compare(kv.value, compare.operand as Uint8Array));
  }
  const actual = version === undefined ? 0 : numberOf[compare.target](version);
  const operand = compare.operand as number | bigint;
  // JavaScript compares number and bigint exactly.
  return verdict[compare.result](actual < operand ? -1 : actual > operand ? 1 : 0);
}

const numberOf: Record<Exclude<Compare['target'], 'value'>, (version: Version) => number | bigint> = {
  version: (version) => version.version,
  create: (version) => version.createRevision,
  mod: (version) => version.revision,
  lease: (version) => version.lease,
};

const verdict: Record<Compare['result'], (order: number) => boolean> = {
  equal: (order) => order === 0,
  'not-equal': (order) => order !== 0,
  greater: (order) => order > 0,
  less: (order) => order < 0,
};

/** Everything that can refuse the chosen operations, so that applying them cannot fail half-way. */
function check(state: MvccState, path: Path, view: View): void {
  for (const { op, nested } of path.ops) {
    if (nested !== undefined) {
      check(state, nested, view);
    } else if ('range' in op) {
      const { revision = 0 } = op.range;
      if (revision > view.revision) throw etcdErrors.futureRevision();
      if (revision > 0 && revision < view.compactRevision) throw etcdErrors.compacted();
    } else if ('put' in op) {
      checkPutApplies(state, op.put);
    }
  }
}

function checkPutApplies(state: MvccState, put: PutRequest): void {
  if (put.lease && !state.leases.has(put.lease)) throw etcdErrors.leaseNotFound();
  if (!put.ignoreValue && !put.ignoreLease) return;
  const head = state.index.get(intervalOf(put.key, undefined).start);
  if (head === undefined || head.isTombstone) throw etcdErrors.keyNotFound();
}

function apply(state: MvccState, path: Path, hot: HotValue): PendingTxn {
  const responses = path.ops.map(({ op, nested }): PendingOp => {
    if (nested !== undefined) return { txn: apply(state, nested, hot) };
    if ('put' in op) return { put: applyPut(state, op.put, hot) };
    if ('deleteRange' in op) return { deleteRange: applyDelete(state, op.deleteRange) };
    if (!('range' in op)) throw etcdErrors.keyNotFound();
    const view = { revision: state.readRevision, compactRevision: state.pending.compactRevision };
    return { range: select(state, op.range, view) };
  });
  return { succeeded: path.succeeded, revision: 0, responses };
}

function applyPut(state: MvccState, put: PutRequest, hot: HotValue): { prev: Version | undefined } {
  const head = state.index.get(intervalOf(put.key, undefined).start);
  const prev = head?.isTombstone ? undefined : head;
  let { value, lease = 0n, isFinal = false } = put;
  if (put.ignoreLease && prev !== undefined) lease = prev.lease;
  if (put.ignoreValue && prev !== undefined) {
    const kv = hot(prev);
    if (kv === undefined) throw new ValueNeeded(prev);
    value = kv.value;
    isFinal = true;
  }
  state.put(put.key, value, lease, isFinal);
  return { prev: put.prevKv ? prev : undefined };
}

function applyDelete(state: MvccState, request: DeleteRangeRequest): { deleted: number; prevs: Version[] } {
  const { start, end } = intervalOf(request.key, request.rangeEnd);
  const heads: Version[] = [];
  state.index.scan(start, end, (head) => {
    if (!head.isTombstone) heads.push(head);
    return true;
  });
  for (const head of heads) state.delete(head);
  return { deleted: heads.length, prevs: request.prevKv ? heads : [] };
}

function setRevision(result: PendingTxn, revision: number): void {
  result.revision = revision;
  for (const response of result.responses) {
    if ('txn' in response) setRevision(response.txn, revision);
  }
}
