import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { etcdErrors } from '@cloudless/kube/etcd/store';
import { logger } from '@cloudless/kube/logger';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { parseRetention, startAutoCompaction } from './auto-compaction.ts';

const log = logger('auto-compaction-test').child({}, { level: 'silent' });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const minuteMs = 60_000;

/** One revision a minute, for so many minutes; when what was compacted. */
async function compactions(
  periodMs: number,
  minutes: number,
  fails = false,
): Promise<Array<[number, number]>> {
  const clock = new FakeClock();
  const seen: Array<[number, number]> = [];
  const nowMinutes = (): number => Math.floor(clock.monotonicMs() / minuteMs);
  const store = {
    status: async () => ({
      version: '',
      revision: 1 + nowMinutes(),
      compactRevision: 0,
      dbSizeBytes: 0,
      dbSizeInUseBytes: 0,
    }),
    async compact(revision: number) {
      seen.push([nowMinutes(), revision]);
      if (fails) throw etcdErrors.compacted();
    },
  };
  const running = startAutoCompaction({ store, periodMs, clock, log });
  for (let i = 0; i < minutes * 2; i++) {
    clock.advance(minuteMs / 2);
    await turn();
  }
  await running.stop();
  assert.equal(clock.pendingTimers, 0);
  return seen;
}

describe('periodic compaction', () => {
  it('keeps the history of a period, and compacts once in it', async () => {
    const seen = await compactions(10 * minuteMs, 45);
    assert.ok(seen.length >= 3, JSON.stringify(seen));
    for (const [at, revision] of seen) {
      assert.ok(revision <= at - 10 + 1, `at minute ${at} revision ${revision} is still wanted`);
      assert.ok(revision >= at - 10 - 1, `at minute ${at} revision ${revision} is older than needed`);
    }
    const gaps = seen.slice(1).map(([at], i) => at - (seen[i] as [number, number])[0]);
    assert.ok(
      gaps.every((gap) => gap >= 9 && gap <= 11),
      JSON.stringify(gaps),
    );
  });

  it('compacts every hour where the period is longer', async () => {
    const seen = await compactions(180 * minuteMs, 400);
    assert.ok(seen.length >= 3, JSON.stringify(seen));
    for (const [at, revision] of seen) assert.ok(Math.abs(at - 180 - revision) <= 8, `${at} ${revision}`);
  });

  it('goes on when another server was first', async () => {
    assert.ok((await compactions(10 * minuteMs, 45, true)).length >= 3);
  });

  it("reads etcd's retention", () => {
    assert.deepEqual(['1h30m', '10m', '45s', '12', '0', '', 'x', '1d'].map(parseRetention), [
      5_400_000,
      600_000,
      45_000,
      43_200_000,
      0,
      undefined,
      undefined,
      undefined,
    ]);
  });
});
