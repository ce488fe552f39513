import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { backoffUntilMs, type BackoffEntry, goDuration, raiseBackoff, restartBackoff } from './backoff.ts';

void describe('restart back-off', () => {
  void it('doubles from 10 s to 5 min', () => {
    let entry: BackoffEntry | undefined;
    const delays: number[] = [];
    let nowMs = 1_000_000;
    for (let restart = 0; restart < 8; restart++) {
      entry = raiseBackoff(entry, nowMs, nowMs);
      delays.push(entry.delayMs / 1000);
      nowMs += entry.delayMs + 1;
    }
    assert.deepEqual(delays, [10, 20, 40, 80, 160, 300, 300, 300]);
  });

  void it('starts anew after 10 min without a restart', () => {
    const entry = { delayMs: 160_000, updatedAtMs: 0 };
    assert.equal(raiseBackoff(entry, 600_000, 600_000).delayMs, 300_000);
    assert.equal(raiseBackoff(entry, 600_001, 600_001).delayMs, 10_000);
    assert.equal(backoffUntilMs(entry, 600_001), 0);
  });

  void it('never leaves its limits, and a try is never further away than the delay', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2_000_000 }), { maxLength: 50 }), (pauses) => {
        let entry: BackoffEntry | undefined;
        let nowMs = 0;
        for (const pause of pauses) {
          nowMs += pause;
          entry = raiseBackoff(entry, nowMs, nowMs);
          assert.ok(entry.delayMs >= restartBackoff.initialMs && entry.delayMs <= restartBackoff.maximumMs);
          assert.ok(backoffUntilMs(entry, nowMs) <= nowMs + entry.delayMs);
        }
      }),
    );
  });

  void it('prints durations as Go does', () => {
    const texts = [0, 5, 10_000, 80_000, 160_000, 300_000, 3_661_500].map(goDuration);
    assert.deepEqual(texts, ['0s', '5ms', '10s', '1m20s', '2m40s', '5m0s', '1h1m1.5s']);
  });
});
