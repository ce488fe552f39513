import assert from 'node:assert/strict';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { describe, it } from 'node:test';
import { coordination, core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import { formatMicroTime } from '@cloudless/kube/time';
import type { Node, Pod, Toleration } from '@cloudless/kube/types/core-v1';
import { startTaintEvictionController } from '../taint-eviction/taint-eviction.ts';
import { stayableSeconds } from '../taint-eviction/tolerations.ts';
import { Bench } from '../testing/bench.ts';
import { startNodeLifecycleController } from './node-lifecycle.ts';
import { EvictionPace, zoneState } from './zones.ts';

const ready = (name: string, status = 'True', labels?: Record<string, string>): Node => ({
  metadata: { name, ...(labels ? { labels } : {}) },
  spec: {},
  status: {
    conditions: [
      { type: 'MemoryPressure', status: 'False' },
      {
        type: 'Ready',
        status,
        reason: 'KubeletReady',
        lastHeartbeatTime: '2026-01-01T00:00:00Z',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ],
  },
});
const pod = (name: string, node: string, tolerations: Toleration[] = []): Pod => ({
  metadata: { name, namespace: 'n' },
  spec: { nodeName: node, containers: [], tolerations },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
});
const condition = (bench: Bench, name: string, type = 'Ready'): string => {
  const found = bench.cluster.object(core.nodes, name)?.status?.conditions?.find((one) => one.type === type);
  return found ? `${found.status} ${found.reason ?? ''}` : 'none';
};
const taints = (bench: Bench, name: string): string[] =>
  (bench.cluster.object(core.nodes, name)?.spec?.taints ?? [])
    .map((one) => `${one.key}:${one.effect}`)
    .sort();
const podReady = (bench: Bench, name: string): string | undefined =>
  bench.cluster.object(core.pods, name, 'n')?.status?.conditions?.find((one) => one.type === 'Ready')?.status;

/** Renews leases of living nodes every ten seconds, as kubelets do. */
async function live(bench: Bench, seconds: number, alive: readonly string[]): Promise<void> {
  for (let passed = 0; passed < seconds; passed++) {
    if (passed % 10 === 0) for (const name of alive) renew(bench, name);
    await bench.pass(1);
  }
}

function renew(bench: Bench, name: string): void {
  const spec = { holderIdentity: name, renewTime: formatMicroTime(bench.clock.nowMs()) };
  if (bench.cluster.object(coordination.leases, name, 'kube-node-lease')) {
    bench.cluster.change(coordination.leases, name, 'kube-node-lease', (lease) => (lease.spec = spec));
  } else bench.cluster.seed(coordination.leases, { metadata: { name, namespace: 'kube-node-lease' }, spec });
}

async function started(...nodes: Node[]): Promise<Bench> {
  const bench = new Bench();
  bench.cluster.seed(core.nodes, ...nodes);
  await bench.start(startNodeLifecycleController, startTaintEvictionController);
  return bench;
}

describe('node lifecycle', () => {
  it('a node that renews its lease stays ready, whatever its status says of time', async () => {
    await using bench = await started(ready('a'), ready('b'));
    await live(bench, 120, ['a', 'b']);
    assert.equal(condition(bench, 'a'), 'True KubeletReady');
    assert.deepEqual(taints(bench, 'a'), []);
    assert.deepEqual(bench.events('RegisteredNode'), [
      'Normal RegisteredNode Node a event: Registered Node a in Controller',
      'Normal RegisteredNode Node b event: Registered Node b in Controller',
    ]);
  });

  it('a silent one becomes unknown after its grace, its pods not ready, then leave after their toleration', async () => {
    await using bench = await started(ready('a'), ready('dead'));
    const seconds = 300;
    const tolerations = ['not-ready', 'unreachable'].map((key) => ({
      key: `node.kubernetes.io/${key}`,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: seconds,
    }));
    bench.cluster.seed(core.pods, pod('web', 'dead', tolerations), pod('other', 'a', tolerations));
    bench.cluster.seed(core.pods, pod('daemon', 'dead', [{ operator: 'Exists' }]), pod('bare', 'dead'));
    await live(bench, 49, ['a']);
    assert.equal(condition(bench, 'dead'), 'True KubeletReady');
    await live(bench, 8, ['a']);
    assert.equal(condition(bench, 'dead'), 'Unknown NodeStatusUnknown');
    assert.equal(condition(bench, 'dead', 'MemoryPressure'), 'Unknown NodeStatusUnknown');
    assert.equal(condition(bench, 'dead', 'DiskPressure'), 'Unknown NodeStatusNeverUpdated');
    assert.deepEqual(taints(bench, 'dead'), [
      'node.kubernetes.io/unreachable:NoExecute',
      'node.kubernetes.io/unreachable:NoSchedule',
    ]);
    assert.equal(podReady(bench, 'web'), 'False');
    assert.equal(podReady(bench, 'other'), 'True');
    assert.deepEqual(bench.events('NodeNotReady').sort(), [
      'Normal NodeNotReady Node dead status is now: NodeNotReady',
      'Warning NodeNotReady Node is not ready',
      'Warning NodeNotReady Node is not ready',
      'Warning NodeNotReady Node is not ready',
    ]);
    const deleted = (name: string): boolean =>
      bench.cluster.object(core.pods, name, 'n')?.metadata.deletionTimestamp !== undefined;
    assert.equal(deleted('bare'), true);
    assert.equal(deleted('web'), false);
    await live(bench, seconds + 2, ['a']);
    assert.deepEqual([deleted('web'), deleted('daemon'), deleted('other')], [true, false, false]);
    assert.deepEqual(
      bench.cluster
        .object(core.pods, 'web', 'n')
        ?.status?.conditions?.map((one) => `${one.type} ${one.reason ?? ''}`),
      // A strategic merge puts what is new before what was there, as upstream's does.
      ['DisruptionTarget DeletionByTaintManager', 'Ready '],
    );
    assert.ok(
      bench
        .events('TaintManagerEviction')
        .includes('Normal TaintManagerEviction Marking for deletion Pod n/web'),
    );
  });

  it('one that comes back loses its taints, and its pods stay', async () => {
    await using bench = await started(ready('a'), ready('b'));
    const tolerations = [{ operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 }];
    bench.cluster.seed(core.pods, pod('web', 'b', tolerations));
    await live(bench, 60, ['a']);
    assert.equal(taints(bench, 'b').length, 2);
    bench.cluster.change(core.nodes, 'b', undefined, (node) => {
      node.status = {
        conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: '2026-01-01T00:01:00Z' }],
      };
    });
    await live(bench, 400, ['a', 'b']);
    assert.deepEqual(taints(bench, 'b'), []);
    assert.equal(bench.cluster.object(core.pods, 'web', 'n')?.metadata.deletionTimestamp, undefined);
    assert.deepEqual(bench.events('TaintManagerEviction'), [
      'Normal TaintManagerEviction Cancelling deletion of Pod n/web',
    ]);
  });

  it('when all nodes are silent nobody is driven off, and when one is back the others get time', async () => {
    await using bench = await started(ready('a'), ready('b'));
    bench.cluster.seed(core.pods, pod('bare', 'a'));
    await live(bench, 200, []);
    assert.deepEqual(taints(bench, 'a'), ['node.kubernetes.io/unreachable:NoSchedule']);
    assert.equal(bench.cluster.object(core.pods, 'bare', 'n')?.metadata.deletionTimestamp, undefined);
    bench.cluster.change(core.nodes, 'b', undefined, (node) => {
      node.status = {
        conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: '2026-01-01T00:10:00Z' }],
      };
    });
    await live(bench, 3, ['b']);
    assert.deepEqual(taints(bench, 'b'), []);
  });

  it('taints by condition and by cordon, swaps one kind for the other, and leaves others alone', async () => {
    await using bench = await started(ready('a'), ready('b'));
    bench.cluster.change(core.nodes, 'b', undefined, (node) => {
      node.spec = { unschedulable: true, taints: [{ key: 'dedicated', value: 'x', effect: 'NoSchedule' }] };
      node.status = {
        conditions: [
          { type: 'DiskPressure', status: 'True' },
          { type: 'Ready', status: 'False', lastHeartbeatTime: '2026-01-01T00:00:01Z' },
        ],
      };
    });
    await live(bench, 6, ['a', 'b']);
    assert.deepEqual(taints(bench, 'b'), [
      'dedicated:NoSchedule',
      'node.kubernetes.io/disk-pressure:NoSchedule',
      'node.kubernetes.io/not-ready:NoExecute',
      'node.kubernetes.io/not-ready:NoSchedule',
      'node.kubernetes.io/unschedulable:NoSchedule',
    ]);
    bench.cluster.change(core.nodes, 'b', undefined, (node) => {
      node.spec = { ...node.spec, unschedulable: false };
      node.status = {
        conditions: [{ type: 'Ready', status: 'Unknown', lastHeartbeatTime: '2026-01-01T00:00:02Z' }],
      };
    });
    await bench.settle();
    assert.deepEqual(taints(bench, 'b'), [
      'dedicated:NoSchedule',
      'node.kubernetes.io/unreachable:NoExecute',
      'node.kubernetes.io/unreachable:NoSchedule',
    ]);
  });

  it('drives pods off one node in ten seconds for each zone', async () => {
    await using bench = await started(...'abcdefgh'.split('').map((name) => ready(name)));
    for (const name of ['a', 'b', 'c']) {
      bench.cluster.change(core.nodes, name, undefined, (node) => {
        node.status = {
          conditions: [{ type: 'Ready', status: 'False', lastHeartbeatTime: '2026-01-01T00:00:01Z' }],
        };
      });
    }
    await live(bench, 6, 'abcdefgh'.split(''));
    const tainted = (): number =>
      ['a', 'b', 'c'].filter((name) => taints(bench, name).includes('node.kubernetes.io/not-ready:NoExecute'))
        .length;
    assert.equal(tainted(), 1);
    await live(bench, 11, 'abcdefgh'.split(''));
    assert.equal(tainted(), 2);
    await live(bench, 20, 'abcdefgh'.split(''));
    assert.equal(tainted(), 3);
  });

  it('a node that never told its state is unknown after a minute', async () => {
    await using bench = await started(ready('a'), { metadata: { name: 'mute' } });
    await live(bench, 55, ['a']);
    assert.equal(condition(bench, 'mute'), 'none');
    await live(bench, 10, ['a']);
    assert.equal(condition(bench, 'mute'), 'Unknown NodeStatusNeverUpdated');
  });

  it('tries again what fails on the way', async () => {
    await using bench = await started(ready('a'), ready('dead'));
    bench.cluster.seed(core.pods, pod('web', 'dead'));
    let n = 0;
    bench.cluster.intercept((call) =>
      ['update', 'patch'].includes(call.verb) && n++ < 6 ? errors.unavailable('later') : undefined,
    );
    await live(bench, 80, ['a']);
    assert.equal(condition(bench, 'dead'), 'Unknown NodeStatusUnknown');
    assert.equal(taints(bench, 'dead').length, 2);
    assert.equal(podReady(bench, 'web'), 'False');
  });
});

describe('zones and tolerations', () => {
  it('a zone is disrupted in part from 55 percent and three nodes on', () => {
    assert.equal(zoneState(1, 2), 'normal');
    assert.equal(zoneState(2, 3), 'partial');
    assert.equal(zoneState(0, 1), 'full');
    assert.equal(zoneState(5, 0), 'normal');
  });

  it('what nodes do one by one adds up to the state of their zones', () => {
    const pace = new EvictionPace(new FakeClock());
    assert.equal(pace.seen(ready('a')), 'changed', 'the first node of a zone');
    assert.equal(pace.seen(ready('b')), 'same');
    assert.equal(pace.seen(ready('a', 'Unknown')), 'same', 'one of two: nothing to slow down for');
    assert.equal(pace.seen(ready('a', 'Unknown')), 'same');
    assert.equal(pace.seen(ready('b', 'False')), 'all-down');
    assert.equal(pace.waitMs(ready('b', 'False')), undefined);
    const excluded = ready('c', 'Unknown');
    excluded.metadata.labels = { 'node.kubernetes.io/exclude-disruption': '' };
    assert.equal(pace.seen(excluded), 'same', 'does not count');
    assert.equal(pace.forget('a'), 'same');
    assert.equal(pace.seen(ready('b')), 'recovered');
    assert.equal(pace.waitMs(ready('b')), 0);
    assert.equal(pace.forget('b'), 'same');
    assert.equal(pace.allDown, false, 'no node at all');
    assert.equal(pace.forget('never seen'), 'same');
  });

  it('the shortest covering toleration counts', () => {
    const taint = { key: 'k', value: 'v', effect: 'NoExecute' };
    const cases: Array<[Toleration[], number]> = [
      [[], 0],
      [[{ key: 'k', operator: 'Exists' }], Number.POSITIVE_INFINITY],
      [[{ key: 'k', value: 'v' }], Number.POSITIVE_INFINITY],
      [[{ key: 'k', value: 'other' }], 0],
      [[{ operator: 'Exists', effect: 'NoSchedule' }], 0],
      [
        [
          { operator: 'Exists', tolerationSeconds: 30 },
          { key: 'k', operator: 'Exists', tolerationSeconds: 10 },
        ],
        10,
      ],
      [[{ operator: 'Exists', tolerationSeconds: -5 }], 0],
    ];
    for (const [tolerations, expected] of cases)
      assert.equal(stayableSeconds([taint], tolerations), expected);
    assert.equal(stayableSeconds([], []), Number.POSITIVE_INFINITY);
  });
});
