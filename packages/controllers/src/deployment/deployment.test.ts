import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apps, core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { Deployment, DeploymentSpec, ReplicaSet } from '@cloudless/kube/types/apps-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { startReplicaSetController } from '../replicaset/replicaset.ts';
import { Bench } from '../testing/bench.ts';
import { startDeploymentController } from './deployment.ts';
import { fnv1a32, podTemplateHash } from './hash.ts';
import { revisionOf } from './replica-sets.ts';

const deployment = (replicas: number, spec: Partial<DeploymentSpec> = {}, image = 'v1'): Deployment => ({
  metadata: { name: 'web', namespace: 'n', annotations: { team: 'a' } },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image }] } },
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
    ...spec,
  },
});

const web = (bench: Bench): Deployment => bench.cluster.object(apps.deployments, 'web', 'n') as Deployment;
const sets = (bench: Bench): ReplicaSet[] =>
  bench.cluster.objects(apps.replicasets, 'n').sort((a, b) => revisionOf(a) - revisionOf(b));
const image = (object: Pod | ReplicaSet): string | undefined =>
  ('template' in (object.spec ?? {}) ? (object as ReplicaSet).spec?.template?.spec : (object as Pod).spec)
    ?.containers[0]?.image;
const setImage = (bench: Bench, to: string): unknown =>
  bench.cluster.change(apps.deployments, 'web', 'n', (d) => {
    const container = d.spec?.template.spec?.containers[0];
    if (container) container.image = to;
    d.metadata.generation = (d.metadata.generation ?? 0) + 1;
  });
const condition = (bench: Bench, type: string): string => {
  const found = web(bench).status?.conditions?.find((one) => one.type === type);
  return found ? `${found.status} ${found.reason} ${found.message}` : 'none';
};
const rolledOut = (bench: Bench, replicas: number): boolean => {
  const { status, metadata } = web(bench);
  return (
    status?.updatedReplicas === replicas &&
    status.replicas === replicas &&
    status.availableReplicas === replicas &&
    status.observedGeneration === metadata.generation
  );
};

async function running(bench: Bench, d = deployment(3)): Promise<void> {
  await bench.start(startDeploymentController, startReplicaSetController);
  await bench.cluster.client.create(apps.deployments, d);
}

describe('deployment controller', () => {
  it('makes a ReplicaSet of its template, and says how it goes', async () => {
    await using bench = new Bench();
    bench.startKubelet();
    await running(bench);
    await bench.until(() => rolledOut(bench, 3), 'the rollout');
    await bench.settle();
    const [rs] = sets(bench) as [ReplicaSet];
    const hash = rs.metadata.labels?.['pod-template-hash'] ?? '';
    assert.match(hash, /^[bcdfghjklmnpqrstvwxz2456789]{8,10}$/);
    assert.equal(rs.metadata.name, `web-${hash}`);
    assert.deepEqual(rs.metadata.annotations, {
      team: 'a',
      'deployment.kubernetes.io/revision': '1',
      'deployment.kubernetes.io/desired-replicas': '3',
      'deployment.kubernetes.io/max-replicas': '4',
    });
    assert.deepEqual(rs.spec?.selector, { matchLabels: { app: 'web', 'pod-template-hash': hash } });
    assert.deepEqual(rs.spec?.template?.metadata?.labels, { app: 'web', 'pod-template-hash': hash });
    const { conditions, ...counts } = web(bench).status ?? {};
    assert.deepEqual(counts, {
      observedGeneration: 1,
      replicas: 3,
      updatedReplicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
      terminatingReplicas: 0,
    });
    assert.equal(conditions?.length, 2);
    assert.equal(
      condition(bench, 'Available'),
      'True MinimumReplicasAvailable Deployment has minimum availability.',
    );
    assert.equal(
      condition(bench, 'Progressing'),
      `True NewReplicaSetAvailable ReplicaSet "web-${hash}" has successfully progressed.`,
    );
    assert.equal(web(bench).metadata.annotations?.['deployment.kubernetes.io/revision'], '1');
    assert.deepEqual(bench.events('ScalingReplicaSet'), [
      `Normal ScalingReplicaSet Scaled up replica set web-${hash} from 0 to 3`,
    ]);
  });

  it('rolls a change out within its surge and availability, and keeps the old ReplicaSet', async () => {
    await using bench = new Bench();
    bench.startKubelet();
    await running(bench, deployment(8));
    await bench.until(() => rolledOut(bench, 8), 'the first rollout');
    let least = 8;
    let most = 0;
    const stop = bench.informers.of(core.pods).addHandler({
      update: () => count(),
      add: () => count(),
      delete: () => count(),
    });
    function count(): void {
      const pods = bench.cluster
        .objects(core.pods, 'n')
        .filter((pod) => pod.metadata.deletionTimestamp === undefined);
      most = Math.max(most, pods.length);
      least = Math.min(
        least,
        pods.filter((pod) =>
          pod.status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True'),
        ).length,
      );
    }
    setImage(bench, 'v2');
    await bench.until(() => rolledOut(bench, 8) && sets(bench).length === 2, 'the second rollout');
    await bench.settle();
    stop();
    assert.deepEqual(
      sets(bench).map((rs) => [image(rs), rs.spec?.replicas, revisionOf(rs)]),
      [
        ['v1', 0, 1],
        ['v2', 8, 2],
      ],
    );
    assert.ok(least >= 6, `only ${least} were available`);
    assert.ok(most <= 10, `there were ${most} pods`);
    assert.ok(bench.cluster.objects(core.pods, 'n').every((pod) => image(pod) === 'v2'));
  });

  it('stops a rollout whose pods do not become ready, says so after the deadline, and goes back', async () => {
    await using bench = new Bench();
    bench.startKubelet({ ready: (pod) => image(pod) !== 'broken' });
    await running(bench, deployment(4, { progressDeadlineSeconds: 30 }));
    await bench.until(() => rolledOut(bench, 4), 'the first rollout');
    setImage(bench, 'broken');
    await bench.settle();
    const sizes = (): Array<number | undefined> => sets(bench).map((rs) => rs.spec?.replicas);
    assert.deepEqual(sizes(), [3, 2]);
    assert.match(
      condition(bench, 'Progressing'),
      /^True ReplicaSetUpdated ReplicaSet "web-\w+" is progressing\.$/,
    );
    await bench.pass(32);
    assert.match(
      condition(bench, 'Progressing'),
      /^False ProgressDeadlineExceeded ReplicaSet "web-\w+" has timed out progressing\.$/,
    );
    assert.deepEqual(sizes(), [3, 2]);
    setImage(bench, 'v1');
    await bench.until(() => rolledOut(bench, 4), 'the way back');
    await bench.settle();
    assert.deepEqual(
      sets(bench).map((rs) => [image(rs), rs.spec?.replicas, revisionOf(rs)]),
      [
        ['broken', 0, 2],
        ['v1', 4, 3],
      ],
    );
    assert.equal(sets(bench)[1]?.metadata.annotations?.['deployment.kubernetes.io/revision-history'], '1');
    assert.equal(web(bench).metadata.annotations?.['deployment.kubernetes.io/revision'], '3');
  });

  it('scales in proportion in the midst of a rollout', async () => {
    await using bench = new Bench();
    bench.startKubelet({ ready: (pod) => image(pod) !== 'broken' });
    await running(
      bench,
      deployment(10, {
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } },
      }),
    );
    await bench.until(() => rolledOut(bench, 10), 'the first rollout');
    setImage(bench, 'broken');
    await bench.settle();
    const sizes = (): Array<number | undefined> => sets(bench).map((rs) => rs.spec?.replicas);
    assert.deepEqual(sizes(), [8, 5]);
    await bench.cluster.client.patch(
      apps.deployments,
      'web',
      'merge',
      { spec: { replicas: 15 } },
      { namespace: 'n' },
    );
    await bench.settle();
    // The example in the documentation of proportional scaling.
    assert.deepEqual(sizes(), [11, 7]);
  });

  it('scales at once without a rollout', async () => {
    await using bench = new Bench();
    bench.startKubelet();
    await running(bench);
    await bench.until(() => rolledOut(bench, 3), 'the rollout');
    await bench.cluster.client.patch(
      apps.deployments,
      'web',
      'merge',
      { spec: { replicas: 5 } },
      { namespace: 'n' },
    );
    await bench.until(() => rolledOut(bench, 5), 'five');
    await bench.settle();
    assert.match(bench.events('ScalingReplicaSet')[1] ?? '', /Scaled up replica set web-\w+ from 3 to 5$/);
    assert.equal(sets(bench)[0]?.metadata.annotations?.['deployment.kubernetes.io/max-replicas'], '7');
    assert.equal(sets(bench).length, 1);
  });

  it('Recreate ends every old pod before it makes a new one', async () => {
    await using bench = new Bench();
    bench.startKubelet();
    await running(bench, deployment(3, { strategy: { type: 'Recreate' } }));
    await bench.until(() => rolledOut(bench, 3), 'the first rollout');
    const mixed: string[] = [];
    bench.informers.of(core.pods).addHandler({
      add: () => {
        const images = new Set(bench.cluster.objects(core.pods, 'n').map(image));
        if (images.size > 1) mixed.push([...images].join());
      },
    });
    setImage(bench, 'v2');
    await bench.until(() => rolledOut(bench, 3) && sets(bench).length === 2, 'the second rollout');
    assert.deepEqual(mixed, []);
  });

  it('while paused it scales but does not roll out', async () => {
    await using bench = new Bench();
    bench.startKubelet();
    await running(bench);
    await bench.until(() => rolledOut(bench, 3), 'the rollout');
    await bench.cluster.client.patch(
      apps.deployments,
      'web',
      'merge',
      { spec: { paused: true } },
      { namespace: 'n' },
    );
    setImage(bench, 'v2');
    await bench.settle();
    assert.equal(condition(bench, 'Progressing'), 'Unknown DeploymentPaused Deployment is paused');
    assert.equal(sets(bench).length, 1);
    await bench.cluster.client.patch(
      apps.deployments,
      'web',
      'merge',
      { spec: { replicas: 4 } },
      { namespace: 'n' },
    );
    await bench.until(() => web(bench).status?.availableReplicas === 4, 'the scaling');
    await bench.cluster.client.patch(
      apps.deployments,
      'web',
      'merge',
      { spec: { paused: null } },
      { namespace: 'n' },
    );
    await bench.until(
      () => rolledOut(bench, 4) && sets(bench).length === 2,
      'the rollout of what changed meanwhile',
    );
  });

  it('keeps as many old ReplicaSets as revisionHistoryLimit says', async () => {
    await using bench = new Bench();
    bench.startKubelet();
    await running(bench, deployment(1, { revisionHistoryLimit: 2 }));
    for (const version of ['v2', 'v3', 'v4', 'v5']) {
      setImage(bench, version);
      await bench.until(
        () =>
          rolledOut(bench, 1) && sets(bench).some((rs) => image(rs) === version && rs.spec?.replicas === 1),
        version,
      );
      await bench.settle();
    }
    assert.deepEqual(sets(bench).map(image), ['v3', 'v4', 'v5']);
  });

  it('finds another name when the hash is taken by another template', async () => {
    await using bench = new Bench();
    const d = deployment(1);
    const taken = `web-${podTemplateHash(d.spec?.template, undefined)}`;
    bench.cluster.seed(apps.replicasets, {
      metadata: { name: taken, namespace: 'n' },
      spec: { replicas: 0, selector: { matchLabels: { app: 'other' } } },
    });
    bench.startKubelet();
    await running(bench, d);
    await bench.pass(1);
    assert.equal(rolledOut(bench, 1), true);
    assert.equal(web(bench).status?.collisionCount, 1);
    assert.equal(sets(bench).length, 2);
  });

  it('says when it cannot create a ReplicaSet', async () => {
    await using bench = new Bench();
    bench.cluster.intercept((call) =>
      call.verb === 'create' && call.resource.kind === 'ReplicaSet'
        ? errors.forbidden(apps.replicasets, 'web', 'exceeded quota')
        : undefined,
    );
    await running(bench);
    await bench.settle();
    assert.match(
      condition(bench, 'Progressing'),
      /^False ReplicaSetCreateError Failed to create new replica set "web-\w+": replicasets\.apps "web" is forbidden: exceeded quota$/,
    );
    assert.match(bench.events()[0] ?? '', /^Warning ReplicaSetCreateError Failed to create new replica set/);
  });

  it('goes back to the revision that the rollback annotation asks for', async () => {
    await using bench = new Bench();
    bench.startKubelet();
    await running(bench, deployment(1));
    await bench.until(() => rolledOut(bench, 1), 'v1');
    setImage(bench, 'v2');
    await bench.until(() => rolledOut(bench, 1) && sets(bench).length === 2, 'v2');
    const annotations = { 'deprecated.deployment.rollback.revision': '0' };
    await bench.cluster.client.patch(
      apps.deployments,
      'web',
      'merge',
      { metadata: { annotations } },
      { namespace: 'n' },
    );
    await bench.until(
      () => web(bench).spec?.template.spec?.containers[0]?.image === 'v1',
      'the old template',
    );
    await bench.until(() => rolledOut(bench, 1), 'the way back');
    await bench.settle();
    assert.deepEqual(bench.events('DeploymentRollback'), [
      'Normal DeploymentRollback Rolled back deployment "web" to revision 1',
    ]);
    assert.equal(web(bench).metadata.annotations?.['deprecated.deployment.rollback.revision'], undefined);
  });

  it('adopts a ReplicaSet that has its template, and takes its pods over without a restart', async () => {
    await using bench = new Bench();
    bench.startKubelet();
    await running(bench);
    await bench.until(() => rolledOut(bench, 3), 'the rollout');
    const before = bench.cluster.objects(core.pods, 'n').map((pod) => pod.metadata.uid);
    await bench.cluster.client.delete(apps.deployments, 'web', {
      namespace: 'n',
      propagationPolicy: 'Background',
    });
    bench.cluster.change(apps.replicasets, sets(bench)[0]?.metadata.name ?? '', 'n', (rs) => {
      delete rs.metadata.ownerReferences;
    });
    await bench.cluster.client.create(apps.deployments, deployment(3));
    await bench.until(() => rolledOut(bench, 3), 'the adoption');
    assert.equal(sets(bench).length, 1);
    assert.deepEqual(
      bench.cluster.objects(core.pods, 'n').map((pod) => pod.metadata.uid),
      before,
    );
  });

  it('has pods made within milliseconds of apply', async () => {
    await using bench = new Bench();
    await bench.start(startDeploymentController, startReplicaSetController);
    const startedAtMs = performance.now();
    const created = new Promise<void>((resolve) =>
      bench.informers.of(core.pods).addHandler({ add: () => resolve() }),
    );
    await bench.cluster.client.create(apps.deployments, deployment(1));
    await created;
    assert.ok(performance.now() - startedAtMs < 500, 'no step of the way may wait for a timer');
    assert.equal(bench.clock.monotonicMs(), 0);
  });
});

describe('pod template hash', () => {
  it('is FNV-1a over a stable text', () => {
    assert.equal(fnv1a32(Buffer.from('')), 0x811c9dc5);
    assert.equal(fnv1a32(Buffer.from('foobar')), 0xbf9cf968);
    const a = podTemplateHash(
      { metadata: { labels: { a: '1', b: '2' } }, spec: { containers: [] } },
      undefined,
    );
    assert.equal(
      podTemplateHash({ spec: { containers: [] }, metadata: { labels: { b: '2', a: '1' } } }, undefined),
      a,
    );
    assert.notEqual(podTemplateHash({ metadata: { labels: { a: '1', b: '2' } } }, 1), a);
  });
});
