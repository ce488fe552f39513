// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { bytes, type NewContext, noValue, plain, Receiver, text } from './context.ts';

export function declareWatches(context: NewContext): void {
  it('delivers changes from now on, with previous values', async () => {
    const c = context();
    await c.put('a', '0');
    const receiver = new Receiver();
    const watch = c.watch(receiver, { prevKv: true });
    await watch.created;
    const first = await c.put('a', '1');
    await c.store.deleteRange({ key: c.key('a') });
    await receiver.until('both events', () => receiver.events.length === 2);
    const [put, deletion] = receiver.events;
    assert.deepEqual(
      [put?.type, put?.kv.modRevision, text(put?.kv.value ?? noValue), text(put?.prevKv?.value ?? noValue)],
      ['put', first, '1', '0'],
    );
    assert.deepEqual(plain(deletion?.kv), {
      key: `bytes:${c.prefix}a`,
      value: 'bytes:',
      createRevision: 0,
      modRevision: first + 1,
      version: 0,
      lease: '0n',
    });
    assert.equal(text(deletion?.prevKv?.value ?? noValue), '1');
    watch.cancel();
  });

  it('replays from a past revision and goes on with the present', async () => {
    const c = context();
    const revisions: number[] = [];
    for (let i = 0; i < 50; i++) revisions.push(await c.put(`k${i % 7}`, String(i)));
    const receiver = new Receiver();
    const watch = c.watch(receiver, { startRevision: revisions[10] });
    for (let i = 50; i < 100; i++) revisions.push(await c.put(`k${i % 7}`, String(i)));
    await receiver.until('90 events', () => receiver.events.length >= 90);
    assert.deepEqual(
      receiver.events.map(({ kv }) => kv.modRevision),
      revisions.slice(10),
    );
    watch.cancel();
  });

  it('keeps a transaction together and filters by kind', async () => {
    const c = context();
    const all = new Receiver();
    const puts = new Receiver();
    const deletes = new Receiver();
    const watches = [
      c.watch(all),
      c.watch(puts, { filters: ['nodelete'] }),
      c.watch(deletes, { filters: ['noput'] }),
    ];
    await Promise.all(watches.map(({ created }) => created));
    await c.put('x', '1');
    await c.store.txn({
      compare: [],
      success: [
        { put: { key: c.key('a'), value: bytes('1') } },
        { deleteRange: { key: c.key('x') } },
        { put: { key: c.key('b'), value: bytes('1') } },
      ],
      failure: [],
    });
    await all.until('all', () => all.events.length === 4);
    await puts.until('puts', () => puts.events.length === 3);
    await deletes.until('deletes', () => deletes.events.length === 1);
    for (const message of all.messages) {
      if (message.type !== 'events') continue;
      const revisions = new Set(message.events.map(({ kv }) => kv.modRevision));
      for (const revision of revisions) {
        const together = all.events.filter(({ kv }) => kv.modRevision === revision).length;
        assert.equal(message.events.filter(({ kv }) => kv.modRevision === revision).length, together);
      }
    }
    for (const watch of watches) watch.cancel();
  });

  it('watches single keys, and waits for a future revision', async () => {
    const c = context();
    const revision = await c.put('a', '1');
    const one = new Receiver();
    const later = new Receiver();
    const watches = [
      c.store.watch({ key: c.key('a') }, one.receive),
      c.watch(later, { startRevision: revision + 3 }),
    ];
    await Promise.all(watches.map(({ created }) => created));
    await c.put('b', '1');
    await c.put('a', '2');
    await c.put('a', '3');
    await one.until('two', () => one.events.length === 2);
    await later.until('one', () => later.events.length === 1);
    assert.deepEqual(
      one.events.map(({ kv }) => text(kv.value)),
      ['2', '3'],
    );
    assert.equal(later.events[0]?.kv.modRevision, revision + 3);
    for (const watch of watches) watch.cancel();
  });

  it('reports progress only after everything before it', async () => {
    const c = context();
    const receiver = new Receiver();
    const watch = c.watch(receiver);
    await watch.created;
    let last = 0;
    for (let round = 0; round < 5; round++) {
      last = await c.put('a', String(round));
      watch.requestProgress();
      const wanted = last;
      await receiver.until(`progress at ${wanted}`, () =>
        receiver.messages.some(
          ({ type, ...rest }) => type === 'progress' && 'revision' in rest && rest.revision >= wanted,
        ),
      );
      const at = receiver.messages.findIndex((m) => m.type === 'progress' && m.revision >= wanted);
      const before = receiver.messages.slice(0, at).flatMap((m) => (m.type === 'events' ? m.events : []));
      assert.ok(
        before.some(({ kv }) => kv.modRevision === wanted),
        'the event came first',
      );
    }
    watch.cancel();
  });

  it('delivers nothing after a cancel', async () => {
    const c = context();
    const kept = new Receiver();
    const dropped = new Receiver();
    const [keep, drop] = [c.watch(kept), c.watch(dropped)];
    await Promise.all([keep.created, drop.created]);
    await c.put('a', '1');
    await dropped.until('one', () => dropped.events.length === 1);
    drop.cancel();
    await c.put('a', '2');
    await kept.until('two', () => kept.events.length === 2);
    assert.equal(dropped.events.length, 1);
    keep.cancel();
  });

  it('refuses an empty range', async () => {
    const c = context();
    const receiver = new Receiver();
    c.watch(receiver, { key: c.key('b'), rangeEnd: c.key('a') });
    await receiver.until('cancel', () => receiver.messages.some(({ type }) => type === 'canceled'));
    const message = receiver.messages.find(({ type }) => type === 'canceled');
    assert.ok(message?.type === 'canceled' && message.compactRevision === 0 && message.error !== undefined);
  });

  it('serves a slow receiver from history, complete and in order', async () => {
    const c = context();
    const seen: number[] = [];
    let inside = 0;
    let finish: () => void = () => undefined;
    const done = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const total = 200;
    const watch = c.store.watch(c.all(), async (message) => {
      assert.equal(inside++, 0, 'one call at a time');
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (message.type === 'events') seen.push(...message.events.map(({ kv }) => kv.modRevision));
      inside--;
      if (seen.length >= total) finish();
    });
    await watch.created;
    const revisions: number[] = [];
    for (let i = 0; i < total; i++) revisions.push(await c.put(`k${i}`, 'x'));
    await done;
    assert.deepEqual(seen, revisions);
    watch.cancel();
  });
}
