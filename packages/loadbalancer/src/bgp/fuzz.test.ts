// Malformed BGP messages thrown at a session over real connections: `SEED=… ITERATIONS=100000` for the long run
// (`npm run test:fuzz`).
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { type Socket, createServer } from 'node:net';
import { after, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { logger } from '@cloudless/kube/logger';
import { random } from '@cloudless/kube/testing/random';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { BgpState } from './bgp.ts';
import { startBgpSession } from './session.ts';
import { type Pick, goodOpen, mutated, rules } from './testing/malformed.ts';
import { bgpPeer, startPassivePeer } from './testing/passive-peer.ts';
import { FrameReader, keepaliveFrame } from './wire/frame.ts';
import { type Notification, decodeNotification } from './wire/notification.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const iterations = Number(process.env['ITERATIONS'] ?? 300);
const log = logger('bgp-fuzz').child({}, { level: 'silent' });

/** Whole numbers from a seed. */
function picker(start: number): Pick {
  const next = random(start);
  return (from, to) => from + Math.floor(next() * (to - from + 1));
}

/** What one connection of the session met and answered. */
interface Exchange {
  readonly stage: 'open' | 'confirm' | 'established';
  readonly bytes: Buffer;
}

/** A peer that plays one exchange a connection. */
class HostilePeer {
  readonly #pick: Pick;
  #next: Exchange | undefined;
  #socket: Socket | undefined;
  #answered: ((notification: Notification | undefined) => void) | undefined;
  readonly server = createServer((socket) => this.#accept(socket));

  constructor(pick: Pick) {
    this.#pick = pick;
  }

  /** The NOTIFICATION that the next connection ends with; undefined: it ended without. */
  play(exchange: Exchange): Promise<Notification | undefined> {
    this.#next = exchange;
    return new Promise((resolve) => (this.#answered = resolve));
  }

  async close(): Promise<void> {
    this.#socket?.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    this.#socket = socket;
    const exchange = this.#next;
    if (!exchange) return void socket.destroy();
    this.#next = undefined;
    let notification: Notification | undefined;
    const reader = new FrameReader();
    socket.on('error', () => undefined);
    socket.on('close', () => this.#answered?.(notification));
    const attack = (): void => this.#send(socket, exchange.bytes);
    if (exchange.stage === 'open') attack();
    else socket.write(goodOpen);
    let keepalives = 0;
    socket.on('data', (chunk: Buffer) => {
      for (const { type, body } of reader.push(chunk)) {
        if (type === 3) notification = decodeNotification(Buffer.from(body));
        if (type === 4 && ++keepalives === 1 && exchange.stage === 'confirm') attack();
        if (type === 4 && keepalives === 1 && exchange.stage === 'established') {
          socket.write(keepaliveFrame());
          attack();
        }
      }
    });
  }

  /** In one piece or in two. */
  #send(socket: Socket, bytes: Buffer): void {
    const at = this.#pick(0, 3) === 0 ? this.#pick(1, bytes.length - 1) : bytes.length;
    socket.write(bytes.subarray(0, at));
    if (at < bytes.length) setImmediate(() => socket.write(bytes.subarray(at)));
  }
}

const openFiles = (): number => readdirSync('/proc/self/fd').length;

function heapBytes(): number {
  setFlagsFromString('--expose_gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

describe(`malformed BGP messages, SEED=${seed} ITERATIONS=${iterations}`, () => {
  const open: Array<() => Promise<void>> = [];
  after(async () => {
    for (const close of open.reverse()) await close();
  });

  it('each gets its NOTIFICATION and costs that session alone', async () => {
    const pick = picker(seed);
    const clock = new FakeClock();
    const quiet = await startPassivePeer();
    open.push(() => quiet.close());
    const other = startBgpSession({ peer: bgpPeer({ peerPort: quiet.port }), nodeName: 'node', log });
    open.push(() => other.stop());
    other.setRoutes([{ prefix: '192.0.2.1/32', localPref: 0, communities: [] }]);
    await quiet.until('the other session is up', () => quiet.routes.size === 1);

    const hostile = new HostilePeer(pick);
    await new Promise<void>((resolve) => hostile.server.listen(0, '127.0.0.1', resolve));
    open.push(() => hostile.close());
    const { port } = hostile.server.address() as { port: number };
    const first = hostile.play({ stage: 'established', bytes: rules[0]!(pick).bytes });
    const session = startBgpSession({
      peer: bgpPeer({ peerPort: port, holdTimeSeconds: 0, keepaliveTimeSeconds: 0 }),
      nodeName: 'node',
      log,
      clock,
    });
    open.push(() => session.stop());
    session.setRoutes([{ prefix: '192.0.2.2/32', localPref: 0, communities: [] }]);
    const states = new Set<BgpState>();
    session.subscribe(({ state }) => states.add(state));
    assert.equal((await first)?.code, 1);
    const files = openFiles();
    const heap = heapBytes();

    for (let i = 0; i < iterations; i++) {
      // Every rule comes once before chance decides.
      const blind = i >= rules.length && pick(0, 3) === 0;
      const one = rules[i < rules.length ? i : pick(0, rules.length - 1)]!(pick);
      // What a changed byte makes of a frame is anybody's guess, but zeroes after it are no BGP.
      const exchange = blind
        ? { stage: one.stage, bytes: Buffer.concat([mutated(pick), Buffer.alloc(4200)]) }
        : one;
      const answer = hostile.play(exchange);
      states.clear();
      clock.advance(1000);
      const notification = await answer;
      const what = `iteration ${i}: ${blind ? exchange.bytes.toString('hex', 0, 64) : one.name}`;
      if (!blind) {
        const told = notification && `${notification.code}/${notification.subcode}`;
        assert.equal(told, `${one.code}/${one.subcode}`, what);
        if (one.data) assert.deepEqual(notification?.data, one.data, what);
      } else if (notification) assert.ok([1, 2, 3, 5].includes(notification.code), what);
      assert.equal(session.status().state, 'Idle', what);
      assert.equal(session.status().advertisedRoutes, 0, what);
      // A changed byte may be the same byte: a good KEEPALIVE ends a handshake.
      if (!blind || exchange.stage !== 'confirm')
        assert.equal(states.has('Established'), exchange.stage === 'established', what);
    }

    assert.ok(openFiles() <= files + 1, `${openFiles()} files are open, ${files} were`);
    const grown = heapBytes() - heap;
    assert.ok(grown < 8 * 2 ** 20, `the heap has grown by ${grown} bytes`);
    assert.equal(other.status().state, 'Established', 'the other session was not touched');
    assert.equal(quiet.connections, 1);
    await session.stop();
    assert.equal(clock.pendingTimers, 0);
  });
});
