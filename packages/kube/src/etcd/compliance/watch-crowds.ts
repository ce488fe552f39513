// node:test awaits what describe and it return.
// oxlint-disable typescript/no-floating-promises
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { bytes, type NewContext, noValue, plain, Receiver, text } from './context.ts';
import type { WatchMessage, WatchRequest } from '../store.ts';

const revisionsOf = (receiver: Receiver): number[] => receiver.events.map(({ kv }) => kv.modRevision);
const isProgress = (message: WatchMessage): boolean => message.type === 'progress';

export function declareWatchCrowds(context: NewContext): void {
  it('serves many watches of one client, each its own range, start and options', async () => {
    const c = context();
    const names = ['a', 'b', 'c', 'd', 'e'];
    const past: Array<{ name: string; revision: number }> = [];
    const write = async (i: number): Promise<void> => {
      const name = names[i % names.length] as string;
      past.push({ name, revision: await c.put(name, String(i)) });
    };
    for (let i = 0; i < 20; i++) await write(i);
    const starts = [0, 3, 9, 15, 19].map((i) => past[i]?.revision as number);
    const wanted = names.flatMap((name, n) =>
      starts.flatMap((startRevision) => [
        {
          request: { key: c.key(name), rangeEnd: undefined, startRevision },
          has: (one: string) => one === name,
        },
        {
          request: { key: c.key('a'), rangeEnd: c.key(name), startRevision, prevKv: n % 2 === 0 },
          has: (one: string) => one < name,
        },
      ]),
    );
    const watches = wanted
      .filter(
        ({ request }) => !(request.rangeEnd !== undefined && text(request.rangeEnd) === text(c.key('a'))),
      )
      .map((one) => {
        const receiver = new Receiver();
        return { ...one, receiver, handle: c.watch(receiver, one.request) };
      });
    for (let i = 20; i < 60; i++) await write(i);
    for (const { request, has, receiver, handle } of watches) {
      const due = past.filter(({ name, revision }) => has(name) && revision >= request.startRevision);
      await receiver.until('every event', () => receiver.events.length >= due.length);
      assert.deepEqual(
        revisionsOf(receiver),
        due.map(({ revision }) => revision),
      );
      handle.cancel();
    }
  });

  it('tells each of many watches every write of many writers, once and in order', async () => {
    const c = context();
    const receivers = Array.from({ length: 12 }, () => new Receiver());
    const handles = receivers.map((receiver, i) => c.watch(receiver, { prevKv: i % 2 === 0 }));
    await Promise.all(handles.map(({ created }) => created));
    const revisions = (
      await Promise.all(
        Array.from({ length: 8 }, async (_, writer) => {
          const mine: number[] = [];
          for (let i = 0; i < 25; i++) mine.push(await c.put(`w${writer}`, String(i)));
          return mine;
        }),
      )
    ).flat();
    revisions.sort((a, b) => a - b);
    for (const receiver of receivers) {
      await receiver.until('every event', () => receiver.events.length >= revisions.length);
      assert.deepEqual(revisionsOf(receiver), revisions);
    }
    const [first] = receivers;
    for (const { prevKv, kv } of first?.events ?? []) {
      assert.equal(prevKv?.version ?? 0, kv.version - 1);
    }
    for (const handle of handles) handle.cancel();
  });

  it('goes on for the others when some are canceled, replaying or in step', async () => {
    const c = context();
    const first = await c.put('k', '0');
    for (let i = 1; i < 300; i++) await c.put('k', String(i));
    const kept = [new Receiver(), new Receiver()] as const;
    const dropped = Array.from({ length: 6 }, () => new Receiver());
    const handles = [
      c.watch(kept[0], { startRevision: first }),
      ...dropped.map((receiver, i) => c.watch(receiver, i % 2 === 0 ? { startRevision: first } : {})),
      c.watch(kept[1]),
    ];
    await handles[7]?.created;
    const heard = dropped.map((receiver, i) => {
      handles[i + 1]?.cancel();
      return receiver.events.length;
    });
    const last = await c.put('k', 'last');
    await kept[0].until('all', () => kept[0].events.length === 301);
    await kept[1].until('the last', () => kept[1].events.length === 1);
    assert.deepEqual(revisionsOf(kept[1]), [last]);
    assert.deepEqual(
      revisionsOf(kept[0]),
      Array.from({ length: 301 }, (_, i) => first + i),
    );
    assert.deepEqual(
      dropped.map((receiver) => receiver.events.length),
      heard,
    );
    handles[0]?.cancel();
    handles[7]?.cancel();
  });

  it('reports progress to each that asked, with nothing written in between', async () => {
    const c = context();
    const receivers = Array.from({ length: 5 }, () => new Receiver());
    const handles = receivers.map((receiver) => c.watch(receiver));
    await Promise.all(handles.map(({ created }) => created));
    const revision = await c.put('a', '1');
    for (const [i, receiver] of receivers.entries()) {
      if (i === 4) continue;
      handles[i]?.requestProgress();
      await receiver.until('progress', () => receiver.messages.some(isProgress));
      assert.deepEqual(revisionsOf(receiver), [revision]);
      const progress = receiver.messages.find(isProgress);
      assert.ok(progress?.type === 'progress' && progress.revision >= revision);
    }
    for (const handle of handles) handle.cancel();
  });

  it('reports progress asked for at once, after all of the history', async () => {
    const c = context();
    const first = await c.put('a', '0');
    for (let i = 1; i < 50; i++) await c.put('a', String(i));
    const receiver = new Receiver();
    const watch = c.watch(receiver, { startRevision: first });
    watch.requestProgress();
    await receiver.until('progress', () => receiver.messages.some(isProgress));
    const at = receiver.messages.findIndex(isProgress);
    const before = receiver.messages.slice(0, at).flatMap((m) => (m.type === 'events' ? m.events : []));
    assert.equal(before.length, 50);
    watch.cancel();
  });

  it('filters puts and deletes, and both', async () => {
    const c = context();
    const first = await c.put('a', '1');
    await c.put('b', '1');
    await c.store.deleteRange({ key: c.key('a') });
    const filters: Array<WatchRequest['filters']> = [
      undefined,
      [],
      ['noput'],
      ['nodelete'],
      ['noput', 'nodelete'],
    ];
    const started = filters.flatMap((filter) =>
      // From the past, and from now on.
      [first, undefined].map((startRevision) => {
        const receiver = new Receiver();
        return { receiver, handle: c.watch(receiver, { filters: filter, startRevision, prevKv: true }) };
      }),
    );
    await Promise.all(started.map(({ handle }) => handle.created));
    await c.put('c', '1');
    await c.store.deleteRange({ key: c.key('b'), rangeEnd: c.key('d') });
    for (const { handle, receiver } of started) {
      handle.requestProgress();
      await receiver.until('progress', () => receiver.messages.some(isProgress));
    }
    const seen = started.map(({ receiver }) =>
      receiver.events
        .map(({ type, kv }) => (type === 'put' ? '+' : '-') + text(kv.key).slice(c.prefix.length))
        .join(' '),
    );
    const everything = ['+a +b -a +c -b -c', '+c -b -c'];
    assert.deepEqual(seen, [...everything, ...everything, '-a -b -c', '-b -c', '+a +b +c', '+c', '', '']);
    for (const { handle } of started) handle.cancel();
  });

  it('delivers a transaction of many large writes whole', async () => {
    const c = context();
    const value = new Uint8Array(10_000).fill(1);
    const live = new Receiver();
    const handle = c.watch(live);
    await handle.created;
    const { revision } = await c.store.txn({
      compare: [],
      success: Array.from({ length: 100 }, (_, i) => ({ put: { key: c.key(`k${100 + i}`), value } })),
      failure: [],
    });
    await c.store.deleteRange(c.all());
    const late = new Receiver();
    const replay = c.watch(late, { startRevision: revision, prevKv: true });
    for (const receiver of [live, late]) {
      await receiver.until('200 events', () => receiver.events.length >= 200);
      const expected = [revision, revision + 1].flatMap((at) =>
        Array.from({ length: 100 }, (_, i) => [at, `k${100 + i}`]),
      );
      assert.deepEqual(
        receiver.events.map(({ kv }) => [kv.modRevision, text(kv.key).slice(c.prefix.length)]),
        expected,
      );
    }
    assert.equal(late.events[150]?.prevKv?.value.byteLength, value.byteLength);
    for (const watch of [handle, replay]) watch.cancel();
  });

  it('watches from a key to the end of all keys, and all keys by an empty one', async () => {
    const c = context();
    const toTheEnd = new Receiver();
    const everything = new Receiver();
    const handles = [
      c.watch(toTheEnd, { key: c.key('m'), rangeEnd: Uint8Array.of(0) }),
      c.watch(everything, { key: noValue, rangeEnd: Uint8Array.of(0) }),
    ];
    await Promise.all(handles.map(({ created }) => created));
    const before = await c.put('a', '1');
    const behind = await c.put('z', '1');
    const isOurs = ({ events }: Receiver): number[] =>
      events.filter(({ kv }) => text(kv.key).startsWith(c.prefix)).map(({ kv }) => kv.modRevision);
    await toTheEnd.until('z', () => isOurs(toTheEnd).length > 0);
    await everything.until('both', () => isOurs(everything).length > 1);
    assert.deepEqual([isOurs(toTheEnd), isOurs(everything)], [[behind], [before, behind]]);
    for (const handle of handles) handle.cancel();
  });

  it('tells nothing of what came before the present when no start is given', async () => {
    const c = context();
    const first = await c.put('a', '1');
    const starts = [undefined, 0, first, first + 1, first + 2];
    const receivers = starts.map(() => new Receiver());
    const handles = starts.map((startRevision, i) => c.watch(receivers[i] as Receiver, { startRevision }));
    await Promise.all(handles.map(({ created }) => created));
    const second = await c.put('a', '2');
    const third = await c.put('a', '3');
    const expected = [[second, third], [second, third], [first, second, third], [second, third], [third]];
    for (const [i, receiver] of receivers.entries()) {
      await receiver.until('the third', () => revisionsOf(receiver).includes(third));
      assert.deepEqual(revisionsOf(receiver), expected[i]);
    }
    for (const handle of handles) handle.cancel();
  });

  it('tells the key, its versions and its lease in every event', async () => {
    const c = context();
    const { id } = await c.store.leaseGrant(60);
    const receiver = new Receiver();
    const watch = c.watch(receiver, { prevKv: true });
    await watch.created;
    const first = await c.put('a', '1', { lease: id });
    await c.store.put({ key: c.key('a'), value: bytes('2'), ignoreLease: true });
    await c.store.leaseRevoke(id);
    await receiver.until('three', () => receiver.events.length === 3);
    const key = `bytes:${c.prefix}a`;
    const one = {
      key,
      value: 'bytes:1',
      createRevision: first,
      modRevision: first,
      version: 1,
      lease: `${id}n`,
    };
    const two = { ...one, value: 'bytes:2', modRevision: first + 1, version: 2 };
    const gone = { key, value: 'bytes:', createRevision: 0, modRevision: first + 2, version: 0, lease: '0n' };
    assert.deepEqual(plain(receiver.events), [
      { type: 'put', kv: one },
      { type: 'put', kv: two, prevKv: one },
      { type: 'delete', kv: gone, prevKv: two },
    ]);
    watch.cancel();
  });
}
