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

  it('keeps what is there at the compaction, and previous values only from it on', async () => {
    const c = context();
    await c.put('dead', '1');
    await c.put('kept', '1');
    await c.store.deleteRange({ key: c.key('dead') });
    await c.put('changed', '1');
    const at = await c.put('changed', '2');
    const next = await c.put('changed', '3');
    await c.put('dead', 'again');
    await c.store.compact(at);
    assert.deepEqual(await c.names({ revision: at }), ['changed', 'kept']);
    assert.equal(text((await c.get('changed', at))?.value ?? noValue), '2');
    assert.deepEqual([(await c.get('changed'))?.version, (await c.get('dead'))?.version], [3, 1]);
    const receiver = new Receiver();
    const watch = c.watch(receiver, { startRevision: next, prevKv: true });
    await receiver.until('both', () => receiver.events.length === 2);
    assert.deepEqual(
      receiver.events.map(({ kv, prevKv }) => [text(kv.value), text(prevKv?.value ?? noValue)]),
      [
        ['3', '2'],
        ['again', ''],
      ],
    );
    watch.cancel();
  });

  it('refuses what is compacted inside transactions, and revisions that cannot be compacted', async () => {
    const c = context();
    const first = await c.put('a', '1');
    const last = await c.put('a', '2');
    await c.store.compact(last);
    const past = { range: { key: c.key('a'), revision: first } };
    const put = { put: { key: c.key('b'), value: noValue } };
    for (const success of [
      [past],
      [put, past],
      [{ txn: { compare: [], success: [past], failure: [] } }, put],
    ]) {
      await rejectsLike(c.store.txn({ compare: [], success, failure: [] }), etcdErrors.compacted());
    }
    assert.deepEqual(await c.names({}), ['a']);
    for (const revision of [last, first, 0, -1]) {
      await rejectsLike(c.store.compact(revision), etcdErrors.compacted());
    }
    await rejectsLike(c.store.compact(last + 1), etcdErrors.futureRevision());
    assert.equal(await c.put('a', '3'), last + 1, 'a compaction takes no revision');
    const receivers = [first, last - 1, last].map((startRevision) => {
      const receiver = new Receiver();
      c.watch(receiver, { startRevision });
      return receiver;
    });
    const [, , kept] = receivers;
    await kept?.until('the kept', () => kept.events.length === 2);
    for (const receiver of receivers.slice(0, 2)) {
      await receiver.until('cancel', () => receiver.messages.length > 0);
      assert.deepEqual(receiver.messages, [{ type: 'canceled', compactRevision: last }]);
    }
  });
}
