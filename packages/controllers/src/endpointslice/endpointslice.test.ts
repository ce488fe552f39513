import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { core, discovery } from '@cloudless/kube/resources';
import type { ContainerPort, Pod, Service } from '@cloudless/kube/types/core-v1';
import type { Endpoint, EndpointPort, EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import { Bench } from '../testing/bench.ts';
import { startEndpointSliceController } from './endpointslice.ts';
import { type PortGroup, pack, portsKey } from './pack.ts';

const service = (spec: Partial<Service['spec'] & object> = {}, labels?: Record<string, string>): Service => ({
  metadata: { name: 'web', namespace: 'n', ...(labels ? { labels } : {}) },
  spec: {
    selector: { app: 'web' },
    clusterIP: '10.96.0.7',
    ipFamilies: ['IPv4'],
    ports: [{ name: 'http', port: 80, targetPort: 'web', protocol: 'TCP' }],
    ...spec,
  },
});

let count = 0;
const pod = (
  name: string,
  edit: { ready?: boolean; node?: string; ports?: ContainerPort[]; ip?: string } = {},
): Pod => ({
  metadata: { name, namespace: 'n', labels: { app: 'web' } },
  spec: {
    nodeName: edit.node ?? 'node-a',
    containers: [{ name: 'c', image: 'i', ports: edit.ports ?? [{ name: 'web', containerPort: 8080 }] }],
  },
  status: {
    phase: 'Running',
    podIP: edit.ip ?? `10.1.${count >> 8}.${++count & 255}`,
    podIPs: [{ ip: edit.ip ?? `10.1.${count >> 8}.${count & 255}` }],
    conditions: [
      {
        type: 'Ready',
        status: edit.ready === false ? 'False' : 'True',
        lastTransitionTime: '2025-12-31T00:00:00Z',
      },
    ],
  },
});

async function started(): Promise<Bench> {
  const bench = new Bench();
  bench.cluster.seed(core.nodes, {
    metadata: { name: 'node-a', labels: { 'topology.kubernetes.io/zone': 'east' } },
  });
  await bench.start(startEndpointSliceController);
  return bench;
}

const slices = (bench: Bench): EndpointSlice[] => bench.cluster.objects(discovery.endpointslices, 'n');
const endpoints = (bench: Bench): Endpoint[] => slices(bench).flatMap((slice) => slice.endpoints ?? []);
const names = (bench: Bench): string[] =>
  endpoints(bench)
    .map((one) => one.targetRef?.name ?? '')
    .sort();

describe('endpoint slice controller', () => {
  it('writes a slice as upstream does', async () => {
    await using bench = await started();
    const [p] = bench.cluster.seed(core.pods, pod('a', { ip: '10.1.9.9' }));
    const svc = await bench.cluster.client.create(core.services, service({}, { team: 'x' }));
    await bench.until(() => endpoints(bench).length === 1, 'the endpoint');
    const [slice] = slices(bench) as [EndpointSlice];
    assert.match(slice.metadata.name ?? '', /^web-\w{5}$/);
    assert.deepEqual(slice.metadata.labels, {
      team: 'x',
      'kubernetes.io/service-name': 'web',
      'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
    });
    assert.deepEqual(slice.metadata.ownerReferences, [
      {
        apiVersion: 'v1',
        kind: 'Service',
        name: 'web',
        uid: svc.metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ]);
    assert.equal(slice.addressType, 'IPv4');
    assert.deepEqual(slice.ports, [{ name: 'http', port: 8080, protocol: 'TCP' }]);
    assert.deepEqual(slice.endpoints, [
      {
        addresses: ['10.1.9.9'],
        conditions: { ready: true, serving: true, terminating: false },
        targetRef: { kind: 'Pod', namespace: 'n', name: 'a', uid: p?.metadata.uid },
        nodeName: 'node-a',
        zone: 'east',
      },
    ]);
  });

  it('follows readiness, deletion with grace, and the end of pods', async () => {
    await using bench = await started();
    bench.cluster.seed(core.services, service());
    bench.cluster.seed(core.pods, pod('a', { ready: false }));
    const state = (): unknown => endpoints(bench)[0]?.conditions;
    await bench.until(() => endpoints(bench).length === 1, 'the endpoint');
    assert.deepEqual(state(), { ready: false, serving: false, terminating: false });
    bench.cluster.change(core.pods, 'a', 'n', (p) => {
      p.status = { ...p.status, conditions: [{ type: 'Ready', status: 'True' }] };
    });
    await bench.until(() => endpoints(bench)[0]?.conditions?.ready === true, 'readiness');
    await bench.cluster.client.delete(core.pods, 'a', { namespace: 'n' });
    await bench.until(() => endpoints(bench)[0]?.conditions?.ready === false, 'termination');
    assert.deepEqual(state(), { ready: false, serving: true, terminating: true });
    bench.cluster.remove(core.pods, 'a', 'n');
    await bench.until(() => endpoints(bench).length === 0, 'the end');
    await bench.settle();
    assert.equal(slices(bench).length, 1, 'an empty slice stays');
    assert.deepEqual(slices(bench)[0]?.ports, []);
  });

  it('publishes pods that are not ready where asked, and marks headless Services', async () => {
    await using bench = await started();
    bench.cluster.seed(
      core.services,
      service({ clusterIP: 'None', publishNotReadyAddresses: true, ports: [] }),
    );
    const p = pod('a', { ready: false });
    p.spec = { containers: [], ...p.spec, hostname: 'host', subdomain: 'web' };
    bench.cluster.seed(core.pods, p);
    await bench.until(() => endpoints(bench).length === 1, 'the endpoint');
    const [slice] = slices(bench);
    assert.equal(slice?.metadata.labels?.['service.kubernetes.io/headless'], '');
    assert.deepEqual(endpoints(bench)[0]?.conditions, { ready: true, serving: false, terminating: false });
    assert.equal(endpoints(bench)[0]?.hostname, 'host');
    assert.deepEqual(slice?.ports, []);
  });

  it('has a slice for each port a name stands for', async () => {
    await using bench = await started();
    bench.cluster.seed(core.services, service());
    bench.cluster.seed(core.pods, pod('a'), pod('b', { ports: [{ name: 'web', containerPort: 9090 }] }));
    await bench.until(() => slices(bench).length === 2, 'two slices');
    assert.deepEqual(new Set(slices(bench).map((slice) => slice.ports?.[0]?.port)), new Set([8080, 9090]));
  });

  it('has slices for both families', async () => {
    await using bench = await started();
    bench.cluster.seed(core.services, service({ ipFamilies: ['IPv4', 'IPv6'] }));
    const p = pod('a');
    p.status = { ...p.status, podIPs: [{ ip: '10.1.0.1' }, { ip: 'fd00::1' }] };
    bench.cluster.seed(core.pods, p);
    await bench.until(() => endpoints(bench).length === 2, 'two endpoints');
    assert.deepEqual(
      slices(bench)
        .map((slice) => `${slice.addressType} ${slice.endpoints?.[0]?.addresses.join()}`)
        .sort(),
      ['IPv4 10.1.0.1', 'IPv6 fd00::1'],
    );
  });

  it('ignores Services without selector, ended pods, and pods on nodes that are gone until those come', async () => {
    await using bench = await started();
    bench.cluster.seed(core.services, service(), {
      metadata: { name: 'bare', namespace: 'n' },
      spec: { clusterIP: '10.96.0.8' },
    });
    const ended = pod('ended');
    ended.status = { ...ended.status, phase: 'Succeeded' };
    bench.cluster.seed(core.pods, ended, pod('a'), pod('b', { node: 'node-b' }));
    await bench.until(() => endpoints(bench).length === 1, 'one endpoint');
    await bench.settle();
    assert.deepEqual(names(bench), ['a']);
    bench.cluster.seed(core.nodes, { metadata: { name: 'node-b' } });
    await bench.until(() => endpoints(bench).length === 2, 'the other');
    assert.equal(slices(bench).length, 1);
  });

  it('spreads 250 pods over three slices, and one change writes one slice', async () => {
    await using bench = await started();
    bench.cluster.seed(core.pods, ...Array.from({ length: 250 }, (_, i) => pod(`p${i}`)));
    bench.cluster.seed(core.services, service());
    await bench.until(() => endpoints(bench).length === 250, 'all endpoints');
    await bench.settle();
    assert.equal(slices(bench).length, 3);
    assert.ok(slices(bench).every((slice) => (slice.endpoints?.length ?? 0) <= 100));
    const before = bench.cluster.calls.length;
    bench.cluster.change(core.pods, 'p7', 'n', (p) => (p.status = { ...p.status, conditions: [] }));
    await bench.settle();
    assert.deepEqual(
      bench.cluster.calls.slice(before).map((call) => `${call.verb} ${call.resource.plural}`),
      ['update endpointslices'],
    );
  });

  it('never doubles an endpoint, however far its copy lags behind its own writes', async () => {
    await using bench = await started();
    bench.cluster.seed(core.services, service());
    for (let i = 0; i < 30; i++) {
      bench.cluster.seed(core.pods, pod(`p${i}`));
      await Promise.resolve();
      if (i % 7 === 0) await bench.settle();
      const all = names(bench);
      assert.equal(new Set(all).size, all.length);
    }
    await bench.settle();
    assert.equal(names(bench).length, 30);
    assert.equal(slices(bench).length, 1);
  });

  it('undoes what others do to its slices', async () => {
    await using bench = await started();
    bench.cluster.seed(core.services, service());
    bench.cluster.seed(core.pods, pod('a'));
    await bench.until(() => endpoints(bench).length === 1, 'the endpoint');
    const name = slices(bench)[0]?.metadata.name ?? '';
    bench.cluster.change(discovery.endpointslices, name, 'n', (slice) => (slice.endpoints = []));
    await bench.until(() => endpoints(bench).length === 1, 'the repair');
    bench.cluster.remove(discovery.endpointslices, name, 'n');
    await bench.until(() => endpoints(bench).length === 1, 'a new slice');
  });

  it('gives hints where traffic should stay near', async () => {
    await using bench = await started();
    bench.cluster.seed(core.services, service({ trafficDistribution: 'PreferSameNode' }));
    bench.cluster.seed(core.pods, pod('a'));
    await bench.until(() => endpoints(bench).length === 1, 'the endpoint');
    assert.deepEqual(endpoints(bench)[0]?.hints, {
      forNodes: [{ name: 'node-a' }],
      forZones: [{ name: 'east' }],
    });
  });
});

describe('packing', () => {
  const port = (n: number): EndpointPort[] => [{ name: '', port: n, protocol: 'TCP' }];
  const endpoint = (n: number): Endpoint => ({ addresses: [`10.0.0.${n}`], targetRef: { uid: String(n) } });

  it('loses and doubles nothing, keeps to the limit, and is still when nothing changes', () => {
    const step = fc.array(fc.tuple(fc.nat(60), fc.nat(2)), { maxLength: 60 });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 6 }), (steps) => {
        let existing: EndpointSlice[] = [];
        let made = 0;
        for (const wantedPairs of steps) {
          const groups = new Map<number, PortGroup>();
          for (const [n, p] of new Map(wantedPairs)) {
            const group = groups.get(p) ?? { ports: port(p), endpoints: [] };
            group.endpoints.push(endpoint(n));
            groups.set(p, group);
          }
          const wanted = [...groups.values()];
          const result = pack(existing, wanted, 10);
          existing = [
            ...result.unchanged,
            ...result.update.map(({ slice, ports, endpoints: list }) => ({
              ...slice,
              ports,
              endpoints: list,
            })),
            ...result.create.map(({ ports, endpoints: list }) => ({
              metadata: { name: `s${made++}` },
              addressType: 'IPv4',
              ports,
              endpoints: list,
            })),
          ];
          for (const slice of existing) assert.ok((slice.endpoints ?? []).length <= 10);
          for (const group of wanted) {
            const key = portsKey(group.ports);
            const there = existing
              .filter((slice) => portsKey(slice.ports) === key)
              .flatMap((slice) => slice.endpoints ?? [])
              .map((one) => one.addresses[0]);
            assert.deepEqual(new Set(there), new Set(group.endpoints.map((one) => one.addresses[0])));
            assert.equal(there.length, group.endpoints.length);
          }
          const total = existing.reduce((n, slice) => n + (slice.endpoints?.length ?? 0), 0);
          assert.equal(
            total,
            wanted.reduce((n, group) => n + group.endpoints.length, 0),
          );
          const again = pack(existing, wanted, 10);
          assert.deepEqual([again.create, again.update, again.delete], [[], [], []]);
        }
      }),
    );
  });
});
