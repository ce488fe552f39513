import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Logger } from '@cloudless/kube/logger';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { MemoryStore } from '../testing/memory-store.ts';
import { startCompaction } from './compaction.ts';
import { keyBytes } from './keys.ts';

const quiet = { warn: (fields: object) => assert.fail(JSON.stringify(fields)) } as unknown as Logger;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('compaction', () => {
  it('keeps one to two intervals of history, however many servers share the store', async () => {
    const store = new MemoryStore();
    const clock = new FakeClock();
    const stopping = new AbortController();
    const { signal } = stopping;
    const put = (): Promise<unknown> =>
      store.txn({
        compare: [],
        success: [{ put: { key: keyBytes('/registry/a'), value: keyBytes('x') } }],
        failure: [],
      });
    for (const _server of [1, 2]) startCompaction({ store, clock, log: quiet, signal, intervalMs: 1000 });
    const currentAfter: number[] = [];
    const compactedAfter: number[] = [];
    for (let round = 0; round < 6; round++) {
      await put();
      clock.advance(1000);
      await settled();
      const { revision, compactRevision } = await store.status();
      currentAfter.push(revision);
      compactedAfter.push(compactRevision);
    }
    assert.equal(compactedAfter[0], 0);
    for (let round = 2; round < 6; round++) {
      const compacted = compactedAfter[round] as number;
      assert.ok(
        compacted > (currentAfter[round - 2] as number) - 3,
        `nothing was compacted in round ${round}`,
      );
      assert.ok(
        compacted <= (currentAfter[round - 1] as number),
        `round ${round} left less than an interval`,
      );
    }
    stopping.abort();
    assert.equal(clock.pendingTimers, 0);
  });
});
