import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect as dial, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { portForwardTunnel, translatePortForward } from './remote-command.ts';
import { passUpgrade } from './upgrade.ts';

const megabyte = 1024 * 1024;

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** What is true soon; throws when it is not within ten seconds. */
async function soon(what: string, condition: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    if (condition()) return;
    await delay(10);
  }
  throw new Error(`not within 10 s: ${what}`);
}

/**
 * As much of a WebSocket client as a tunnel needs: those that there are will not say the tunnel's name. Emits `open`,
 * `message` with each binary message's bytes, and `close`.
 */
class Client extends EventEmitter {
  readonly socket: Socket;
  #opened = false;
  #pending: Buffer = Buffer.alloc(0);
  /** The subprotocol that the server chose. */
  protocol = '';

  constructor(port: number) {
    super();
    this.socket = dial(port, '127.0.0.1');
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.emit('close'));
    this.socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    const key = Buffer.alloc(16, 1).toString('base64');
    this.socket.write(
      `GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\nsec-websocket-protocol: ${portForwardTunnel}\r\n\r\n`,
    );
  }

  /** A masked binary message (RFC 6455) of up to 125 bytes; the mask of zeros changes nothing. */
  send(bytes: Buffer): void {
    this.socket.write(Buffer.concat([Buffer.from([0x82, 0x80 | bytes.length, 0, 0, 0, 0]), bytes]));
  }

  #receive(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    if (!this.#opened) {
      const end = this.#pending.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = this.#pending.toString('latin1', 0, end);
      assert.match(head, /^HTTP\/1\.1 101 /);
      this.protocol = /^sec-websocket-protocol: (.*)$/im.exec(head)?.[1]?.trim() ?? '';
      this.#opened = true;
      this.#pending = this.#pending.subarray(end + 4);
      this.emit('open');
    }
    while (this.#pending.length >= 2) {
      const short = (this.#pending[1] as number) & 0x7f;
      const header = short === 127 ? 10 : short === 126 ? 4 : 2;
      if (this.#pending.length < header) return;
      const length =
        short === 127
          ? Number(this.#pending.readBigUInt64BE(2))
          : short === 126
            ? this.#pending.readUInt16BE(2)
            : short;
      if (this.#pending.length < header + length) return;
      const opcode = (this.#pending[0] as number) & 0x0f;
      if (opcode === 2) this.emit('message', this.#pending.subarray(header, header + length));
      // A close frame is answered by one.
      if (opcode === 8) this.socket.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
      this.#pending = this.#pending.subarray(header + length);
    }
  }
}

describe('a port-forward inside a WebSocket', { timeout: 30_000 }, () => {
  /** The side that speaks SPDY: here it only sees bytes. */
  const far = createServer();
  const near = createServer();
  let port = 0;
  /** The far side's last connection. */
  let farSocket: Duplex | undefined;
  /** Translations under way. */
  let open = 0;
  /** What the far side waits for before it answers. */
  let hold: Promise<unknown> = Promise.resolve();

  before(async () => {
    far.on('upgrade', (_incoming, socket: Duplex) => {
      farSocket = socket;
      socket.on('error', () => socket.destroy());
      socket.once('end', () => socket.end());
      const answer = 'HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n';
      void hold.then(() => socket.write(answer));
    });
    const farPort = await listen(far);
    near.on('upgrade', (incoming, socket: Duplex, head: Buffer) => {
      socket.on('error', () => socket.destroy());
      open += 1;
      const target = { url: new URL(`http://127.0.0.1:${farPort}/`), connectTimeoutMs: 5_000 };
      const carried = incoming.headers['sec-websocket-protocol']
        ? translatePortForward({ incoming, socket, head, target })
        : passUpgrade({ incoming, socket, head, target });
      void carried.catch(() => socket.destroy()).finally(() => (open -= 1));
    });
    port = await listen(near);
  });
  after(() => {
    farSocket?.destroy();
    for (const server of [near, far]) {
      server.closeAllConnections();
      server.close();
    }
  });

  const connect = async (): Promise<{ client: Client; far: Duplex }> => {
    farSocket = undefined;
    const client = new Client(port);
    await once(client, 'open');
    await soon('the far side', () => farSocket !== undefined);
    return { client, far: farSocket as unknown as Duplex };
  };

  it('carries bytes both ways as they are', async () => {
    const { client, far } = await connect();
    assert.equal(client.protocol, portForwardTunnel);
    client.send(Buffer.from([0, 255, 128]));
    const [there] = (await once(far, 'data')) as [Buffer];
    assert.deepEqual([...there], [0, 255, 128]);
    far.write(Buffer.from([1, 254]));
    const [back] = (await once(client, 'message')) as [Buffer];
    assert.deepEqual([...back], [1, 254]);
    client.socket.end();
    await once(far, 'close');
    await soon('its end', () => open === 0);
  });

  it('reads no faster than the client does, and loses nothing', async () => {
    const { client, far } = await connect();
    let received = 0;
    client.on('message', (data: Buffer) => (received += data.length));
    client.socket.pause();
    const total = 64 * megabyte;
    const chunk = Buffer.alloc(megabyte, 7);
    let taken = 0;
    for (let i = 0; i < 64; i++) far.write(chunk, () => (taken += chunk.length));
    // Until nothing moves any more.
    for (let before = -1; before !== taken;) {
      before = taken;
      await delay(150);
    }
    assert.ok(taken < total / 2, `${taken} bytes were taken from a side whose reader sleeps`);
    client.socket.resume();
    await soon('all of it', () => received === total);
    client.socket.destroy();
    await once(far, 'close');
    await soon('its end', () => open === 0);
  });

  it('ends both sides when one breaks off, a hundred times, and leaves nothing', async () => {
    for (let i = 0; i < 50; i++) {
      const { client, far } = await connect();
      client.send(Buffer.from('x'));
      client.socket.destroy();
      if (!far.destroyed) await once(far.resume(), 'close');
    }
    for (let i = 0; i < 50; i++) {
      const { client, far } = await connect();
      const closed = once(client, 'close');
      far.destroy();
      await closed;
    }
    await soon('every translation to end', () => open === 0);
    const count = async (server: Server): Promise<number> =>
      new Promise((resolve, reject) =>
        server.getConnections((error, all) => (error ? reject(error) : resolve(all))),
      );
    let left = -1;
    for (let tries = 0; tries < 500 && left !== 0; tries++) {
      left = (await count(near)) + (await count(far));
      await delay(10);
    }
    assert.equal(left, 0, `${left} connections are left`);
  });

  it('leaves nothing of a client whose connection ended while the far side was asked', async () => {
    const spdy = 'POST / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n';
    const inWebSocket = (): Socket => new Client(port).socket;
    const plain = (): Socket => {
      const socket = dial(port, '127.0.0.1');
      socket.write(spdy);
      return socket;
    };
    for (const dialed of [inWebSocket, plain]) {
      farSocket = undefined;
      const held = Promise.withResolvers<void>();
      hold = held.promise;
      const upgraded = once(near, 'upgrade');
      dialed().on('error', () => {});
      await soon('the far side to be asked', () => farSocket !== undefined);
      const [, socket] = (await upgraded) as [unknown, Duplex];
      await once(socket.destroy(), 'close');
      held.resolve();
      const far = farSocket as unknown as Duplex;
      if (!far.destroyed) await once(far.resume(), 'close');
      await soon('its end', () => open === 0);
    }
    hold = Promise.resolve();
  });

  it('SPDY passes likewise: what one side breaks off, the other learns', async () => {
    for (const breaks of ['near', 'far'] as const) {
      farSocket = undefined;
      const socket = dial(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write('POST / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: SPDY/3.1\r\n\r\n');
      const [answer] = (await once(socket, 'data')) as [Buffer];
      assert.match(String(answer), /^HTTP\/1\.1 101 /);
      const other = farSocket as unknown as Duplex;
      const [first, second] = breaks === 'near' ? [socket, other] : [other, socket];
      const closed = once(second.resume(), 'close');
      first.destroy();
      await closed;
    }
    await soon('both to end', () => open === 0);
  });
});
