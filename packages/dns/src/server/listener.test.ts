import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { freePort } from '@cloudless/kube/testing/free-port';
import type { Running } from '@cloudless/kube/lifecycle';
import { type Handler, listen } from './listener.ts';

const frame = (text: string): Buffer => {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
};

/** Collects the messages that come over a connection. */
function collect(socket: Socket): string[] {
  const messages: string[] = [];
  let received: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const end = 2 + received.readUInt16BE(0);
      messages.push(received.toString('utf8', 2, end));
      received = received.subarray(end);
    }
  });
  socket.on('error', () => {});
  return messages;
}

async function until(what: string, check: () => boolean, timeoutMs = 5000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!check()) {
    if (performance.now() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('the DNS listener', () => {
  let port = 0;
  let server: Running;
  let underWay = 0;
  let most = 0;
  let asked = 0;
  let answerSize = 0;
  const gates = new Map<string, Promise<void>>();
  const handle: Handler = async (message, { transport }) => {
    asked += 1;
    underWay += 1;
    most = Math.max(most, underWay);
    const text = message.toString();
    await gates.get(text);
    underWay -= 1;
    if (text === 'silence') return undefined;
    return Buffer.from(`${transport} ${text}`.padEnd(answerSize, '.'));
  };
  const open = async (): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    return socket;
  };
  before(async () => {
    port = await freePort();
    server = await listen('127.0.0.1', port, handle);
  });
  after(() => server.stop());

  it('answers by UDP, and says nothing where nothing is to be said', async () => {
    const client = createSocket('udp4');
    const answers: string[] = [];
    client.on('message', (message) => answers.push(message.toString()));
    for (const text of ['silence', 'hello']) client.send(text, port, '127.0.0.1');
    await until('an answer', () => answers.length > 0);
    assert.deepEqual(answers, ['udp hello']);
    client.close();
  });

  it('answers pipelined queries as they are ready, however the bytes come', async () => {
    const socket = await open();
    const messages = collect(socket);
    const gate = Promise.withResolvers<void>();
    gates.set('slow', gate.promise);
    const bytes = Buffer.concat(['slow', 'a', 'silence', '', 'b'].map(frame));
    for (const byte of bytes) socket.write(Buffer.of(byte));
    await until('the fast ones', () => messages.length === 3);
    gate.resolve();
    await until('the slow one', () => messages.length === 4);
    assert.deepEqual(messages, ['tcp a', 'tcp ', 'tcp b', 'tcp slow']);
    socket.destroy();
  });

  it('keeps at most 64 queries of a connection under way', async () => {
    const socket = await open();
    const messages = collect(socket);
    const gate = Promise.withResolvers<void>();
    gates.set('wait', gate.promise);
    most = 0;
    for (let i = 0; i < 200; i++) socket.write(frame('wait'));
    await until('64 under way', () => underWay === 64);
    gate.resolve();
    await until('all answers', () => messages.length === 200);
    assert.equal(most, 64);
    socket.destroy();
  });

  it('a client that shut its side down gets what it asked for, and then the end', async () => {
    const socket = await open();
    const messages = collect(socket);
    const gate = Promise.withResolvers<void>();
    gates.set('half', gate.promise);
    socket.end(frame('half'));
    let ended = false;
    socket.once('end', () => (ended = true));
    await until('the query', () => underWay === 1);
    gate.resolve();
    await until('the end', () => ended);
    assert.deepEqual(messages, ['tcp half']);
  });

  it('does not read on from a client that does not read', async () => {
    const socket = connect({ port, host: '127.0.0.1', onread: undefined });
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.pause();
    socket.on('error', () => {});
    answerSize = 60_000;
    asked = 0;
    // 12 GB of answers, if they were all made.
    const flood = Buffer.concat(Array.from({ length: 200_000 }, () => frame('x')));
    socket.write(flood);
    let last = -1;
    await until('it stands still', () => {
      const still = asked > 0 && asked === last;
      last = asked;
      return still;
    });
    assert.ok(asked < 5000, `${asked} queries were answered into memory`);
    answerSize = 0;
    socket.destroy();
  });

  it('one client cannot hold every connection', async () => {
    const sockets = await Promise.all(Array.from({ length: 130 }, () => open()));
    for (const socket of sockets) collect(socket);
    await until('the surplus is closed', () => sockets.filter((socket) => socket.closed).length === 30);
    for (const socket of sockets) socket.destroy();
    // The server hears of the ends a moment later.
    let answered = false;
    const endMs = performance.now() + 5000;
    while (!answered && performance.now() < endMs) {
      const again = await open();
      const messages = collect(again);
      again.write(frame('again'));
      await until('an answer or the end', () => messages.length === 1 || again.closed);
      answered = messages.length === 1;
      again.destroy();
    }
    assert.ok(answered);
  });

  it('a message that was begun and never ended closes the connection', { timeout: 15_000 }, async () => {
    const socket = await open();
    collect(socket);
    let dripping = 0;
    const drip = setInterval(() => socket.write(Buffer.of(dripping++ === 0 ? 1 : 0)), 200);
    await until('the end', () => socket.closed, 12_000);
    clearInterval(drip);
    assert.ok(dripping > 10);
  });

  it('a port that is taken for TCP leaves nothing listening on UDP', async () => {
    const other = await freePort();
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(other, '127.0.0.1', resolve));
    await assert.rejects(listen('127.0.0.1', other, handle), { code: 'EADDRINUSE' });
    const udp = createSocket('udp4');
    await new Promise<void>((resolve) => udp.bind(other, '127.0.0.1', resolve));
    udp.close();
    holder.close();
  });
});
