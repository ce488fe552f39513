import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { podInfo, type PodInfo } from '../state/pod-info.ts';
import { SchedulingQueue } from './queue.ts';

const info = (name: string, priority = 0, more: object = {}): PodInfo =>
  podInfo({
    metadata: { name, namespace: 'default', uid: name, resourceVersion: '1' },
    spec: { containers: [], priority, ...more },
  });

function bench(): {
  queue: SchedulingQueue;
  clock: FakeClock;
  wakes: () => number;
  popped: () => string | undefined;
} {
  const clock = new FakeClock();
  let wakes = 0;
  const queue = new SchedulingQueue(clock, () => wakes++);
  return { queue, clock, wakes: () => wakes, popped: () => queue.pop()?.info.uid };
}

describe('the scheduling queue', () => {
  it('gives turns by priority, then by age', () => {
    const { queue, clock, popped } = bench();
    for (const [name, priority] of [
      ['a', 0],
      ['b', 5],
      ['c', 5],
      ['d', 9],
    ] as const) {
      queue.set(info(name, priority));
      clock.advance(1);
    }
    assert.deepEqual([popped(), popped(), popped(), popped(), popped()], ['d', 'b', 'c', 'a', undefined]);
  });

  it('lets refused pods wait for a change that may help', () => {
    const { queue, clock, popped, wakes } = bench();
    queue.set(info('a'));
    const a = queue.pop();
    assert.ok(a);
    queue.unschedulable(a, new Set(['NodeAffinity']));
    assert.equal(popped(), undefined);
    const before = wakes();
    queue.revive(({ refusedBy }) => refusedBy.has('InterPodAffinity'));
    assert.equal(wakes(), before);
    assert.equal(popped(), undefined);
    queue.revive(({ refusedBy }) => refusedBy.has('NodeAffinity'));
    assert.ok(wakes() > before);
    assert.equal(popped(), 'a', 'at once, as nothing else waits');
    queue.stop();
    assert.equal(clock.pendingTimers, 0);
  });

  it('lets others go first while a refused pod is in back-off', () => {
    const { queue, clock, popped } = bench();
    queue.set(info('a', 9));
    queue.unschedulable(queue.pop() as NonNullable<ReturnType<typeof queue.pop>>, new Set());
    queue.revive(() => true);
    queue.set(info('b', 1));
    assert.deepEqual([popped(), popped()], ['b', 'a']);
    clock.advance(0);
    queue.stop();
  });

  it('waits a failed call out: one second, doubling to ten', () => {
    const { queue, clock, popped } = bench();
    queue.set(info('a'));
    let pod = queue.pop();
    for (const waitMs of [1000, 2000, 4000, 8000, 10_000, 10_000]) {
      assert.ok(pod);
      queue.failed(pod);
      clock.advance(waitMs - 1);
      assert.equal(popped(), undefined, `before ${waitMs} ms`);
      clock.advance(1);
      pod = queue.pop();
    }
    assert.equal(pod?.attempts, 7);
    queue.stop();
    assert.equal(clock.pendingTimers, 0);
  });

  it('tries a refused pod again after five minutes', () => {
    const { queue, clock, popped } = bench();
    queue.set(info('a'));
    queue.unschedulable(queue.pop() as NonNullable<ReturnType<typeof queue.pop>>, new Set(['x']));
    clock.advance(299_999);
    assert.equal(popped(), undefined);
    clock.advance(1);
    assert.equal(popped(), 'a');
    queue.stop();
  });

  it('holds gated pods, and forgets deleted ones', () => {
    const { queue, popped } = bench();
    queue.set(info('a', 0, { schedulingGates: [{ name: 'wait' }] }));
    queue.set(info('b'));
    queue.delete('b');
    assert.equal(popped(), undefined);
    assert.deepEqual(queue.counts, { active: 0, backoff: 0, unschedulable: 0, gated: 1 });
    queue.set(info('a'));
    assert.equal(popped(), 'a');
    queue.stop();
  });

  it('serves ten thousand pods in a moment', () => {
    const { queue, popped } = bench();
    const start = performance.now();
    for (let i = 0; i < 10_000; i++) queue.set(info(`p${i}`, i % 10));
    let count = 0;
    while (popped() !== undefined) count++;
    assert.equal(count, 10_000);
    assert.ok(performance.now() - start < 2000);
  });
});
