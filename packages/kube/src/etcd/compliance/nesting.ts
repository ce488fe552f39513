// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  bytes,
  type Context,
  type NewContext,
  noValue,
  plain,
  Receiver,
  rejectsLike,
  text,
} from './context.ts';
import { type Compare, etcdErrors, type RequestOp, type TxnResponse } from '../store.ts';

const always: Compare[] = [];

/** Operations on the keys of one test, short enough to read a transaction at a glance. */
function ops(c: Context) {
  const put = (name: string, value = '1', more: object = {}): RequestOp => ({
    put: { key: c.key(name), value: bytes(value), ...more },
  });
  const del = (name: string, end?: string): RequestOp => ({
    deleteRange: { key: c.key(name), rangeEnd: end === undefined ? undefined : c.key(end), prevKv: true },
  });
  const get = (name: string): RequestOp => ({ range: { key: c.key(name) } });
  const txn = (success: RequestOp[], failure: RequestOp[] = [], compare = always): RequestOp => ({
    txn: { compare, success, failure },
  });
  const run = (success: RequestOp[], failure: RequestOp[] = [], compare = always): Promise<TxnResponse> =>
    c.store.txn({ compare, success, failure });
  return { put, del, get, txn, run };
}

export function declareNesting(context: NewContext): void {
  declareCompares(context);
  declareOverlaps(context);
  declareRevisions(context);
}

function declareCompares(context: NewContext): void {
  it('compares a missing key, and a range of nothing, as one of zeros', async () => {
    const c = context();
    const missing = { key: c.key('missing') };
    const nothing = { key: c.key('m'), rangeEnd: c.key('n') };
    for (const at of [missing, nothing]) {
      for (const target of ['version', 'create', 'mod', 'lease'] as const) {
        const zero = target === 'lease' ? 0n : 0;
        const one = target === 'lease' ? 1n : 1;
        const verdicts = await Promise.all(
          (['equal', 'not-equal', 'greater', 'less'] as const).flatMap((result) =>
            [zero, one].map(async (operand) => {
              const compare = [{ ...at, target, result, operand }];
              return (await c.store.txn({ compare, success: [], failure: [] })).succeeded;
            }),
          ),
        );
        assert.deepEqual(verdicts, [true, false, false, true, false, false, false, true], target);
      }
      for (const result of ['equal', 'not-equal', 'greater', 'less'] as const) {
        const compare = [{ ...at, target: 'value' as const, result, operand: noValue }];
        assert.equal((await c.store.txn({ compare, success: [], failure: [] })).succeeded, false, result);
      }
    }
  });

  it('wants every comparison and every key of a range to hold', async () => {
    const c = context();
    const { id } = await c.store.leaseGrant(60);
    const first = await c.put('a', '1', { lease: id });
    await c.put('b', '2', { lease: id });
    const holds = async (...compare: Compare[]): Promise<boolean> =>
      (await c.store.txn({ compare, success: [], failure: [] })).succeeded;
    const all = (rest: Omit<Compare, 'key' | 'rangeEnd'>): Compare => ({ ...c.all(), ...rest });
    assert.equal(await holds(all({ target: 'lease', result: 'equal', operand: id })), true);
    assert.equal(await holds(all({ target: 'lease', result: 'less', operand: id })), false);
    assert.equal(await holds(all({ target: 'mod', result: 'greater', operand: first - 1 })), true);
    assert.equal(await holds(all({ target: 'create', result: 'greater', operand: first })), false);
    assert.equal(await holds(all({ target: 'create', result: 'not-equal', operand: first })), false);
    assert.equal(await holds(all({ target: 'value', result: 'less', operand: bytes('3') })), true);
    assert.equal(await holds(all({ target: 'value', result: 'not-equal', operand: bytes('2') })), false);
    const toTheEnd: Compare = {
      ...all({ target: 'version', result: 'less', operand: 2 }),
      rangeEnd: bytes('\0'),
    };
    assert.equal(await holds({ ...toTheEnd, key: c.key('b'), result: 'greater', operand: 0 }), true);
    const exists: Compare = { key: c.key('a'), target: 'version', result: 'equal', operand: 1 };
    const isOther: Compare = { key: c.key('b'), target: 'value', result: 'equal', operand: bytes('1') };
    assert.deepEqual([await holds(exists), await holds(exists, isOther), await holds()], [true, false, true]);
    await c.store.leaseRevoke(id);
  });

  it('nests three deep, each branch decided on what was there before', async () => {
    const c = context();
    const { put, get, txn, run } = ops(c);
    await c.put('a', '1');
    const isNew = (name: string): Compare[] => [
      { key: c.key(name), target: 'create', result: 'equal', operand: 0 },
    ];
    const response = await run(
      [put('x'), txn([txn([put('y'), get('x')], [put('wrong1')], isNew('x'))], [put('wrong2')], isNew('y'))],
      [put('wrong3')],
      isNew('b'),
    );
    assert.deepEqual(await c.names({}), ['a', 'x', 'y']);
    const second = response.responses[1];
    const third = second && 'txn' in second ? second.txn.responses[0] : undefined;
    assert.ok(third && 'txn' in third && third.txn.succeeded);
    const read = third.txn.responses[1];
    assert.ok(read && 'range' in read);
    assert.equal(read.range.kvs[0]?.modRevision, response.revision, 'it reads what the outer one wrote');
  });

  it('checks the branch that is taken, and no other', async () => {
    const c = context();
    const { put, txn, run } = ops(c);
    const unknownLease = put('a', '1', { lease: 0x5555n });
    const absent = put('none', '', { ignoreValue: true });
    const future: RequestOp = { range: { key: c.key('a'), revision: 1_000_000_000 } };
    for (const op of [unknownLease, absent, future]) {
      assert.equal((await run([put('b')], [op])).succeeded, true);
      await run([txn([put('b')], [op])]);
    }
    await rejectsLike(run([put('c'), txn([unknownLease])]), etcdErrors.leaseNotFound());
    await rejectsLike(run([put('c'), txn([absent])]), etcdErrors.keyNotFound());
    await rejectsLike(run([put('c'), txn([future])]), etcdErrors.futureRevision());
    await rejectsLike(run([future]), etcdErrors.futureRevision());
    assert.deepEqual(await c.names({}), ['b']);
  });
}

function declareOverlaps(context: NewContext): void {
  it('refuses overlapping writes wherever etcd does, and nowhere else', async () => {
    const c = context();
    const { put, del, get, txn, run } = ops(c);
    const refused: Array<[string, RequestOp[]]> = [
      ['two puts', [put('a'), put('a')]],
      ['a put and its deletion', [put('a'), del('a')]],
      ['a deletion and a put of it', [del('a', 'c'), put('b')]],
      ['a put here and one in a nested branch', [put('a'), txn([put('a')])]],
      ['a put here and one in the branch not taken', [put('a'), txn([], [put('a')])]],
      ['puts in two nested ones', [txn([put('a')]), txn([put('a')])]],
      ['a put in one branch and one in the other of a sibling', [txn([put('a')]), txn([], [put('a')])]],
      ['a deletion here and a put in a nested one', [txn([put('b')]), del('a', 'c')]],
      ['a nested deletion and a put here', [put('b'), txn([del('a', 'c')])]],
      ['a nested deletion before a nested put', [txn([del('a', 'c')]), txn([put('b')])]],
      ['two deep', [txn([txn([put('a')])]), put('a')]],
    ];
    for (const [what, success] of refused) {
      await assert.rejects(run(success), etcdErrors.duplicateKey(), what);
      await assert.rejects(run([], success), etcdErrors.duplicateKey(), `${what}, in the failure branch`);
    }
    assert.deepEqual(await c.names({}), []);
    const allowed: Array<[string, RequestOp[]]> = [
      ['the same put in either branch', [txn([put('a')], [put('a')])]],
      ['deletions of the same', [del('a', 'c'), del('a'), txn([del('b')])]],
      ['reads of what is written', [get('a'), put('a'), get('a'), txn([get('a')])]],
      ['a put before the range', [put('a'), del('b', 'c')]],
      ['a put behind the range, whose end is not in it', [put('c'), del('b', 'c')]],
      ['a nested put before a nested deletion', [txn([put('a')]), txn([del('a')])]],
      // etcd's check takes this end for a name, and so for a range of nothing.
      [
        'a deletion from a key to the end of all',
        [put('b'), { deleteRange: { key: c.key('a'), rangeEnd: Uint8Array.of(0) } }],
      ],
    ];
    for (const [what, success] of allowed) assert.equal((await run(success)).succeeded, true, what);
  });

  it('takes 128 operations and no more, a nested one what is left', async () => {
    const c = context();
    const { put, get, txn, run } = ops(c);
    const many = (count: number, of: (name: string) => RequestOp): RequestOp[] =>
      Array.from({ length: count }, (_, i) => of(`k${String(i).padStart(3, '0')}`));
    const before = await c.put('a', '1');
    assert.equal((await run(many(128, (name) => put(name)))).revision, before + 1);
    const count = await c.store.range({ ...c.all(), countOnly: true });
    assert.equal(count.count, 129);
    const compare = (length: number): Compare[] =>
      Array.from({ length }, () => ({
        key: c.key('a'),
        target: 'version',
        result: 'equal',
        operand: 1,
      }));
    assert.equal((await run([], [], compare(128))).succeeded, true);
    await rejectsLike(run([], [], compare(129)), etcdErrors.tooManyOps());
    await rejectsLike(run([], many(129, get)), etcdErrors.tooManyOps());
    assert.equal((await run([txn(many(127, get))])).succeeded, true);
    await rejectsLike(run([txn(many(128, get))]), etcdErrors.tooManyOps());
    await rejectsLike(run([get('a'), get('a'), txn(many(126, get))]), etcdErrors.tooManyOps());
    await rejectsLike(run([txn(many(126, get))], [], compare(3)), etcdErrors.tooManyOps());
  });

  it('refuses an empty key anywhere', async () => {
    const c = context();
    const { run, txn } = ops(c);
    const empty: RequestOp[] = [
      { put: { key: noValue, value: noValue } },
      { range: { key: noValue } },
      { deleteRange: { key: noValue } },
    ];
    for (const op of empty) {
      await rejectsLike(run([op]), etcdErrors.emptyKey());
      await rejectsLike(run([], [op]), etcdErrors.emptyKey());
      await rejectsLike(run([txn([], [op])]), etcdErrors.emptyKey());
    }
    const compare: Compare[] = [{ key: noValue, target: 'version', result: 'equal', operand: 0 }];
    await rejectsLike(run([], [], compare), etcdErrors.emptyKey());
    await rejectsLike(run([txn([], [], compare)]), etcdErrors.emptyKey());
  });
}

function declareRevisions(context: NewContext): void {
  it('takes a revision only for what changes something', async () => {
    const c = context();
    const { del, get, run, put } = ops(c);
    const revision = await c.put('a', '1');
    for (const success of [[], [get('a')], [del('none')], [get('a'), del('none', 'nonf')]]) {
      assert.equal((await run(success)).revision, revision);
    }
    assert.equal((await run([del('none'), put('b')])).revision, revision + 1);
  });

  it('gives every write of a transaction its revision, and each its place in it', async () => {
    const c = context();
    const { put, del, txn, run } = ops(c);
    const first = await c.put('d1', '1');
    await c.put('d2', '1');
    const receiver = new Receiver();
    const watch = c.watch(receiver, { startRevision: first + 2, prevKv: true });
    const { revision } = await run([put('z'), del('d1', 'd9'), txn([put('b'), put('a')]), put('m')]);
    assert.equal(revision, first + 2);
    await receiver.until('all', () => receiver.events.length === 6);
    assert.deepEqual(
      receiver.events.map(({ type, kv, prevKv }) => [
        type,
        text(kv.key).slice(c.prefix.length),
        kv.modRevision,
        kv.createRevision,
        kv.version,
        prevKv?.modRevision,
      ]),
      [
        ['put', 'z', revision, revision, 1, undefined],
        ['delete', 'd1', revision, 0, 0, first],
        ['delete', 'd2', revision, 0, 0, first + 1],
        ['put', 'b', revision, revision, 1, undefined],
        ['put', 'a', revision, revision, 1, undefined],
        ['put', 'm', revision, revision, 1, undefined],
      ],
    );
    watch.cancel();
  });

  it('puts and deletes a key in one revision, and begins its next life afterwards', async () => {
    const c = context();
    const { put, del, txn, run } = ops(c);
    const old = await c.put('a', 'old');
    const receiver = new Receiver();
    const watch = c.watch(receiver, { startRevision: old + 1, prevKv: true });
    const { revision, responses } = await run([
      txn([put('a', 'brief'), put('b')]),
      txn([del('a'), del('b')]),
    ]);
    assert.equal(revision, old + 1);
    const deletion = responses[1] && 'txn' in responses[1] ? responses[1].txn.responses : [];
    assert.deepEqual(
      deletion.map(
        (op) =>
          'deleteRange' in op && op.deleteRange.prevKvs.map(({ value, version }) => [text(value), version]),
      ),
      [[['brief', 2]], [['1', 1]]],
    );
    assert.deepEqual(await c.names({}), []);
    assert.deepEqual(await c.names({ revision }), []);
    assert.deepEqual(await c.names({ revision: old }), ['a']);
    const reborn = await c.put('a', 'new');
    const kv = await c.get('a');
    assert.deepEqual([kv?.createRevision, kv?.modRevision, kv?.version], [reborn, reborn, 1]);
    await receiver.until('five events', () => receiver.events.length === 5);
    // The previous value is what was there a revision earlier, not what the transaction itself wrote.
    assert.deepEqual(
      receiver.events.map(({ type, kv: { key, modRevision }, prevKv }) => [
        type,
        text(key).slice(c.prefix.length),
        modRevision,
        plain(prevKv?.value),
      ]),
      [
        ['put', 'a', revision, 'bytes:old'],
        ['put', 'b', revision, undefined],
        ['delete', 'a', revision, 'bytes:old'],
        ['delete', 'b', revision, undefined],
        ['put', 'a', reborn, undefined],
      ],
    );
    watch.cancel();
  });

  it('keeps value and lease, and tells previous values, inside a transaction too', async () => {
    const c = context();
    const { put, run } = ops(c);
    const { id } = await c.store.leaseGrant(60);
    await c.put('a', 'kept', { lease: id });
    await c.put('b', 'lost', { lease: id });
    const { responses } = await run([
      put('a', '', { ignoreValue: true, ignoreLease: true, prevKv: true }),
      put('b', 'new', { prevKv: true }),
      put('c', 'x', { prevKv: true }),
    ]);
    assert.deepEqual(
      responses.map((op) => ('put' in op ? plain(op.put.prevKv?.value) : 'none')),
      ['bytes:kept', 'bytes:lost', undefined],
    );
    const [a, b] = [await c.get('a'), await c.get('b')];
    assert.deepEqual([text(a?.value ?? noValue), a?.lease, a?.version], ['kept', id, 2]);
    assert.deepEqual([text(b?.value ?? noValue), b?.lease], ['new', 0n]);
    await c.store.leaseRevoke(id);
    assert.deepEqual(await c.names({}), ['b', 'c']);
  });
}
