import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import * as fc from 'fast-check';
import { Registry } from 'prom-client';
import { FakeClock } from '../testing/fake-clock.ts';
import {
  ExponentialBackoff,
  TokenBucket,
  WorkQueue,
  defaultRateLimiter,
  runWorkers,
  workQueueMetrics,
} from './workqueue.ts';

describe('work queue', () => {
  it('holds an item once, in the order of arrival', async () => {
    const queue = new WorkQueue<string>({ name: 'q' });
    for (const item of ['a', 'b', 'a', 'c']) queue.add(item);
    assert.equal(queue.length, 3);
    assert.deepEqual([await queue.get(), await queue.get(), await queue.get()], ['a', 'b', 'c']);
  });

  it('gives an item that was added during its work out again, but only after done', async () => {
    const queue = new WorkQueue<string>({ name: 'q' });
    queue.add('a');
    assert.equal(await queue.get(), 'a');
    queue.add('a');
    queue.add('a');
    assert.equal(queue.length, 0);
    queue.done('a');
    assert.equal(queue.length, 1);
    assert.equal(await queue.get(), 'a');
    queue.done('a');
    assert.equal(queue.length, 0);
  });

  it('of two delays the shorter holds, and shutting down leaves no timer', () => {
    const clock = new FakeClock();
    const queue = new WorkQueue<string>({ name: 'q', clock });
    queue.addAfter('a', 1000);
    queue.addAfter('a', 100);
    queue.addAfter('a', 500);
    clock.advance(99);
    assert.equal(queue.length, 0);
    clock.advance(1);
    assert.equal(queue.length, 1);
    queue.addAfter('b', 100);
    queue.shutDown();
    assert.equal(clock.pendingTimers, 0);
  });

  it("backs off with upstream's defaults", () => {
    const clock = new FakeClock();
    const limiter = defaultRateLimiter<string>(clock);
    assert.deepEqual(
      [1, 2, 3, 4].map(() => limiter.whenMs('a')),
      [5, 10, 20, 40],
    );
    assert.equal(limiter.retries('a'), 4);
    limiter.forget('a');
    assert.equal(limiter.whenMs('a'), 5);
    const backoff = new ExponentialBackoff<string>(5, 1_000_000);
    for (let i = 0; i < 30; i++) backoff.whenMs('x');
    assert.equal(backoff.whenMs('x'), 1_000_000);
    const bucket = new TokenBucket<string>(10, 100, clock);
    for (let i = 0; i < 100; i++) assert.equal(bucket.whenMs(), 0);
    assert.equal(bucket.whenMs(), 100);
    clock.advance(200);
    assert.equal(bucket.whenMs(), 0);
  });

  it('workers retry what fails, honour requeueAfterMs, and stop after the work in hand', async () => {
    const clock = new FakeClock();
    const queue = new WorkQueue<string>({ name: 'q', clock });
    const seen: string[] = [];
    let release = (): void => undefined;
    const workers = runWorkers(queue, 2, async (item) => {
      seen.push(item);
      if (item === 'bad' && seen.filter((one) => one === 'bad').length < 3) throw new Error('not yet');
      if (item === 'later' && seen.filter((one) => one === 'later').length < 2)
        return { requeueAfterMs: 1000 };
      if (item === 'long') await new Promise<void>((resolve) => (release = resolve));
      return undefined;
    });
    queue.add('bad');
    await turn();
    clock.advance(5);
    await turn();
    clock.advance(10);
    await turn();
    assert.deepEqual(seen, ['bad', 'bad', 'bad']);
    assert.equal(queue.numRequeues('bad'), 0);
    queue.add('later');
    await turn();
    clock.advance(1000);
    await turn();
    assert.deepEqual(seen.slice(3), ['later', 'later']);
    queue.add('long');
    await turn();
    let stopped = false;
    const stopping = workers.stop().then(() => (stopped = true));
    await turn();
    assert.equal(stopped, false);
    release();
    await stopping;
    assert.equal(clock.pendingTimers, 0);
  });

  it('never has an item worked on twice at a time, and loses none', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 60 }),
        fc.nat(7),
        async (items, gap) => {
          const queue = new WorkQueue<string>({ name: 'q' });
          const active = new Set<string>();
          const lastAdded = new Map<string, number>();
          const lastStarted = new Map<string, number>();
          let step = 0;
          const workers = runWorkers(queue, 3, async (item) => {
            assert.ok(!active.has(item));
            active.add(item);
            lastStarted.set(item, step++);
            await turn();
            active.delete(item);
          });
          for (const [i, item] of items.entries()) {
            lastAdded.set(item, step++);
            queue.add(item);
            // oxlint-disable-next-line no-await-in-loop -- lets workers in between
            if (i % (gap + 1) === 0) await turn();
          }
          // oxlint-disable-next-line no-await-in-loop
          for (let i = 0; i < 200 && (queue.length > 0 || active.size > 0); i++) await turn();
          await workers.stop();
          for (const [item, at] of lastAdded)
            assert.ok((lastStarted.get(item) ?? -1) > at, `${item} was lost`);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("keeps upstream's metrics", async () => {
    const registry = new Registry();
    const metrics = workQueueMetrics(registry);
    const clock = new FakeClock();
    const queue = new WorkQueue<string>({ name: 'deployment', clock, metrics });
    queue.add('a');
    clock.advance(2000);
    await queue.get();
    clock.advance(3000);
    const text = await registry.metrics();
    assert.match(text, /workqueue_adds_total\{name="deployment"\} 1/);
    assert.match(text, /workqueue_depth\{name="deployment"\} 0/);
    assert.match(text, /workqueue_queue_duration_seconds_sum\{name="deployment"\} 2/);
    assert.match(text, /workqueue_unfinished_work_seconds\{name="deployment"\} 3/);
    assert.match(text, /workqueue_longest_running_processor_seconds\{name="deployment"\} 3/);
    queue.done('a');
    assert.match(await registry.metrics(), /workqueue_work_duration_seconds_sum\{name="deployment"\} 3/);
  });
});
