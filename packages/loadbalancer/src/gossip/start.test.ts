import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, test } from 'node:test';
import type { Logger } from '@cloudless/kube/logger';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { Gossip, GossipOptions } from './gossip.ts';
import { metallbKey } from './key.ts';
import { RateLimitedLog } from './rate-limited-log.ts';
import { startGossip } from './start.ts';
import { random as seededRandom } from '@cloudless/kube/testing/random';
import { limits } from './wire/limits.ts';

const started: Gossip[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((gossip) => gossip.stop()));
});

/** A log that keeps its warnings. */
function keptLog(): { log: Logger; warnings: Array<Record<string, unknown> & { text: string }> } {
  const warnings: Array<Record<string, unknown> & { text: string }> = [];
  const warn = (fields: Record<string, unknown>, text: string): void =>
    void warnings.push({ ...fields, text });
  return { log: { warn, info: () => {}, debug: () => {} } as unknown as Logger, warnings };
}

async function start(options: Partial<GossipOptions> & { nodeName: string }): Promise<Gossip> {
  const gossip = await startGossip({
    bindAddress: '127.0.0.1',
    port: 0,
    profile: 'local',
    settings: { gossipIntervalMs: 20, probeIntervalMs: 200, probeTimeoutMs: 100, suspicionMaxTimeoutMult: 1 },
    log: keptLog().log,
    ...options,
  });
  started.push(gossip);
  return gossip;
}

const at = (gossip: Gossip): string =>
  gossip.local.address.includes(':')
    ? `[${gossip.local.address}]:${gossip.local.port}`
    : `${gossip.local.address}:${gossip.local.port}`;

const stateOf = (gossip: Gossip, name: string): string | undefined =>
  gossip.members().find((member) => member.name === name)?.state;

/** Resolves once a member has this state for `gossip`. */
async function sees(gossip: Gossip, name: string, state: string | undefined): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): void => {
    if (stateOf(gossip, name) === state) resolve();
  };
  const unsubscribe = gossip.subscribe(look);
  look();
  await promise;
  unsubscribe();
}

const key = metallbKey('a secret of the cluster');
const variants: ReadonlyArray<readonly [string, Partial<GossipOptions>]> = [
  ['plain', { compression: false }],
  ['encrypted and compressed', { key }],
  ['with protocol version 1 and a label', { key, protocolVersion: 1, label: 'metallb' }],
  ['over IPv6', { key, bindAddress: '::1' }],
  ['bound to every address, IPv4 over IPv6', { bindAddress: '::', advertiseAddress: '127.0.0.1' }],
];

for (const [what, options] of variants)
  test(`members ${what} meet, see meta and a leave, notice a death, and meet again`, async () => {
    const a = await start({ nodeName: 'a', meta: Buffer.from('zone=1'), ...options });
    const b = await start({ nodeName: 'b', ...options });
    const c = await start({ nodeName: 'c', ...options });
    assert.equal(await b.join([at(a)]), 1);
    assert.equal(await c.join([at(a), at(b)]), 2);
    await Promise.all([sees(a, 'c', 'alive'), sees(b, 'c', 'alive'), sees(c, 'b', 'alive')]);
    const meta = c.members().find(({ name }) => name === 'a')?.meta ?? [];
    assert.equal(Buffer.from(meta).toString(), 'zone=1');

    await b.leave();
    await b.stop();
    await Promise.all([sees(a, 'b', 'left'), sees(c, 'b', 'left')]);
    await c.stop();
    await sees(a, 'c', 'dead');

    const again = await start({ nodeName: 'b', ...options });
    assert.equal(await again.join([at(a)]), 1);
    await sees(a, 'b', 'alive');
    assert.equal(a.healthScore() < 8, true);
  });

test('a key ring lets members change the key one after the other', async () => {
  const [old, young] = [Buffer.alloc(16, 1), Buffer.alloc(32, 2)];
  const a = await start({ nodeName: 'a', key: [old, young] });
  const b = await start({ nodeName: 'b', key: [young, old] });
  assert.equal(await b.join([at(a)]), 1);
  await Promise.all([sees(a, 'b', 'alive'), sees(b, 'a', 'alive')]);
});

const others: ReadonlyArray<readonly [string, Partial<GossipOptions>, RegExp, RegExp]> = [
  ['another key', { key: Buffer.alloc(32, 9) }, /a key that this member has not/, /another key, or none/],
  ['no key', {}, /not encrypted, though this member has a key/, /another key, or none/],
  ['another label', { key, label: 'other' }, /the label "other"/, /another label/],
];

for (const [what, options, error, text] of others)
  test(`a peer with ${what} stays outside, and the warning names it, once`, async () => {
    const { log, warnings } = keptLog();
    const ours = await start({ nodeName: 'ours', key, log });
    const theirs = await start({ nodeName: 'theirs', ...options });
    for (let times = 0; times < 3; times++) assert.equal(await theirs.join([at(ours)]), 0);
    assert.deepEqual(
      ours.members().map(({ name }) => name),
      ['ours'],
    );
    assert.equal(warnings.length, 1, JSON.stringify(warnings));
    assert.match(String(warnings[0]?.text), text);
    assert.match(String(warnings[0]?.['error']), error);
    assert.match(String(warnings[0]?.['from']), /^127\.0\.0\.1:\d+$/);
  });

test('a known member whose packets come with another key is named', async () => {
  const { log, warnings } = keptLog();
  const ours = await start({ nodeName: 'ours', key, log, bindAddress: '127.0.0.81' });
  const friend = await start({ nodeName: 'friend', key, bindAddress: '127.0.0.82' });
  await friend.join([at(ours)]);
  await sees(ours, 'friend', 'alive');
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.82', resolve));
  socket.send(Buffer.alloc(60, 1), ours.local.port, ours.local.address);
  while (warnings.length === 0) await new Promise((resolve) => setImmediate(resolve));
  socket.close();
  assert.equal(warnings[0]?.['member'], 'friend');
});

test('plain text is warned of, and so is who speaks with a key to who has none', async () => {
  const { log, warnings } = keptLog();
  const plain = await start({ nodeName: 'plain', log });
  assert.match(String(warnings[0]?.text), /not encrypted: whoever reaches the port/);
  const keyed = await start({ nodeName: 'keyed', key });
  assert.equal(await keyed.join([at(plain)]), 0);
  assert.match(String(warnings[1]?.['error']), /encrypted, and this member has no key/);
});

test('a port in use is told with address, protocol and remedy', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await assert.rejects(start({ nodeName: 'a', port }), {
    name: 'GossipBindError',
    message: new RegExp(`127\\.0\\.0\\.1:${port} \\(TCP\\): another program has it`),
  });
  await new Promise<unknown>((resolve) => server.close(resolve));
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(port, '127.0.0.1', resolve));
  await assert.rejects(start({ nodeName: 'a', port }), /\(UDP\): another program has it/);
  socket.close();
  await assert.rejects(start({ nodeName: 'a', bindAddress: '192.0.2.1' }), /no interface of this node has/);
});

test('options that cannot be are named', async () => {
  await assert.rejects(start({ nodeName: '' }), /nodeName has 0 bytes/);
  await assert.rejects(start({ nodeName: 'a', key: Buffer.alloc(5) }), /key has 5 bytes/);
  await assert.rejects(start({ nodeName: 'a', label: 'x'.repeat(256) }), /label has 256 bytes/);
  await assert.rejects(start({ nodeName: 'a', meta: Buffer.alloc(513) }), /meta has 513 bytes/);
  await assert.rejects(start({ nodeName: 'a', protocolVersion: 6 }), /protocolVersion is 6/);
  await assert.rejects(start({ nodeName: 'a', bindAddress: 'node-1' }), /node-1 is no IP address/);
  await assert.rejects(start({ nodeName: 'a', settings: { gossipNodes: -1 } }), /gossipNodes is -1/);
});

test('a join of what is no address, or of nobody, resolves with 0', async () => {
  const { log, warnings } = keptLog();
  const gossip = await start({ nodeName: 'a', log, key });
  assert.equal(await gossip.join(['node-1', '127.0.0.1:9']), 0);
  assert.match(String(warnings[0]?.['error']), /not an IP address/);
  assert.match(String(warnings[1]?.['error']), /ECONNREFUSED/);
});

test('after it has stopped, joining and leaving end at once and nothing is listened to', async () => {
  const [gossip, friend] = [await start({ nodeName: 'a', key }), await start({ nodeName: 'b', key })];
  await Promise.all([gossip.stop(), gossip.stop()]);
  assert.equal(await gossip.join([at(friend)]), 0);
  assert.equal(await friend.join([at(gossip)]), 0);
  await gossip.leave();
});

test('members whose versions do not fit refuse one another with the reason', async () => {
  const { log, warnings } = keptLog();
  const serfLike = await start({ nodeName: 'a', key, delegateVersions: { min: 2, max: 5, current: 4 } });
  const plain = await start({ nodeName: 'b', key, log });
  assert.equal(await plain.join([at(serfLike)]), 0);
  assert.match(String(warnings[0]?.['error']), /delegate protocol version/);
});

test('random bytes over UDP and TCP change nothing, end nothing and leave nothing open', async () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
  console.log(`SEED=${seed}`);
  const random = seededRandom(seed);
  const gossip = await start({ nodeName: 'a', key });
  const friend = await start({ nodeName: 'b', key });
  await friend.join([at(gossip)]);
  await sees(gossip, 'b', 'alive');
  const socket = createSocket('udp4');
  for (let times = 0; times < 100; times++) {
    const noise = Buffer.from(
      Array.from({ length: Math.floor(random() * 300) }, () => Math.floor(random() * 256)),
    );
    socket.send(noise, gossip.local.port, gossip.local.address);
    const { promise, resolve } = Promise.withResolvers<void>();
    const stream = connect(gossip.local.port, gossip.local.address, () => stream.end(noise));
    stream.on('close', resolve).on('error', resolve).resume();
    await promise;
  }
  socket.close();
  assert.deepEqual(
    gossip.members().map(({ name, state }) => `${name} ${state}`),
    ['a alive', 'b alive'],
  );
});

/** Opens a stream; resolves to it once connected. */
async function open(gossip: Gossip): Promise<Socket> {
  const socket = connect(gossip.local.port, gossip.local.address);
  socket.on('error', () => {}).resume();
  await new Promise((resolve) => socket.once('connect', resolve));
  return socket;
}

const closed = (socket: Socket): Promise<unknown> =>
  socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));

test('idle and dripping streams end with the timeout, those beyond the limit at once, and members still get in', async () => {
  const settings = { tcpTimeoutMs: 400 };
  const gossip = await start({ nodeName: 'a', key, settings });
  const idle: Socket[] = [];
  for (let count = 0; count < limits.inboundStreams; count++) idle.push(await open(gossip));
  const openedMs = performance.now();
  const beyond = await open(gossip);
  await closed(beyond);
  assert.ok(
    idle.every((socket) => !socket.closed),
    'the one too many went first',
  );
  const drip = setInterval(() => idle[0]?.write(Buffer.of(10)), 50);
  await Promise.all(idle.map(closed));
  clearInterval(drip);
  assert.ok(performance.now() - openedMs < 5_000);
  const friend = await start({ nodeName: 'b', key });
  assert.equal(await friend.join([at(gossip)]), 1);
});

test('streams that promise much and send much are cut off when all together hold too much', async () => {
  const { log, warnings } = keptLog();
  const gossip = await start({ nodeName: 'a', key, log });
  const size = limits.streamBytes - 100;
  const head = Buffer.alloc(5);
  head[0] = 10;
  head.writeUInt32BE(size, 1);
  const sockets: Socket[] = [];
  for (let count = 0; count < limits.inboundBytes / limits.streamBytes + 1; count++) {
    const socket = await open(gossip);
    sockets.push(socket);
    socket.write(head);
    // One byte short of whole: it is held until the timeout.
    socket.write(Buffer.alloc(size - 1));
  }
  await Promise.race(sockets.map(closed));
  assert.match(String(warnings[0]?.['error']), /all streams together hold more than/);
  for (const socket of sockets) socket.destroy();
});

test('warnings of one peer are held back for a minute, and counted', () => {
  const { log, warnings } = keptLog();
  const clock = new FakeClock();
  const limited = new RateLimitedLog(log, clock);
  for (let count = 0; count < 5; count++) limited.warn('peer', () => ({ from: 'x' }), 'text');
  clock.advance(60_000);
  limited.warn('peer', () => ({ from: 'x' }), 'text');
  assert.deepEqual(warnings, [
    { from: 'x', text: 'text' },
    { from: 'x', heldBack: 4, text: 'text' },
  ]);
  for (let peer = 0; peer < 5_000; peer++) limited.warn(`made up ${peer}`, () => ({}), 'text');
  assert.ok(warnings.length < 1_100, 'made-up peers fill neither memory nor the log');
});
