import assert from 'node:assert/strict';
import type { ClientHttp2Session } from 'node:http2';
import { after, before, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import type { Datastore } from '../datastore.ts';
import { openMemoryDatastore } from '../memory.ts';
import { type DatastoreServer, serveDatastore } from './serve.ts';
import { decode, encode, framed, RawCall, type RawAnswer, rawSession, rawUnary } from './testing/raw-call.ts';

const log = logger('range-stream-test').child({}, { level: 'silent' });
const bytes = (text: string): Uint8Array => Buffer.from(text);
const all = { key: bytes('/r/'), rangeEnd: bytes('/r0') };

interface Range {
  header?: { revision: bigint };
  kvs: Array<{ key: Uint8Array; value: Uint8Array }>;
  more: boolean;
  count: bigint;
}

describe('RangeStream', () => {
  const keys = 600;
  let store: Datastore;
  let server: DatastoreServer;
  let session: ClientHttp2Session;
  before(async () => {
    store = await openMemoryDatastore({ log });
    const value = new Uint8Array(10_000).fill(0x61);
    for (let i = 0; i < keys; i++) await store.put({ key: bytes(`/r/${1000 + i}`), value });
    server = await serveDatastore({ store, listen: { host: '127.0.0.1', port: 0 }, log });
    session = rawSession(server.url);
  });
  after(async () => {
    session.destroy();
    await server.stop();
    await store.close();
  });
  const body = (request: object): Buffer => framed(encode('RangeRequest', request));
  const stream = (request: object): Promise<RawAnswer> =>
    rawUnary(session, '/etcdserverpb.KV/RangeStream', body(request));
  /** A call that reads no further than its first bytes. */
  async function begun(request: object): Promise<RawCall> {
    const call = new RawCall(session, '/etcdserverpb.KV/RangeStream');
    const first = new Promise<void>((resolve) => {
      call.stream.once('data', () => {
        call.stream.pause();
        resolve();
      });
    });
    call.stream.end(body(request));
    await first;
    return call;
  }
  const piecesOf = ({ messages }: RawAnswer): Range[] =>
    messages.map((message) => decode<{ rangeResponse: Range }>('RangeStreamResponse', message).rangeResponse);

  /** As clients do: lists are joined, of the rest the last that was set counts. */
  function merged(pieces: readonly Range[]): object {
    const last = (name: 'more' | 'count'): unknown => pieces.map((piece) => piece[name]).findLast(Boolean);
    return {
      revision: pieces.map(({ header }) => header?.revision).findLast(Boolean),
      kvs: pieces.flatMap(({ kvs }) => kvs.map(({ key, value }) => [String(key), value.length])),
      more: last('more') ?? false,
      count: last('count') ?? 0n,
    };
  }

  for (const [what, request] of [
    ['everything', all],
    ['up to a limit', { ...all, limit: 250 }],
    ['a limit that is not reached', { ...all, limit: 10_000 }],
    ['names only', { ...all, keysOnly: true }],
    ['the count only', { ...all, countOnly: true }],
    ['the past', { ...all, revision: 300 }],
    ['one key', { key: bytes('/r/1005') }],
    ['nothing', { key: bytes('/x/'), rangeEnd: bytes('/x0') }],
    ['from a key on', { key: bytes('/r/1500'), rangeEnd: bytes('\0') }],
  ] as const)
    it(`is in pieces what Range is at once: ${what}`, async () => {
      const whole = await rawUnary(session, '/etcdserverpb.KV/Range', body(request));
      const streamed = await stream(request);
      assert.equal(streamed.code, 0, streamed.message);
      const expected = merged(whole.messages.map((message) => decode<Range>('RangeResponse', message)));
      assert.deepEqual(merged(piecesOf(streamed)), expected);
    });

  it('sends large ranges in pieces of about the size of the largest request', async () => {
    const { messages } = await stream(all);
    assert.ok(messages.length >= 5, `${messages.length} pieces`);
    for (const message of messages) assert.ok(message.length < 2 * 1024 * 1024);
  });

  it('stays at its revision while writes go on, and says when that is compacted', async () => {
    const slow = await begun(all);
    const { revision } = await store.put({ key: bytes('/r/1599'), value: bytes('new') });
    slow.stream.resume();
    const pieces = piecesOf(await slow.ended);
    assert.equal(pieces.flatMap(({ kvs }) => kvs).at(-1)?.value.length, 10_000);
    const late = await begun({ ...all, revision: revision - 1 });
    await store.compact(revision);
    late.stream.resume();
    const answer = await late.ended;
    assert.deepEqual(
      [answer.code, answer.message],
      [11, 'etcdserver: mvcc: required revision has been compacted'],
    );
  });

  it('leaves orders and filters to Range', async () => {
    const sorted = await stream({ ...all, sortOrder: 2 });
    assert.deepEqual([sorted.code, sorted.message], [12, 'RangeStream does not support custom sort orders']);
    const filtered = await stream({ ...all, minModRevision: 3 });
    assert.deepEqual(
      [filtered.code, filtered.message],
      [12, 'RangeStream does not support revision filters'],
    );
    assert.equal((await stream({ ...all, sortOrder: 1, limit: 1 })).code, 0);
    assert.equal((await stream({})).message, 'etcdserver: key is not provided');
  });
});
