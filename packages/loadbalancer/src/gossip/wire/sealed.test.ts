import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { packCompounds } from './compound.ts';
import { compress } from './compression.ts';
import { KeyRing, decrypt, encrypt, encryptedBytes } from './encryption.ts';
import { limits } from './limits.ts';
import { encodeMessage } from './messages.ts';
import type { NodeState } from './messages.ts';
import { openPacket, packetOverhead, sealPacket } from './packet.ts';
import type { WireOptions } from './packet.ts';
import { StreamReader, encodePushPull, sealStream } from './stream.ts';
import type { StreamMessage } from './stream.ts';

const plain: WireOptions = {
  label: '',
  keys: undefined,
  encryptionVersion: 1,
  compression: false,
  verifyIncoming: true,
  verifyOutgoing: true,
};
const key = Buffer.alloc(32, 1);
const other = Buffer.alloc(16, 2);
const keyed: WireOptions = { ...plain, keys: new KeyRing([key]) };

const suspect = encodeMessage('suspect', { Incarnation: 1, Node: 'a'.repeat(200), From: 'b' });

const wireOf = fc.record({
  label: fc.constantFrom('', 'cluster-a', 'ü'.repeat(100)),
  keys: fc.constantFrom(undefined, new KeyRing([key]), new KeyRing([Buffer.alloc(24, 3), key])),
  encryptionVersion: fc.constantFrom<0 | 1>(0, 1),
  compression: fc.boolean(),
  verifyIncoming: fc.constant(true),
  verifyOutgoing: fc.constant(true),
});

test('packets open as they were sealed, whatever they are wrapped in, and within the overhead that is told', () => {
  fc.assert(
    fc.property(wireOf, fc.boolean(), (wire, checksum) => {
      const sealed = sealPacket(suspect, checksum, wire);
      assert.ok(sealed.length <= suspect.length + packetOverhead(wire));
      const { messages, problems } = openPacket(sealed, wire);
      assert.deepEqual(problems, []);
      assert.deepEqual(messages, [
        { name: 'suspect', body: { Incarnation: 1, Node: 'a'.repeat(200), From: 'b' } },
      ]);
    }),
  );
});

test('what one key encrypted opens with any ring that has it, in both versions, and every length comes out', () => {
  const rings = [16, 24, 32].map((bytes) => new KeyRing([randomBytes(bytes)]));
  const data = Buffer.from('label');
  for (const ring of rings)
    for (const version of [0, 1] as const)
      for (let length = 0; length < 40; length++) {
        const message = randomBytes(length);
        const sealed = encrypt(version, ring, message, data);
        assert.equal(sealed.length, encryptedBytes(version, length));
        assert.deepEqual(decrypt(new KeyRing([key, other, ...ring.keys]), sealed, data), message);
        assert.throws(() => decrypt(new KeyRing([key]), sealed, data), /a key that this member has not/);
        assert.throws(() => decrypt(ring, sealed, Buffer.from('other')), /a key that this member has not/);
      }
});

test('a key of another length is refused', () => {
  for (const bytes of [0, 15, 31, 33])
    assert.throws(() => new KeyRing([Buffer.alloc(bytes)]), /16, 24 or 32/);
  assert.throws(() => new KeyRing([]), /at least one/);
});

test('another key, no key and another label are told apart', () => {
  const sealed = sealPacket(suspect, false, keyed);
  const opening = (packet: Buffer, wire: WireOptions, message: RegExp): void => {
    assert.throws(() => openPacket(packet, wire), message);
  };
  opening(sealed, { ...plain, keys: new KeyRing([other]) }, /a key that this member has not/);
  opening(suspect, keyed, /not encrypted, though this member has a key/);
  // A nonce that looks like a ping's map would be a broken ping; ours must not, for the test.
  if (((sealed[1] ?? 0) & 0xf0) !== 0x80) opening(sealed, plain, /encrypted, and this member has no key/);
  opening(
    sealPacket(suspect, false, { ...plain, label: 'x' }),
    plain,
    /the label "x", this member has no label/,
  );
  opening(suspect, { ...plain, label: 'x' }, /no label, this member has the label "x"/);
  opening(Buffer.from([244, 0]), plain, /empty label/);
  opening(Buffer.from([244, 9, 65]), plain, /cut off/);
  assert.equal(
    openPacket(suspect, { ...keyed, verifyIncoming: false }).messages.length,
    1,
    'while keys are brought in',
  );
});

test('a wrong checksum, too deep a nest and a bomb are problems, and leave the rest of a compound', () => {
  const checksummed = sealPacket(suspect, true, plain);
  checksummed[2] = (checksummed[2] ?? 0) ^ 1;
  assert.match(String(openPacket(checksummed, plain).problems[0]), /checksum/);
  let nested = suspect;
  for (let depth = 0; depth < 6; depth++) nested = compress(nested);
  const bomb = compress(Buffer.alloc(limits.packetBytes + 1));
  const { messages, problems } = openPacket(packCompounds([nested, suspect, bomb])[0] ?? suspect, plain);
  assert.equal(messages.length, 1);
  assert.match(String(problems[0]), /nested deeper/);
  assert.match(String(problems[1]), /unfolds to more than/);
  const half = compress(Buffer.alloc(limits.packetBytes / 2 + 1, 8));
  const twice = openPacket(packCompounds([half, half])[0] ?? half, plain);
  assert.match(String(twice.problems), /unfolds to more than/, 'all bombs of a packet count together');
});

const nodesOf = (count: number): NodeState[] =>
  Array.from({ length: count }, (_, index) => ({
    Name: `node-${index}`,
    Addr: Buffer.from([10, 0, index >> 8, index & 0xff]),
    Port: 7946,
    Meta: Buffer.from('x'.repeat(index % 60)),
    Incarnation: index,
    State: index % 4,
    Vsn: Buffer.from([1, 5, 2, 0, 0, 0]),
  }));

/** Feeds a stream in pieces of the given sizes, in turn. */
function feed(bytes: Buffer, wire: WireOptions, sizes: readonly number[]): StreamMessage | undefined {
  const reader = new StreamReader(wire, true);
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    const message = reader.push(bytes.subarray(at, at + size));
    at += size;
    if (message) {
      assert.ok(at >= bytes.length, 'the message is there only with its last byte');
      return message;
    }
  }
  return undefined;
}

test('streams read as they were sealed, in pieces of any size', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(wireOf, fc.nat(200), fc.boolean(), sizes, (wire, count, join, pieces) => {
      const nodes = nodesOf(count);
      const sealed = sealStream(encodePushPull(nodes, join), true, wire);
      assert.deepEqual(feed(sealed, wire, pieces), { name: 'pushPull', join, nodes });
      const ack = encodeMessage('ack', { SeqNo: 7, Payload: Buffer.alloc(0) });
      const answer = feed(sealStream(ack, true, wire), wire, pieces);
      assert.equal(answer?.name, 'ack');
    }),
    { numRuns: 40 },
  );
});

test("a push/pull with serf's user state and a user message are read past", () => {
  const state = Buffer.from('83a44a6f696ec2a54e6f64657300ac5573657253746174654c656e05', 'hex');
  const pushPull = Buffer.concat([Buffer.of(6), state, Buffer.from('state')]);
  assert.deepEqual(feed(pushPull, plain, [1]), { name: 'pushPull', join: false, nodes: [] });
  const user = Buffer.concat([
    Buffer.of(8),
    Buffer.from('81aa557365724d73674c656e03', 'hex'),
    Buffer.from('abc'),
  ]);
  assert.deepEqual(feed(user, plain, [2]), { name: 'user' });
});

test('streams that claim too much are refused before they are held', () => {
  const claims = {
    'encrypted length': [keyed, '0a7fffffff'],
    'number of members': [plain, '0683a44a6f696ec2a54e6f646573ce7fffffffac5573657253746174654c656e00'],
    'user state': [plain, '0683a44a6f696ec2a54e6f64657300ac5573657253746174654c656ece7fffffff'],
    'compressed length': [plain, '0982a4416c676f00a3427566db7fffffff'],
    'name of a member': [
      plain,
      '0683a44a6f696ec2a54e6f64657301ac5573657253746174654c656e0081a44e616d65db7fffffff',
    ],
    'length of a user message': [plain, '0881aa557365724d73674c656ece7fffffff'],
  } as const satisfies Record<string, readonly [WireOptions, string]>;
  for (const [what, [wire, hex]] of Object.entries(claims))
    assert.throws(() => new StreamReader(wire, true).push(Buffer.from(hex, 'hex')), /more than|too/, what);
  const bomb = compress(Buffer.alloc(limits.streamBytes + 1));
  assert.throws(() => new StreamReader(plain, true).push(bomb), /unfolds to more than/);
});

test('a stream of the wrong key, plain where a key is asked for, and one with another label are refused', () => {
  const message = encodePushPull(nodesOf(3), true);
  const push = (bytes: Buffer, wire: WireOptions) => () => new StreamReader(wire, true).push(bytes);
  assert.throws(push(sealStream(message, true, keyed), { ...plain, keys: new KeyRing([other]) }), /has not/);
  assert.throws(push(sealStream(message, true, keyed), plain), /encrypted, and this member has no key/);
  assert.throws(push(sealStream(message, true, plain), keyed), /not encrypted, though/);
  assert.throws(push(sealStream(message, true, { ...plain, label: 'x' }), plain), /the label "x"/);
  assert.throws(push(compress(Buffer.concat([message.subarray(0, 60)])), plain), /ends early/);
});
