// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type NewContext, noValue, Receiver, rejectsLike, text } from './context.ts';
import { etcdErrors } from '../store.ts';

export function declareCompaction(context: NewContext): void {
  it('forgets the past and says so', async () => {
    const c = context();
    const first = await c.put('a', '1');
    await c.put('b', '1');
    await c.store.deleteRange({ key: c.key('b') });
    const middle = await c.put('a', '2');
    const last = await c.put('a', '3');
    await c.store.compact(middle);
    await rejectsLike(c.store.range({ key: c.key('a'), revision: first }), etcdErrors.compacted());
    await rejectsLike(c.store.compact(middle), etcdErrors.compacted());
    await rejectsLike(c.store.compact(last + 1000), etcdErrors.futureRevision());
    assert.equal(text((await c.get('a', middle))?.value ?? noValue), '2');
    assert.equal(text((await c.get('a'))?.value ?? noValue), '3');
    assert.deepEqual(await c.names({}), ['a']);
    const kv = await c.get('a');
    assert.deepEqual([kv?.createRevision, kv?.version], [first, 3]);
    const old = new Receiver();
    c.watch(old, { startRevision: first });
    await old.until('cancel', () => old.messages.some(({ type }) => type === 'canceled'));
    const canceled = old.messages.find(({ type }) => type === 'canceled');
    assert.ok(canceled?.type === 'canceled');
    assert.equal(canceled.compactRevision, middle);
    const kept = new Receiver();
    const watch = c.watch(kept, { startRevision: middle });
    await kept.until('the kept events', () => kept.events.length === 2);
    assert.deepEqual(
      kept.events.map(({ kv: { modRevision } }) => modRevision),
      [middle, last],
    );
    watch.cancel();
  });

  it('goes on under compaction without losing a watched change', async () => {
    const c = context();
    const receiver = new Receiver();
    const watch = c.watch(receiver);
    await watch.created;
    const revisions: number[] = [];
    for (let i = 0; i < 60; i++) {
      revisions.push(await c.put(`k${i % 5}`, String(i)));
      if (i % 10 === 9) await c.store.compact(revisions[i - 2] as number);
    }
    await receiver.until('all', () => receiver.events.length === 60);
    assert.deepEqual(
      receiver.events.map(({ kv }) => kv.modRevision),
      revisions,
    );
    assert.deepEqual(await c.names({}), ['k0', 'k1', 'k2', 'k3', 'k4']);
    watch.cancel();
  });
}
