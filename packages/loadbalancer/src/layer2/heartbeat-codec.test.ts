import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { digestOf, HeartbeatCodec, type HeartbeatFrame, noAddresses, partsOf } from './heartbeat-codec.ts';

const name = fc.stringMatching(/^[a-z0-9.-]{1,63}$/);
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const sequence = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const address = fc.oneof(
  fc.ipV4(),
  fc.integer({ min: 1, max: 0xffff }).map((group) => `2001:db8::${group.toString(16)}`),
);
const frames: fc.Arbitrary<HeartbeatFrame> = fc.record(
  {
    epoch: u64,
    sequence,
    from: name,
    to: name,
    state: fc.constantFrom('joining', 'checking', 'live', 'leaving'),
    asks: fc.boolean(),
    shares: fc.boolean(),
    seesYou: fc.constantFrom('unheard', 'joining', 'live', 'silent'),
    echo: fc.record({ epoch: u64, sequence }, { noNullPrototype: true }),
    intervalMs: fc.integer({ min: 1, max: 65_535 }),
    multiplier: fc.integer({ min: 1, max: 255 }),
    digest: u64,
    knows: u64,
    silent: fc.array(u64, { maxLength: 32 }),
    answers: fc.record(
      {
        part: fc.integer({ min: 0, max: 9 }),
        parts: fc.integer({ min: 10, max: 65_535 }),
        addresses: fc.array(address, { maxLength: 40 }),
      },
      { noNullPrototype: true },
    ),
  },
  {
    noNullPrototype: true,
    requiredKeys: [
      'epoch',
      'sequence',
      'from',
      'to',
      'state',
      'asks',
      'shares',
      'seesYou',
      'echo',
      'intervalMs',
      'multiplier',
      'digest',
      'knows',
      'silent',
    ],
  },
);
const keys = [undefined, Buffer.from('0123456789abcdef'), Buffer.alloc(32, 3)] as const;

describe('heartbeats on the wire', () => {
  it('are read as they were written, under any key', () => {
    for (const key of keys) {
      const [sender, receiver] = [new HeartbeatCodec(key), new HeartbeatCodec(key)];
      fc.assert(
        fc.property(frames, (frame) => {
          assert.deepEqual(receiver.decode(sender.encode(frame)), frame);
        }),
      );
    }
  });

  it('are refused when a bit is not what it was, or the key is another', () => {
    const sender = new HeartbeatCodec(keys[1]);
    fc.assert(
      fc.property(frames, fc.nat(), (frame, at) => {
        const bytes = sender.encode(frame);
        assert.equal(new HeartbeatCodec(keys[2]).decode(bytes), 'wrong-key');
        assert.equal(new HeartbeatCodec().decode(bytes), 'sealed');
        const bit = at % (bytes.length * 8);
        bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
        assert.equal(typeof new HeartbeatCodec(keys[1]).decode(bytes), 'string');
      }),
    );
    assert.equal(
      sender.decode(new HeartbeatCodec().encode(fc.sample(frames, 1)[0] as HeartbeatFrame)),
      'not-sealed',
    );
  });

  it('of any bytes, whole or cut short, never throw', () => {
    const plain = new HeartbeatCodec();
    const any = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.tuple(frames, fc.nat(), fc.uint8Array({ maxLength: 4 })).map(([frame, at, noise]) => {
        const bytes = plain.encode(frame);
        bytes.set(noise.subarray(0, Math.max(0, bytes.length - (at % bytes.length))), at % bytes.length);
        return at % 2 === 0 ? bytes : bytes.subarray(0, at % bytes.length);
      }),
    );
    const runs = Number(process.env['ITERATIONS'] ?? 2000);
    fc.assert(
      fc.property(any, (bytes) => {
        const frame = plain.decode(bytes);
        // What is taken for a frame can be written again.
        if (typeof frame !== 'string') plain.encode(frame);
      }),
      { numRuns: runs },
    );
  });

  it('carry long lists in parts that fit an Ethernet frame, and a digest whatever the order', () => {
    const list = Array.from({ length: 1000 }, (_, i) =>
      i % 2 ? `10.0.${i >> 8}.${i & 255}` : `2001:db8::${i.toString(16)}`,
    );
    const parts = partsOf(list);
    assert.deepEqual(parts.flat(), list);
    assert.equal(digestOf(list), digestOf(list.toReversed()));
    assert.notEqual(digestOf(list), digestOf(list.slice(1)));
    assert.equal(digestOf([]), noAddresses);
    const [frame] = fc.sample(frames, { numRuns: 1, seed: 1 }) as [HeartbeatFrame];
    for (const [part, addresses] of parts.entries()) {
      const answers = { part, parts: parts.length, addresses };
      const bytes = new HeartbeatCodec(keys[1]).encode({ ...frame, answers });
      assert.ok(bytes.length <= 1472, `${bytes.length} bytes`);
    }
  });
});
