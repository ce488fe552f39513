import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { addressBytes, addressText, endpointText, parseEndpoint } from './address.ts';
import { packCompounds, unpackCompound } from './compound.ts';
import { compress, decompress } from './compression.ts';
import { lzwCompress, lzwDecompress } from './lzw.ts';
import { decodeMessage, encodeMessage, nodeStateShape, pushPullHeaderShape } from './messages.ts';
import type { Body, MessageName } from './messages.ts';
import { TruncatedError, decodeStruct, encodeStruct } from './msgpack.ts';

const bytes = (...list: number[]): Buffer => Buffer.from(list);
const none = Buffer.alloc(0);
const source = { SourceAddr: none, SourcePort: 0, SourceNode: '' };

// Made with hashicorp/go-msgpack 2.1.2 and Go 1.26's compress/lzw, from memberlist's structs.
test("messages are, byte by byte, what memberlist's codec writes", () => {
  const written = <N extends MessageName>(name: N, body: Body<N>): string =>
    encodeMessage(name, body).subarray(1).toString('hex');
  assert.equal(
    written('ping', { SeqNo: 70_000, Node: 'n1', ...source }),
    '82a44e6f6465a26e31a55365714e6fce00011170',
  );
  assert.equal(
    written('ping', {
      SeqNo: 1,
      Node: 'n1',
      SourceAddr: bytes(10, 0, 0, 1),
      SourcePort: 7946,
      SourceNode: 'n2',
    }),
    '85a44e6f6465a26e31a55365714e6f01aa536f7572636541646472a40a000001aa536f757263654e6f6465a26e32aa536f75726365506f7274cd1f0a',
  );
  const indirect = {
    SeqNo: 300,
    Target: bytes(10, 0, 0, 1),
    Port: 7946,
    Node: 'n1',
    Nack: true,
    SourceAddr: bytes(10, 0, 0, 2),
    SourcePort: 7946,
    SourceNode: 'n2',
  };
  assert.equal(
    written('indirectPing', indirect),
    '88a44e61636bc3a44e6f6465a26e31a4506f7274cd1f0aa55365714e6fcd012caa536f7572636541646472a40a000002aa536f757263654e6f6465a26e32aa536f75726365506f7274cd1f0aa6546172676574a40a000001',
  );
  assert.equal(written('ack', { SeqNo: 5, Payload: none }), '82a75061796c6f6164c0a55365714e6f05');
  assert.equal(written('ack', { SeqNo: 5, Payload: bytes(1, 2) }), '82a75061796c6f6164a20102a55365714e6f05');
  assert.equal(
    written('suspect', { Incarnation: 0xffffffff, Node: 'n1', From: 'n2' }),
    '83a446726f6da26e32ab496e6361726e6174696f6eceffffffffa44e6f6465a26e31',
  );
  const alive = {
    Incarnation: 1,
    Node: 'node-with-a-name-longer-than-thirty-one-bytes',
    Addr: bytes(10, 0, 0, 1),
    Port: 80,
    Meta: Buffer.alloc(40, 0x61),
    Vsn: bytes(1, 5, 2, 0, 0, 0),
  };
  assert.equal(
    written('alive', alive),
    '86a441646472a40a000001ab496e6361726e6174696f6e01a44d657461da00286161616161616161616161616161616161616161616161616161616161616161616161616161616' +
      '1a44e6f6465da002d6e6f64652d776974682d612d6e616d652d6c6f6e6765722d7468616e2d7468697274792d6f6e652d6279746573a4506f727450a356736ea6010502000000',
  );
  assert.equal(
    encodeStruct(pushPullHeaderShape, { Nodes: 2, UserStateLen: 0, Join: true }).toString('hex'),
    '83a44a6f696ec3a54e6f64657302ac5573657253746174654c656e00',
  );
  const state = {
    Name: 'n1',
    Addr: bytes(10, 0, 0, 1),
    Port: 7946,
    Meta: Buffer.alloc(300, 7),
    Incarnation: 9,
    State: 3,
  };
  assert.equal(
    encodeStruct(nodeStateShape, { ...state, Vsn: bytes(1, 5, 2, 2, 5, 4) }).toString('hex'),
    `87a441646472a40a000001ab496e6361726e6174696f6e09a44d657461da012c${'07'.repeat(300)}a44e616d65a26e31a4506f7274cd1f0aa5537461746503a356736ea6010502020504`,
  );
});

test('strings and bytes are read in every form that MessagePack has for them, and unknown fields are passed over', () => {
  const name = Buffer.from('Node');
  const forms = [
    'a26e31',
    'd9026e31',
    'da00026e31',
    'db000000026e31',
    'c4026e31',
    'c500026e31',
    'c6000000026e31',
  ];
  for (const form of forms) {
    const unknown = Buffer.from('a358666693c0cb400000000000000081a161d401ff', 'hex');
    const message = Buffer.concat([bytes(5, 0x82), unknown, bytes(0xa4), name, Buffer.from(form, 'hex')]);
    assert.deepEqual(decodeMessage(message).body, { From: '', Incarnation: 0, Node: 'n1' }, form);
  }
});

test('numbers that do not fit their field, negative ones and names that are no UTF-8 are refused', () => {
  const dead = (hex: string): unknown => decodeMessage(Buffer.from(`05${hex}`, 'hex'));
  assert.throws(
    () => dead('81ab496e6361726e6174696f6ecf0000000100000000'),
    /Incarnation is above 4294967295/,
  );
  assert.throws(() => dead('81ab496e6361726e6174696f6ed0ff'), /negative/);
  assert.throws(() => dead('81ab496e6361726e6174696f6eff'), /not an unsigned integer/);
  assert.throws(() => dead('81a44e6f6465a2c328'), /Node is not UTF-8/);
  assert.throws(() => dead('93010203'), /not a map/);
  assert.throws(() => dead('df7fffffff'), /more than 64/);
  assert.throws(() => dead(`81a158${'91'.repeat(40)}`), /nested deeper/);
  assert.throws(() => dead(`81a158dd0000ffff${'c0'.repeat(0xffff)}`), /unknown values/);
  assert.throws(() => decodeMessage(bytes(200, 1)), /type 200/);
  assert.throws(() => decodeMessage(none), /type missing/);
});

const stateOf = fc.record(
  {
    Addr: fc.uint8Array({ maxLength: 20 }).map((b) => Buffer.from(b)),
    Incarnation: fc.nat(0xffffffff),
    Meta: fc.uint8Array({ maxLength: 700 }).map((b) => Buffer.from(b)),
    Name: fc.string({ unit: 'binary', maxLength: 300 }),
    Port: fc.nat(0xffff),
    State: fc.oneof(fc.nat(3), fc.maxSafeNat()),
    Vsn: fc.uint8Array({ maxLength: 6 }).map((b) => Buffer.from(b)),
  },
  { noNullPrototype: true },
);

test('every struct reads back as it was written; cut off anywhere, it is truncated and tells how much it lacks', () => {
  fc.assert(
    fc.property(stateOf, fc.nat(), (state, at) => {
      const written = encodeStruct(nodeStateShape, state);
      const { value, end } = decodeStruct(nodeStateShape, written);
      assert.deepEqual(value, state);
      assert.equal(end, written.length);
      const cut = at % written.length;
      assert.throws(
        () => decodeStruct(nodeStateShape, written.subarray(0, cut)),
        (error) =>
          error instanceof TruncatedError && error.neededBytes > cut && error.neededBytes <= written.length,
      );
    }),
  );
});

test("LZW is, bit by bit, Go's", () => {
  const hex = (text: Uint8Array): string => lzwCompress(text).toString('hex');
  assert.equal(hex(none), '000302');
  assert.equal(hex(Buffer.from('a')), '00c30404');
  assert.equal(hex(Buffer.from('TOBEORNOTTOBEORTOBEORNOT')), '00a93c1152e48914274fa80824687061c183090302');
  assert.equal(
    hex(Buffer.alloc(1000)),
    '0001081c48b0a0c18308132a5cc8b0a1c38710234a9c48b1a2c58b18336adcc8b1a3c78f20438a1c49b2a4c9932853aa5cc9526140',
  );
  // Long enough to run out of codes and start again many times.
  const big = Buffer.alloc(100_000);
  for (let i = 0, seed = 1; i < big.length; i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    big[i] = (seed >>> 24) & 0x3f;
  }
  const packed = lzwCompress(big);
  let hash = 2166136261;
  for (const byte of packed) hash = Math.imul(hash ^ byte, 16777619) >>> 0;
  assert.deepEqual([packed.length, hash], [104290, 3781493822]);
  assert.deepEqual(lzwDecompress(packed, big.length), big);
});

test('what LZW unfolds to is bounded, and broken data is refused', () => {
  const bomb = lzwCompress(Buffer.alloc(1 << 20));
  assert.ok(bomb.length < 3000);
  assert.throws(() => lzwDecompress(bomb, 65_536), /more than 65536 bytes/);
  assert.equal(lzwDecompress(bomb, 1 << 20).length, 1 << 20);
  assert.throws(() => lzwDecompress(bomb.subarray(0, 100), 1 << 20), /ends early/);
  assert.throws(() => lzwDecompress(bytes(0xff, 0xff, 0xff), 100), /invalid code/);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4000 }), (input) => {
      assert.deepEqual(lzwDecompress(lzwCompress(input), input.length), Buffer.from(input));
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (input) => {
      try {
        assert.ok(lzwDecompress(input, 1000).length <= 1000);
      } catch (error) {
        assert.equal((error as Error).name, 'LzwError');
      }
    }),
  );
});

test('a compressed message unwraps, and another algorithm is refused', () => {
  const message = Buffer.from('gossip '.repeat(50));
  assert.deepEqual(decompress(compress(message), 1000), message);
  assert.throws(
    () => decompress(Buffer.from('0982a4416c676f01a3427566a0', 'hex'), 10),
    /unknown algorithm \(1\)/,
  );
});

test('compounds hold up to 255 messages, and a cut one gives those that are whole', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 2, maxLength: 600 }), (list) => {
      const messages = list.map((one) => Buffer.from(one));
      const packets = packCompounds(messages);
      assert.equal(packets.length, Math.ceil(messages.length / 255));
      const parts = packets.flatMap((packet, index) =>
        messages.length - index * 255 === 1 ? [packet] : unpackCompound(packet).parts,
      );
      assert.deepEqual(parts, messages);
    }),
  );
  const packet = packCompounds([Buffer.from('one'), Buffer.from('two')])[0] ?? none;
  assert.deepEqual(unpackCompound(packet.subarray(0, -1)), { parts: [Buffer.from('one')], truncated: 1 });
  assert.throws(() => unpackCompound(bytes(7)), /count/);
  assert.throws(() => unpackCompound(bytes(7, 2, 0)), /lengths/);
});

test('addresses are bytes and canonical text, IPv4 in IPv6 included', () => {
  assert.equal(addressText(bytes(10, 0, 0, 1)), '10.0.0.1');
  assert.equal(addressText(Buffer.from('00000000000000000000ffff0a000001', 'hex')), '10.0.0.1');
  assert.equal(addressText(Buffer.from('20010db8000000000000000000000001', 'hex')), '2001:db8::1');
  assert.equal(addressText(bytes(1, 2, 3)), undefined);
  assert.deepEqual(addressBytes('::ffff:10.0.0.1'), bytes(10, 0, 0, 1));
  assert.equal(addressBytes('2001:DB8::1')?.toString('hex'), '20010db8000000000000000000000001');
  for (const bad of ['', 'node-1', '10.0.0', 'fe80::1%eth0', '1.2.3.4:5'])
    assert.equal(addressBytes(bad), undefined);
  assert.deepEqual(parseEndpoint('10.0.0.1', 7946), { address: '10.0.0.1', port: 7946 });
  assert.deepEqual(parseEndpoint('10.0.0.1:80', 7946), { address: '10.0.0.1', port: 80 });
  assert.deepEqual(parseEndpoint('2001:db8::1', 7946), { address: '2001:db8::1', port: 7946 });
  assert.deepEqual(parseEndpoint('[2001:db8::1]:80', 7946), { address: '2001:db8::1', port: 80 });
  for (const bad of ['node', '10.0.0.1:', '10.0.0.1:99999', '[10.0.0.1', ''])
    assert.equal(parseEndpoint(bad, 1), undefined);
  assert.equal(endpointText({ address: '2001:db8::1', port: 80 }), '[2001:db8::1]:80');
});
