import fc from 'fast-check';
import type { Compare, RangeRequest, RequestOp, TxnRequest } from './store.ts';

/** A script of requests for keys under `prefix`, in a store that stands at revision `base`. */
export type RequestScript = (prefix: string, base: number) => Array<TxnRequest | RangeRequest>;

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const names = ['a', 'a/b', 'b', 'c', 'd'];
type Build<T> = (prefix: string, revision: number) => T;

const name = fc.constantFrom(...names);
const value = fc.constantFrom('', '1', '2', 'abc');

/** One key, a span between two, everything from one on within the prefix. */
const span: fc.Arbitrary<Build<{ key: Uint8Array; rangeEnd?: Uint8Array }>> = fc.oneof(
  name.map((one) => (prefix: string) => ({ key: bytes(prefix + one) })),
  fc.tuple(name, name).map(([from, to]) => (prefix: string) => ({
    key: bytes(prefix + from),
    rangeEnd: bytes(prefix + to),
  })),
  name.map((from) => (prefix: string) => ({ key: bytes(prefix + from), rangeEnd: bytes(`${prefix}~`) })),
);

const range: fc.Arbitrary<Build<RangeRequest>> = fc
  .record({
    span,
    limit: fc.constantFrom(0, 0, 1, 2),
    sortOrder: fc.constantFrom('none' as const, 'ascend' as const, 'descend' as const),
    keysOnly: fc.boolean(),
    countOnly: fc.constantFrom(false, false, true),
    // How far back; 0 reads the present.
    back: fc.constantFrom(0, 0, 1, 3),
    minBack: fc.constantFrom(undefined, undefined, 2),
  })
  .map(({ span: at, back, minBack, ...rest }) => (prefix, revision) => ({
    ...at(prefix, revision),
    ...rest,
    revision: back === 0 ? 0 : revision - back,
    ...(minBack === undefined ? {} : { minModRevision: Math.max(1, revision - minBack) }),
  }));

const compare: fc.Arbitrary<Build<Compare>> = fc
  .record({
    span,
    target: fc.constantFrom('version' as const, 'create' as const, 'mod' as const, 'value' as const),
    result: fc.constantFrom('equal' as const, 'greater' as const, 'less' as const, 'not-equal' as const),
    number: fc.nat(3),
    value,
  })
  .map(({ span: at, target, result, number, value: text }) => (prefix, revision) => ({
    ...at(prefix, revision),
    target,
    result,
    operand:
      target === 'value' ? bytes(text) : target === 'version' ? number : Math.max(0, revision - number),
  }));

const write: fc.Arbitrary<Build<RequestOp>> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc
      .tuple(name, value, fc.boolean())
      .map(([one, text, prevKv]): Build<RequestOp> => (prefix) => ({
        put: { key: bytes(prefix + one), value: bytes(text), prevKv },
      })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(span, fc.boolean()).map(([at, prevKv]): Build<RequestOp> => (prefix, revision) => ({
      deleteRange: { ...at(prefix, revision), prevKv },
    })),
  },
);

/** A range within a transaction reads the present: the past is the same inside and outside. */
const read: fc.Arbitrary<Build<RequestOp>> = range.map((build) => (prefix, revision) => ({
  range: { ...build(prefix, revision), revision: 0 },
}));

/** Operations without the overlaps that etcd refuses: at most one writes. */
const branch: fc.Arbitrary<Build<RequestOp[]>> = fc.oneof(
  write.map((op): Build<RequestOp[]> => (prefix, revision) => [op(prefix, revision)]),
  fc.tuple(read, write, read).map(
    (ops): Build<RequestOp[]> =>
      (prefix, revision) =>
        ops.map((op) => op(prefix, revision)),
  ),
  fc.tuple(value, value).map(([one, other]): Build<RequestOp[]> => (prefix) => [
    { put: { key: bytes(`${prefix}a`), value: bytes(one), prevKv: true } },
    { put: { key: bytes(`${prefix}d`), value: bytes(other) } },
    { deleteRange: { key: bytes(`${prefix}b`), rangeEnd: bytes(`${prefix}d`) } },
  ]),
  fc
    .tuple(compare, write, read)
    .map(([condition, then, otherwise]): Build<RequestOp[]> => (prefix, revision) => [
      {
        txn: {
          compare: [condition(prefix, revision)],
          success: [then(prefix, revision)],
          failure: [otherwise(prefix, revision)],
        },
      },
    ]),
);

const txn: fc.Arbitrary<Build<TxnRequest>> = fc
  .record({ compare: fc.array(compare, { maxLength: 2 }), success: branch, failure: branch })
  .map((parts) => (prefix, revision) => ({
    compare: parts.compare.map((one) => one(prefix, revision)),
    success: parts.success(prefix, revision),
    failure: parts.failure(prefix, revision),
  }));

const plainWrite: fc.Arbitrary<Build<TxnRequest>> = write.map((op) => (prefix, revision) => ({
  compare: [],
  success: [op(prefix, revision)],
  failure: [],
}));

/** Random scripts: writes and transactions, with ranges over present and past in between. */
export const requestScript: fc.Arbitrary<RequestScript> = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: plainWrite },
      { weight: 3, arbitrary: txn },
      { weight: 2, arbitrary: range },
    ),
    { minLength: 5, maxLength: 40 },
  )
  .map(
    (builds) => (prefix, base) =>
      // The revision a request means depends on what came before; scripts name revisions near the base, which
      // always exist: reads of the past ask for the base itself or later.
      builds.map((build) => pinned(build(prefix, base), base)),
  );

function pinned<T extends TxnRequest | RangeRequest>(request: T, base: number): T {
  return 'compare' in request || !request.revision ? request : { ...request, revision: base };
}
