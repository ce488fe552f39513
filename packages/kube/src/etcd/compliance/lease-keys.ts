// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { bytes, type Context, type NewContext, noValue, Receiver, rejectsLike, text } from './context.ts';
import { etcdErrors } from '../store.ts';

const keysOf = async (c: Context, id: bigint): Promise<string[]> =>
  (await c.store.leaseTimeToLive(id, true)).keys.map((key) => text(key).slice(c.prefix.length)).sort();

export function declareLeaseKeys(context: NewContext): void {
  it('follows a key from lease to lease, through deletion and rebirth', async () => {
    const c = context();
    const [one, two] = [(await c.store.leaseGrant(60)).id, (await c.store.leaseGrant(60)).id];
    await c.put('a', '1', { lease: one });
    await c.put('b', '1', { lease: one });
    assert.deepEqual([await keysOf(c, one), await keysOf(c, two)], [['a', 'b'], []]);
    await c.put('a', '2', { lease: two });
    assert.deepEqual([await keysOf(c, one), await keysOf(c, two)], [['b'], ['a']]);
    await c.put('a', '3', { lease: two });
    assert.deepEqual(await keysOf(c, two), ['a']);
    await c.put('a', '4', { ignoreLease: true });
    assert.deepEqual(await keysOf(c, two), ['a']);
    await c.store.deleteRange({ key: c.key('a') });
    assert.deepEqual(await keysOf(c, two), []);
    await c.put('a', '5');
    await c.store.leaseRevoke(two);
    assert.deepEqual(await c.names({}), ['a', 'b']);
    await c.put('b', '2');
    await c.store.leaseRevoke(one);
    assert.deepEqual(await c.names({}), ['a', 'b'], 'neither belonged to it any more');
  });

  it('takes one revision for the keys of a revoked lease, in their order, and none for no keys', async () => {
    const c = context();
    const { id } = await c.store.leaseGrant(60);
    const total = 150;
    const names = Array.from({ length: total }, (_, i) => `k${1000 + ((i * 37) % total)}`);
    let revision = 0;
    for (const name of names) revision = await c.put(name, '1', { lease: id });
    const receiver = new Receiver();
    const watch = c.watch(receiver);
    await watch.created;
    await c.store.leaseRevoke(id);
    await receiver.until('all deleted', () => receiver.events.length === total);
    assert.deepEqual(
      receiver.events.map(({ type, kv }) => [type, text(kv.key).slice(c.prefix.length), kv.modRevision]),
      [...names].sort().map((name) => ['delete', name, revision + 1]),
    );
    watch.cancel();
    const empty = await c.store.leaseGrant(60);
    await c.store.leaseRevoke(empty.id);
    assert.equal(await c.put('a', '1'), revision + 2);
  });

  it('attaches nothing in a transaction that is refused, and what the taken branch says in one that is not', async () => {
    const c = context();
    const [one, two] = [(await c.store.leaseGrant(60)).id, (await c.store.leaseGrant(60)).id];
    const put = (name: string, lease: bigint) => ({
      put: { key: c.key(name), value: bytes('1'), lease },
    });
    await rejectsLike(
      c.store.txn({ compare: [], success: [put('a', one), put('b', 0x5555n)], failure: [] }),
      etcdErrors.leaseNotFound(),
    );
    assert.deepEqual(await keysOf(c, one), []);
    await c.store.txn({
      compare: [{ key: c.key('a'), target: 'lease', result: 'equal', operand: one }],
      success: [put('wrong', one)],
      failure: [put('a', one), { txn: { compare: [], success: [put('b', two)], failure: [] } }],
    });
    assert.deepEqual([await keysOf(c, one), await keysOf(c, two)], [['a'], ['b']]);
    const { succeeded } = await c.store.txn({
      compare: [
        { key: c.key('a'), target: 'lease', result: 'equal', operand: one },
        { key: c.key('b'), target: 'lease', result: 'not-equal', operand: one },
      ],
      success: [{ deleteRange: { key: c.key('a') } }, put('b', one)],
      failure: [],
    });
    assert.equal(succeeded, true);
    assert.deepEqual([await keysOf(c, one), await keysOf(c, two)], [['b'], []]);
    await c.store.leaseRevoke(one);
    await c.store.leaseRevoke(two);
    assert.deepEqual(await c.names({}), []);
  });

  it('limits how long a lease may last, and gives a short one its least time', async () => {
    const { store } = context();
    const longest = await store.leaseGrant(9_000_000_000);
    assert.equal(longest.ttlSeconds, 9_000_000_000);
    assert.equal((await store.leaseTimeToLive(longest.id)).grantedTtlSeconds, 9_000_000_000);
    await rejectsLike(store.leaseGrant(9_000_000_001), etcdErrors.leaseTtlTooLarge());
    for (const ttlSeconds of [1, 0, -1]) {
      const granted = await store.leaseGrant(ttlSeconds);
      assert.equal(granted.ttlSeconds, 2, `granted ${ttlSeconds} s`);
      await store.leaseRevoke(granted.id);
    }
    await store.leaseRevoke(longest.id);
  });

  it('lists the leases that are there, and takes any ID but one that is taken', async () => {
    const { store } = context();
    const base = 0x5000_0000_0000_0000n + BigInt(process.pid) * 1000n;
    const ids = [base, base + 1n, base + 2n, -base, 0x7fff_ffff_ffff_ffffn];
    for (const id of ids) assert.equal((await store.leaseGrant(60, id)).id, id);
    const listed = await store.leaseLeases();
    assert.deepEqual(
      ids.filter((id) => listed.includes(id)),
      ids,
    );
    assert.equal(new Set(listed).size, listed.length);
    for (const id of ids) await rejectsLike(store.leaseGrant(60, id), etcdErrors.leaseExists());
    for (const id of ids) await store.leaseRevoke(id);
    const left = await store.leaseLeases();
    assert.ok(ids.every((id) => !left.includes(id)));
    const { id } = await store.leaseGrant(60, ids[0]);
    assert.equal(id, ids[0], 'a revoked ID may be granted again');
    await store.leaseRevoke(id);
  });

  it('says of an unknown lease that there is none', async () => {
    const { store } = context();
    const unknown = 0x1234_5678n;
    await rejectsLike(store.leaseRevoke(unknown), etcdErrors.leaseNotFound());
    assert.deepEqual(await store.leaseKeepAlive(unknown), { ttlSeconds: 0 });
    assert.deepEqual(await store.leaseTimeToLive(unknown, true), {
      id: unknown,
      ttlSeconds: -1,
      grantedTtlSeconds: 0,
      keys: [],
    });
    await rejectsLike(
      store.put({ key: bytes('unknown-lease'), value: noValue, lease: unknown }),
      etcdErrors.leaseNotFound(),
    );
  });
}
