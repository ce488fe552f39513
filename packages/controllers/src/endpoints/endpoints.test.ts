import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import type { Endpoints, Pod, Service } from '@cloudless/kube/types/core-v1';
import { Bench } from '../testing/bench.ts';
import { startEndpointsController } from './endpoints.ts';
import { endpointSubsets, truncated } from './subsets.ts';

const service = (spec: object = {}): Service => ({
  metadata: { name: 'web', namespace: 'n', labels: { team: 'x' } },
  spec: {
    selector: { app: 'web' },
    clusterIP: '10.96.0.7',
    ports: [{ name: 'http', port: 80, targetPort: 8080 }],
    ...spec,
  },
});
const pod = (name: string, ip: string, ready = true): Pod => ({
  metadata: { name, namespace: 'n', uid: name, labels: { app: 'web' } },
  spec: { nodeName: 'node-a', containers: [] },
  status: {
    phase: 'Running',
    podIP: ip,
    podIPs: [{ ip }],
    conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
  },
});
const endpoints = (bench: Bench): Endpoints | undefined => bench.cluster.object(core.endpoints, 'web', 'n');

describe('endpoints controller', () => {
  it('writes, follows and removes Endpoints', async () => {
    await using bench = new Bench();
    await bench.start(startEndpointsController);
    bench.cluster.seed(core.services, service());
    bench.cluster.seed(core.pods, pod('b', '10.1.0.2'), pod('a', '10.1.0.1'), pod('c', '10.1.0.3', false));
    await bench.until(() => endpoints(bench)?.subsets?.[0]?.addresses?.length === 2, 'two addresses');
    const target = (name: string): object => ({ kind: 'Pod', namespace: 'n', name, uid: name });
    assert.deepEqual(endpoints(bench)?.subsets, [
      {
        addresses: [
          { ip: '10.1.0.1', nodeName: 'node-a', targetRef: target('a') },
          { ip: '10.1.0.2', nodeName: 'node-a', targetRef: target('b') },
        ],
        notReadyAddresses: [{ ip: '10.1.0.3', nodeName: 'node-a', targetRef: target('c') }],
        ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      },
    ]);
    assert.deepEqual(endpoints(bench)?.metadata.labels, {
      team: 'x',
      'endpoints.kubernetes.io/managed-by': 'endpoint-controller',
    });
    await bench.settle();
    const before = bench.cluster.calls.length;
    bench.cluster.change(core.pods, 'a', 'n', (p) => (p.metadata.annotations = { irrelevant: 'yes' }));
    await bench.settle();
    assert.equal(bench.cluster.calls.length, before);
    bench.cluster.remove(core.pods, 'a', 'n');
    await bench.until(() => endpoints(bench)?.subsets?.[0]?.addresses?.length === 1, 'one address');
    bench.cluster.remove(core.services, 'web', 'n');
    await bench.until(() => endpoints(bench) === undefined, 'the end');
  });

  it('leaves alone what it did not make', async () => {
    await using bench = new Bench();
    bench.cluster.seed(core.endpoints, { metadata: { name: 'own', namespace: 'n' }, subsets: [] });
    await bench.start(startEndpointsController);
    await bench.settle();
    assert.ok(bench.cluster.object(core.endpoints, 'own', 'n'));
  });

  it('holds a thousand addresses, ready ones first', () => {
    const pods = Array.from({ length: 1500 }, (_, i) =>
      pod(`p${i}`, `10.${i >> 8}.0.${i & 255}`, i % 2 === 0),
    );
    const { subsets, overCapacity } = truncated(endpointSubsets(service(), pods));
    assert.equal(overCapacity, true);
    assert.equal(subsets[0]?.addresses?.length, 750);
    assert.equal(subsets[0]?.notReadyAddresses?.length, 250);
  });
});
