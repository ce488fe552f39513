// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type NewContext, noValue, Receiver, rejectsLike, text } from './context.ts';
import { etcdErrors } from '../store.ts';

export function declareLeases(context: NewContext): void {
  it('grants, lists, renews and tells the time left', async () => {
    const c = context();
    const { store } = c;
    const chosen = 0x6000_0000_0000_0001n + BigInt(process.pid);
    assert.deepEqual(await store.leaseGrant(100, chosen), { id: chosen, ttlSeconds: 100 });
    await rejectsLike(store.leaseGrant(100, chosen), etcdErrors.leaseExists());
    await rejectsLike(store.leaseGrant(9_000_000_001), etcdErrors.leaseTtlTooLarge());
    const { id, ttlSeconds } = await store.leaseGrant(1);
    assert.ok(id > 0n);
    assert.ok(ttlSeconds >= 1);
    assert.ok((await store.leaseLeases()).includes(chosen));
    await c.put('b', '1', { lease: chosen });
    await c.put('a', '1', { lease: chosen });
    const status = await store.leaseTimeToLive(chosen, true);
    assert.equal(status.grantedTtlSeconds, 100);
    assert.ok(status.ttlSeconds > 90 && status.ttlSeconds <= 100, `${status.ttlSeconds} s left`);
    assert.deepEqual(status.keys.map(text).sort(), [`${c.prefix}a`, `${c.prefix}b`]);
    assert.deepEqual((await store.leaseTimeToLive(chosen)).keys, []);
    assert.deepEqual(await store.leaseKeepAlive(chosen), { ttlSeconds: 100 });
    await store.leaseRevoke(chosen);
    await rejectsLike(store.leaseRevoke(chosen), etcdErrors.leaseNotFound());
    assert.deepEqual(await store.leaseKeepAlive(chosen), { ttlSeconds: 0 });
    assert.equal((await store.leaseTimeToLive(chosen)).ttlSeconds, -1);
  });

  it('deletes the keys of a revoked lease in one revision, and only those', async () => {
    const c = context();
    const { id } = await c.store.leaseGrant(60);
    const other = await c.store.leaseGrant(60);
    await c.put('a', '1', { lease: id });
    await c.put('b', '1', { lease: id });
    await c.put('moved', '1', { lease: id });
    await c.put('moved', '2', { lease: other.id });
    await c.put('freed', '1', { lease: id });
    const revision = await c.put('freed', '2');
    const receiver = new Receiver();
    const watch = c.watch(receiver);
    await watch.created;
    await c.store.leaseRevoke(id);
    assert.deepEqual(await c.names({}), ['freed', 'moved']);
    await receiver.until('two deletes', () => receiver.events.length === 2);
    assert.deepEqual(
      receiver.events.map(({ type, kv }) => [type, text(kv.key).slice(c.prefix.length), kv.modRevision]),
      [
        ['delete', 'a', revision + 1],
        ['delete', 'b', revision + 1],
      ],
    );
    watch.cancel();
    await c.store.leaseRevoke(other.id);
    assert.deepEqual(await c.names({}), ['freed']);
  });

  it('lets a lease die when nobody renews it', async () => {
    const c = context();
    const { id, ttlSeconds } = await c.store.leaseGrant(1);
    const renewed = await c.store.leaseGrant(1);
    await c.put('a', '1', { lease: id });
    await c.put('b', '1', { lease: renewed.id });
    const receiver = new Receiver();
    const watch = c.watch(receiver);
    await watch.created;
    const beat = setInterval(() => void c.store.leaseKeepAlive(renewed.id), 300);
    try {
      await receiver.until('the deletion', () => receiver.events.length > 0);
      assert.equal(text(receiver.events[0]?.kv.key ?? noValue), `${c.prefix}a`);
      assert.deepEqual(await c.names({}), ['b']);
      assert.equal((await c.store.leaseTimeToLive(id)).ttlSeconds, -1, `granted for ${ttlSeconds} s`);
    } finally {
      clearInterval(beat);
      watch.cancel();
    }
    await c.store.leaseRevoke(renewed.id);
  });
}
