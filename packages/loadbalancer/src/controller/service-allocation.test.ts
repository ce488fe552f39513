import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EventRecorder } from '@cloudless/kube/events/recorder';
import { type Handler, type Informer, startInformer } from '@cloudless/kube/informer/informer';
import { systemClock } from '@cloudless/kube/clock';
import { core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import type { Service } from '@cloudless/kube/types/core-v1';
import { parseConfiguration } from '../config/parse.ts';
import type { LoadBalancerConfig } from '../config/config.ts';
import { Allocator } from './allocator.ts';
import { ServiceAllocation } from './service-allocation.ts';

const silent = { info: () => undefined, warn: () => undefined, debug: () => undefined };
const noEvents = { event: () => undefined } as unknown as EventRecorder;

function poolsOf(...addresses: string[]): LoadBalancerConfig['pools'] {
  const parsed = parseConfiguration({
    ipAddressPools: [{ metadata: { name: 'p', namespace: 'lb' }, spec: { addresses } }],
  });
  if (!('config' in parsed)) assert.fail('the pools are wrong');
  return parsed.config.pools;
}

/** An informer that shows what it is told to show, however old. */
class LateInformer {
  readonly shown = new Map<string, Service>();
  readonly handlers: Array<Handler<Service>> = [];
  readonly store = {
    get: (key: string) => this.shown.get(key),
    list: () => [...this.shown.values()],
  };

  addHandler(handler: Handler<Service>): () => void {
    this.handlers.push(handler);
    return () => undefined;
  }

  show(service: Service): void {
    const key = `${service.metadata.namespace}/${service.metadata.name}`;
    const old = this.shown.get(key);
    this.shown.set(key, service);
    for (const handler of this.handlers)
      if (old) handler.update?.(service, old);
      else handler.add?.(service, false);
  }
}

describe('writing allocations', () => {
  it('decides nothing by a status that is older than what was written', async () => {
    const cluster = new FakeCluster();
    const late = new LateInformer();
    await using namespaces = startInformer({ client: cluster.client, resource: core.namespaces });
    const allocator = new Allocator();
    await using services = new ServiceAllocation({
      client: cluster.client,
      allocator,
      services: late as unknown as Informer<Service>,
      namespaces,
      events: noEvents,
      onProcessed: () => undefined,
      clock: systemClock,
      log: silent,
      signal: new AbortController().signal,
    });
    const stored = (name: string): Service => cluster.object(core.services, name, 'default') as Service;
    const ip = (name: string): string | undefined => stored(name).status?.loadBalancer?.ingress?.[0]?.ip;
    for (const name of ['a', 'b'])
      cluster.seed(core.services, {
        metadata: { name, namespace: 'default' },
        spec: { type: 'LoadBalancer', clusterIPs: ['10.96.0.1'], ports: [{ port: 80 }] },
        status: { loadBalancer: { ingress: name === 'a' ? [{ ip: '192.0.2.0' }] : [] } },
      });
    late.show(stored('a'));
    services.setPools(poolsOf('192.0.2.0/30'));
    await cluster.until(() => stored('a').metadata.annotations !== undefined);
    late.show(stored('a'));
    const old = stored('a');
    services.setPools(poolsOf('192.0.2.1-192.0.2.3'));
    await cluster.until(() => ip('a') === '192.0.2.1');
    // The update has not arrived; the pool is whole again, and another Service comes.
    services.setPools(poolsOf('192.0.2.0/30'));
    late.show(stored('b'));
    await cluster.until(() => ip('b') !== undefined);
    assert.equal(late.shown.get('default/a'), old);
    assert.equal(ip('b'), '192.0.2.0');
    assert.equal(allocator.allocationOf('default/a')?.addresses[0]?.text, '192.0.2.1');
    late.show(stored('a'));
    await services.stop();
    assert.equal(ip('a'), '192.0.2.1');
  });
});
