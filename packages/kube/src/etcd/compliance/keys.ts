// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { bytes, type NewContext, noValue, plain, rejectsLike, text } from './context.ts';
import { etcdErrors } from '../store.ts';

export function declareKeys(context: NewContext): void {
  it('counts versions and revisions of a key through its lives', async () => {
    const c = context();
    const first = await c.put('a', '1');
    const second = await c.put('a', '2');
    assert.equal(second, first + 1);
    const kv = await c.get('a');
    assert.deepEqual(plain(kv), {
      key: `bytes:${c.prefix}a`,
      value: 'bytes:2',
      createRevision: first,
      modRevision: second,
      version: 2,
      lease: '0n',
    });
    const deleted = await c.store.deleteRange({ key: c.key('a'), prevKv: true });
    assert.equal(deleted.revision, second + 1);
    assert.equal(deleted.deleted, 1);
    assert.deepEqual(plain(deleted.prevKvs), [plain(kv)]);
    assert.equal(await c.get('a'), undefined);
    const third = await c.put('a', '3');
    const reborn = await c.get('a');
    assert.deepEqual([reborn?.createRevision, reborn?.version], [third, 1]);
  });

  it('takes no revision for a deletion of nothing', async () => {
    const c = context();
    const revision = await c.put('a', '1');
    const { deleted, revision: after } = await c.store.deleteRange({ key: c.key('none') });
    assert.deepEqual([deleted, after], [0, revision]);
    assert.equal(await c.put('a', '2'), revision + 1);
  });

  it('returns the previous value, and keeps value or lease when asked to', async () => {
    const c = context();
    const { id } = await c.store.leaseGrant(60);
    await c.put('a', '1', { lease: id });
    const replaced = await c.store.put({
      key: c.key('a'),
      value: bytes('2'),
      ignoreLease: true,
      prevKv: true,
    });
    assert.equal(text(replaced.prevKv?.value ?? noValue), '1');
    assert.equal((await c.get('a'))?.lease, id);
    await c.store.put({ key: c.key('a'), value: noValue, ignoreValue: true });
    const kept = await c.get('a');
    assert.deepEqual([text(kept?.value ?? noValue), kept?.lease], ['2', 0n]);
    const fresh = await c.store.put({ key: c.key('b'), value: bytes('1'), prevKv: true });
    assert.equal(fresh.prevKv, undefined);
    await c.store.leaseRevoke(id);
  });

  it("refuses bad requests in etcd's words", async () => {
    const c = context();
    const { store } = c;
    const key = c.key('a');
    await rejectsLike(store.put({ key: noValue, value: noValue }), etcdErrors.emptyKey());
    await rejectsLike(store.range({ key: noValue }), etcdErrors.emptyKey());
    await rejectsLike(store.deleteRange({ key: noValue }), etcdErrors.emptyKey());
    await rejectsLike(store.put({ key, value: noValue, ignoreValue: true }), etcdErrors.keyNotFound());
    await rejectsLike(store.put({ key, value: noValue, ignoreLease: true }), etcdErrors.keyNotFound());
    await rejectsLike(store.put({ key, value: bytes('x'), ignoreValue: true }), etcdErrors.valueProvided());
    await rejectsLike(
      store.put({ key, value: bytes('x'), ignoreLease: true, lease: 5n }),
      etcdErrors.leaseProvided(),
    );
    await rejectsLike(store.put({ key, value: bytes('x'), lease: 0x7777n }), etcdErrors.leaseNotFound());
    await rejectsLike(store.put({ key, value: new Uint8Array(1_600_000) }), etcdErrors.requestTooLarge());
    assert.equal(await c.get('a'), undefined);
  });

  it('keeps keys and values of any bytes', async () => {
    const c = context();
    const odd = Buffer.concat([c.key(''), Uint8Array.from({ length: 256 }, (_, i) => i)]);
    const value = Uint8Array.from({ length: 5000 }, (_, i) => i % 251);
    await c.store.put({ key: odd, value });
    await c.store.put({ key: c.key('empty'), value: noValue });
    const { kvs } = await c.store.range(c.all());
    assert.equal(kvs.length, 2);
    assert.deepEqual(Buffer.from(kvs[0]?.key ?? noValue), odd);
    assert.deepEqual(Buffer.from(kvs[0]?.value ?? noValue), Buffer.from(value));
    assert.equal(kvs[1]?.value.length, 0);
  });
}

export function declareRanges(context: NewContext): void {
  it('pages by limit with a count of all and more', async () => {
    const c = context();
    for (const name of ['d', 'b', 'a', 'c']) await c.put(name, name);
    const first = await c.store.range({ ...c.all(), limit: 2 });
    assert.deepEqual([first.kvs.length, first.more, first.count], [2, true, 4]);
    const last = first.kvs[1]?.key ?? noValue;
    const rest = await c.store.range({ ...c.all(), key: Buffer.concat([last, Uint8Array.of(0)]), limit: 2 });
    assert.deepEqual(
      rest.kvs.map(({ key }) => text(key)),
      [`${c.prefix}c`, `${c.prefix}d`],
    );
    assert.deepEqual([rest.more, rest.count], [false, 2]);
  });

  it('reads the past, as of any retained revision', async () => {
    const c = context();
    const first = await c.put('a', '1');
    const second = await c.put('b', '1');
    await c.put('a', '2');
    await c.store.deleteRange({ key: c.key('b') });
    assert.deepEqual(await c.names({ revision: first }), ['a']);
    assert.deepEqual(await c.names({ revision: second }), ['a', 'b']);
    assert.deepEqual(await c.names({}), ['a']);
    assert.equal(text((await c.get('a', second))?.value ?? noValue), '1');
    const { revision } = await c.store.range({ key: c.key('a') });
    await rejectsLike(
      c.store.range({ key: c.key('a'), revision: revision + 1000 }),
      etcdErrors.futureRevision(),
    );
  });

  it('sorts, filters, and leaves out values', async () => {
    const c = context();
    const r1 = await c.put('a', '3');
    await c.put('b', '1');
    const r3 = await c.put('c', '2');
    const r4 = await c.put('a', '3');
    assert.deepEqual(await c.names({ sortOrder: 'descend' }), ['c', 'b', 'a']);
    assert.deepEqual(await c.names({ sortTarget: 'value', sortOrder: 'ascend' }), ['b', 'c', 'a']);
    assert.deepEqual(await c.names({ sortTarget: 'value', sortOrder: 'descend', limit: 2 }), ['a', 'c']);
    assert.deepEqual(await c.names({ sortTarget: 'mod', sortOrder: 'ascend' }), ['b', 'c', 'a']);
    assert.deepEqual(await c.names({ sortTarget: 'mod' }), ['b', 'c', 'a']);
    assert.deepEqual(await c.names({ sortTarget: 'create', sortOrder: 'descend' }), ['c', 'b', 'a']);
    assert.deepEqual(await c.names({ sortTarget: 'version', sortOrder: 'descend', limit: 1 }), ['a']);
    assert.deepEqual(await c.names({ minModRevision: r3 }), ['a', 'c']);
    assert.deepEqual(await c.names({ maxModRevision: r3 }), ['b', 'c']);
    assert.deepEqual(await c.names({ minCreateRevision: r1 + 1 }), ['b', 'c']);
    assert.deepEqual(await c.names({ maxCreateRevision: r1, minModRevision: r4 }), ['a']);
    const keys = await c.store.range({ ...c.all(), keysOnly: true });
    assert.deepEqual(
      keys.kvs.map(({ value, modRevision }) => [value.length, modRevision > 0]),
      [
        [0, true],
        [0, true],
        [0, true],
      ],
    );
    const count = await c.store.range({ ...c.all(), countOnly: true });
    assert.deepEqual([count.kvs.length, count.count, count.more], [0, 3, false]);
    const filtered = await c.store.range({ ...c.all(), minModRevision: r3, limit: 1 });
    assert.deepEqual([filtered.kvs.length, filtered.more, filtered.count], [1, true, 3]);
  });

  it('reads from a key to the end of all keys', async () => {
    const c = context();
    await c.put('a', '1');
    const { kvs, count } = await c.store.range({ key: c.key(''), rangeEnd: Uint8Array.of(0), limit: 1 });
    assert.equal(text(kvs[0]?.key ?? noValue), `${c.prefix}a`);
    assert.ok(count >= 1);
    const nothing = await c.store.range({ key: c.key('b'), rangeEnd: c.key('a') });
    assert.deepEqual([nothing.kvs.length, nothing.count], [0, 0]);
  });
}
