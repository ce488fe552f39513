import { type Arbitrary, array, boolean, constantFrom, nat, oneof, record, tuple } from 'fast-check';
import type { Compare, RangeRequest, RequestOp, TxnRequest } from '../store.ts';

/** A script of requests for keys under `prefix`, in a store that stands at revision `base`. */
export type RequestScript = (prefix: string, base: number) => Array<TxnRequest | RangeRequest>;

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const names = ['a', 'a/b', 'b', 'c', 'd'];
/** A request, once its keys' prefix and the store's revision are known. */
export type Build<T> = (prefix: string, revision: number) => T;

const name = constantFrom(...names);
const value = constantFrom('', '1', '2', 'abc');

/** One key, a span between two, everything from one on within the prefix. */
const span: Arbitrary<Build<{ key: Uint8Array; rangeEnd?: Uint8Array }>> = oneof(
  name.map((one) => (prefix: string) => ({ key: bytes(prefix + one) })),
  tuple(name, name).map(([from, to]) => (prefix: string) => ({
    key: bytes(prefix + from),
    rangeEnd: bytes(prefix + to),
  })),
  name.map((from) => (prefix: string) => ({ key: bytes(prefix + from), rangeEnd: bytes(`${prefix}~`) })),
);

/** A range of the present or the past, which may be compacted. */
export const rangeRequest: Arbitrary<Build<RangeRequest>> = record({
  span,
  limit: constantFrom(0, 0, 1, 2),
  sortOrder: constantFrom('none' as const, 'ascend' as const, 'descend' as const),
  keysOnly: boolean(),
  countOnly: constantFrom(false, false, true),
  // How far back; 0 reads the present.
  back: constantFrom(0, 0, 1, 3),
  minBack: constantFrom(undefined, undefined, 2),
}).map(({ span: at, back, minBack, ...rest }) => (prefix, revision) => ({
  ...at(prefix, revision),
  ...rest,
  revision: back === 0 ? 0 : revision - back,
  ...(minBack === undefined ? {} : { minModRevision: Math.max(1, revision - minBack) }),
}));

const compare: Arbitrary<Build<Compare>> = record({
  span,
  target: constantFrom('version' as const, 'create' as const, 'mod' as const, 'value' as const),
  result: constantFrom('equal' as const, 'greater' as const, 'less' as const, 'not-equal' as const),
  number: nat(3),
  value,
}).map(({ span: at, target, result, number, value: text }) => (prefix, revision) => ({
  ...at(prefix, revision),
  target,
  result,
  operand: target === 'value' ? bytes(text) : target === 'version' ? number : Math.max(0, revision - number),
}));

const write: Arbitrary<Build<RequestOp>> = oneof(
  {
    weight: 3,
    arbitrary: tuple(name, value, boolean()).map(([one, text, prevKv]): Build<RequestOp> => (prefix) => ({
      put: { key: bytes(prefix + one), value: bytes(text), prevKv },
    })),
  },
  {
    weight: 1,
    arbitrary: tuple(span, boolean()).map(([at, prevKv]): Build<RequestOp> => (prefix, revision) => ({
      deleteRange: { ...at(prefix, revision), prevKv },
    })),
  },
);

/** A range within a transaction reads the present: the past is the same inside and outside. */
const read: Arbitrary<Build<RequestOp>> = rangeRequest.map((build) => (prefix, revision) => ({
  range: { ...build(prefix, revision), revision: 0 },
}));

/** Operations without the overlaps that etcd refuses: at most one writes. */
const branch: Arbitrary<Build<RequestOp[]>> = oneof(
  write.map((op): Build<RequestOp[]> => (prefix, revision) => [op(prefix, revision)]),
  tuple(read, write, read).map(
    (ops): Build<RequestOp[]> =>
      (prefix, revision) =>
        ops.map((op) => op(prefix, revision)),
  ),
  tuple(value, value).map(([one, other]): Build<RequestOp[]> => (prefix) => [
    { put: { key: bytes(`${prefix}a`), value: bytes(one), prevKv: true } },
    { put: { key: bytes(`${prefix}d`), value: bytes(other) } },
    { deleteRange: { key: bytes(`${prefix}b`), rangeEnd: bytes(`${prefix}d`) } },
  ]),
  tuple(compare, write, read).map(
    ([condition, then, otherwise]): Build<RequestOp[]> =>
      (prefix, revision) => [
        {
          txn: {
            compare: [condition(prefix, revision)],
            success: [then(prefix, revision)],
            failure: [otherwise(prefix, revision)],
          },
        },
      ],
  ),
);

/** A transaction with comparisons, both branches, and nested ones. */
export const txnRequest: Arbitrary<Build<TxnRequest>> = record({
  compare: array(compare, { maxLength: 2 }),
  success: branch,
  failure: branch,
}).map((parts) => (prefix, revision) => ({
  compare: parts.compare.map((one) => one(prefix, revision)),
  success: parts.success(prefix, revision),
  failure: parts.failure(prefix, revision),
}));

const plainWrite: Arbitrary<Build<TxnRequest>> = write.map((op) => (prefix, revision) => ({
  compare: [],
  success: [op(prefix, revision)],
  failure: [],
}));

/** Random scripts: writes and transactions, with ranges over present and past in between. */
export const requestScript: Arbitrary<RequestScript> = array(
  oneof(
    { weight: 4, arbitrary: plainWrite },
    { weight: 3, arbitrary: txnRequest },
    { weight: 2, arbitrary: rangeRequest },
  ),
  { minLength: 5, maxLength: 40 },
).map(
  (builds) => (prefix, base) =>
    // The revision a request means depends on what came before; scripts name revisions near the base, which
    // always exist: reads of the past ask for the base itself or later.
    builds.map((build) => pinned(build(prefix, base), base)),
);

function pinned<T extends TxnRequest | RangeRequest>(request: T, base: number): T {
  return 'compare' in request || !request.revision ? request : { ...request, revision: base };
}
