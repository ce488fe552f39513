import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { WakeLoop } from './wake-loop.ts';

const settled = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await setImmediate();
};

void describe('a loop that is woken', () => {
  void it('runs once more for all that woke it while it ran, never twice at a time', async () => {
    let runs = 0;
    let finish: () => void = () => undefined;
    const loop = new WakeLoop(new FakeClock(), async () => {
      runs++;
      await new Promise<void>((resolve) => (finish = resolve));
      return undefined;
    });
    loop.wake();
    loop.wake();
    loop.wake();
    assert.equal(runs, 1);
    finish();
    await settled();
    assert.equal(runs, 2);
    finish();
    await settled();
    assert.equal(runs, 2);
    await loop.stop();
  });

  void it('runs again when its work asked for it, and a wake replaces that', async () => {
    const clock = new FakeClock();
    let runs = 0;
    const loop = new WakeLoop(clock, () => Promise.resolve(++runs < 3 ? 1000 : undefined));
    loop.wake();
    await settled();
    clock.advance(999);
    await settled();
    assert.equal(runs, 1);
    clock.advance(1);
    await settled();
    assert.equal(runs, 2);
    loop.wake();
    await settled();
    assert.equal(runs, 3);
    assert.equal(clock.pendingTimers, 0);
    await loop.stop();
  });

  void it('leaves no timer and runs no more when stopped', async () => {
    const clock = new FakeClock();
    let runs = 0;
    const loop = new WakeLoop(clock, async (signal) => {
      runs++;
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      return 1;
    });
    loop.wake();
    loop.wake();
    await loop.stop();
    loop.wake();
    await settled();
    assert.equal(runs, 1);
    assert.equal(clock.pendingTimers, 0);
  });
});
