import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apps, core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { ReplicaSet } from '@cloudless/kube/types/apps-v1';
import type { ContainerStatus, Pod } from '@cloudless/kube/types/core-v1';
import { deletionOrder } from '../pods/deletion-order.ts';
import { slowStart } from '../pods/pod-control.ts';
import { Bench } from '../testing/bench.ts';
import { startReplicaSetController } from './replicaset.ts';

const replicaSet = (replicas: number, name = 'web', extra: object = {}): ReplicaSet => ({
  metadata: { name, namespace: 'n' },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
    ...extra,
  },
});

const pods = (bench: Bench): Pod[] => bench.cluster.objects(core.pods, 'n');
const status = (bench: Bench, name = 'web'): ReplicaSet['status'] =>
  bench.cluster.object(apps.replicasets, name, 'n')?.status;

describe('replica set controller', () => {
  it('makes the pods asked for, and says so', async () => {
    await using bench = new Bench();
    await bench.start(startReplicaSetController);
    bench.startKubelet();
    const rs = await bench.cluster.client.create(apps.replicasets, replicaSet(3));
    await bench.until(() => status(bench)?.availableReplicas === 3, 'three available');
    await bench.settle();
    for (const pod of pods(bench)) {
      assert.match(pod.metadata.name ?? '', /^web-\w{5}$/);
      assert.deepEqual(pod.metadata.labels, { app: 'web' });
      assert.deepEqual(pod.metadata.ownerReferences, [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: 'web',
          uid: rs.metadata.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ]);
    }
    assert.deepEqual(status(bench), {
      replicas: 3,
      fullyLabeledReplicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
      terminatingReplicas: 0,
      observedGeneration: 1,
    });
    assert.deepEqual(
      bench.events().sort(),
      pods(bench).map((pod) => `Normal SuccessfulCreate Created pod: ${pod.metadata.name}`),
    );
  });

  it('replaces a pod that is deleted or fails, and scales down to nothing', async () => {
    await using bench = new Bench();
    await bench.start(startReplicaSetController);
    bench.startKubelet();
    bench.cluster.seed(apps.replicasets, replicaSet(2));
    await bench.until(() => status(bench)?.readyReplicas === 2, 'two ready');
    const [first, second] = pods(bench) as [Pod, Pod];
    await bench.cluster.client.delete(core.pods, first.metadata.name ?? '', { namespace: 'n' });
    bench.cluster.change(
      core.pods,
      second.metadata.name ?? '',
      'n',
      (pod) => (pod.status = { phase: 'Failed' }),
    );
    await bench.until(() => status(bench)?.readyReplicas === 2 && pods(bench).length === 3, 'both replaced');
    await bench.cluster.client.patch(
      apps.replicasets,
      'web',
      'merge',
      { spec: { replicas: 0 } },
      { namespace: 'n' },
    );
    await bench.until(() => status(bench)?.replicas === 0, 'none left');
    await bench.settle();
    assert.deepEqual(
      pods(bench).map((pod) => pod.status?.phase),
      ['Failed'],
    );
    assert.equal(bench.events('SuccessfulDelete').length, 2);
  });

  it('never makes too many, however far its copy lags behind', async () => {
    await using bench = new Bench();
    await bench.start(startReplicaSetController);
    let most = 0;
    bench.cluster.intercept((call) => {
      most = Math.max(most, pods(bench).length);
      return call.verb === 'update' && Math.random() < 0.3
        ? errors.modified(apps.replicasets, 'web')
        : undefined;
    });
    bench.cluster.seed(apps.replicasets, replicaSet(40));
    for (let i = 0; i < 20; i++) {
      bench.cluster.change(
        apps.replicasets,
        'web',
        'n',
        (rs) => (rs.metadata.labels = { touched: String(i) }),
      );
      await bench.pass(1);
    }
    await bench.pass(5);
    assert.equal(pods(bench).length, 40);
    assert.equal(most, 40);
  });

  it('adopts matching orphans and releases pods that match no more', async () => {
    await using bench = new Bench();
    bench.cluster.seed(core.pods, { metadata: { name: 'orphan', namespace: 'n', labels: { app: 'web' } } });
    const [rs] = bench.cluster.seed(apps.replicasets, replicaSet(1));
    await bench.start(startReplicaSetController);
    const owner = (name: string): string | undefined =>
      bench.cluster.object(core.pods, name, 'n')?.metadata.ownerReferences?.[0]?.uid;
    await bench.until(() => owner('orphan') === rs?.metadata.uid, 'adoption');
    await bench.settle();
    assert.equal(pods(bench).length, 1);
    bench.cluster.change(core.pods, 'orphan', 'n', (pod) => (pod.metadata.labels = { app: 'other' }));
    await bench.until(() => owner('orphan') === undefined, 'release');
    await bench.until(() => pods(bench).length === 2, 'its replacement');
  });

  it('a deleted owner adopts nothing', async () => {
    await using bench = new Bench();
    const [rs] = bench.cluster.seed(apps.replicasets, replicaSet(1));
    await bench.start(startReplicaSetController);
    await bench.until(() => pods(bench).length === 1, 'its pod');
    bench.cluster.intercept((call) =>
      call.verb === 'get' && call.resource.kind === 'ReplicaSet'
        ? errors.notFound(apps.replicasets, rs?.metadata.name ?? '')
        : undefined,
    );
    bench.cluster.seed(core.pods, { metadata: { name: 'orphan', namespace: 'n', labels: { app: 'web' } } });
    await bench.pass(2);
    assert.equal(bench.cluster.object(core.pods, 'orphan', 'n')?.metadata.ownerReferences, undefined);
  });

  it('tells of a failure to create, tries slowly, and gets over it', async () => {
    await using bench = new Bench();
    await bench.start(startReplicaSetController);
    let quota = true;
    let attempts = 0;
    bench.cluster.intercept((call) => {
      if (call.verb !== 'create' || call.resource.kind !== 'Pod') return undefined;
      attempts++;
      return quota ? errors.forbidden(core.pods, 'web', 'exceeded quota: compute') : undefined;
    });
    bench.cluster.seed(apps.replicasets, replicaSet(50));
    await bench.until(() => (status(bench)?.conditions?.length ?? 0) > 0, 'the condition');
    assert.ok(attempts < 5, `${attempts} attempts`);
    const [condition] = status(bench)?.conditions ?? [];
    assert.deepEqual(
      [condition?.type, condition?.status, condition?.reason, condition?.message],
      ['ReplicaFailure', 'True', 'FailedCreate', 'pods "web" is forbidden: exceeded quota: compute'],
    );
    await bench.settle();
    assert.equal(
      bench.events('FailedCreate')[0],
      'Warning FailedCreate Error creating: pods "web" is forbidden: exceeded quota: compute',
    );
    quota = false;
    await bench.pass(3);
    assert.equal(pods(bench).length, 50);
    assert.equal(status(bench)?.conditions, undefined);
  });

  it('counts a pod as available only after minReadySeconds', async () => {
    await using bench = new Bench();
    await bench.start(startReplicaSetController);
    bench.startKubelet();
    bench.cluster.seed(apps.replicasets, replicaSet(1, 'web', { minReadySeconds: 10 }));
    await bench.until(() => status(bench)?.readyReplicas === 1, 'ready');
    await bench.pass(9);
    assert.equal(status(bench)?.availableReplicas, undefined);
    await bench.pass(3);
    assert.equal(status(bench)?.availableReplicas, 1);
  });

  it('leaves the status of a set that is being deleted true, and makes nothing', async () => {
    await using bench = new Bench();
    await bench.start(startReplicaSetController);
    bench.cluster.seed(apps.replicasets, {
      ...replicaSet(3),
      metadata: {
        name: 'web',
        namespace: 'n',
        finalizers: ['foregroundDeletion'],
        deletionTimestamp: '2026-01-01T00:00:00Z',
      },
    });
    await bench.settle();
    assert.equal(pods(bench).length, 0);
    assert.equal(status(bench)?.replicas, 0);
  });
});

describe('order of deletion', () => {
  const nowMs = Date.parse('2026-01-02T00:00:00Z');
  const pod = (
    name: string,
    edit: {
      node?: string;
      phase?: string;
      ready?: string | false;
      cost?: string;
      restarts?: number;
      created?: string;
    } = {},
  ): Pod => ({
    metadata: {
      name,
      uid: name,
      creationTimestamp: edit.created ?? '2026-01-01T00:00:00Z',
      ...(edit.cost === undefined
        ? {}
        : { annotations: { 'controller.kubernetes.io/pod-deletion-cost': edit.cost } }),
    },
    spec: { containers: [], ...(edit.node === undefined ? { nodeName: 'a' } : { nodeName: edit.node }) },
    status: {
      phase: edit.phase ?? 'Running',
      conditions: [
        {
          type: 'Ready',
          status: edit.ready === false ? 'False' : 'True',
          lastTransitionTime: edit.ready || '2026-01-01T00:00:00Z',
        },
      ],
      containerStatuses: [{ name: 'c', restartCount: edit.restarts ?? 0 } as ContainerStatus],
    },
  });
  const cases: Array<[string, Pod, Pod, Map<string, number>?]> = [
    ['unassigned before assigned', pod('z', { node: '' }), pod('a', { phase: 'Pending' })],
    ['pending before running', pod('z', { phase: 'Pending' }), pod('a')],
    ['not ready before ready', pod('z', { ready: false }), pod('a')],
    ['cheap before dear', pod('z', { cost: '-5' }), pod('a', { cost: '3', restarts: 9 })],
    [
      'on the crowded node first',
      pod('z', { node: 'b' }),
      pod('a'),
      new Map([
        ['a', 1],
        ['b', 4],
      ]),
    ],
    ['lately ready first', pod('z', { ready: '2026-01-01T23:59:00Z' }), pod('a')],
    ['often restarted first', pod('z', { restarts: 3 }), pod('a')],
    ['young first', pod('z', { created: '2026-01-01T23:59:00Z' }), pod('a')],
    [
      'of about one age by UID',
      pod('a', { created: '2026-01-01T00:00:00Z' }),
      pod('b', { created: '2026-01-01T01:00:00Z' }),
    ],
  ];
  for (const [what, first, second, crowds = new Map()] of cases) {
    it(what, () => {
      assert.deepEqual(
        deletionOrder([second, first], crowds, nowMs).map((one) => one.metadata.name),
        [first.metadata.name, second.metadata.name],
      );
      assert.deepEqual(deletionOrder([first, second], crowds, nowMs)[0], first);
    });
  }

  it('slow start doubles its batches and stops at the first failure', async () => {
    let running = 0;
    const batches: number[] = [];
    const step = async (): Promise<void> => {
      running++;
      await Promise.resolve();
      if (running > 0) batches.push(running);
      running = 0;
    };
    assert.deepEqual(await slowStart(10, step), { succeeded: 10, error: undefined });
    assert.deepEqual(batches, [1, 2, 4, 3]);
    let calls = 0;
    const failing = await slowStart(100, () => {
      calls++;
      return calls > 3 ? Promise.reject(new Error('no')) : Promise.resolve();
    });
    assert.deepEqual([failing.succeeded, calls], [3, 7]);
  });
});
