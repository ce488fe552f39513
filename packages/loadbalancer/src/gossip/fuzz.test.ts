import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyRing } from './wire/encryption.ts';
import { limits } from './wire/limits.ts';
import { encodeMessage } from './wire/messages.ts';
import { openPacket, sealPacket } from './wire/packet.ts';
import type { WireOptions } from './wire/packet.ts';
import { StreamReader, encodePushPull, sealStream } from './wire/stream.ts';
import { mutatedFrame, randomFrame } from './testing/frames.ts';
import { SimulatedCluster, plainWire } from './testing/simulation.ts';
import { random as seededRandom } from '@cloudless/kube/testing/random';
import type { SimulatedNode } from './testing/simulation.ts';

// Frames that no member sends: ITERATIONS of them for each way of wrapping (`npm run test:fuzz`: 100,000), SEED repeats a run.
const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
const frames = 500;
const rounds = Math.ceil(Number(process.env['ITERATIONS'] ?? 5_000) / frames);
console.log(`SEED=${seed}`);

/** The only errors that bytes may cause: anything else is a fault of ours. */
const expected = new Set([
  'MsgpackError',
  'TruncatedError',
  'LzwError',
  'EncryptionError',
  'LabelError',
  'ProtocolVersionError',
]);

function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    assert.ok(error instanceof Error && expected.has(error.name), String((error as Error).stack));
    return undefined;
  }
}

interface Target {
  cluster: SimulatedCluster;
  node: SimulatedNode;
  /** Packets that members of this cluster sent. */
  packets: Buffer[];
}

/** Five members, and what they said while they met, one died and came back. */
function target(wire: WireOptions, run: number): Target {
  const cluster = new SimulatedCluster({ seed: seed + run, members: 5, wire });
  const packets: Buffer[] = [];
  const [node, , victim] = cluster.nodes;
  assert.ok(node && victim);
  const receive = node.swim.receive.bind(node.swim);
  node.swim.receive = (packet, from) => {
    packets.push(packet);
    return receive(packet, from);
  };
  cluster.joinAll();
  cluster.advance(5_000);
  victim.kill();
  cluster.advance(20_000);
  cluster.add(3).swim.join(node.endpoint, () => {});
  cluster.until('whole', 120_000, () => cluster.nodes.every((one) => !one.alive || one.count('alive') === 5));
  cluster.advance(10_000);
  node.swim.receive = receive;
  return { cluster, node, packets: [...packets, ...rareMessages(wire)] };
}

/** What a healthy cluster says seldom. */
function rareMessages(wire: WireOptions): Buffer[] {
  const none = Buffer.alloc(0);
  const source = { SourceAddr: Buffer.from([10, 0, 0, 2]), SourcePort: 7946, SourceNode: 'node-2' };
  const ping = { Node: 'node-4', SeqNo: 3, ...source };
  return [
    encodeMessage('indirectPing', { ...ping, Nack: true, Port: 7946, Target: Buffer.from([10, 0, 0, 4]) }),
    encodeMessage('nack', { SeqNo: 3 }),
    encodeMessage('ack', { SeqNo: 3, Payload: none }),
    encodeMessage('error', { Error: 'no' }),
    encodeMessage('dead', { Incarnation: 1, Node: 'node-4', From: 'node-2' }),
    Buffer.from([8, 1, 2, 3]),
  ].map((message) => sealPacket(message, false, wire));
}

const beliefs = (node: SimulatedNode): string[] =>
  node.swim.membership
    .states()
    .map(
      ({ Name, Addr, Port, State, Incarnation }) =>
        `${Name} ${Addr.join('.')}:${Port} ${State} ${Incarnation}`,
    )
    .sort();

/** What must hold whatever was received. */
function assertSane({ cluster, node }: Target): void {
  const { self, members } = node.swim.membership;
  assert.equal(self.state, 'alive');
  assert.ok(members.size <= limits.members);
  for (const { name, endpoint, meta, vsn } of members.values()) {
    assert.ok(name !== '' && Buffer.byteLength(name) <= limits.nameBytes);
    assert.ok(endpoint.port > 0 && endpoint.address !== '');
    assert.ok(meta.length <= limits.metaBytes && (vsn.length === 0 || vsn.length === 6));
    assert.equal(meta.buffer.byteLength, meta.length, 'the packet that it came in is not kept alive');
  }
  assert.ok(cluster.clock.pendingTimers <= 200 + limits.relays + members.size);
}

const keyed: WireOptions = {
  ...plainWire,
  keys: new KeyRing([Buffer.alloc(32, 7)]),
  compression: true,
  label: 'cluster',
};

for (const [what, wire] of [
  ['encrypted', keyed],
  ['plain', plainWire],
  ['plain and compressed', { ...plainWire, compression: true }],
] as const)
  test(`packets, mutated and random, to a member, ${what}: no crash, no leak, no false state`, () => {
    for (let run = 0; run < rounds; run++) {
      const one = target(wire, run);
      const { cluster, node, packets } = one;
      const random = seededRandom(seed ^ run);
      const before = beliefs(node);
      for (let count = 0; count < frames; count++) {
        const frame = random() < 0.2 ? randomFrame(random) : mutatedFrame(packets, random);
        // Two mutations may undo each other, and a packet that comes twice counts twice, as UDP's duplicates do.
        if (packets.some((packet) => packet.equals(frame))) continue;
        const from = { address: `10.0.0.${1 + Math.floor(random() * 6)}`, port: 7946 };
        const problems = attempt(() => node.swim.receive(frame, from)) ?? [];
        for (const problem of problems) assert.ok(expected.has(problem.name), String(problem.stack));
        if (count % 100 === 0) assertSane(one);
      }
      assertSane(one);
      if (wire.keys) assert.deepEqual(beliefs(node), before);
      cluster.advance(120_000);
      assertSane(one);
      if (wire.keys) assert.ok(cluster.nodes.every((member) => !member.alive || member.count('alive') === 5));
      cluster.stop();
      assert.ok(cluster.clock.pendingTimers < 200, 'only what is on its way is left');
    }
  });

test('a checksum keeps a damaged packet from changing anything, without any key', () => {
  for (let run = 0; run < rounds; run++) {
    const random = seededRandom(seed ^ run);
    const message = encodeMessage('dead', { Incarnation: 5, Node: 'node-2', From: 'node-3' });
    const packet = sealPacket(message, true, plainWire);
    for (let count = 0; count < frames; count++) {
      const damaged = Buffer.from(packet);
      const at = 1 + Math.floor(random() * (packet.length - 1));
      damaged[at] = (damaged[at] ?? 0) ^ (1 + Math.floor(random() * 255));
      const { messages, problems } = openPacket(damaged, plainWire);
      assert.equal(messages.length, 0);
      assert.match(String(problems[0]), /checksum/);
    }
  }
});

test('streams, mutated and random, in pieces: no crash, bounded memory, and an encrypted one yields nothing', () => {
  for (const wire of [plainWire, { ...plainWire, compression: true }, keyed])
    for (let run = 0; run < rounds; run++) {
      const random = seededRandom(seed ^ run);
      const one = target(wire, run);
      const states = one.node.swim.membership.states();
      const ping = { Node: 'node-1', SeqNo: 1, SourceAddr: Buffer.alloc(0), SourceNode: '', SourcePort: 0 };
      const corpus = [
        encodePushPull(states, true),
        encodePushPull([], false),
        encodeMessage('ping', ping),
        encodeMessage('error', { Error: 'no' }),
        Buffer.from('0881aa557365724d73674c656e03616263', 'hex'),
      ].map((message) => sealStream(message, true, wire));
      for (let count = 0; count < frames; count++) {
        const frame = random() < 0.2 ? randomFrame(random) : mutatedFrame(corpus, random);
        const message = attempt(() => feed(frame, wire, random));
        if (wire.keys && message)
          assert.ok(corpus.some((whole) => frame.subarray(0, whole.length).equals(whole)));
        else if (message?.name === 'pushPull') attempt(() => one.node.swim.merge(message.nodes));
        if (count % 100 === 0) assertSane(one);
      }
      assertSane(one);
      one.cluster.stop();
    }
});

function feed(frame: Buffer, wire: WireOptions, random: () => number): ReturnType<StreamReader['push']> {
  const reader = new StreamReader(wire, true);
  for (let at = 0; at < frame.length;) {
    const size = 1 + Math.floor(random() * 100);
    const message = reader.push(frame.subarray(at, at + size));
    assert.ok(reader.heldBytes <= frame.length);
    if (message) return message;
    at += size;
  }
  return undefined;
}
