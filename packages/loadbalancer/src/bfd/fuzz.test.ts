// Malformed packets of BFD thrown at the sessions of a node: `SEED=… ITERATIONS=100000` for the long run
// (`npm run test:fuzz`).
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { seededNumbers } from '../testing/frame-mutations.ts';
import type { BfdState } from './bfd.ts';
import { packetOf, ScriptedNode } from './testing/scripted-node.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const iterations = Number(process.env['ITERATIONS'] ?? 5000);
const key = '192.0.2.1 3784';

describe(`malformed packets of BFD, SEED=${seed} ITERATIONS=${iterations}`, () => {
  const below = seededNumbers(seed);
  const random = (): number => below(2 ** 30) / 2 ** 30;

  it('none crashes, leaks, or brings a session up that its peer did not', () => {
    const node = new ScriptedNode(random);
    node.sessions.add(node.order(1));
    node.sessions.add(node.order(2, { peerAddress: '192.0.2.8' }));
    node.step();
    const [mine = 0] = node.sent.map(({ packet }) => packet.myDiscriminator);
    const good = packetOf({ yourDiscriminator: mine, state: 'Up', poll: true });
    for (let i = 0; i < iterations; i++) {
      const bytes =
        below(3) === 0 ? Buffer.from(Array.from({ length: below(60) }, () => below(256))) : Buffer.from(good);
      for (let flips = below(4); flips > 0 && bytes.length > 0; flips--)
        bytes[below(bytes.length)] = below(256);
      const cut = below(4) === 0 ? bytes.subarray(0, below(bytes.length + 1)) : bytes;
      // From the peer, but through a router; or as a neighbour, but not the peer.
      const datagram =
        below(2) === 0 ? { address: '192.0.2.9', ttl: below(255) } : { address: '192.0.2.7', ttl: 255 };
      node.arrive(key, { ...datagram, data: cut });
      if (below(50) === 0) node.step();
    }
    assert.deepEqual([node.states(1), node.states(2)], [[], []]);
    // And from the peer itself: whatever it says, the other session hears nothing, and this one recovers.
    for (let i = 0; i < iterations; i++) {
      const bytes = Buffer.from(good);
      for (let flips = below(4); flips > 0; flips--) bytes[below(bytes.length)] = below(256);
      node.arrive(key, { address: '192.0.2.9', ttl: 255, data: bytes });
      if (below(20) === 0) node.step();
    }
    assert.deepEqual(node.states(2), []);
    assert.ok(node.sessions.nextDeadlineMs() > 0);
    node.nowMs += 2 ** 32;
    for (let i = 0; i < 10; i++) node.sessions.deadline(node.nowMs);
    for (const [state, from] of [
      ['Down', 0],
      ['Init', mine],
    ] as Array<[BfdState, number]>)
      node.arrive(key, {
        address: '192.0.2.9',
        ttl: 255,
        data: packetOf({ state, yourDiscriminator: from }),
      });
    assert.equal(node.states(1).at(-1), 'Up');
    // An answer for a poll at most: nobody is made to shout.
    assert.ok(node.sent.length <= 3 * iterations + 100);
  });
});
