import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Node, Pod } from '@cloudless/kube/types/core-v1';
import { ClusterState } from '../state/cluster-state.ts';
import { podInfo } from '../state/pod-info.ts';
import { fitErrorMessage } from './fit-error.ts';
import { preempt } from './preempt.ts';
import { enoughNodes, schedule } from './schedule.ts';

let uids = 0;

function pod(
  name: string,
  spec: Partial<NonNullable<Pod['spec']>> = {},
  labels: Record<string, string> = {},
): Pod {
  return {
    metadata: { name, namespace: 'default', uid: `uid-${uids++}`, labels },
    spec: { containers: [{ name: 'c' }], ...spec },
  };
}

const asks = (cpu: string, memory = '1Mi'): Partial<NonNullable<Pod['spec']>> => ({
  containers: [{ name: 'c', resources: { requests: { cpu, memory } } }],
});

function node(
  name: string,
  more: { spec?: Node['spec']; labels?: Record<string, string>; allocatable?: object } = {},
): Node {
  return {
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...more.labels } },
    spec: more.spec ?? {},
    status: { allocatable: { cpu: '2', memory: '4Gi', pods: '110', ...more.allocatable } },
  };
}

/** A cluster with these nodes and pods on them. */
function cluster(nodes: Node[], placed: Record<string, Pod[]> = {}): ClusterState {
  const state = new ClusterState((name) => ({ 'kubernetes.io/metadata.name': name }));
  for (const one of nodes) state.setNode(one);
  for (const [name, pods] of Object.entries(placed)) {
    for (const one of pods) state.setPod({ ...one, spec: { containers: [], ...one.spec, nodeName: name } });
  }
  return state;
}

/** The chosen node's name, or the text of the event. */
function outcome(state: ClusterState, wanted: Pod): string {
  const info = podInfo(wanted);
  const snapshot = state.snapshot();
  const decision = schedule(info, snapshot, () => 0);
  if (decision.type === 'node') return decision.node.name;
  const preemption = preempt(info, snapshot, decision.misfit);
  const afterwards = preemption.type === 'evict' ? '' : preemption.message;
  return fitErrorMessage(snapshot.nodes.length, decision.misfit.refusals.values(), afterwards);
}

const taint = (key: string, effect = 'NoSchedule', value?: string) => ({
  key,
  effect,
  ...(value ? { value } : {}),
});

describe('filters', () => {
  it("tells per node why a pod fits nowhere, in upstream's words and order", () => {
    const state = cluster(
      [
        node('a', { spec: { taints: [taint('node.kubernetes.io/not-ready')] } }),
        node('b', { spec: { taints: [taint('dedicated', 'NoExecute', 'gpu')] } }),
        node('c', { spec: { unschedulable: true } }),
        node('d'),
        node('e'),
      ],
      { d: [pod('x', asks('1500m'))], e: [pod('y', asks('1500m'))] },
    );
    assert.equal(
      outcome(state, pod('p', asks('1'))),
      '0/5 nodes are available: 1 node(s) had untolerated taint {dedicated: gpu}, ' +
        '1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }, 1 node(s) were unschedulable, ' +
        '2 Insufficient cpu. preemption: 0/5 nodes are available: ' +
        '2 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling.',
    );
  });

  it('counts pods, processor, memory and extended resources', () => {
    const state = cluster([node('a', { allocatable: { pods: '1', 'example.com/gpu': '1' } })], {
      a: [pod('x')],
    });
    const wanted = pod('p', {
      containers: [
        { name: 'c', resources: { requests: { cpu: '3', memory: '5Gi', 'example.com/gpu': '2' } } },
      ],
    });
    assert.match(
      outcome(state, wanted),
      /^0\/1 nodes are available: 1 Insufficient cpu, 1 Insufficient example.com\/gpu, 1 Insufficient memory, 1 Too many pods\. preemption: 0\/1 nodes are available: 1 Preemption is not helpful for scheduling\.$/,
    );
  });

  it('adds sidecars and overhead, and takes the largest init container', () => {
    const request = (cpu: string) => ({ resources: { requests: { cpu } } });
    const info = podInfo(
      pod('p', {
        containers: [
          { name: 'a', ...request('500m') },
          { name: 'b', ...request('250m') },
        ],
        initContainers: [
          { name: 'i', ...request('600m') },
          { name: 's', restartPolicy: 'Always', ...request('100m') },
          { name: 'j', ...request('900m') },
        ],
        overhead: { cpu: '10m' },
      }),
    );
    assert.equal(info.requests.get('cpu'), 1010);
  });

  it('respects node selector, affinity and cordon', () => {
    const state = cluster([
      node('a', { labels: { disk: 'hdd', size: '3' } }),
      node('b', { labels: { disk: 'ssd', size: '12' } }),
    ]);
    assert.equal(outcome(state, pod('p', { nodeSelector: { disk: 'ssd' } })), 'b');
    const affine = (matchExpressions: Array<{ key: string; operator: string; values?: string[] }>) =>
      pod('p', {
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions }] },
          },
        },
      });
    assert.equal(outcome(state, affine([{ key: 'size', operator: 'Gt', values: ['9'] }])), 'b');
    assert.equal(outcome(state, affine([{ key: 'disk', operator: 'NotIn', values: ['ssd'] }])), 'a');
    assert.match(
      outcome(state, affine([{ key: 'none', operator: 'Exists' }])),
      /2 node\(s\) didn't match Pod's node affinity\/selector\. preemption: .* 2 Preemption is not helpful/,
    );
    const byName = pod('p', {
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['a'] }] }],
          },
        },
      },
    });
    assert.equal(outcome(state, byName), 'a');
  });

  it('tolerates taints by key, value, effect and all', () => {
    const state = cluster([node('a', { spec: { taints: [taint('k', 'NoSchedule', 'v')] } })]);
    for (const toleration of [
      { key: 'k', operator: 'Equal', value: 'v' },
      { key: 'k', operator: 'Exists', effect: 'NoSchedule' },
      { operator: 'Exists' },
    ]) {
      assert.equal(outcome(state, pod('p', { tolerations: [toleration] })), 'a');
    }
    const wrong = pod('p', { tolerations: [{ key: 'k', operator: 'Equal', value: 'w' }] });
    assert.match(outcome(state, wrong), /1 node\(s\) had untolerated taint \{k: v\}/);
  });

  it('gives a host port to one pod of a node', () => {
    const port = (hostIP?: string) => ({
      containers: [
        { name: 'c', ports: [{ containerPort: 80, hostPort: 8080, ...(hostIP ? { hostIP } : {}) }] },
      ],
    });
    const state = cluster([node('a')], { a: [pod('x', port('127.0.0.1'))] });
    assert.equal(outcome(state, pod('p', port('127.0.0.2'))), 'a');
    assert.match(
      outcome(state, pod('p', port())),
      /1 node\(s\) didn't have free ports for the requested pod ports/,
    );
  });

  it('keeps pods together or apart', () => {
    const web = { app: 'web' };
    const term = (topologyKey = 'kubernetes.io/hostname') => [
      { topologyKey, labelSelector: { matchLabels: web } },
    ];
    const apart = pod(
      'p',
      { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: term() } } },
      web,
    );
    const together = (labels: Record<string, string>) =>
      pod(
        'p',
        { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: term() } } },
        labels,
      );
    const state = cluster([node('a'), node('b')], { a: [pod('x', {}, web)] });
    assert.equal(outcome(state, apart), 'b');
    assert.equal(outcome(state, together({})), 'a');
    const empty = cluster([node('a')]);
    assert.equal(outcome(empty, together(web)), 'a', 'the first of a group');
    assert.match(outcome(empty, together({})), /1 node\(s\) didn't match pod affinity rules/);
    const full = cluster([node('a'), node('b')], {
      a: [apart],
      b: [{ ...apart, metadata: { ...apart.metadata, uid: 'other' } }],
    });
    assert.match(
      outcome(full, pod('q', {}, web)),
      /2 node\(s\) didn't satisfy existing pods anti-affinity rules/,
    );
    assert.match(
      outcome(full, pod('q', apart.spec, { app: 'other' })),
      /2 node\(s\) didn't match pod anti-affinity rules/,
    );
  });

  it('spreads over zones within the skew', () => {
    const web = { app: 'web' };
    const zone = (name: string, z: string): Node => node(name, { labels: { zone: z } });
    const spread = pod(
      'p',
      {
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: 'zone',
            whenUnsatisfiable: 'DoNotSchedule',
            labelSelector: { matchLabels: web },
          },
        ],
      },
      web,
    );
    const state = cluster([zone('a', '1'), zone('b', '2'), node('c')], { a: [pod('x', {}, web)] });
    assert.equal(outcome(state, spread), 'b');
    const cordoned = cluster(
      [zone('a', '1'), { ...zone('b', '2'), spec: { unschedulable: true } }, node('c')],
      { a: [pod('x', {}, web)] },
    );
    assert.match(
      outcome(cordoned, spread),
      /1 node\(s\) didn't match pod topology spread constraints, 1 node\(s\) didn't match pod topology spread constraints \(missing required label\), 1 node\(s\) were unschedulable/,
    );
  });
});

describe('a search in a large cluster', () => {
  it('is long enough as upstream counts', () => {
    // percentageOfNodesToScore 0: 50 percent less one per 125 nodes, at least 5 percent, at least 100 nodes.
    const expected = [
      [1, 1],
      [99, 99],
      [100, 100],
      [150, 100],
      [1000, 420],
      [5000, 500],
      [6000, 300],
    ] as const;
    for (const [nodes, enough] of expected) assert.equal(enoughNodes(nodes), enough, `${nodes} nodes`);
  });

  const zoned = (count: number): ClusterState =>
    cluster(
      // Zones come one after the other, as they do when machines are bought.
      Array.from({ length: count }, (_, i) =>
        node(`n${i}`, { labels: { 'topology.kubernetes.io/zone': i < count / 2 ? 'a' : 'b' } }),
      ),
    );

  it('goes on where the last one ended, and alternates between zones', () => {
    const state = zoned(400);
    const { nodes } = state.snapshot();
    assert.deepEqual(
      nodes.slice(0, 4).map(({ name }) => name),
      ['n0', 'n200', 'n1', 'n201'],
    );
    let from = 0;
    const chosen = new Set<string>();
    for (let i = 0; i < 4; i++) {
      const decision = schedule(podInfo(pod(`p${i}`)), state.snapshot(), () => 0, from);
      assert.equal(decision.examined, enoughNodes(400));
      from = (from + decision.examined) % 400;
      if (decision.type === 'node') chosen.add(decision.node.name);
    }
    // 188 of 400 a search: the third passes the end of the list.
    assert.deepEqual([...chosen], ['n0', 'n94', 'n188', 'n82']);
  });

  it('looks at every node before it gives up, and at the one that was cleared first', () => {
    const state = cluster(
      Array.from({ length: 300 }, (_, i) =>
        node(`n${i}`, i === 299 ? {} : { spec: { unschedulable: true } }),
      ),
    );
    const wanted = podInfo(pod('p'));
    const found = schedule(wanted, state.snapshot(), () => 0, 7);
    assert.deepEqual([found.type === 'node' && found.node.name, found.examined], ['n299', 300]);
    const nominated = podInfo({ ...pod('q'), status: { nominatedNodeName: 'n299' } });
    const first = schedule(nominated, state.snapshot(), () => 0, 7);
    assert.deepEqual([first.type === 'node' && first.node.name, first.examined], ['n299', 0]);
  });
});

describe('scores', () => {
  it('prefer the emptier node', () => {
    const state = cluster([node('a'), node('b')], { a: [pod('x', asks('1'))] });
    assert.equal(outcome(state, pod('p', asks('100m'))), 'b');
  });

  it('prefer what the pod prefers', () => {
    const state = cluster([node('a'), node('b', { labels: { disk: 'ssd' } })], { b: [pod('x', asks('1'))] });
    const preferring = pod('p', {
      affinity: {
        nodeAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            {
              weight: 10,
              preference: { matchExpressions: [{ key: 'disk', operator: 'In', values: ['ssd'] }] },
            },
          ],
        },
      },
    });
    assert.equal(outcome(state, preferring), 'b');
  });

  it('avoid nodes that ask to be avoided', () => {
    const state = cluster([node('a', { spec: { taints: [taint('k', 'PreferNoSchedule')] } }), node('b')], {
      b: [pod('x', asks('1'))],
    });
    assert.equal(outcome(state, pod('p')), 'b');
  });

  it('spread the pods of one controller', () => {
    const labels = { app: 'web' };
    const replica = (name: string): Pod => {
      const one = pod(name, {}, labels);
      const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'rs', controller: true };
      return { ...one, metadata: { ...one.metadata, ownerReferences: [owner] } };
    };
    const state = cluster([node('a'), node('b')], {
      a: [replica('web-1')],
      b: [pod('big', asks('150m', '250Mi'))],
    });
    assert.equal(outcome(state, replica('web-2')), 'b');
  });
});

describe('preemption', () => {
  const important = (cpu: string): Pod => pod('important', { ...asks(cpu), priority: 1000 });
  const evictionOf = (state: ClusterState, wanted: Pod): string[] | string => {
    const info = podInfo(wanted);
    const decision = schedule(info, state.snapshot(), () => 0);
    assert.equal(decision.type, 'misfit');
    if (decision.type !== 'misfit') return [];
    const preemption = preempt(info, state.snapshot(), decision.misfit);
    if (preemption.type === 'no-help') return preemption.message;
    return [
      preemption.eviction.node.name,
      ...preemption.eviction.victims.map(({ pod: victim }) => victim.metadata.name ?? ''),
    ];
  };

  it('evicts the fewest and least important pods', () => {
    const state = cluster([node('a'), node('b')], {
      a: [pod('a1', { ...asks('1'), priority: 10 }), pod('a2', { ...asks('1'), priority: 5 })],
      b: [pod('b1', { ...asks('2'), priority: 20 })],
    });
    assert.deepEqual(evictionOf(state, important('1')), ['a', 'a2']);
    assert.deepEqual(evictionOf(state, important('2')), ['a', 'a1', 'a2']);
  });

  it('does not help equals, nor those that never preempt', () => {
    const state = cluster([node('a')], { a: [pod('x', { ...asks('2'), priority: 1000 })] });
    assert.match(
      String(evictionOf(state, important('1'))),
      /1 No preemption victims found for incoming pod\.$/,
    );
    const never = important('1');
    assert.equal(
      evictionOf(state, { ...never, spec: { containers: [], ...never.spec, preemptionPolicy: 'Never' } }),
      'preemption: not eligible due to preemptionPolicy=Never.',
    );
  });

  it('keeps the room for the pod it was made for', () => {
    const state = cluster([node('a')]);
    state.nominate(podInfo(important('2')), 'a');
    assert.match(outcome(state, pod('p', asks('1'))), /1 Insufficient cpu/);
    assert.equal(outcome(state, pod('p', { ...asks('1'), priority: 2000 })), 'a');
  });
});
