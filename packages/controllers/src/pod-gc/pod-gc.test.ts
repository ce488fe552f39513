import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { Bench } from '../testing/bench.ts';
import { startPodGcController } from './pod-gc.ts';

const pod = (name: string, node?: string, status: Pod['status'] = { phase: 'Running' }): Pod => ({
  metadata: { name, namespace: 'n' },
  spec: { containers: [], ...(node === undefined ? {} : { nodeName: node }) },
  status,
});
const names = (bench: Bench): Array<string | undefined> =>
  bench.cluster.objects(core.pods).map((one) => one.metadata.name);

describe('pod garbage collector', () => {
  it('removes pods of a node that stays gone, telling why first', async () => {
    await using bench = new Bench();
    bench.cluster.seed(core.nodes, { metadata: { name: 'a' } }, { metadata: { name: 'b' } });
    bench.cluster.seed(core.pods, pod('on-a', 'a'), pod('on-b', 'b'), pod('lost', 'never-was'));
    await bench.start(startPodGcController);
    bench.cluster.remove(core.nodes, 'a');
    await bench.pass(39);
    assert.deepEqual(names(bench), ['lost', 'on-a', 'on-b']);
    const patched: unknown[] = [];
    bench.cluster.intercept((call) => {
      if (call.verb === 'patch') patched.push(call.body);
      return undefined;
    });
    await bench.pass(3);
    assert.deepEqual(names(bench), ['on-b']);
    assert.equal(patched.length, 2);
    const { status } = patched[0] as { status: Pod['status'] };
    assert.equal(status?.phase, 'Failed');
    assert.deepEqual(
      [status.conditions?.[0]?.type, status.conditions?.[0]?.reason, status.conditions?.[0]?.message],
      ['DisruptionTarget', 'DeletionByPodGC', 'PodGC: node no longer exists'],
    );
  });

  it('spares the pods of a node that comes back', async () => {
    await using bench = new Bench();
    bench.cluster.seed(core.nodes, { metadata: { name: 'a' } });
    bench.cluster.seed(core.pods, pod('on-a', 'a'));
    await bench.start(startPodGcController);
    bench.cluster.remove(core.nodes, 'a');
    await bench.pass(20);
    bench.cluster.seed(core.nodes, { metadata: { name: 'a' } });
    await bench.pass(40);
    assert.deepEqual(names(bench), ['on-a']);
  });

  it('removes pods that were deleted before any node had them', async () => {
    await using bench = new Bench();
    await bench.start(startPodGcController);
    const [one] = bench.cluster.seed(core.pods, pod('p'));
    bench.cluster.change(core.pods, one?.metadata.name ?? '', 'n', (copy) => {
      copy.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
      copy.metadata.deletionGracePeriodSeconds = 30;
    });
    await bench.until(() => names(bench).length === 0, 'its end');
  });

  it('removes deleted pods of a node that is out of service', async () => {
    await using bench = new Bench();
    bench.cluster.seed(core.nodes, { metadata: { name: 'a' } });
    bench.cluster.seed(core.pods, pod('deleted', 'a'), pod('other', 'a'));
    await bench.start(startPodGcController);
    await bench.cluster.client.delete(core.pods, 'deleted', { namespace: 'n' });
    await bench.settle();
    assert.equal(names(bench).length, 2);
    bench.cluster.change(core.nodes, 'a', undefined, (node) => {
      node.spec = { taints: [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }] };
    });
    await bench.until(() => names(bench).length === 1, 'one');
    assert.deepEqual(names(bench), ['other']);
  });
});
