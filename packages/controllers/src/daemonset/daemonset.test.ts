import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apps, core } from '@cloudless/kube/resources';
import type { DaemonSet, DaemonSetSpec } from '@cloudless/kube/types/apps-v1';
import type { Node, Pod } from '@cloudless/kube/types/core-v1';
import { Bench } from '../testing/bench.ts';
import { startDaemonSetController } from './daemonset.ts';
import { placement, targetNode } from './placement.ts';

const daemonSet = (spec: Partial<DaemonSetSpec> = {}, image = 'v1'): DaemonSet => ({
  metadata: { name: 'agent', namespace: 'n' },
  spec: {
    selector: { matchLabels: { app: 'agent' } },
    template: { metadata: { labels: { app: 'agent' } }, spec: { containers: [{ name: 'c', image }] } },
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
    revisionHistoryLimit: 10,
    ...spec,
  },
});
const node = (name: string, edit: Partial<Node> = {}): Node => ({ metadata: { name }, spec: {}, ...edit });
const pods = (bench: Bench): Pod[] =>
  bench.cluster.objects(core.pods, 'n').filter((pod) => pod.metadata.deletionTimestamp === undefined);
const targets = (bench: Bench): string[] =>
  pods(bench)
    .map((pod) => targetNode(pod) ?? '?')
    .sort();
const agent = (bench: Bench): DaemonSet | undefined => bench.cluster.object(apps.daemonsets, 'agent', 'n');
const image = (pod: Pod): string | undefined => pod.spec?.containers[0]?.image;
const setImage = (bench: Bench, to: string): unknown =>
  bench.cluster.change(apps.daemonsets, 'agent', 'n', (ds) => {
    const container = ds.spec?.template.spec?.containers[0];
    if (container) container.image = to;
    ds.metadata.generation = (ds.metadata.generation ?? 0) + 1;
  });

/** Binds each pod to the node it names, then reports it running. */
function kubelets(bench: Bench, ready: (pod: Pod) => boolean = () => true): void {
  bench.informers.of(core.pods).addHandler({
    add: (pod) => {
      if (pod.spec?.nodeName) return;
      const { name = '', namespace } = pod.metadata;
      queueMicrotask(() => {
        if (!bench.cluster.object(core.pods, name, namespace)) return;
        bench.cluster.change(core.pods, name, namespace, (copy) => {
          copy.spec = { containers: [], ...copy.spec, nodeName: targetNode(pod) ?? '' };
        });
      });
    },
  });
  bench.startKubelet({ runs: (pod) => !!pod.spec?.nodeName, ready });
}

async function started(...nodes: Node[]): Promise<Bench> {
  const bench = new Bench();
  bench.cluster.seed(core.nodes, ...nodes);
  await bench.start(startDaemonSetController);
  return bench;
}

describe('daemon set controller', () => {
  it('runs a pod on each node, new ones included, and tells its state', async () => {
    await using bench = await started(node('a'), node('b'));
    kubelets(bench);
    const ds = await bench.cluster.client.create(apps.daemonsets, daemonSet());
    await bench.until(() => agent(bench)?.status?.numberAvailable === 2, 'two pods');
    bench.cluster.seed(core.nodes, node('c'));
    await bench.until(() => agent(bench)?.status?.numberAvailable === 3, 'the third');
    await bench.settle();
    assert.deepEqual(targets(bench), ['a', 'b', 'c']);
    assert.deepEqual(agent(bench)?.status, {
      observedGeneration: 1,
      desiredNumberScheduled: 3,
      currentNumberScheduled: 3,
      numberMisscheduled: 0,
      numberReady: 3,
      updatedNumberScheduled: 3,
      numberAvailable: 3,
    });
    const [revision] = bench.cluster.objects(apps.controllerrevisions, 'n');
    assert.equal(revision?.revision, 1);
    assert.equal(revision.metadata.ownerReferences?.[0]?.uid, ds.metadata.uid);
    const [pod] = pods(bench) as [Pod];
    assert.equal(
      pod.metadata.labels?.['controller-revision-hash'],
      revision.metadata.labels?.['controller-revision-hash'],
    );
    assert.ok(pod.spec?.tolerations?.some((one) => one.key === 'node.kubernetes.io/unschedulable'));
  });

  it('keeps off nodes it does not want, and leaves those that cease to suit', async () => {
    const labels = { disk: 'ssd' };
    const taint = { key: 'dedicated', value: 'x', effect: 'NoSchedule' };
    await using bench = await started(
      node('a', { metadata: { name: 'a', labels } }),
      node('b'),
      node('c', { metadata: { name: 'c', labels }, spec: { taints: [taint] } }),
      node('d', {
        metadata: { name: 'd', labels },
        spec: {
          unschedulable: true,
          taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }],
        },
      }),
    );
    kubelets(bench);
    const template = daemonSet().spec?.template;
    bench.cluster.seed(
      apps.daemonsets,
      daemonSet({
        template: { ...template, spec: { containers: [{ name: 'c', image: 'v1' }], nodeSelector: labels } },
      }),
    );
    await bench.until(() => targets(bench).join() === 'a,d', 'two pods');
    bench.cluster.change(core.nodes, 'a', undefined, (copy) => (copy.metadata.labels = {}));
    bench.cluster.change(core.nodes, 'd', undefined, (copy) => (copy.spec = { taints: [taint] }));
    bench.cluster.change(core.nodes, 'b', undefined, (copy) => (copy.metadata.labels = labels));
    await bench.until(() => targets(bench).join() === 'b,d', 'the move');
    await bench.settle();
    assert.equal(agent(bench)?.status?.numberMisscheduled, 1);
    bench.cluster.change(
      core.nodes,
      'd',
      undefined,
      (copy) => (copy.spec = { taints: [{ ...taint, effect: 'NoExecute' }] }),
    );
    await bench.until(() => targets(bench).join() === 'b', 'the end of the misplaced one');
  });

  it('replaces pods one by one, never with fewer available than allowed', async () => {
    await using bench = await started(...'abcd'.split('').map((name) => node(name)));
    kubelets(bench);
    bench.cluster.seed(apps.daemonsets, daemonSet());
    await bench.until(() => agent(bench)?.status?.numberAvailable === 4, 'four pods');
    await bench.settle();
    let least = 4;
    bench.informers.of(core.pods).addHandler({
      update: () =>
        (least = Math.min(least, pods(bench).filter((pod) => pod.status?.phase === 'Running').length)),
    });
    setImage(bench, 'v2');
    await bench.until(
      () =>
        pods(bench).length === 4 &&
        pods(bench).every((pod) => image(pod) === 'v2') &&
        agent(bench)?.status?.updatedNumberScheduled === 4,
      'the update',
    );
    assert.ok(least >= 3, `only ${least} ran`);
    assert.deepEqual(
      bench.cluster
        .objects(apps.controllerrevisions, 'n')
        .map((one) => one.revision)
        .sort((a, b) => a - b),
      [1, 2],
    );
    setImage(bench, 'v1');
    await bench.until(
      () => pods(bench).length === 4 && pods(bench).every((pod) => image(pod) === 'v1'),
      'the way back',
    );
    assert.deepEqual(
      bench.cluster
        .objects(apps.controllerrevisions, 'n')
        .map((one) => one.revision)
        .sort((a, b) => a - b),
      [2, 3],
    );
  });

  it('an update whose pods do not become ready stops at the first', async () => {
    await using bench = await started(...'abcd'.split('').map((name) => node(name)));
    kubelets(bench, (pod) => image(pod) !== 'broken');
    bench.cluster.seed(apps.daemonsets, daemonSet());
    await bench.until(() => agent(bench)?.status?.numberAvailable === 4, 'four pods');
    setImage(bench, 'broken');
    await bench.pass(5);
    assert.deepEqual(
      pods(bench)
        .map((pod) => image(pod) ?? '')
        .sort(),
      ['broken', 'v1', 'v1', 'v1'],
    );
  });

  it('with surge the new pod is available before the old one goes', async () => {
    await using bench = await started(node('a'), node('b'));
    kubelets(bench);
    bench.cluster.seed(
      apps.daemonsets,
      daemonSet({
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      }),
    );
    await bench.until(() => agent(bench)?.status?.numberAvailable === 2, 'two pods');
    await bench.settle();
    let least = 2;
    bench.informers.of(core.pods).addHandler({
      update: () => {
        const ready = pods(bench).filter((pod) =>
          pod.status?.conditions?.some((one) => one.status === 'True'),
        );
        least = Math.min(least, new Set(ready.map(targetNode)).size);
      },
    });
    setImage(bench, 'v2');
    await bench.until(
      () => pods(bench).length === 2 && pods(bench).every((pod) => image(pod) === 'v2'),
      'the update',
    );
    assert.equal(least, 2);
  });

  it('OnDelete waits for somebody to delete', async () => {
    await using bench = await started(node('a'));
    kubelets(bench);
    bench.cluster.seed(apps.daemonsets, daemonSet({ updateStrategy: { type: 'OnDelete' } }));
    await bench.until(() => agent(bench)?.status?.numberAvailable === 1, 'the pod');
    setImage(bench, 'v2');
    await bench.settle();
    assert.deepEqual(pods(bench).map(image), ['v1']);
    bench.cluster.remove(core.pods, pods(bench)[0]?.metadata.name ?? '', 'n');
    await bench.until(() => pods(bench).map(image).join() === 'v2', 'the new one');
  });

  it('replaces failed pods with growing patience, and removes doubles', async () => {
    await using bench = await started(node('a'));
    kubelets(bench);
    bench.cluster.seed(apps.daemonsets, daemonSet());
    await bench.until(() => agent(bench)?.status?.numberAvailable === 1, 'the pod');
    const fail = (): void => {
      bench.cluster.change(
        core.pods,
        pods(bench)[0]?.metadata.name ?? '',
        'n',
        (pod) => (pod.status = { phase: 'Failed' }),
      );
    };
    fail();
    await bench.until(() => bench.events('FailedDaemonPod').length === 1, 'the event');
    await bench.settle();
    assert.equal(pods(bench)[0]?.status?.phase, 'Running');
    fail();
    await bench.settle();
    assert.equal(pods(bench)[0]?.status?.phase, 'Failed');
    await bench.pass(2);
    assert.equal(pods(bench)[0]?.status?.phase, 'Running');
    const [one] = pods(bench) as [Pod];
    const { name: _, uid: __, ...metadata } = one.metadata;
    bench.cluster.seed(core.pods, {
      ...one,
      metadata: { ...metadata, name: 'zz-double', creationTimestamp: '2026-01-01T01:00:00Z' },
    });
    await bench.until(() => pods(bench).length === 1, 'the end of the double');
    assert.equal(pods(bench)[0]?.metadata.name, one.metadata.name);
  });

  it('a pod for a pinned or affine template fits only its node', () => {
    const on = (spec: object): string[] =>
      ['a', 'b'].filter(
        (name) =>
          placement(
            daemonSet({ template: { spec: { containers: [], ...spec } } }),
            node(name, { metadata: { name, labels: { n: name } } }),
          ).run,
      );
    const affine = (term: object): object => ({
      affinity: {
        nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } },
      },
    });
    assert.deepEqual(on({ nodeName: 'a' }), ['a']);
    assert.deepEqual(on(affine({ matchExpressions: [{ key: 'n', operator: 'NotIn', values: ['a'] }] })), [
      'b',
    ]);
    assert.deepEqual(on(affine({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['a'] }] })), [
      'a',
    ]);
    assert.deepEqual(on(affine({})), []);
  });
});
