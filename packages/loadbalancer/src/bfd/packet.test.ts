import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { type ControlPacket, decodeControl, encodeControl } from './packet.ts';

const word = fc.nat(2 ** 32 - 1);
const packets: fc.Arbitrary<ControlPacket> = fc.record(
  {
    diagnostic: fc.nat(31),
    state: fc.constantFrom('AdminDown', 'Down', 'Init', 'Up'),
    poll: fc.boolean(),
    final: fc.constant(false),
    independent: fc.boolean(),
    demand: fc.boolean(),
    detectMultiplier: fc.integer({ min: 1, max: 255 }),
    myDiscriminator: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    yourDiscriminator: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
    desiredMinTxUs: word,
    requiredMinRxUs: word,
    requiredMinEchoRxUs: word,
  },
  { noNullPrototype: true },
);
/** As BIRD sends it: Up, poll, 50 ms × 3. */
const captured = '20e0031889abcdef012345670000c3500000c35000000000';

describe('control packets of BFD', () => {
  it('reads and writes what is on the wire', () => {
    const packet: ControlPacket = {
      diagnostic: 0,
      state: 'Up',
      poll: true,
      final: false,
      independent: false,
      demand: false,
      detectMultiplier: 3,
      myDiscriminator: 0x89abcdef,
      yourDiscriminator: 0x01234567,
      desiredMinTxUs: 50_000,
      requiredMinRxUs: 50_000,
      requiredMinEchoRxUs: 0,
    };
    assert.deepEqual(decodeControl(Buffer.from(captured, 'hex')), packet);
    assert.equal(Buffer.from(encodeControl(packet)).toString('hex'), captured);
  });

  it('reads what it writes', () => {
    fc.assert(
      fc.property(packets, (packet) => assert.deepEqual(decodeControl(encodeControl(packet)), packet)),
    );
  });

  for (const [what, change, fault] of [
    ['another version', (bytes) => (bytes[0] = 0x40), 'version'],
    ['a length beyond the datagram', (bytes) => (bytes[3] = 25), 'length'],
    ['a length below the shortest', (bytes) => (bytes[3] = 23), 'length'],
    ['no detection multiplier', (bytes) => (bytes[2] = 0), 'detect-multiplier'],
    ['the multipoint bit', (bytes) => (bytes[1] = 0xc1), 'multipoint'],
    ['no discriminator of the sender', (bytes) => bytes.fill(0, 4, 8), 'discriminator'],
    ['Up in no session', (bytes) => bytes.fill(0, 8, 12), 'no-session-named'],
    ['a poll that is an answer', (bytes) => (bytes[1] = 0xf0), 'poll-and-final'],
  ] as Array<[string, (bytes: Buffer) => void, string]>)
    it(`refuses ${what}`, () => {
      const bytes = Buffer.from(captured, 'hex');
      change(bytes);
      assert.equal(decodeControl(bytes), fault);
    });

  it('refuses what is authenticated, as no password is configured, and what only says so', () => {
    const bytes = Buffer.concat([
      Buffer.from(captured, 'hex'),
      Buffer.from([1, 9, 1, 112, 119, 112, 119, 112, 119]),
    ]);
    bytes[1] = 0xc4;
    bytes[3] = bytes.length;
    assert.equal(decodeControl(bytes), 'authentication');
    bytes[3] = 25;
    assert.equal(decodeControl(bytes), 'length');
  });

  it('takes what follows the packet for padding, and nothing shorter for a packet', () => {
    const bytes = Buffer.concat([Buffer.from(captured, 'hex'), Buffer.alloc(10)]);
    assert.equal(typeof decodeControl(bytes), 'object');
    for (let length = 0; length < 24; length++)
      assert.equal(decodeControl(bytes.subarray(0, length)), 'length');
  });
});
