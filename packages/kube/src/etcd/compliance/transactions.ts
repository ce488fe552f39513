// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { bytes, type NewContext, noValue, rejectsLike, text } from './context.ts';
import { type Compare, etcdErrors, type TxnRequest } from '../store.ts';

export function declareTransactions(context: NewContext): void {
  it('compares every field in every way', async () => {
    const c = context();
    const { id } = await c.store.leaseGrant(60);
    const revision = await c.put('a', 'v');
    await c.put('a', 'w', { lease: id });
    const key = c.key('a');
    const holds = async (compare: Compare): Promise<boolean> =>
      (await c.store.txn({ compare: [compare], success: [], failure: [] })).succeeded;
    const cases: Array<
      [
        Compare['target'],
        number | bigint | Uint8Array,
        number | bigint | Uint8Array,
        number | bigint | Uint8Array,
      ]
    > = [
      ['version', 1, 2, 3],
      ['create', revision - 1, revision, revision + 1],
      ['mod', revision, revision + 1, revision + 2],
      ['lease', id - 1n, id, id + 1n],
      ['value', bytes('v'), bytes('w'), bytes('x')],
    ];
    for (const [target, below, same, above] of cases) {
      const verdicts = async (operand: number | bigint | Uint8Array): Promise<boolean[]> => [
        await holds({ key, target, result: 'equal', operand }),
        await holds({ key, target, result: 'not-equal', operand }),
        await holds({ key, target, result: 'greater', operand }),
        await holds({ key, target, result: 'less', operand }),
      ];
      assert.deepEqual(await verdicts(below), [false, true, true, false], `${target} against less`);
      assert.deepEqual(await verdicts(same), [true, false, false, false], `${target} against equal`);
      assert.deepEqual(await verdicts(above), [false, true, false, true], `${target} against more`);
    }
    const missing = c.key('missing');
    assert.equal(await holds({ key: missing, target: 'version', result: 'equal', operand: 0 }), true);
    assert.equal(await holds({ key: missing, target: 'create', result: 'equal', operand: 0 }), true);
    assert.equal(await holds({ key: missing, target: 'value', result: 'equal', operand: noValue }), false);
    assert.equal(
      await holds({ key: missing, target: 'value', result: 'not-equal', operand: bytes('x') }),
      false,
    );
    await c.store.leaseRevoke(id);
  });

  it('compares every key of a range', async () => {
    const c = context();
    await c.put('a', 'x');
    await c.put('b', 'x');
    const holds = async (target: 'version' | 'value', operand: number | Uint8Array): Promise<boolean> => {
      const compare: Compare[] = [{ ...c.all(), target, result: 'equal', operand }];
      return (await c.store.txn({ compare, success: [], failure: [] })).succeeded;
    };
    assert.equal(await holds('version', 1), true);
    assert.equal(await holds('value', bytes('x')), true);
    await c.put('b', 'y');
    assert.equal(await holds('version', 1), false);
    assert.equal(await holds('value', bytes('x')), false);
  });

  it('writes with one revision, sees its own writes, and answers each operation', async () => {
    const c = context();
    const before = await c.put('old', '1');
    const response = await c.store.txn({
      compare: [],
      success: [
        { put: { key: c.key('a'), value: bytes('1') } },
        { put: { key: c.key('b'), value: bytes('2') } },
        { range: c.all() },
        { deleteRange: { key: c.key('old'), prevKv: true } },
        { range: { ...c.all(), countOnly: true } },
      ],
      failure: [],
    });
    assert.equal(response.revision, before + 1);
    const [, , range, deletion, count] = response.responses;
    assert.ok(
      range && 'range' in range && deletion && 'deleteRange' in deletion && count && 'range' in count,
    );
    assert.deepEqual(
      range.range.kvs.map(({ key, modRevision }) => [text(key).slice(c.prefix.length), modRevision]),
      [
        ['a', before + 1],
        ['b', before + 1],
        ['old', before],
      ],
    );
    assert.equal(text(deletion.deleteRange.prevKvs[0]?.value ?? noValue), '1');
    assert.equal(count.range.count, 2);
    assert.equal(await c.put('a', '2'), before + 2);
  });

  it('takes the failure branch, and nests', async () => {
    const c = context();
    await c.put('a', '1');
    const exists: Compare = { key: c.key('a'), target: 'version', result: 'greater', operand: 0 };
    const response = await c.store.txn({
      compare: [{ key: c.key('a'), target: 'version', result: 'equal', operand: 0 }],
      success: [{ put: { key: c.key('wrong'), value: bytes('1') } }],
      failure: [
        { put: { key: c.key('b'), value: bytes('1') } },
        {
          txn: {
            // Decided before anything is written: `b` does not exist yet.
            compare: [exists, { key: c.key('b'), target: 'version', result: 'equal', operand: 0 }],
            success: [{ put: { key: c.key('c'), value: bytes('1') } }],
            failure: [],
          },
        },
        { range: { key: c.key('a') } },
      ],
    });
    assert.equal(response.succeeded, false);
    assert.deepEqual(await c.names({}), ['a', 'b', 'c']);
    const nested = response.responses[1];
    assert.ok(nested && 'txn' in nested);
    assert.equal(nested.txn.succeeded, true);
    const [b, cc] = [await c.get('b'), await c.get('c')];
    assert.equal(b?.modRevision, cc?.modRevision);
  });

  it('refuses a transaction whole', async () => {
    const c = context();
    const put = (name: string, more: object = {}) => ({
      put: { key: c.key(name), value: bytes('1'), ...more },
    });
    const txn = (success: TxnRequest['success'], compare: Compare[] = []) =>
      c.store.txn({ compare, success, failure: [] });
    await rejectsLike(txn([put('a'), put('a')]), etcdErrors.duplicateKey());
    await rejectsLike(txn([put('a'), { deleteRange: c.all() }]), etcdErrors.duplicateKey());
    await rejectsLike(
      txn([put('a'), { txn: { compare: [], success: [put('a')], failure: [] } }]),
      etcdErrors.duplicateKey(),
    );
    await rejectsLike(txn([put('a'), put('b', { lease: 0x5555n })]), etcdErrors.leaseNotFound());
    await rejectsLike(txn(Array.from({ length: 129 }, (_, i) => put(`k${i}`))), etcdErrors.tooManyOps());
    await rejectsLike(
      txn([put('a'), { range: { key: c.key('a'), revision: 1_000_000_000 } }]),
      etcdErrors.futureRevision(),
    );
    await rejectsLike(txn([{ range: { key: noValue } }]), etcdErrors.emptyKey());
    assert.deepEqual(await c.names({}), []);
    const both = await c.store.txn({
      compare: [],
      success: [{ txn: { compare: [], success: [put('a')], failure: [put('a')] } }],
      failure: [],
    });
    assert.equal(both.succeeded, true);
  });

  it('applies concurrent compare-and-swaps one after the other', async () => {
    const c = context();
    await c.put('n', '0');
    let lost = 0;
    const increment = async (): Promise<void> => {
      for (;;) {
        const kv = await c.get('n');
        const next = bytes(String(Number(text(kv?.value ?? noValue)) + 1));
        const { succeeded } = await c.store.txn({
          compare: [{ key: c.key('n'), target: 'mod', result: 'equal', operand: kv?.modRevision ?? 0 }],
          success: [{ put: { key: c.key('n'), value: next } }],
          failure: [],
        });
        if (succeeded) return;
        lost++;
      }
    };
    await Promise.all(Array.from({ length: 20 }, increment));
    assert.equal(text((await c.get('n'))?.value ?? noValue), '20');
    assert.ok(lost > 0, 'the swaps really competed');
  });
}
