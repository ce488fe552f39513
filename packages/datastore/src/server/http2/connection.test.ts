import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { connect } from 'node:http2';
import { after, before, describe, it } from 'node:test';
import { random } from '@cloudless/kube/testing/random';
import { frame, FrameClient, settingsOf, uint32 } from '../testing/frame-client.ts';
import { Connection } from './connection.ts';
import { errorCode, flag, frameType, preface, setting } from './frames.ts';
import { encodeFields } from './hpack.ts';
import type { Request, ServerStream } from './stream.ts';

const answer = encodeFields([
  [':status', '200'],
  ['x-long', 'v'.repeat(40_000)],
]);
const shortAnswer = encodeFields([[':status', '200']]);
const trailers = encodeFields([['x-end', 'yes']]);
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6));
const iterations = Number(process.env['ITERATIONS'] ?? 300);
/** The same numbers from the same seed (mulberry32). */
function randomOf(from: number): (below: number) => number {
  const next = random(from);
  return (below) => Math.floor(next() * below);
}

const post = encodeFields([
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/echo'],
]);
const bodyOf = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, (_, i) => i % 251));

/** A server that sends back what it gets; `/size/N` sends N bytes. */
class EchoServer {
  readonly connections = new Set<Connection>();
  open = 0;
  readonly server: Server;

  constructor() {
    this.server = createServer((socket) => {
      socket.on('error', () => undefined);
      const connection: Connection = new Connection(socket, {
        request: (stream, request) => this.#answer(stream, request),
        closed: () => this.connections.delete(connection),
        failed: () => undefined,
        monotonicMs: () => performance.now(),
      });
      this.connections.add(connection);
    });
  }

  #answer(stream: ServerStream, request: Request): void {
    this.open++;
    const isRead = request.path !== '/paused';
    if (!isRead) stream.pause();
    const size = /^\/size\/(\d+)$/.exec(request.path)?.[1];
    stream.receiver = {
      data: (chunk) => void (isRead && stream.write(Buffer.from(chunk))),
      halfClosed: () => {
        if (size !== undefined) stream.write(bodyOf(Number(size)));
        stream.end(trailers);
      },
      drain: () => undefined,
      closed: () => this.open--,
    };
    stream.respond(request.path === '/echo' ? answer : shortAnswer);
  }
}

describe('an HTTP/2 connection', () => {
  const echo = new EchoServer();
  let port = 0;
  before(async () => {
    await new Promise<void>((resolve) => echo.server.listen(0, '127.0.0.1', resolve));
    port = (echo.server.address() as AddressInfo).port;
  });
  after(() => {
    for (const connection of echo.connections) connection.destroy();
    echo.server.close();
  });
  const headers = (streamId: number, block = post, flags: number = flag.endHeaders): Buffer =>
    frame(frameType.headers, flags, streamId, block);
  const data = (streamId: number, bytes: number, flags = 0): Buffer =>
    frame(frameType.data, flags, streamId, bodyOf(bytes));

  it('serves a client that is none of ours: fields, trailers, bodies beyond every window, 100 at once', async () => {
    const session = connect(`http://127.0.0.1:${port}`);
    const random = randomOf(seed);
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const body = bodyOf(i === 0 ? 3_000_000 : random(50_000));
        const stream = session.request({ ':method': 'POST', ':path': '/echo', 'x-value': `${i} ~\u00e9` });
        let status: unknown;
        let end: unknown;
        stream.on('response', (fields) => (status = [fields[':status'], String(fields['x-long']).length]));
        stream.on('trailers', (fields) => (end = fields['x-end']));
        stream.end(body);
        const chunks: Buffer[] = [];
        for await (const chunk of stream) chunks.push(chunk as Buffer);
        assert.ok(Buffer.concat(chunks).equals(body));
        assert.deepEqual([status, end], [[200, 40_000], 'yes']);
      }),
    );
    session.close();
    await new Promise((resolve) => session.once('close', resolve));
    assert.equal(echo.open, 0);
  });

  for (const [what, frames, code] of [
    ['a first frame that is no SETTINGS', [preface, frame(6, 0, 0, bodyOf(8))], errorCode.protocol],
    ['a preface with another end', [Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n')], errorCode.protocol],
  ] as const)
    it(`refuses ${what}`, async () => {
      const client = new FrameClient(port, Buffer.concat(frames));
      assert.equal(await client.goAway(), code);
    });

  const tooMany = 17;
  for (const [what, frames, code] of [
    ['SETTINGS on a stream', [frame(4, 0, 1)], errorCode.protocol],
    ['SETTINGS of a broken length', [frame(4, 0, 0, bodyOf(5))], errorCode.frameSize],
    ['an acknowledgement with content', [frame(4, 1, 0, bodyOf(6))], errorCode.frameSize],
    ['ENABLE_PUSH 2', [frame(4, 0, 0, settingsOf([[setting.enablePush, 2]]))], errorCode.protocol],
    [
      'a window of 2^31',
      [frame(4, 0, 0, settingsOf([[setting.initialWindowSize, 2 ** 31]]))],
      errorCode.flowControl,
    ],
    ['frames of 1 byte', [frame(4, 0, 0, settingsOf([[setting.maxFrameSize, 1]]))], errorCode.protocol],
    ['PING on a stream', [frame(6, 0, 1, bodyOf(8))], errorCode.protocol],
    ['PING of 7 bytes', [frame(6, 0, 0, bodyOf(7))], errorCode.frameSize],
    ['DATA on no stream', [data(0, 1)], errorCode.protocol],
    ['DATA on an idle stream', [data(1, 1)], errorCode.protocol],
    [
      'more padding than frame',
      [headers(1), frame(0, flag.padded, 1, Buffer.from([9, 1]))],
      errorCode.protocol,
    ],
    ['padding without a length', [headers(1), frame(0, flag.padded, 1)], errorCode.protocol],
    ['more padding than header block', [headers(1, Buffer.from([9, 0x82]), 0xc)], errorCode.protocol],
    ['HEADERS on no stream', [headers(0)], errorCode.protocol],
    ['HEADERS on an even stream', [headers(2)], errorCode.protocol],
    ['HEADERS on a closed stream', [headers(1, post, 5), headers(1, post, 5)], errorCode.streamClosed],
    ['a header block that is none', [headers(1, Buffer.from([0xff, 0xff]))], errorCode.compression],
    ['a frame inside a header block', [headers(1, post, 0), frame(6, 0, 0, bodyOf(8))], errorCode.protocol],
    ['a continuation of another stream', [headers(1, post, 0), frame(9, 4, 3)], errorCode.protocol],
    ['a continuation of nothing', [frame(9, 4, 1)], errorCode.protocol],
    [
      'a header block that does not end',
      [headers(1, post, 0), ...Array.from({ length: tooMany }, () => frame(9, 0, 1))],
      errorCode.enhanceYourCalm,
    ],
    ['RST_STREAM of an idle stream', [frame(3, 0, 1, uint32(8))], errorCode.protocol],
    ['RST_STREAM of 3 bytes', [headers(1), frame(3, 0, 1, bodyOf(3))], errorCode.frameSize],
    ['PUSH_PROMISE', [frame(5, 4, 1, bodyOf(8))], errorCode.protocol],
    ['GOAWAY on a stream', [frame(7, 0, 1, bodyOf(8))], errorCode.protocol],
    ['PRIORITY of 4 bytes', [frame(2, 0, 1, bodyOf(4))], errorCode.frameSize],
    ['WINDOW_UPDATE by nothing', [frame(8, 0, 0, uint32(0))], errorCode.protocol],
    ['WINDOW_UPDATE of an idle stream', [frame(8, 0, 1, uint32(1))], errorCode.protocol],
    ['a window beyond 2^31', [frame(8, 0, 0, uint32(2 ** 31 - 1))], errorCode.flowControl],
    [
      'a stream beyond its window by settings',
      [headers(1), frame(8, 0, 1, uint32(2 ** 31 - 1 - 65_535)), frame(4, 0, 0, settingsOf([[4, 65_536]]))],
      errorCode.flowControl,
    ],
    ['a frame larger than permitted', [Buffer.from([0, 0x40, 1, 0, 0, 0, 0, 0, 1])], errorCode.frameSize],
  ] as Array<[string, Buffer[], number]>)
    it(`ends with the right code for ${what}`, async () => {
      const client = new FrameClient(port);
      client.send(...frames);
      assert.equal(await client.goAway(), code);
      assert.equal(echo.open, 0);
    });

  const malformed = (fields: ReadonlyArray<readonly [string, string]>): Buffer =>
    headers(1, encodeFields(fields));
  const whole = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
  ] as const;
  for (const [what, frames, code] of [
    ['no path', [malformed(whole.slice(0, 2))], errorCode.protocol],
    ['an empty path', [malformed([...whole.slice(0, 2), [':path', '']])], errorCode.protocol],
    ['two methods', [malformed([...whole, [':method', 'GET']])], errorCode.protocol],
    ['an unknown pseudo-header', [malformed([...whole, [':x', 'y']])], errorCode.protocol],
    ['a pseudo-header after others', [malformed([['a', 'b'], ...whole])], errorCode.protocol],
    ['capitals in a name', [malformed([...whole, ['A', 'b']])], errorCode.protocol],
    ['a field of HTTP/1.1', [malformed([...whole, ['connection', 'close']])], errorCode.protocol],
    ['trailers that are not the end', [headers(1), headers(1)], errorCode.protocol],
    ['DATA after the end', [headers(1, post, 5), data(1, 5)], errorCode.streamClosed],
    ['a stream’s WINDOW_UPDATE by nothing', [headers(1), frame(8, 0, 1, uint32(0))], errorCode.protocol],
    [
      'a stream’s window beyond 2^31',
      [headers(1), frame(8, 0, 1, uint32(2 ** 31 - 1))],
      errorCode.flowControl,
    ],
  ] as Array<[string, Buffer[], number]>)
    it(`gives up a stream, and no other, for ${what}`, async () => {
      const client = new FrameClient(port);
      client.send(...frames);
      assert.equal(await client.reset(1), code);
      client.send(headers(3), data(3, 10, flag.endStream));
      const { payload } = await client.until((got) => got.type === frameType.data && got.streamId === 3);
      assert.deepEqual(payload, bodyOf(10));
      await client.destroy();
    });

  it('tells a client whose header is too large so', async () => {
    const client = new FrameClient(port);
    // One entry of the table, again and again: small on the wire.
    const [long] = [encodeFields([['x', 'y'.repeat(3000)]])];
    const block = Buffer.concat([post, Buffer.from([0x40]), long.subarray(1), Buffer.alloc(30, 0xbe)]);
    client.send(headers(1, block));
    const { payload } = await client.until((got) => got.type === frameType.headers);
    assert.deepEqual(payload, encodeFields([[':status', '431']]));
    assert.equal(await client.reset(1), errorCode.none);
    await client.destroy();
  });

  it('reads padding, priorities and unknown frames as what they are', async () => {
    const client = new FrameClient(port);
    client.send(
      frame(0xbb, 0xff, 7, bodyOf(100)),
      frame(frameType.priority, 0, 9, bodyOf(5)),
      headers(1, Buffer.concat([Buffer.from([3]), bodyOf(5), post, bodyOf(3)]), 0x2c),
      frame(frameType.data, flag.padded, 1, Buffer.concat([Buffer.from([2]), bodyOf(7), bodyOf(2)])),
      headers(1, encodeFields([['x', 'y']]), 5),
    );
    const { payload } = await client.until(({ type }) => type === frameType.data);
    assert.deepEqual(payload, bodyOf(7));
    const [first] = client.frames.filter(({ type }) => type === frameType.headers);
    assert.equal(first?.payload.length, 16_384);
    assert.equal(client.frames.filter(({ type }) => type === frameType.continuation).length, 2);
    await client.until((got) => got.type === frameType.headers && (got.flags & flag.endStream) !== 0);
    await client.destroy();
  });

  it('sends as much as the windows permit and not a byte more, whatever they become', async () => {
    const random = randomOf(seed);
    const client = new FrameClient(port);
    const bytes = 100_000;
    const path = encodeFields([
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', `/size/${bytes}`],
    ]);
    const windows = new Map([1, 3, 5].map((id) => [id, 0]));
    let whole = 65_535;
    client.send(frame(4, 0, 0, settingsOf([[setting.initialWindowSize, 0]])));
    for (const id of windows.keys()) client.send(headers(id, path, 5));
    const got = (id: number): number =>
      client.frames
        .filter(({ type, streamId }) => type === frameType.data && (id === 0 || streamId === id))
        .reduce((sum, { payload }) => sum + payload.length, 0);
    let initial = 0;
    const pings = (): number => client.frames.filter(({ type }) => type === frameType.ping).length;
    while (got(0) < 3 * bytes) {
      const gotBefore = new Map([...windows.keys()].map((stream) => [stream, got(stream)]));
      const by = 1 + random(30_000);
      const id = random(5);
      if (id === 0) {
        client.send(frame(8, 0, 0, uint32(by)));
        whole += by;
      } else if (id === 4) {
        client.send(frame(4, 0, 0, settingsOf([[setting.initialWindowSize, by]])));
        for (const [stream, window] of windows) windows.set(stream, window + by - initial);
        initial = by;
      } else {
        const stream = 2 * id - 1;
        client.send(frame(8, 0, stream, uint32(by)));
        windows.set(stream, (windows.get(stream) as number) + by);
      }
      const before = pings();
      client.send(frame(6, 0, 0, bodyOf(8)));
      await client.until(() => pings() > before);
      assert.ok(got(0) <= whole, `SEED=${seed}`);
      // A window that was made smaller may be below what was sent before.
      for (const [stream, window] of windows)
        assert.ok(got(stream) <= Math.max(window, gotBefore.get(stream) as number), `SEED=${seed}`);
    }
    for (const id of windows.keys()) {
      const parts = client.frames.filter(({ type, streamId }) => type === frameType.data && streamId === id);
      assert.ok(Buffer.concat(parts.map(({ payload }) => payload)).equals(bodyOf(bytes)));
    }
    await client.destroy();
  });

  it('lets nobody send beyond the window of a stream that is not read, nor of the connection', async () => {
    const paused = encodeFields([...whole.slice(0, 2), [':path', '/paused']]);
    const client = new FrameClient(port);
    const frames = 2 ** 20 / 16_384;
    client.send(headers(1, paused), ...Array.from({ length: frames }, () => data(1, 16_384)), headers(3));
    client.send(data(3, 10, flag.endStream));
    await client.until((got) => got.type === frameType.data && got.streamId === 3);
    assert.equal(echo.open, 1);
    client.send(data(1, 1));
    assert.equal(await client.reset(1), errorCode.flowControl);
    await client.destroy();
  });

  const get = encodeFields(whole);
  for (const [what, flood] of [
    [
      'streams given up as soon as they are open',
      (i: number) => [headers(2 * i + 1, get), frame(3, 0, 2 * i + 1, uint32(8))],
    ],
    [
      'streams that the server has to give up',
      (i: number) => [headers(2 * i + 1, get), frame(8, 0, 2 * i + 1, uint32(0))],
    ],
    ['settings', () => [frame(4, 0, 0)]],
    ['pings whose answers it does not read', () => [frame(6, 0, 0, bodyOf(8))]],
    ['empty data', (i: number) => (i === 0 ? [headers(1)] : [data(1, 0)])],
    ['priorities', () => [frame(2, 0, 1, bodyOf(5))]],
  ] as Array<[string, (i: number) => Buffer[]]>)
    it(`ends the connection of a client that floods it with ${what}`, async () => {
      const client = new FrameClient(port);
      client.socket.pause();
      const some = Buffer.concat(Array.from({ length: 30_000 }, (_, i) => flood(i)).flat());
      client.send(some);
      await new Promise((resolve) => setTimeout(resolve, 1));
      client.socket.resume();
      await client.closed;
      assert.equal(echo.open, 0);
      const goAway = client.frames.find(({ type }) => type === frameType.goAway);
      if (goAway !== undefined) assert.equal(goAway.payload.readUInt32BE(4), errorCode.enhanceYourCalm);
    });

  it('answers what is under way when it is told to close, and nothing newer', async () => {
    const client = new FrameClient(port);
    client.send(headers(1));
    await client.until(({ type }) => type === frameType.headers);
    const [connection] = [...echo.connections].slice(-1) as [Connection];
    connection.announceEnd();
    connection.close();
    await client.until(({ type, payload }) => type === frameType.goAway && payload.readUInt32BE(0) === 1);
    client.send(headers(3), data(3, 4, flag.endStream), data(1, 4, flag.endStream));
    await client.closed;
    assert.deepEqual(
      client.frames.filter(({ type }) => type === frameType.data).map(({ streamId }) => streamId),
      [1],
    );
    await connection.ended;
  });

  it(`outlives ${iterations} connections of random frames (SEED=${seed})`, async () => {
    const random = randomOf(seed);
    const blocks = [post, encodeFields(whole), encodeFields([['a', 'b']]), Buffer.from([0x20, 0x82])];
    for (let i = 0; i < iterations; i++) {
      const client = new FrameClient(port);
      const frames = Array.from({ length: 1 + random(40) }, () => {
        const type = random(12);
        const wild = random(4) === 0;
        const length = wild
          ? random(40)
          : ([undefined, undefined, 5, 4, 6 * random(4), 8, 8, 8, 4][type] ?? random(64));
        let payload: Uint8Array = Buffer.from(Array.from({ length }, () => random(256)));
        if (type === 1 && !wild) payload = blocks[random(blocks.length)] as Buffer;
        if (type === 4 && !wild) payload = settingsOf([[1 + random(6), random(2 ** 31)]]);
        const flags = type === 1 && !wild ? 4 | random(2) : random(256) & 0x2d;
        return frame(type, flags, wild ? random(2 ** 31) : random(12), payload);
      });
      client.send(...frames);
      client.socket.end();
      await client.closed;
    }
    assert.equal(echo.open, 0);
    assert.equal(echo.connections.size, 0);
    const client = new FrameClient(port);
    client.send(headers(1), data(1, 10, flag.endStream));
    await client.until(({ type }) => type === frameType.data);
    await client.destroy();
  });
});
