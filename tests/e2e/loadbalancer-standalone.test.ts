import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import { core, discovery } from '@cloudless/kube/resources';
import { metallb } from '@cloudless/loadbalancer/config/kinds';
import { watchConfiguration } from '@cloudless/loadbalancer/config/watch';
import { startController } from '@cloudless/loadbalancer/controller/controller';
import { deployment } from '@cloudless/loadbalancer/deploy/manifests';
import { ensureMemberlistSecret } from '@cloudless/loadbalancer/gossip/secret';
import { startSpeaker } from '@cloudless/loadbalancer/speaker/start';
import { installDefinitions } from '@cloudless/loadbalancer/config/definitions';
import { type Cluster, startCluster } from '../../packages/cli/src/testing/index.ts';
import { FakeParts } from '../../packages/loadbalancer/src/speaker/testing/parts.ts';

const namespace = 'metallb-system';

// The load balancer beside a cluster that knows nothing of it, with the rights that its manifests give.
describe('controller and speaker with the manifests’ service accounts', () => {
  let cluster: Cluster;
  const parts: Running[] = [];
  const refused: string[] = [];
  const log = logger('standalone').child({}, { level: 'silent' });
  const client = (account: string) => {
    const inner = cluster.clientFor(`system:serviceaccount:${namespace}:${account}`);
    const watched = (error: unknown): never => {
      if (/forbidden/i.test(String(error))) refused.push(`${account}: ${String(error)}`);
      throw error;
    };
    return new Proxy(inner, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as ((...args: unknown[]) => unknown) | undefined;
        // No member of a client: whether it is a promise is asked so.
        if (!method) return undefined;
        return (...args: unknown[]) => {
          const result = method.apply(target, args);
          return result instanceof Promise ? result.catch(watched) : result;
        };
      },
    });
  };

  before(async () => {
    cluster = await startCluster();
    await installDefinitions(cluster.client);
    await cluster.apply(
      deployment({ image: 'example.org/cloudless:1', namespace }).map(({ object }) => object),
    );
    await cluster.apply([
      {
        apiVersion: 'metallb.io/v1beta1',
        kind: 'IPAddressPool',
        metadata: { name: 'pool', namespace },
        spec: { addresses: ['192.0.2.9/32'] },
      },
      {
        apiVersion: 'metallb.io/v1beta1',
        kind: 'L2Advertisement',
        metadata: { name: 'l2', namespace },
        spec: {},
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web', namespace: 'default' },
        spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
      },
    ]);
    const node = cluster.nodes[0]?.name ?? '';
    await cluster.client.create(discovery.endpointslices, {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'web-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      ports: [{ port: 80, protocol: 'TCP' }],
      endpoints: [{ addresses: ['10.128.0.9'], nodeName: node, conditions: { ready: true } }],
    });
    await ensureMemberlistSecret({ client: client('controller'), namespace });
    parts.push(
      await startController({
        client: client('controller'),
        namespace,
        leaderElection: { namespace, identity: 'test' },
        log,
      }),
    );
    const fakes = new FakeParts();
    parts.push(
      await startSpeaker({
        nodeName: node,
        nodeAddress: '192.0.2.1',
        client: client('speaker'),
        namespace,
        log,
        parts: {
          layer2: (options) => fakes.layer2(options),
          gossip: (options) => fakes.gossip(options),
          bgp: () => fakes.bgp(),
          configuration: (api) => watchConfiguration({ client: api, namespace, clock: systemClock, log }),
        },
      }),
    );
  });
  after(async () => {
    for (const part of parts.reverse()) await part.stop();
    await cluster.stop();
  });

  it('give the Service its address, announce it, and say so', async () => {
    await cluster.waitFor({ resource: core.services, name: 'web', namespace: 'default' }, (service) =>
      assert.equal(service.status?.loadBalancer?.ingress?.[0]?.ip, '192.0.2.9'),
    );
    const node = cluster.nodes[0]?.name ?? '';
    const endMs = performance.now() + 10_000;
    for (;;) {
      const { items } = await cluster.client.list(metallb.serviceL2Statuses, { namespace });
      const events = await cluster.client.list(core.events, { namespace: 'default' });
      const said = events.items.some(({ reason }) => reason === 'nodeAssigned');
      if (said && items[0]?.status?.node === node) break;
      assert.ok(performance.now() < endMs, `${refused.join('; ')} ${JSON.stringify(items)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  it('are refused nothing that they ask for', () => assert.deepEqual(refused, []));

  it('and may do no more', async () => {
    for (const account of ['controller', 'speaker']) {
      const api = cluster.clientFor(`system:serviceaccount:${namespace}:${account}`);
      await assert.rejects(api.list(core.secrets, { namespace: 'kube-system' }), /forbidden/);
      await assert.rejects(api.list(core.pods), /forbidden/);
      await assert.rejects(api.delete(core.services, 'web', { namespace: 'default' }), /forbidden/);
      await assert.rejects(api.delete(metallb.ipAddressPools, 'pool', { namespace }), /forbidden/);
    }
  });
});
