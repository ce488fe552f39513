import assert from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import { after, before, beforeEach, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { Datastore } from '../datastore.ts';
import { openMemoryDatastore } from '../memory.ts';
import { type DatastoreServer, serveDatastore } from './serve.ts';
import { decode, RawCall, rawSession } from './testing/raw-call.ts';

const log = logger('watch-stream-test').child({}, { level: 'silent' });
const bytes = (text: string): Uint8Array => Buffer.from(text);

interface Answer {
  header: { revision: bigint };
  watchId: bigint;
  created: boolean;
  canceled: boolean;
  compactRevision: bigint;
  cancelReason: string;
  fragment: boolean;
  events: Array<{ type: number; kv: { key: Uint8Array; modRevision: bigint } }>;
}

describe('a watch stream', () => {
  let store: Datastore;
  let server: DatastoreServer;
  let session: ClientHttp2Session;
  let call: RawCall;
  /** Of the store only: calls and connections go by the machine's. */
  const clock = new FakeClock();
  before(async () => {
    store = await openMemoryDatastore({ log, clock });
    server = await serveDatastore({ store, listen: { host: '127.0.0.1', port: 0 }, log });
  });
  beforeEach(() => {
    session?.destroy();
    session = rawSession(server.url);
    call = new RawCall(session, '/etcdserverpb.Watch/Watch');
  });
  after(async () => {
    session.destroy();
    await server.stop();
    await store.close();
  });
  const answers = async (count: number): Promise<Answer[]> => {
    await call.until(count);
    return call.messages.map((message) => decode<Answer>('WatchResponse', message));
  };
  /** Waits for so many events, in however many answers. */
  const received = async (from: RawCall, count: number): Promise<Answer['events']> => {
    const events: Answer['events'] = [];
    for (let i = 0; events.length < count; i++) {
      await from.until(i + 1);
      events.push(...decode<Answer>('WatchResponse', from.messages[i] as Buffer).events);
    }
    return events;
  };
  const create = (more: object): void =>
    call.send('WatchRequest', { createRequest: { key: bytes('a'), ...more } });
  const put = (key: string, value = ''): Promise<{ revision: number }> =>
    store.put({ key: bytes(key), value: bytes(value) });

  it('numbers watches as the client wishes, or by itself, and refuses a number twice', async () => {
    create({});
    create({ watchId: 7 });
    create({});
    create({ watchId: 7 });
    const [first, second, third, again] = await answers(4);
    assert.deepEqual([first?.watchId, second?.watchId, third?.watchId], [0n, 7n, 1n]);
    assert.deepEqual([again?.watchId, again?.created, again?.canceled], [-1n, true, true]);
    assert.equal(again?.cancelReason, 'mvcc: duplicate watch ID provided on the WatchStream');
    const { revision } = await put('a');
    const all = await answers(7);
    assert.deepEqual(
      all.slice(4).map(({ watchId, header, events }) => [watchId, header.revision, events.length]),
      [0n, 7n, 1n].map((id) => [id, BigInt(revision), 1]),
    );
    call.send('WatchRequest', { cancelRequest: { watchId: 7 } });
    const [, , , , , , , canceled] = await answers(8);
    assert.deepEqual([canceled?.watchId, canceled?.canceled, canceled?.created], [7n, true, false]);
  });

  it('refuses empty ranges and revisions below zero in words of etcd', async () => {
    create({ rangeEnd: bytes('a') });
    create({ startRevision: -1 });
    const [empty, negative] = await answers(2);
    assert.deepEqual([empty?.watchId, empty?.cancelReason], [-1n, 'mvcc: watcher range is empty']);
    assert.equal(negative?.cancelReason, 'etcdserver: mvcc: required revision has been compacted');
  });

  it('tells the compaction to a watch from before it', async () => {
    const { revision } = await put('a');
    await put('a');
    await store.compact(revision);
    create({ startRevision: revision - 1 });
    const [created, canceled] = await answers(2);
    assert.deepEqual([created?.created, created?.canceled], [true, false]);
    assert.deepEqual([canceled?.canceled, canceled?.compactRevision], [true, BigInt(revision)]);
    assert.equal(canceled?.watchId, created?.watchId);
  });

  it('answers a progress request once for all watches, after what came before it', async () => {
    const { revision } = await put('a');
    create({ startRevision: revision });
    create({ key: bytes('b') });
    await answers(3);
    const { revision: last } = await put('c');
    call.send('WatchRequest', { progressRequest: {} });
    const [, , , progress] = await answers(4);
    assert.deepEqual([progress?.watchId, progress?.header.revision], [-1n, BigInt(last)]);
    assert.equal(progress?.events.length, 0);
  });

  it('lets no answer to a progress request overtake the events of a watch made meanwhile', async () => {
    const { revision } = await put('a');
    create({ startRevision: revision });
    call.send('WatchRequest', { progressRequest: {} });
    create({ startRevision: revision });
    const kinds = (await answers(5)).map(({ created, events, watchId }) =>
      created ? `watch ${watchId}` : events.length > 0 ? `events of ${watchId}` : `progress of ${watchId}`,
    );
    assert.equal(kinds.at(-1), 'progress of -1', kinds.join());
    assert.deepEqual(kinds.toSorted(), [
      'events of 0',
      'events of 1',
      'progress of -1',
      'watch 0',
      'watch 1',
    ]);
  });

  it('tells an idle watch the revision now and then, if it asked for that', async () => {
    create({});
    create({ progressNotify: true });
    await answers(2);
    const { revision } = await put('elsewhere');
    const tenMinutesMs = 600_000;
    clock.advance(tenMinutesMs);
    const [, , progress] = await answers(3);
    assert.deepEqual(
      [progress?.watchId, progress?.header.revision, progress?.events.length],
      [1n, BigInt(revision), 0],
    );
  });

  it('gives large transactions in fragments to who wants them, and whole to others', async () => {
    create({ rangeEnd: bytes('b'), fragment: true });
    await answers(1);
    const value = new Uint8Array(700_000);
    const puts = ['a1', 'a2'].map((key) => ({ put: { key: bytes(key), value } }));
    const { revision } = await store.txn({ compare: [], success: puts, failure: [] });
    await store.txn({ compare: [], success: puts, failure: [] });
    // Behind both: replayed in one piece of 2.8 MB and more.
    create({ rangeEnd: bytes('b'), startRevision: revision, prevKv: true, fragment: true });
    create({ rangeEnd: bytes('b'), startRevision: revision, prevKv: true });
    const isLast = ({ fragment, header }: Answer): boolean =>
      !fragment && header.revision === BigInt(revision + 1);
    const seen = new Map<bigint, Answer[]>();
    for (let i = 1; ![1n, 2n].every((id) => seen.get(id)?.some(isLast)); i++) {
      await call.until(i);
      const answer = decode<Answer>('WatchResponse', call.messages[i - 1] as Buffer);
      if (answer.events.length > 0) seen.set(answer.watchId, [...(seen.get(answer.watchId) ?? []), answer]);
    }
    for (const id of [1n, 2n]) {
      const keys = (seen.get(id) ?? []).flatMap(({ events }) => events.map(({ kv }) => String(kv.key)));
      assert.deepEqual(
        keys,
        ['a1', 'a2', 'a1', 'a2'].map((key) => String(bytes(key))),
      );
    }
    assert.ok(seen.get(1n)?.some(({ fragment }) => fragment));
    assert.ok(!seen.get(2n)?.some(({ fragment }) => fragment));
  });

  it('keeps nothing for a reader that does not read, serves others meanwhile, and loses nothing', async () => {
    create({ key: bytes('s'), rangeEnd: bytes('t') });
    await answers(1);
    // Streams of one connection share its window, which this client does not open for one that it does not read.
    const other = rawSession(server.url);
    const fast = new RawCall(other, '/etcdserverpb.Watch/Watch');
    fast.send('WatchRequest', { createRequest: { key: bytes('s'), rangeEnd: bytes('t') } });
    await fast.until(1);
    call.stream.pause();
    const value = 'v'.repeat(64 * 1024);
    const count = 400;
    const before = server.pendingBytes;
    for (let i = 0; i < count; i++) await put(`s${i % 10}`, value);
    await received(fast, count);
    const held = server.pendingBytes - before;
    assert.ok(held < 4 * 1024 * 1024, `${held} bytes are held for it`);
    other.destroy();
    call.stream.resume();
    const revisions = (await received(call, count)).map(({ kv }) => Number(kv.modRevision));
    const first = revisions[0] as number;
    assert.deepEqual(
      revisions,
      Array.from({ length: count }, (_, i) => first + i),
    );
  });

  it('ends with the server, which says so first', async () => {
    const other = await serveDatastore({ store, listen: { host: '127.0.0.1', port: 0 }, log });
    const connection = rawSession(other.url);
    const goaway = new Promise((resolve) => connection.once('goaway', resolve));
    const watch = new RawCall(connection, '/etcdserverpb.Watch/Watch');
    watch.send('WatchRequest', { createRequest: { key: bytes('a') } });
    await watch.until(1);
    const stopping = other.stop();
    await goaway;
    const answer = await watch.ended;
    assert.deepEqual([answer.code, answer.message], [14, 'etcdserver: server stopped']);
    await stopping;
  });
});
