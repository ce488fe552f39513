import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apps, core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { Namespace } from '@cloudless/kube/types/core-v1';
import { Bench } from '../testing/bench.ts';
import { startNamespaceController } from './namespace.ts';

const namespace = (bench: Bench): Namespace | undefined => bench.cluster.object(core.namespaces, 'work');

async function started(): Promise<Bench> {
  const bench = new Bench();
  await bench.start(startNamespaceController);
  bench.cluster.seed(core.namespaces, { metadata: { name: 'work' } }, { metadata: { name: 'other' } });
  bench.cluster.seed(
    core.configmaps,
    { metadata: { name: 'a', namespace: 'work' } },
    { metadata: { name: 'a', namespace: 'other' } },
  );
  bench.cluster.seed(apps.replicasets, {
    metadata: { name: 'r', namespace: 'work' },
    spec: { selector: {} },
  });
  return bench;
}

describe('namespace controller', () => {
  it('empties a deleted namespace and lets it go, and touches no other', async () => {
    await using bench = await started();
    await bench.cluster.client.delete(core.namespaces, 'work');
    await bench.until(() => namespace(bench) === undefined, 'its end');
    assert.equal(bench.cluster.objects(core.configmaps, 'work').length, 0);
    assert.equal(bench.cluster.objects(apps.replicasets, 'work').length, 0);
    assert.equal(bench.cluster.objects(core.configmaps, 'other').length, 1);
  });

  it('waits for pods in their grace before it deletes what they use, and goes on the moment they are gone', async () => {
    await using bench = await started();
    bench.cluster.seed(core.pods, {
      metadata: { name: 'p', namespace: 'work' },
      spec: { nodeName: 'a', terminationGracePeriodSeconds: 30, containers: [] },
    });
    await bench.cluster.client.delete(core.namespaces, 'work');
    await bench.settle();
    assert.ok(bench.cluster.object(core.pods, 'p', 'work')?.metadata.deletionTimestamp);
    assert.equal(bench.cluster.objects(core.configmaps, 'work').length, 1);
    const conditions = Object.fromEntries(
      (namespace(bench)?.status?.conditions ?? []).map((one) => [one.type, one]),
    );
    assert.equal(conditions['NamespaceContentRemaining']?.status, 'True');
    assert.equal(conditions['NamespaceContentRemaining']?.reason, 'SomeResourcesRemain');
    assert.equal(
      conditions['NamespaceContentRemaining']?.message,
      'Some resources are remaining: pods has 1 resource instances',
    );
    assert.equal(conditions['NamespaceDeletionContentFailure']?.status, 'False');
    bench.cluster.remove(core.pods, 'p', 'work');
    await bench.until(() => namespace(bench) === undefined, 'its end');
  });

  it('says which finalizers keep it', async () => {
    await using bench = await started();
    bench.cluster.change(
      core.configmaps,
      'a',
      'work',
      (object) => (object.metadata.finalizers = ['example.com/hold']),
    );
    await bench.cluster.client.delete(core.namespaces, 'work');
    await bench.settle();
    const message = (type: string): string | undefined =>
      namespace(bench)?.status?.conditions?.find((one) => one.type === type)?.message;
    assert.equal(
      message('NamespaceFinalizersRemaining'),
      'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances',
    );
    await bench.cluster.client.patch(
      core.configmaps,
      'a',
      'merge',
      { metadata: { finalizers: null } },
      { namespace: 'work' },
    );
    await bench.pass(20);
    assert.equal(namespace(bench), undefined);
  });

  it('a kind that cannot be deleted is told of and tried again; the rest goes', async () => {
    await using bench = await started();
    let broken = true;
    bench.cluster.intercept((call) =>
      broken && call.verb === 'deletecollection' && call.resource.plural === 'configmaps'
        ? errors.internal('webhook down')
        : undefined,
    );
    await bench.cluster.client.delete(core.namespaces, 'work');
    await bench.settle();
    assert.equal(bench.cluster.objects(apps.replicasets, 'work').length, 0);
    const failure = namespace(bench)?.status?.conditions?.find(
      (one) => one.type === 'NamespaceDeletionContentFailure',
    );
    assert.equal(
      failure?.message,
      'Failed to delete all resource types, 1 remaining: Internal error occurred: webhook down',
    );
    broken = false;
    await bench.pass(2);
    assert.equal(namespace(bench), undefined);
  });

  it('leaves finalizers that are not its own', async () => {
    await using bench = await started();
    bench.cluster.change(core.namespaces, 'work', undefined, (object) => {
      object.spec = { finalizers: ['kubernetes', 'example.com/more'] };
    });
    await bench.cluster.client.delete(core.namespaces, 'work');
    await bench.settle();
    assert.deepEqual(namespace(bench)?.spec?.finalizers, ['example.com/more']);
  });
});
