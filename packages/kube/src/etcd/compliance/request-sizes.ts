// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { bytes, type NewContext, noValue, rejectsLike } from './context.ts';
import { etcdErrors } from '../store.ts';

/** etcd: --max-request-bytes. */
const maxRequestBytes = 1.5 * 1024 * 1024;
/** etcd counts its envelope too, a store in the same process has none. */
const envelopeBytes = 512;

export function declareRequestSizes(context: NewContext): void {
  it('takes requests up to 1.5 MB, keys and values together, and refuses larger ones', async () => {
    const c = context();
    const { store } = c;
    const key = c.key('a');
    const most = maxRequestBytes - key.byteLength - envelopeBytes;
    const { revision } = await store.put({ key, value: new Uint8Array(most) });
    assert.equal((await c.get('a'))?.value.byteLength, most);
    const tooLarge = etcdErrors.requestTooLarge();
    await rejectsLike(store.put({ key, value: new Uint8Array(maxRequestBytes) }), tooLarge);
    const long = Buffer.concat([key, Buffer.alloc(maxRequestBytes, 'k')]);
    await rejectsLike(store.put({ key: long, value: noValue }), tooLarge);
    await rejectsLike(store.deleteRange({ key: long }), tooLarge);
    const third = new Uint8Array(maxRequestBytes / 3);
    const puts = (names: string[]) => names.map((name) => ({ put: { key: c.key(name), value: third } }));
    const txn = (names: string[]) => store.txn({ compare: [], success: puts(names), failure: [] });
    await rejectsLike(txn(['b', 'c', 'd']), tooLarge);
    await rejectsLike(
      store.txn({
        compare: [{ key, target: 'value', result: 'equal', operand: new Uint8Array(maxRequestBytes) }],
        success: [{ put: { key, value: noValue } }],
        failure: [],
      }),
      tooLarge,
    );
    await rejectsLike(store.txn({ compare: [], success: puts(['b']), failure: puts(['c', 'd']) }), tooLarge);
    assert.equal((await txn(['b', 'c'])).revision, revision + 1);
    assert.deepEqual(await c.names({ keysOnly: true }), ['a', 'b', 'c']);
  });

  it('answers with more than one request may carry', async () => {
    const c = context();
    const value = new Uint8Array(1024 * 1024).fill(7);
    for (let i = 0; i < 6; i++) await c.store.put({ key: c.key(`k${i}`), value });
    const { kvs } = await c.store.range(c.all());
    assert.deepEqual(
      kvs.map((kv) => Buffer.compare(kv.value, value)),
      [0, 0, 0, 0, 0, 0],
    );
    const { deleted, prevKvs } = await c.store.deleteRange({ ...c.all(), prevKv: true });
    assert.deepEqual([deleted, prevKvs.length], [6, 6]);
  });

  it('takes long keys', async () => {
    const c = context();
    const long = Buffer.concat([c.key(''), Buffer.alloc(100_000, 'k')]);
    await c.store.put({ key: long, value: bytes('1') });
    const { kvs } = await c.store.range({ ...c.all(), key: c.key('k') });
    assert.equal(kvs[0]?.key.byteLength, long.byteLength);
  });
}
