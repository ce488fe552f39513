/** Addresses for Services on the real API server, by the identity and the rights that `cloudless up` gives the controller. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { KubeObject } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import type { Service } from '@cloudless/kube/types/core-v1';
import { installDefinitions } from '@cloudless/loadbalancer/config/definitions';
import { type IPAddressPool, metallb } from '@cloudless/loadbalancer/config/kinds';
import { type LoadBalancerController, startController } from '@cloudless/loadbalancer/controller/controller';
import { type Cluster, startCluster } from 'cloudless/testing';

const talk = (file: string): string =>
  readFileSync(join(import.meta.dirname, '..', 'talk', `${file}.yaml`), 'utf8');
const silent = {
  info: () => undefined,
  warn: () => undefined,
  debug: () => undefined,
  error: () => undefined,
};
const addressesOf = (service: Service): string =>
  (service.status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip).join(',');

describe('addresses on the API server', () => {
  let cluster: Cluster;
  let controller: LoadBalancerController;
  const start = (): Promise<LoadBalancerController> =>
    startController({
      client: cluster.clientFor('system:serviceaccount:kube-system:loadbalancer-controller'),
      log: silent,
    });
  const has = (name: string, addresses: string, namespace = 'default'): Promise<Service> =>
    cluster.waitFor(
      { resource: core.services, name, namespace },
      (service: Service) => addressesOf(service) === addresses,
    );
  const told = async (name: string, reason: string, message: RegExp): Promise<void> => {
    const deadlineMs = Date.now() + 10_000;
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- Events are written behind
      const { items } = await cluster.client.list(core.events, {
        fieldSelector: `involvedObject.name=${name},reason=${reason}`,
      });
      if (items.some((event) => message.test(event.message ?? ''))) return;
      if (Date.now() > deadlineMs)
        assert.fail(`${name} was told: ${items.map((event) => event.message).join('; ')}`);
      // oxlint-disable-next-line no-await-in-loop
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  before(async () => {
    cluster = await startCluster({ nodes: 0, scheduler: false });
    controller = await start();
    await installDefinitions(cluster.client);
  });
  after(async () => {
    await controller.stop();
    await cluster.stop();
  });

  it('are what the talk’s own files ask for', async () => {
    await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'metallb' } });
    await cluster.apply(talk('metallb'));
    await cluster.apply(talk('transmission'));
    await cluster.apply(talk('service-nine'));
    const torrent = await has('transmission-torrent', '116.203.0.10');
    assert.equal(torrent.metadata.annotations?.['metallb.io/ip-allocated-from-pool'], 'curry-torrent');
    assert.deepEqual(
      torrent.spec?.ports?.map(({ protocol, port }) => `${protocol}/${port}`),
      ['TCP/31415', 'UDP/31415'],
    );
    assert.equal(torrent.status?.loadBalancer?.ingress?.[0]?.ipMode, 'VIP');
    await has('web', '116.203.0.9');
    await told('transmission-torrent', 'IPAllocated', /^Assigned IP \["116.203.0.10"\]$/);
    await told('transmission-torrent', 'deprecatedAnnotation', /metallb.universe.tf\/address-pool$/);
    const counted = await cluster.waitFor(
      { resource: metallb.ipAddressPools, name: 'curry-torrent', namespace: 'metallb' },
      (pool: IPAddressPool) => pool.status?.assignedIPv4 === 1,
    );
    assert.deepEqual(counted.status, {
      assignedIPv4: 1,
      assignedIPv6: 0,
      availableIPv4: 0,
      availableIPv6: 0,
    });
    assert.match(controller.metrics(), /^metallb_allocator_addresses_in_use_total{pool="outofcloud"} 1$/m);
  });

  it('stay through a restart, and a third Service waits until one is given back', async () => {
    await controller.stop();
    await cluster.apply(service('third', {}));
    controller = await start();
    await told('third', 'AllocationFailed', /no available IPs$/);
    await has('web', '116.203.0.9');
    await cluster.client.delete(core.services, 'web', { namespace: 'default' });
    await has('third', '116.203.0.9');
  });

  it('are counted exactly in a range that no number holds', async () => {
    await cluster.apply(pool('large', ['2001:db8::/32'], { autoAssign: false }));
    const { status } = await cluster.waitFor(
      { resource: metallb.ipAddressPools, name: 'large', namespace: 'metallb' },
      (one: IPAddressPool) => one.status !== undefined,
    );
    assert.equal(BigInt(status?.availableIPv6 ?? 0), 2n ** 63n - 1n);
  });

  it('are left alone by a bad edit, which is told at the object, and move by a good one', async () => {
    await cluster.apply(pool('overlapping', ['116.203.0.8/29']));
    await told(
      'overlapping',
      'ConfigurationInvalid',
      /spec.addresses\[0\]: 116.203.0.8\/29 overlaps 116.203.0.\d+\/32 .*stays in force$/,
    );
    await has('third', '116.203.0.9');
    await cluster.client.delete(metallb.ipAddressPools, 'overlapping', { namespace: 'metallb' });
    await cluster.apply(pool('outofcloud', ['203.0.113.0/30']));
    await has('third', '203.0.113.0');
    await told('third', 'ClearAssignment', /\["116.203.0.9"\] is not allowed in config$/);
    await has('transmission-torrent', '116.203.0.10');
  });

  it('are shared over the API as the annotation says, and leave with the type', async () => {
    const key = { 'metallb.io/allow-shared-ip': 'dns' };
    await cluster.apply(
      service('dns-tcp', { loadBalancerIP: '203.0.113.2', ports: [{ port: 53, protocol: 'TCP' }] }, key),
    );
    await cluster.apply(
      service('dns-udp', { loadBalancerIP: '203.0.113.2', ports: [{ port: 53, protocol: 'UDP' }] }, key),
    );
    await has('dns-tcp', '203.0.113.2');
    await has('dns-udp', '203.0.113.2');
    await cluster.apply(
      service('dns-udp', { type: 'ClusterIP', ports: [{ port: 53, protocol: 'UDP' }] }, key),
    );
    const left = await has('dns-udp', '');
    assert.equal(left.metadata.annotations?.['metallb.io/ip-allocated-from-pool'], undefined);
  });
});

function pool(name: string, addresses: string[], spec: object = {}): KubeObject {
  return {
    apiVersion: 'metallb.io/v1beta1',
    kind: 'IPAddressPool',
    metadata: { name, namespace: 'metallb' },
    spec: { addresses, ...spec },
  } as KubeObject;
}

function service(name: string, spec: object, annotations: Record<string, string> = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, annotations },
    spec: { type: 'LoadBalancer', ports: [{ port: 80 }], ...spec },
  };
}
