import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apps, core } from '../generated/resources.ts';
import type { Event } from '../generated/types/core-v1.ts';
import { FakeClock } from '../testing/fake-clock.ts';
import { FakeCluster } from '../testing/fake-client.ts';
import { type EventRecorder, eventRecorder } from './recorder.ts';

interface Bench {
  cluster: FakeCluster;
  clock: FakeClock;
  recorder: EventRecorder;
  subject: {
    metadata: { name: string; namespace?: string; uid?: string };
    apiVersion?: string;
    kind?: string;
  };
}

async function bench(run: (bench: Bench) => Promise<void>): Promise<void> {
  const clock = new FakeClock();
  const cluster = new FakeCluster({ clock });
  const recorder = eventRecorder({ client: cluster.client, component: 'deployment-controller', clock });
  const [subject] = cluster.seed(apps.deployments, { metadata: { name: 'web', namespace: 'n' } });
  try {
    await run({ cluster, clock, recorder, subject: subject as Bench['subject'] });
  } finally {
    await recorder.stop();
    assert.equal(clock.pendingTimers, 0);
  }
}

describe('event recorder', () => {
  it('writes an event as the controller manager does', () =>
    bench(async ({ cluster, recorder, subject }) => {
      recorder.event(subject, 'Normal', 'ScalingReplicaSet', 'Scaled up replica set web-1 from 0 to 3');
      await recorder.flush();
      const [event] = cluster.objects(core.events) as [Event];
      assert.match(event.metadata.name ?? '', /^web\.[0-9a-f]+$/);
      const { metadata: _, involvedObject, ...rest } = event;
      assert.deepEqual(involvedObject, {
        kind: 'Deployment',
        apiVersion: 'apps/v1',
        namespace: 'n',
        name: 'web',
        uid: subject.metadata.uid,
        resourceVersion: '101',
      });
      assert.deepEqual(rest, {
        apiVersion: 'v1',
        kind: 'Event',
        reason: 'ScalingReplicaSet',
        message: 'Scaled up replica set web-1 from 0 to 3',
        type: 'Normal',
        count: 1,
        firstTimestamp: '2026-01-01T00:00:00Z',
        lastTimestamp: '2026-01-01T00:00:00Z',
        source: { component: 'deployment-controller' },
        reportingComponent: 'deployment-controller',
        reportingInstance: '',
      });
    }));

  it('counts repeats, and begins again when the event has expired', () =>
    bench(async ({ cluster, clock, recorder, subject }) => {
      recorder.event(subject, 'Warning', 'Failed', 'no');
      clock.advance(5000);
      recorder.event(subject, 'Warning', 'Failed', 'no');
      await recorder.flush();
      const [event] = cluster.objects(core.events) as [Event];
      assert.equal(cluster.objects(core.events).length, 1);
      assert.deepEqual(
        [event.count, event.firstTimestamp, event.lastTimestamp],
        [2, '2026-01-01T00:00:00Z', '2026-01-01T00:00:05Z'],
      );
      cluster.remove(core.events, event.metadata.name ?? '', 'n');
      recorder.event(subject, 'Warning', 'Failed', 'no');
      await recorder.flush();
      assert.equal((cluster.objects(core.events) as [Event])[0].count, 3);
    }));

  it('combines events that differ in their message only, from the tenth on', () =>
    bench(async ({ cluster, recorder, subject }) => {
      for (let i = 0; i < 15; i++) recorder.event(subject, 'Normal', 'Created', `pod ${i}`);
      await recorder.flush();
      const events = cluster.objects(core.events);
      assert.equal(events.length, 10);
      const combined = events.find((event) => event.message?.startsWith('(combined'));
      assert.equal(combined?.count, 6);
      assert.equal(combined?.message, '(combined from similar events): pod 14');
    }));

  it('lets a source send 25 at once about an object, then one in five minutes', () =>
    bench(async ({ cluster, clock, recorder, subject }) => {
      for (let i = 0; i < 40; i++) recorder.event(subject, 'Normal', `Reason${i}`, 'x');
      await recorder.flush();
      assert.equal(cluster.objects(core.events).length, 25);
      clock.advance(299_000);
      recorder.event(subject, 'Normal', 'Again', 'x');
      await recorder.flush();
      assert.equal(cluster.objects(core.events).length, 25);
      clock.advance(1_000);
      recorder.event(subject, 'Normal', 'Again', 'y');
      await recorder.flush();
      assert.equal(cluster.objects(core.events).length, 26);
    }));

  it('tries again while the server is away, and drops what it refuses', () =>
    bench(async ({ cluster, clock, recorder, subject }) => {
      let down = true;
      cluster.intercept(() => (down ? new Error('connection refused') : undefined));
      recorder.event(subject, 'Normal', 'A', 'x');
      await cluster.until(() => clock.pendingTimers === 1);
      assert.equal(cluster.objects(core.events).length, 0);
      down = false;
      clock.advance(10_000);
      await recorder.flush();
      assert.equal(cluster.objects(core.events).length, 1);
      cluster.seed(core.namespaces, {
        metadata: { name: 'gone', deletionTimestamp: '2026-01-01T00:00:00Z' },
      });
      recorder.event({ kind: 'Pod', name: 'p', namespace: 'gone' }, 'Normal', 'A', 'x');
      await recorder.flush();
      assert.equal(cluster.objects(core.events).length, 1);
    }));

  it('drops what cannot wait any more, and says how many once there is room again', async () => {
    const cluster = new FakeCluster();
    let open: () => void = () => undefined;
    const away = new Promise<void>((resolve) => (open = resolve));
    cluster.intercept(() => away.then(() => undefined));
    const told: unknown[] = [];
    const log = { warn: (fields: unknown) => void told.push(fields), debug: () => undefined };
    await using recorder = eventRecorder({ client: cluster.client, component: 'test', log });
    for (let i = 0; i < 1500; i++)
      recorder.event({ kind: 'Pod', name: `p${i}`, namespace: 'n' }, 'Normal', 'A', 'x');
    open();
    await recorder.flush();
    assert.deepEqual(told, [{ reason: 'A' }, { dropped: 1500 - cluster.objects(core.events).length }]);
    recorder.event({ kind: 'Pod', name: 'later', namespace: 'n' }, 'Normal', 'A', 'x');
    await recorder.flush();
    assert.equal(told.length, 2);
  });
});
