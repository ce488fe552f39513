import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { Gossip } from '../gossip/gossip.ts';
import { attemptGossip } from './gossip-attempts.ts';

const log = logger('gossip-attempts-test').child({}, { level: 'silent' });

describe('the attempts to start gossip', () => {
  const gossip = (): Gossip & { stops: number } => {
    const made = { stops: 0, stop: async () => void (made.stops += 1) };
    return made as unknown as Gossip & { stops: number };
  };

  it('go on while the port is taken, and end with the first that succeeds', async () => {
    const clock = new FakeClock();
    const used = Promise.withResolvers<Gossip>();
    const there = gossip();
    let opened = 0;
    const attempts = attemptGossip({
      async open() {
        opened += 1;
        if (opened < 3) throw new Error('port 7946 is taken');
        return there;
      },
      use: async (started) => used.resolve(started),
      clock,
      log,
    });
    await attempts.attempted;
    for (const wanted of [2, 3]) {
      clock.advance(5_000);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(opened, wanted);
    }
    assert.equal(await used.promise, there);
    clock.advance(60_000);
    await attempts.stop();
    assert.equal(opened, 3);
  });

  it('end when the speaker does: what starts meanwhile is stopped, and nothing is tried again', async () => {
    const clock = new FakeClock();
    const opening = Promise.withResolvers<Gossip>();
    const late = gossip();
    const use = (): never => assert.fail('nobody wants it any more');
    const attempts = attemptGossip({ open: () => opening.promise, use, clock, log });
    const stopping = attempts.stop();
    opening.resolve(late);
    await stopping;
    assert.equal(late.stops, 1);

    let opened = 0;
    const open = async (): Promise<Gossip> => {
      opened += 1;
      throw new Error('port 7946 is taken');
    };
    const failing = attemptGossip({ open, use, clock, log });
    await failing.attempted;
    await failing.stop();
    clock.advance(60_000);
    assert.equal(opened, 1);
  });
});
