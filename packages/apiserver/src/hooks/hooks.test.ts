import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { core, discovery, networking, scheduling } from '@cloudless/kube/resources';
import type { Service } from '@cloudless/kube/types/core-v1';
import { startTestServer, type TestServer } from '../testing/test-server.ts';
import { planAddressRepair, repairAddresses } from './address-repair.ts';
import { clusterHooks } from './index.ts';

const admin = { name: 'admin', groups: ['system:masters', 'system:authenticated'] };
const options = {
  advertiseAddress: '192.0.2.10',
  port: 6443,
  serviceCidrs: ['10.96.0.0/12', 'fd00:10:96::/112'],
  authentication: { clientCa: () => 'client CA', requestHeaderCa: () => 'proxy CA' },
};

/** Waits for something that happens by itself soon. */
async function eventually(check: () => Promise<void>): Promise<void> {
  const untilMs = performance.now() + 5_000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > untilMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

describe('after the start', () => {
  let test: TestServer;
  before(async () => {
    test = await startTestServer({ hooks: clusterHooks(options) });
    await test.server.ready;
  });
  after(() => test[Symbol.asyncDispose]());

  it('the system namespaces exist, labelled and with their finalizer', async () => {
    const client = test.server.clientFor(admin);
    for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
      const namespace = await client.get(core.namespaces, name);
      assert.deepEqual(namespace.spec?.finalizers, ['kubernetes']);
      assert.equal(namespace.status?.phase, 'Active');
      assert.equal(namespace.metadata.labels?.['kubernetes.io/metadata.name'], name);
    }
  });

  it('components with ports of their own find whom to believe', async () => {
    const client = test.server.clientFor(admin);
    const info = await client.get(core.configmaps, 'extension-apiserver-authentication', {
      namespace: 'kube-system',
    });
    assert.equal(info.data?.['client-ca-file'], 'client CA');
    assert.equal(info.data?.['requestheader-client-ca-file'], 'proxy CA');
    assert.equal(info.data?.['requestheader-username-headers'], '["X-Remote-User"]');
  });

  it('the system priority classes exist', async () => {
    const client = test.server.clientFor(admin);
    const node = await client.get(scheduling.priorityclasses, 'system-node-critical');
    assert.equal(node.value, 2_000_001_000);
    assert.equal(node.preemptionPolicy, 'PreemptLowerPriority');
    assert.equal(
      (await client.get(scheduling.priorityclasses, 'system-cluster-critical')).value,
      2_000_000_000,
    );
  });

  it('the kubernetes Service has the first address and leads to the API server', async () => {
    const client = test.server.clientFor(admin);
    const service = await client.get(core.services, 'kubernetes', { namespace: 'default' });
    assert.deepEqual(service.spec?.clusterIPs, ['10.96.0.1']);
    assert.equal(service.spec?.ports?.[0]?.port, 443);
    const address = await client.get(networking.ipaddresses, '10.96.0.1');
    assert.deepEqual(address.spec?.parentRef, {
      resource: 'services',
      namespace: 'default',
      name: 'kubernetes',
    });
    const endpoints = await client.get(core.endpoints, 'kubernetes', { namespace: 'default' });
    assert.deepEqual(endpoints.subsets, [
      { addresses: [{ ip: '192.0.2.10' }], ports: [{ name: 'https', port: 6443, protocol: 'TCP' }] },
    ]);
    const slice = await client.get(discovery.endpointslices, 'kubernetes', { namespace: 'default' });
    assert.equal(slice.addressType, 'IPv4');
    assert.equal(slice.metadata.labels?.['kubernetes.io/service-name'], 'kubernetes');
    const range = await client.get(networking.servicecidrs, 'kubernetes');
    assert.deepEqual(range.spec?.cidrs, options.serviceCidrs);
    assert.equal(range.status?.conditions?.[0]?.status, 'True');
  });

  it('endpoints that somebody changed or deleted are put right', async () => {
    const client = test.server.clientFor(admin);
    await client.delete(discovery.endpointslices, 'kubernetes', { namespace: 'default' });
    const patch = { subsets: [{ addresses: [{ ip: '203.0.113.1' }], ports: [{ port: 1 }] }] };
    await client.patch(core.endpoints, 'kubernetes', 'merge', patch, { namespace: 'default' });
    await client.delete(core.services, 'kubernetes', { namespace: 'default' });
    await eventually(async () => {
      const slice = await client.get(discovery.endpointslices, 'kubernetes', { namespace: 'default' });
      assert.deepEqual(slice.endpoints?.[0]?.addresses, ['192.0.2.10']);
      const endpoints = await client.get(core.endpoints, 'kubernetes', { namespace: 'default' });
      assert.equal(endpoints.subsets?.[0]?.addresses?.[0]?.ip, '192.0.2.10');
      const service = await client.get(core.services, 'kubernetes', { namespace: 'default' });
      assert.equal(service.spec?.clusterIP, '10.96.0.1');
    });
  });

  it('a lost IPAddress is made again', async () => {
    const client = test.server.clientFor(admin);
    await client.delete(networking.ipaddresses, '10.96.0.1');
    const plan = await repairAddresses(client, test.server.caches, Date.now());
    assert.deepEqual(
      plan.missing.map((one) => one.metadata.name),
      ['10.96.0.1'],
    );
    assert.ok(await client.get(networking.ipaddresses, '10.96.0.1'));
  });
});

describe('the repair of addresses', () => {
  const service = (name: string, ip: string): Service => ({
    metadata: { name, namespace: 'default' },
    spec: { type: 'ClusterIP', clusterIPs: [ip] },
  });
  const address = (name: string, owner: string, ageMs: number) => ({
    metadata: {
      name,
      creationTimestamp: new Date(1e12 - ageMs).toISOString(),
      labels: { 'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io' },
    },
    spec: { parentRef: { resource: 'services', namespace: 'default', name: owner } },
  });

  it('leaves young addresses alone, drops orphans, and names what two Services claim', () => {
    const plan = planAddressRepair(
      [service('a', '10.0.0.1'), service('b', '10.0.0.1'), service('c', '10.0.0.3'), service('d', 'None')],
      [address('10.0.0.1', 'a', 1e6), address('10.0.0.8', 'gone', 1e6), address('10.0.0.9', 'new', 10)],
      1e12,
    );
    assert.deepEqual(
      plan.orphaned.map((one) => one.metadata.name),
      ['10.0.0.8'],
    );
    assert.deepEqual(
      plan.missing.map((one) => one.metadata.name),
      ['10.0.0.3'],
    );
    assert.deepEqual(plan.doubled, [{ ip: '10.0.0.1', services: ['default/a', 'default/b'] }]);
  });
});
