import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import type { Event, Node, Pod } from '@cloudless/kube/types/core-v1';
import { type Scheduler, startScheduler } from './index.ts';

const node = (name: string, cpu = '2'): Node => ({
  metadata: { name, labels: { 'kubernetes.io/hostname': name } },
  status: { allocatable: { cpu, memory: '4Gi', pods: '110' } },
});

const pod = (name: string, cpu = '100m', more: Partial<NonNullable<Pod['spec']>> = {}): Pod => ({
  metadata: { name, namespace: 'default' },
  spec: {
    containers: [{ name: 'c', resources: { requests: { cpu } } }],
    schedulerName: 'default-scheduler',
    ...more,
  },
});

interface Bench {
  cluster: FakeCluster;
  clock: FakeClock;
  scheduler: Scheduler;
  nodeOf: (name: string) => string | undefined;
  events: (reason: string) => Event[];
}

async function bench(nodes: Node[], run: (bench: Bench) => Promise<void>): Promise<void> {
  const clock = new FakeClock();
  const cluster = new FakeCluster({ clock });
  cluster.seed(core.namespaces, { metadata: { name: 'default' } });
  cluster.seed(core.nodes, ...nodes);
  const log = logger('scheduler-test').child({}, { level: 'silent' });
  const scheduler = startScheduler({ client: cluster.client, clock, log, random: () => 0 });
  await scheduler.synced;
  const nodeOf = (name: string): string | undefined =>
    cluster.object(core.pods, name, 'default')?.spec?.nodeName;
  const events = (reason: string): Event[] =>
    cluster.objects(core.events).filter((event) => event.reason === reason);
  try {
    await run({ cluster, clock, scheduler, nodeOf, events });
  } finally {
    await scheduler.stop();
    assert.equal(clock.pendingTimers, 0, 'no timer is left');
  }
}

describe('the scheduler', () => {
  it('binds a pod and says so', () =>
    bench([node('a')], async ({ cluster, nodeOf, events }) => {
      cluster.seed(core.pods, pod('web'));
      await cluster.until(() => nodeOf('web') === 'a', 'the binding');
      await cluster.until(() => events('Scheduled').length === 1, 'the event');
      const [event] = events('Scheduled');
      assert.equal(event?.message, 'Successfully assigned default/web to a');
      assert.equal(event?.type, 'Normal');
      assert.equal(event?.involvedObject.kind, 'Pod');
      assert.equal(event?.reportingComponent, 'default-scheduler');
    }));

  it('never fills a node beyond what it has, however fast pods come', () =>
    bench([node('a', '1'), node('b', '1')], async ({ cluster, nodeOf, events }) => {
      cluster.seed(core.pods, ...Array.from({ length: 25 }, (_, i) => pod(`p${i}`)));
      const placed = (name: string): number =>
        cluster.objects(core.pods).filter(({ spec }) => spec?.nodeName === name).length;
      await cluster.until(() => placed('a') + placed('b') === 20, 'twenty bindings');
      await cluster.until(() => events('FailedScheduling').length === 5, 'five refusals');
      assert.deepEqual([placed('a'), placed('b')], [10, 10]);
      const waiting = cluster.objects(core.pods).find(({ spec }) => !spec?.nodeName);
      cluster.remove(core.pods, 'p0', 'default');
      await cluster.until(() => placed('a') + placed('b') === 20, 'a place that came free is used');
      assert.ok(waiting);
      assert.equal(nodeOf('p0'), undefined);
    }));

  it('tells why a pod waits, and binds it as soon as a node comes', () =>
    bench([], async ({ cluster, nodeOf, events }) => {
      cluster.seed(core.pods, pod('web', '4'));
      await cluster.until(() => events('FailedScheduling').length === 1, 'the event');
      assert.equal(events('FailedScheduling')[0]?.message, 'no nodes available to schedule pods');
      cluster.seed(core.nodes, node('small'));
      await cluster.until(() => events('FailedScheduling').length === 2, 'the next event');
      const condition = (): unknown => {
        const found = cluster.object(core.pods, 'web', 'default')?.status?.conditions?.[0];
        return found && [found.type, found.status, found.reason, found.message];
      };
      const message =
        '0/1 nodes are available: 1 Insufficient cpu. ' +
        'preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.';
      assert.equal(events('FailedScheduling')[1]?.message, message);
      await cluster.until(() => JSON.stringify(condition()).includes('Insufficient'), 'the condition');
      assert.deepEqual(condition(), ['PodScheduled', 'False', 'Unschedulable', message]);
      cluster.seed(core.nodes, node('large', '8'));
      await cluster.until(() => nodeOf('web') === 'large', 'the binding');
    }));

  it('does not try again for heartbeats', () =>
    bench([node('a')], async ({ cluster, events }) => {
      cluster.seed(core.pods, pod('web', '4'));
      await cluster.until(() => events('FailedScheduling').length === 1, 'the event');
      cluster.change(core.nodes, 'a', undefined, (copy) => {
        copy.status = {
          ...copy.status,
          conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: 'now' }],
        };
      });
      cluster.seed(core.pods, pod('other'));
      await cluster.until(() => events('Scheduled').length === 1, 'another pod');
      assert.deepEqual(
        events('FailedScheduling').map(({ count }) => count),
        [1],
      );
    }));

  it('leaves gated pods and those of other schedulers alone', () =>
    bench([node('a')], async ({ cluster, nodeOf }) => {
      cluster.seed(
        core.pods,
        pod('gated', '100m', { schedulingGates: [{ name: 'wait' }] }),
        pod('foreign', '100m', { schedulerName: 'mine' }),
        pod('plain'),
      );
      await cluster.until(() => nodeOf('plain') === 'a', 'the plain pod');
      assert.deepEqual([nodeOf('gated'), nodeOf('foreign')], [undefined, undefined]);
      cluster.change(core.pods, 'gated', 'default', (copy) => {
        if (copy.spec) copy.spec.schedulingGates = [];
      });
      await cluster.until(() => nodeOf('gated') === 'a', 'the gate is gone');
      assert.equal(nodeOf('foreign'), undefined);
    }));

  it('gives the important first turn, and evicts for it', () =>
    bench([node('a', '1')], async ({ cluster, nodeOf, events }) => {
      cluster.seed(core.pods, pod('low', '800m', { priority: 1 }));
      await cluster.until(() => nodeOf('low') === 'a', 'the first pod');
      cluster.change(core.pods, 'low', 'default', (copy) => {
        copy.status = { ...copy.status, phase: 'Running', startTime: '2026-01-01T00:00:00Z' };
      });
      cluster.seed(core.pods, pod('high', '800m', { priority: 100 }));
      await cluster.until(() => events('Preempted').length === 1, 'the preemption');
      assert.equal(events('FailedScheduling')[0]?.message, '0/1 nodes are available: 1 Insufficient cpu.');
      const high = cluster.object(core.pods, 'high', 'default');
      assert.equal(events('Preempted')[0]?.message, `Preempted by pod ${high?.metadata.uid} on node a`);
      await cluster.until(
        () => cluster.object(core.pods, 'high', 'default')?.status?.nominatedNodeName === 'a',
        'nomination',
      );
      const victim = cluster.object(core.pods, 'low', 'default');
      assert.equal(
        victim?.status?.conditions?.find(({ type }) => type === 'DisruptionTarget')?.reason,
        'PreemptionByScheduler',
      );
      cluster.remove(core.pods, 'low', 'default');
      await cluster.until(() => nodeOf('high') === 'a', 'the important pod');
    }));

  it('tries again after a failed binding, and takes its reservation back', () =>
    bench([node('a', '1')], async ({ cluster, clock, nodeOf, events }) => {
      let failures = 1;
      const restore = cluster.intercept((call) =>
        call.subresource === 'binding' && failures-- > 0
          ? new StatusError(500, 'InternalError', 'etcd is away')
          : undefined,
      );
      cluster.seed(core.pods, pod('web', '1'));
      await cluster.until(() => events('FailedScheduling').length === 1, 'the failure');
      assert.equal(events('FailedScheduling')[0]?.message, 'binding rejected: etcd is away');
      assert.equal(nodeOf('web'), undefined);
      clock.advance(1000);
      await cluster.until(() => nodeOf('web') === 'a', 'the second try');
      restore();
    }));

  it('binds 300 pods at once, soon', () =>
    bench(
      Array.from({ length: 20 }, (_, i) => node(`n${i}`, '4')),
      async ({ cluster }) => {
        const start = performance.now();
        cluster.seed(core.pods, ...Array.from({ length: 300 }, (_, i) => pod(`p${i}`)));
        await cluster.until(
          () => cluster.objects(core.pods).every(({ spec }) => spec?.nodeName),
          'all',
          10_000,
        );
        assert.ok(performance.now() - start < 10_000);
        const counts = Map.groupBy(cluster.objects(core.pods), ({ spec }) => spec?.nodeName);
        assert.deepEqual(
          [...counts.values()].map(({ length }) => length),
          Array.from({ length: 20 }, () => 15),
        );
      },
    ));
});
