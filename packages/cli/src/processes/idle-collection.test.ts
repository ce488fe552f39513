import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { collectOnceIdle } from './idle-collection.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('the collection after a start', () => {
  it('comes once the process is idle, and once', async () => {
    let collected = 0;
    const times = { firstLookMs: 5, betweenLooksMs: 50 };
    await using collection = collectOnceIdle({ ...times, collect: () => (collected += 1) });
    const busyUntilMs = performance.now() + 300;
    while (performance.now() < busyUntilMs) {
      const untilMs = performance.now() + 20;
      while (performance.now() < untilMs);
      await pause(1);
      assert.equal(collected, 0, 'while it works');
    }
    await pause(400);
    assert.equal(collected, 1);
    await pause(200);
    assert.equal(collected, 1);
    await collection.stop();
  });

  it('is V8’s own, and does not throw', async () => {
    const before = process.memoryUsage().heapUsed;
    let junk: unknown[] | undefined = Array.from({ length: 200_000 }, (_, i) => ({ i }));
    assert.equal(junk.length, 200_000);
    junk = undefined;
    await using _ = collectOnceIdle({ firstLookMs: 1, betweenLooksMs: 30 });
    await pause(500);
    assert.ok(process.memoryUsage().heapUsed < before + 8_000_000);
  });
});
