import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { apps, core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { OwnerReference } from '@cloudless/kube/types/meta-v1';
import { Bench } from '../testing/bench.ts';
import { startGarbageCollector } from './garbage-collector.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const iterations = Number(process.env['ITERATIONS'] ?? 10);

function ref(owner: KubeObject, block = true): OwnerReference {
  return {
    apiVersion: owner.apiVersion ?? '',
    kind: owner.kind ?? '',
    name: owner.metadata.name ?? '',
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: block,
  };
}

/** A Deployment with a ReplicaSet with two pods. */
function family(bench: Bench): { d: KubeObject; rs: KubeObject } {
  const [d] = bench.cluster.seed(apps.deployments, { metadata: { name: 'd', namespace: 'n' } }) as [
    KubeObject,
  ];
  const [rs] = bench.cluster.seed(apps.replicasets, {
    metadata: { name: 'rs', namespace: 'n', ownerReferences: [ref(d)] },
  }) as [KubeObject];
  for (const name of ['p1', 'p2']) {
    bench.cluster.seed(core.pods, { metadata: { name, namespace: 'n', ownerReferences: [ref(rs)] } });
  }
  return { d, rs };
}

const there = (bench: Bench, resource: Resource, name: string): boolean =>
  bench.cluster.object(resource, name, 'n') !== undefined;
const delay = 3;

describe('garbage collector', () => {
  it('deletes in the background what a deleted owner leaves, down to the last', async () => {
    await using bench = new Bench();
    family(bench);
    await bench.start(startGarbageCollector);
    await bench.cluster.client.delete(apps.deployments, 'd', {
      namespace: 'n',
      propagationPolicy: 'Background',
    });
    await bench.until(() => bench.cluster.objects(core.pods).length === 0, 'the pods to go');
    assert.equal(there(bench, apps.replicasets, 'rs'), false);
    assert.equal(bench.clock.monotonicMs(), 0, 'no step waits for a timer');
  });

  it('in the foreground the owner goes last', async () => {
    await using bench = new Bench();
    family(bench);
    await bench.start(startGarbageCollector);
    const order: string[] = [];
    for (const resource of [apps.deployments, apps.replicasets, core.pods] as Array<Resource>) {
      bench.informers.of(resource).addHandler({ delete: (object) => order.push(object.metadata.name ?? '') });
    }
    await bench.cluster.client.delete(apps.deployments, 'd', {
      namespace: 'n',
      propagationPolicy: 'Foreground',
    });
    await bench.until(() => !there(bench, apps.deployments, 'd'), 'the deployment to go');
    await bench.settle();
    assert.deepEqual(order.slice(0, 2).sort(), ['p1', 'p2']);
    assert.deepEqual(order.slice(2), ['rs', 'd']);
  });

  it('orphans dependents where asked', async () => {
    await using bench = new Bench();
    family(bench);
    await bench.start(startGarbageCollector);
    await bench.cluster.client.delete(apps.deployments, 'd', { namespace: 'n', propagationPolicy: 'Orphan' });
    await bench.until(() => !there(bench, apps.deployments, 'd'), 'the deployment to go');
    await bench.pass(delay);
    assert.equal(bench.cluster.object(apps.replicasets, 'rs', 'n')?.metadata.ownerReferences, undefined);
    assert.equal(bench.cluster.objects(core.pods).length, 2);
  });

  it('collects what was garbage before it started, and nothing else', async () => {
    await using bench = new Bench();
    const { d } = family(bench);
    const ghost = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ghost', uid: 'no-such' } };
    bench.cluster.seed(core.secrets, {
      metadata: { name: 'lost', namespace: 'n', ownerReferences: [ref(ghost)] },
    });
    bench.cluster.seed(core.secrets, {
      metadata: { name: 'kept', namespace: 'n', ownerReferences: [ref(ghost), ref(d)] },
    });
    await bench.start(startGarbageCollector);
    await bench.until(() => !there(bench, core.secrets, 'lost'), 'the garbage to go');
    await bench.settle();
    assert.deepEqual(
      bench.cluster.object(core.secrets, 'kept', 'n')?.metadata.ownerReferences?.map((one) => one.name),
      ['d'],
    );
    assert.equal(bench.cluster.objects(core.pods).length, 2);
  });

  it('an owner of the same name but another UID is none', async () => {
    await using bench = new Bench();
    const [owner] = bench.cluster.seed(core.configmaps, { metadata: { name: 'o', namespace: 'n' } }) as [
      KubeObject,
    ];
    await bench.start(startGarbageCollector);
    bench.cluster.seed(core.secrets, {
      metadata: { name: 's', namespace: 'n', ownerReferences: [{ ...ref(owner), uid: 'older' }] },
    });
    await bench.pass(delay);
    assert.equal(there(bench, core.secrets, 's'), false);
  });

  it('an owner in another namespace is none, and an event says so', async () => {
    await using bench = new Bench();
    const [owner] = bench.cluster.seed(core.configmaps, { metadata: { name: 'o', namespace: 'other' } }) as [
      KubeObject,
    ];
    await bench.start(startGarbageCollector);
    bench.cluster.seed(core.secrets, {
      metadata: { name: 's', namespace: 'n', ownerReferences: [ref(owner)] },
    });
    await bench.pass(delay);
    assert.equal(there(bench, core.secrets, 's'), false);
    assert.match(
      bench.events()[0] ?? '',
      /^Warning OwnerRefInvalidNamespace ownerRef \[v1\/ConfigMap, namespace: n, name: o, uid: /,
    );
  });

  it('a dependent that comes before its owner is spared', async () => {
    await using bench = new Bench();
    await bench.start(startGarbageCollector);
    const owner = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'late', namespace: 'n', uid: 'late-uid' },
    };
    bench.cluster.seed(core.secrets, {
      metadata: { name: 's', namespace: 'n', ownerReferences: [ref(owner)] },
    });
    await bench.settle();
    bench.cluster.seed(core.configmaps, owner);
    await bench.pass(delay);
    assert.equal(there(bench, core.secrets, 's'), true);
  });

  it('does not decide on an owner it cannot read', async () => {
    await using bench = new Bench();
    const [owner] = bench.cluster.seed(core.configmaps, { metadata: { name: 'o', namespace: 'n' } }) as [
      KubeObject,
    ];
    bench.cluster.seed(core.secrets, {
      metadata: { name: 's', namespace: 'n', ownerReferences: [ref(owner)] },
    });
    const unknown = { ...ref(owner), apiVersion: 'example.com/v1', kind: 'Widget', uid: 'w' };
    bench.cluster.seed(core.secrets, {
      metadata: { name: 'custom', namespace: 'n', ownerReferences: [unknown] },
    });
    await bench.start(startGarbageCollector);
    bench.cluster.intercept((call) =>
      call.verb === 'get' && call.resource.plural === 'configmaps' ? errors.unavailable('away') : undefined,
    );
    bench.cluster.remove(core.configmaps, 'o', 'n');
    await bench.pass(delay);
    assert.equal(there(bench, core.secrets, 's'), true);
    assert.equal(there(bench, core.secrets, 'custom'), true);
  });

  it('a cycle of foreground deletions ends', async () => {
    await using bench = new Bench();
    const a: KubeObject = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'a', namespace: 'n', uid: 'ua' },
    };
    const b: KubeObject = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'b', namespace: 'n', uid: 'ub' },
    };
    bench.cluster.seed(
      core.configmaps,
      { ...a, metadata: { ...a.metadata, ownerReferences: [ref(b)] } },
      { ...b, metadata: { ...b.metadata, ownerReferences: [ref(a)] } },
    );
    await bench.start(startGarbageCollector);
    await bench.cluster.client.delete(core.configmaps, 'a', {
      namespace: 'n',
      propagationPolicy: 'Foreground',
    });
    await bench.pass(10);
    assert.deepEqual(bench.cluster.objects(core.configmaps), []);
  });

  it(`random forests under faults end as the rules say (SEED=${seed})`, async () => {
    for (let i = 0; i < iterations; i++) await forest(seed + i);
  });
});

/** Random owners, random deletions, random faults: in the end exactly what has lost all its owners is gone. */
async function forest(from: number): Promise<void> {
  let state = from >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  await using bench = new Bench();
  let faults = true;
  bench.cluster.intercept((call) =>
    faults && ['get', 'delete', 'patch'].includes(call.verb) && call.user !== 'admin' && next() < 0.2
      ? errors.unavailable('fault')
      : undefined,
  );
  const owners = new Map<string, Set<string>>();
  const objects: KubeObject[] = [];
  for (let n = 0; n < 30; n++) {
    const mine = objects.filter(() => next() < 0.08);
    const ownerReferences = mine.map((one) => ref(one, next() < 0.5));
    const [object] = bench.cluster.seed(core.configmaps, {
      metadata: { name: `o${n}`, namespace: 'n', ...(mine.length > 0 ? { ownerReferences } : {}) },
    }) as [KubeObject];
    objects.push(object);
    owners.set(`o${n}`, new Set(mine.map((one) => one.metadata.name ?? '')));
  }
  await bench.start(startGarbageCollector);
  const gone = new Set<string>();
  for (const object of objects) {
    if (next() > 0.2) continue;
    const name = object.metadata.name ?? '';
    gone.add(name);
    const propagationPolicy = next() < 0.5 ? 'Background' : 'Foreground';
    await bench.cluster.client
      .delete(core.configmaps, name, { namespace: 'n', propagationPolicy })
      .catch((error: unknown) => assert.match(String(error), /not found/));
    if (next() < 0.5) await bench.settle();
  }
  for (let changed = true; changed;) {
    changed = false;
    for (const [name, mine] of owners) {
      if (gone.has(name) || mine.size === 0 || [...mine].some((owner) => !gone.has(owner))) continue;
      gone.add(name);
      changed = true;
    }
  }
  await bench.pass(20);
  faults = false;
  await bench.pass(60);
  const left = bench.cluster.objects(core.configmaps, 'n').map((object) => object.metadata.name ?? '');
  assert.deepEqual(left.sort(), [...owners.keys()].filter((name) => !gone.has(name)).sort(), `SEED=${from}`);
}
