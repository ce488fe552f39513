import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type KubeObject, apiVersionOf } from '@cloudless/kube/object';
import { apps, core, policy } from '@cloudless/kube/resources';
import { formatTime } from '@cloudless/kube/time';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { PodDisruptionBudget } from '@cloudless/kube/types/policy-v1';
import { Bench } from '../testing/bench.ts';
import { startDisruptionController } from './disruption.ts';

const labels = { app: 'x' };
const namespace = 'n';

function budget(spec: PodDisruptionBudget['spec']): PodDisruptionBudget {
  return {
    metadata: { name: 'b', namespace, generation: 1 },
    spec: { selector: { matchLabels: labels }, ...spec },
  };
}

function pod(
  name: string,
  owner?: { apiVersion: string; kind: string; name: string; uid: string },
  ready = true,
): Pod {
  return {
    metadata: {
      name,
      namespace,
      labels,
      ...(owner ? { ownerReferences: [{ ...owner, controller: true }] } : {}),
    },
    spec: { containers: [] },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  };
}

const ownerOf = (resource: { group: string; version: string; kind: string }, object: KubeObject) => ({
  apiVersion: apiVersionOf(resource),
  kind: resource.kind,
  name: object.metadata.name ?? '',
  uid: object.metadata.uid ?? '',
});

const statusOf = (bench: Bench): Partial<NonNullable<PodDisruptionBudget['status']>> =>
  bench.cluster.object(policy.poddisruptionbudgets, 'b', namespace)?.status ?? {};
/** currentHealthy/desiredHealthy of expectedPods: disruptionsAllowed (reason). */
const told = (bench: Bench): string => {
  const { currentHealthy, desiredHealthy, expectedPods, disruptionsAllowed, conditions } = statusOf(bench);
  return `${currentHealthy}/${desiredHealthy} of ${expectedPods}: ${disruptionsAllowed} ${conditions?.[0]?.reason}`;
};
const becomes = async (bench: Bench, what: string): Promise<void> => {
  try {
    await bench.until(() => told(bench) === what, what);
  } catch {
    assert.equal(told(bench), what);
  }
};
/** A Deployment of so many replicas with its ReplicaSet; the reference to that. */
function deployment(bench: Bench, replicas: number) {
  const [d] = bench.cluster.seed(apps.deployments, {
    metadata: { name: 'd', namespace },
    spec: { replicas, selector: {}, template: {} },
  });
  const reference = { ...ownerOf(apps.deployments, d as KubeObject), controller: true };
  const [rs] = bench.cluster.seed(apps.replicasets, {
    metadata: { name: 'd-1', namespace, ownerReferences: [reference] },
    // A rollout has several sets; what counts is the Deployment's number.
    spec: { replicas: 1, selector: {} },
  });
  return ownerOf(apps.replicasets, rs as KubeObject);
}

describe('disruption controller', () => {
  it('counts a number that must be available, as pods come, get ready and go', async () => {
    await using bench = new Bench();
    bench.cluster.seed(policy.poddisruptionbudgets, budget({ minAvailable: 1 }));
    await bench.start(startDisruptionController);
    await becomes(bench, '0/1 of 0: 0 InsufficientPods');
    assert.deepEqual(bench.events('NoPods'), ['Normal NoPods No matching pods found']);
    bench.cluster.seed(core.pods, pod('a'), pod('b'), pod('c', undefined, false));
    await becomes(bench, '2/1 of 3: 1 SufficientPods');
    const [condition] = statusOf(bench).conditions ?? [];
    assert.deepEqual(
      [condition?.type, condition?.status, condition?.message, condition?.observedGeneration],
      ['DisruptionAllowed', 'True', '', 1],
    );
    bench.cluster.change(core.pods, 'a', namespace, (copy) => {
      copy.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
    });
    await becomes(bench, '1/1 of 3: 0 InsufficientPods');
    bench.cluster.change(core.pods, 'b', namespace, (copy) => {
      copy.metadata.labels = {};
    });
    await becomes(bench, '0/1 of 2: 0 InsufficientPods');
    bench.cluster.change(policy.poddisruptionbudgets, 'b', namespace, (copy) => {
      copy.spec = { ...copy.spec, minAvailable: 0 };
      copy.metadata.generation = 2;
    });
    await bench.until(() => statusOf(bench).observedGeneration === 2, 'the new generation');
  });

  it('takes percentages, and what may be unavailable, of what the owners want', async () => {
    for (const [spec, what] of [
      [{ minAvailable: '50%' }, '2/3 of 5: 0 InsufficientPods'],
      [{ minAvailable: '20%' }, '2/1 of 5: 1 SufficientPods'],
      [{ maxUnavailable: 4 }, '2/1 of 5: 1 SufficientPods'],
      [{ maxUnavailable: '30%' }, '2/3 of 5: 0 InsufficientPods'],
      [{ maxUnavailable: 9 }, '2/0 of 5: 2 SufficientPods'],
    ] as const) {
      await using bench = new Bench();
      const set = deployment(bench, 5);
      bench.cluster.seed(core.pods, pod('a', set), pod('b', set));
      bench.cluster.seed(policy.poddisruptionbudgets, budget(spec));
      await bench.start(startDisruptionController);
      await becomes(bench, what);
    }
  });

  it('adds up owners of every kind, those that only have a scale too', async () => {
    await using bench = new Bench();
    const [stateful] = bench.cluster.seed(apps.statefulsets, {
      metadata: { name: 's', namespace },
      spec: { replicas: 3, selector: {}, serviceName: '', template: {} },
    });
    const [rc] = bench.cluster.seed(core.replicationcontrollers, {
      metadata: { name: 'rc', namespace },
      spec: { replicas: 2 },
    });
    // Stands for a kind that the controller has no informer of.
    const [other] = bench.cluster.seed(apps.daemonsets, {
      metadata: { name: 'o', namespace },
      spec: { selector: {}, template: {}, replicas: 4 } as never,
    });
    bench.cluster.seed(
      core.pods,
      pod('a', ownerOf(apps.statefulsets, stateful as KubeObject)),
      pod('b', ownerOf(core.replicationcontrollers, rc as KubeObject)),
      pod('c', ownerOf(apps.daemonsets, other as KubeObject)),
      pod('d', deployment(bench, 1)),
    );
    bench.cluster.seed(policy.poddisruptionbudgets, budget({ maxUnavailable: 7 }));
    await bench.start(startDisruptionController);
    await becomes(bench, '4/3 of 10: 1 SufficientPods');
  });

  it('allows nothing where it cannot count, and says why', async () => {
    await using bench = new Bench();
    const gone = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'gone', uid: 'u' };
    bench.cluster.seed(core.pods, pod('a', gone));
    bench.cluster.seed(policy.poddisruptionbudgets, budget({ maxUnavailable: 1 }));
    await bench.start(startDisruptionController);
    await bench.until(() => statusOf(bench).conditions?.[0]?.reason === 'SyncFailed', 'the failure');
    const { conditions, disruptionsAllowed } = statusOf(bench);
    assert.equal(disruptionsAllowed, 0);
    assert.match(conditions?.[0]?.message ?? '', /apps\.?|replicasets|found no controllers for pod "a"/);
    await bench.settle();
    assert.match(
      bench.events('CalculateExpectedPodCountFailed').join('\n'),
      /Failed to calculate the number of expected pods: /,
    );
  });

  it('warns of pods without an owner and of pods under several budgets', async () => {
    await using bench = new Bench();
    bench.cluster.seed(core.pods, pod('a'));
    const second = budget({ minAvailable: 1 });
    second.metadata.name = 'c';
    bench.cluster.seed(policy.poddisruptionbudgets, budget({ maxUnavailable: 1 }), second);
    await bench.start(startDisruptionController);
    bench.cluster.change(core.pods, 'a', namespace, (copy) => {
      copy.metadata.annotations = { seen: 'again' };
    });
    await bench.settle();
    assert.match(
      bench.events('UnmanagedPods')[0] ?? '',
      /^Warning UnmanagedPods Pods selected by this PodDisruptionBudget \(selector: &LabelSelector\{MatchLabels:map\[string\]string\{app: x,\},MatchExpressions:\[\]LabelSelectorRequirement\{\},\}\) were found to be unmanaged\./,
    );
    assert.match(
      bench.events('MultiplePodDisruptionBudgets')[0] ?? '',
      /Pod "n"\/"a" matches multiple PodDisruptionBudgets\. {2}Chose "[bc]" arbitrarily\./,
    );
  });

  it('counts granted evictions as gone until they are, or two minutes have passed', async () => {
    await using bench = new Bench();
    bench.cluster.seed(core.pods, pod('a'), pod('b'), pod('c'));
    bench.cluster.seed(policy.poddisruptionbudgets, budget({ minAvailable: 1 }));
    await bench.start(startDisruptionController);
    await becomes(bench, '3/1 of 3: 2 SufficientPods');
    bench.cluster.change(policy.poddisruptionbudgets, 'b', namespace, (copy) => {
      const now = formatTime(bench.clock.nowMs());
      copy.status = {
        ...(copy.status as object),
        disruptionsAllowed: 0,
        disruptedPods: { a: now, b: now },
      } as never;
    });
    await becomes(bench, '1/1 of 3: 0 InsufficientPods');
    bench.cluster.remove(core.pods, 'a', namespace);
    await becomes(bench, '1/1 of 2: 0 InsufficientPods');
    await bench.until(
      () => Object.keys(statusOf(bench).disruptedPods ?? {}).join() === 'b',
      'a is confirmed',
    );
    await bench.pass(125);
    await becomes(bench, '2/1 of 2: 1 SufficientPods');
    assert.equal(statusOf(bench).disruptedPods, undefined);
    assert.deepEqual(bench.events('NotDeleted'), [
      "Warning NotDeleted Pod was expected by PDB n/b to be deleted but it wasn't",
    ]);
  });

  it('takes back the announcement of a disruption that did not come', async () => {
    await using bench = new Bench();
    const announced = pod('a');
    const condition = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: 'EvictionByEvictionAPI',
      lastTransitionTime: formatTime(bench.clock.nowMs()),
    };
    announced.status = { ...announced.status, conditions: [condition] };
    const kubelets = structuredClone(announced);
    kubelets.metadata.name = 'k';
    kubelets.status = { conditions: [{ ...condition, reason: 'TerminationByKubelet' }] };
    bench.cluster.seed(core.pods, announced, kubelets);
    await bench.start(startDisruptionController);
    const said = (name: string): string | undefined =>
      bench.cluster
        .object(core.pods, name, namespace)
        ?.status?.conditions?.find((each) => each.type === 'DisruptionTarget')?.status;
    await bench.pass(118);
    assert.deepEqual([said('a'), said('k')], ['True', 'True']);
    await bench.pass(4);
    assert.deepEqual([said('a'), said('k')], ['False', 'True']);
  });
});
