import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import type { ClientHttp2Session } from 'node:http2';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { logger } from '@cloudless/kube/logger';
import type { Datastore } from '../datastore.ts';
import { openMemoryDatastore } from '../memory.ts';
import { type DatastoreServer, serveDatastore } from './serve.ts';
import { decode, encode, framed, RawCall, rawSession, rawUnary } from './testing/raw-call.ts';

const log = logger('transport-test').child({}, { level: 'silent' });
const bytes = (text: string): Uint8Array => Buffer.from(text);
const range = framed(encode('RangeRequest', { key: bytes('a') }));
const put = (value: Uint8Array): Buffer => framed(encode('PutRequest', { key: bytes('a'), value }));
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6));

describe('the port of a datastore', () => {
  let store: Datastore;
  let server: DatastoreServer;
  let session: ClientHttp2Session;
  let port: number;
  before(async () => {
    store = await openMemoryDatastore({ log });
    server = await serveDatastore({ store, listen: { host: '127.0.0.1', port: 0 }, log });
    port = (server.address as { port: number }).port;
    session = rawSession(server.url);
  });
  after(async () => {
    session.close();
    await server.stop();
    await store.close();
  });
  const unary = (body: Uint8Array, headers?: Record<string, string>, path = '/etcdserverpb.KV/Range') =>
    rawUnary(session, path, body, headers);
  const works = async (): Promise<void> => assert.equal((await unary(range)).code, 0);

  it('answers a call with its message and its status behind', async () => {
    const answer = await unary(range);
    assert.deepEqual([answer.status, answer.code, answer.messages.length], [200, 0, 1]);
    const { header } = decode<{ header: { clusterId: bigint; memberId: bigint; raftTerm: bigint } }>(
      'RangeResponse',
      answer.messages[0] as Buffer,
    );
    const { clusterId, memberId } = await store.identity();
    assert.deepEqual([header.clusterId, header.memberId, header.raftTerm], [clusterId, memberId, 2n]);
  });

  for (const [what, body, code, message] of [
    ['a message that is none', framed(Buffer.from([0x0a, 0xff])), 13, /error unmarshalling request/],
    ['a field of another type', framed(Buffer.from([0x08, 0x01])), 13, /expected a length and bytes/],
    ['a prefix that is none', framed(encode('RangeRequest', {}), 7), 13, /unexpected payload format 7/],
    ['a message that is cut off', range.subarray(0, -1), 13, /ends inside a message/],
    ['no message', Buffer.alloc(0), 13, /without a request/],
    ['two messages', Buffer.concat([range, range]), 13, /a second message/],
    ['an empty key', framed(encode('RangeRequest', {})), 3, /^etcdserver: key is not provided$/],
    [
      'an order that is none',
      framed(encode('RangeRequest', { key: bytes('a'), sortOrder: 9 })),
      3,
      /invalid sort option/,
    ],
    ['a compressed message without saying how', framed(gzipSync(range), 1), 13, /identity or empty encoding/],
  ] as Array<[string, Buffer, number, RegExp]>)
    it(`refuses ${what} and goes on`, async () => {
      const answer = await unary(body);
      assert.equal(answer.status, 200);
      assert.equal(answer.code, code, answer.message);
      assert.match(answer.message, message);
      await works();
    });

  it('refuses what is too large in the words of etcd, or of gRPC beyond that', async () => {
    const large = await unary(put(new Uint8Array(1.6 * 1024 * 1024)), {}, '/etcdserverpb.KV/Put');
    assert.deepEqual([large.code, large.message], [3, 'etcdserver: request is too large']);
    const huge = await unary(put(new Uint8Array(2.1 * 1024 * 1024)), {}, '/etcdserverpb.KV/Put');
    assert.equal(huge.code, 8);
    assert.match(huge.message, /^grpc: received message larger than max \(\d+ vs\. 2097152\)$/);
    assert.equal((await unary(put(new Uint8Array(1024 * 1024)), {}, '/etcdserverpb.KV/Put')).code, 0);
  });

  it('reads gzip and deflate, names what else it cannot, and lets none unfold beyond the limit', async () => {
    const plain = encode('RangeRequest', { key: bytes('a') });
    assert.equal((await unary(framed(gzipSync(plain), 1), { 'grpc-encoding': 'gzip' })).code, 0);
    const other = await unary(framed(plain, 1), { 'grpc-encoding': 'snappy' });
    assert.equal(other.code, 12);
    assert.match(other.message, /grpc-encoding "snappy"/);
    const bomb = gzipSync(new Uint8Array(64 * 1024 * 1024));
    assert.equal((await unary(framed(bomb, 1), { 'grpc-encoding': 'gzip' })).code, 8);
    assert.equal((await unary(framed(plain, 1), { 'grpc-encoding': 'gzip' })).code, 13);
    await works();
  });

  it('ends a call at its deadline', async () => {
    const call = new RawCall(session, '/etcdserverpb.Watch/Watch', { 'grpc-timeout': '50m' });
    const answer = await call.ended;
    assert.deepEqual([answer.code, answer.message], [4, 'context deadline exceeded']);
    await works();
  });

  it('answers the health checks of gRPC', async () => {
    const path = '/grpc.health.v1.Health/Check';
    const answer = await unary(framed(Buffer.alloc(0)), {}, path);
    assert.deepEqual([answer.code, answer.messages[0]], [0, Buffer.from([8, 1])]);
    assert.equal((await unary(framed(Buffer.from([10, 1, 65])), {}, path)).code, 5);
  });

  it('names calls that it does not have, and why', async () => {
    const auth = await unary(Buffer.alloc(5), {}, '/etcdserverpb.Auth/UserList');
    assert.equal(auth.code, 12);
    assert.match(auth.message, /TLS client certificates/);
    const none = await unary(range, {}, '/etcdserverpb.KV/Nothing');
    assert.deepEqual([none.code, none.message], [12, 'unknown method Nothing for service etcdserverpb.KV']);
  });

  it('speaks HTTP/1.1 on the same port, and plain HTTP/2', async () => {
    const get = (path: string): Promise<[number, string]> =>
      new Promise((resolve, reject) => {
        request({ port, path, agent: false }, (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.on('end', () => resolve([response.statusCode ?? 0, text]));
        })
          .on('error', reject)
          .end();
      });
    const [status, version] = await get('/version');
    assert.equal(status, 200);
    assert.match(version, /^\{"etcdserver":"3\.\d+\.\d+","etcdcluster":"3\.\d+\.0"/);
    assert.deepEqual(await get('/health'), [200, '{"health":"true","reason":""}']);
    assert.deepEqual(await get('/readyz'), [200, 'ok\n']);
    assert.deepEqual(await get('/livez'), [200, 'ok\n']);
    assert.equal((await get('/nothing'))[0], 404);
    const [, metrics] = await get('/metrics');
    assert.match(metrics, /^grpc_server_handled_total\{grpc_code="OK",grpc_method="Range".*\} \d+$/m);
    const overH2 = session.request({ ':path': '/version' });
    let text = '';
    for await (const chunk of overH2) text += String(chunk);
    assert.equal(text, version);
    await store.activateAlarm('nospace');
    assert.deepEqual(await get('/health'), [503, '{"health":"false","reason":"ALARM NOSPACE"}']);
    assert.equal((await get('/health?exclude=NOSPACE'))[0], 200);
    assert.equal((await get('/readyz'))[0], 200);
    await store.deactivateAlarm('nospace');
  });

  it('recognizes HTTP/2 that arrives byte by byte', async () => {
    const socket = connect(port);
    const preface = Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
    ]);
    for (const byte of preface) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const first = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
    assert.equal(first[3], 4, 'a SETTINGS frame');
    socket.destroy();
  });

  it(`outlives connections that send anything (SEED=${seed})`, async () => {
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for (let i = 0; i < 30; i++) {
      const junk = randomBytes(1 + ((seed + i * 37) % 200));
      const start = [Buffer.alloc(0), preface, Buffer.concat([preface, settings])][i % 3] as Buffer;
      const socket = connect(port).on('error', () => undefined);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.end(Buffer.concat([start, junk]));
      socket.resume();
      await closed;
    }
    await works();
  });

  it('forgets calls that their clients give up, thousands at once', async () => {
    const other = rawSession(server.url);
    const calls = Array.from({ length: 3000 }, () => new RawCall(other, '/etcdserverpb.Watch/Watch'));
    for (const call of calls) call.send('WatchRequest', { createRequest: { key: bytes('a') } });
    await Promise.all(calls.map((call) => call.until(1)));
    assert.equal(store.figures().watchers, 3000);
    for (const call of calls) call.stream.close(8);
    assert.equal((await rawUnary(other, '/etcdserverpb.KV/Range', range)).code, 0);
    assert.equal(store.figures().watchers, 0);
    other.destroy();
  });

  it('answers pings', async () => {
    await new Promise<void>((resolve, reject) => {
      session.ping((error) => (error === null ? resolve() : reject(error)));
    });
  });
});
