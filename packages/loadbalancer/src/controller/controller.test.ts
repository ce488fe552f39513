import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { coordination, core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import type { Service } from '@cloudless/kube/types/core-v1';
import { type IPAddressPool, metallb } from '../config/kinds.ts';
import { type ControllerOptions, type LoadBalancerController, startController } from './controller.ts';

const silent = {
  info: () => undefined,
  warn: () => undefined,
  debug: () => undefined,
  error: () => undefined,
};

const pool = (
  name: string,
  addresses: string[],
  spec: Partial<IPAddressPool['spec']> = {},
): IPAddressPool => ({
  metadata: { name, namespace: 'metallb-system' },
  spec: { addresses, ...spec },
});
const service = (
  name: string,
  more: Partial<Service> & { annotations?: Record<string, string> } = {},
): Service => ({
  metadata: { name, namespace: 'default', annotations: more.annotations ?? {} },
  spec: {
    type: 'LoadBalancer',
    clusterIPs: ['10.96.0.1'],
    ports: [{ port: 80, protocol: 'TCP' }],
    ...more.spec,
  },
  ...(more.status ? { status: more.status } : {}),
});

class Lab implements AsyncDisposable {
  readonly cluster = new FakeCluster();
  readonly controllers: LoadBalancerController[] = [];

  constructor() {
    this.cluster.seed(core.namespaces, { metadata: { name: 'default' } });
  }

  async start(options: Partial<ControllerOptions> = {}): Promise<LoadBalancerController> {
    const controller = await startController({ client: this.cluster.client, log: silent, ...options });
    this.controllers.push(controller);
    return controller;
  }

  addresses(name: string): string {
    const ingress = this.cluster.object(core.services, name, 'default')?.status?.loadBalancer?.ingress;
    return (ingress ?? []).map(({ ip }) => ip).join(',');
  }

  async has(name: string, addresses: string): Promise<void> {
    await this.cluster
      .until(() => this.addresses(name) === addresses)
      .catch(() => assert.fail(`${name} has "${this.addresses(name)}", not "${addresses}"`));
  }

  async told(name: string, reason: string, message: RegExp): Promise<void> {
    const texts = (): string[] =>
      this.cluster
        .objects(core.events)
        .filter((event) => event.involvedObject?.name === name)
        .map((event) => `${event.reason}: ${event.message}`);
    await this.cluster
      .until(() => texts().some((text) => text.startsWith(`${reason}: `) && message.test(text)))
      .catch(() => assert.fail(`${name} was told:\n${texts().join('\n')}`));
  }

  writes(): number {
    return this.cluster.calls.filter(
      ({ verb, resource }) => verb === 'update' && resource.plural === 'services',
    ).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.controllers.map((one) => one.stop()));
  }
}

describe('the controller', () => {
  it('writes status and annotation through the status subresource, tells Events, and counts in the pool', async () => {
    await using lab = new Lab();
    lab.cluster.seed(metallb.ipAddressPools, pool('p', ['192.0.2.0/29']));
    lab.cluster.seed(
      core.services,
      service('s', { annotations: { 'metallb.universe.tf/address-pool': 'p' } }),
    );
    const controller = await lab.start();
    await lab.has('s', '192.0.2.0');
    const stored = lab.cluster.object(core.services, 's', 'default');
    assert.equal(stored?.metadata.annotations?.['metallb.io/ip-allocated-from-pool'], 'p');
    const call = lab.cluster.calls.find(
      ({ verb, resource }) => verb === 'update' && resource.plural === 'services',
    );
    assert.equal(call?.subresource, 'status');
    await lab.told('s', 'IPAllocated', /Assigned IP \["192.0.2.0"\]$/);
    await lab.told('s', 'deprecatedAnnotation', /metallb.universe.tf\/address-pool$/);
    const status = (): unknown => lab.cluster.object(metallb.ipAddressPools, 'p', 'metallb-system')?.status;
    await lab.cluster.until(() => status() !== undefined);
    assert.deepEqual(status(), { assignedIPv4: 1, assignedIPv6: 0, availableIPv4: 7, availableIPv6: 0 });
    const metrics = controller.metrics();
    assert.match(metrics, /^metallb_allocator_addresses_in_use_total{pool="p"} 1$/m);
    assert.match(metrics, /^metallb_allocator_addresses_total{pool="p"} 8$/m);
    assert.match(metrics, /^metallb_k8s_client_config_loaded_bool 1$/m);
    assert.equal(lab.writes(), 1, 'one write is enough');
  });

  it('takes an address back when its Service goes or is no load balancer, and gives it to who waits', async () => {
    await using lab = new Lab();
    lab.cluster.seed(metallb.ipAddressPools, pool('p', ['192.0.2.1/32']));
    lab.cluster.seed(core.services, service('a'));
    await lab.start();
    await lab.has('a', '192.0.2.1');
    await lab.cluster.client.create(core.services, service('b'));
    await lab.told('b', 'AllocationFailed', /no available IPs$/);
    await lab.cluster.client.delete(core.services, 'a', { namespace: 'default' });
    await lab.has('b', '192.0.2.1');
    await lab.cluster.client.create(core.services, service('c'));
    await lab.told('c', 'AllocationFailed', /no available IPs$/);
    lab.cluster.change(
      core.services,
      'b',
      'default',
      (copy: Service) => (copy.spec = { ...copy.spec, type: 'ClusterIP' }),
    );
    await lab.has('c', '192.0.2.1');
    await lab.has('b', '');
    assert.equal(
      lab.cluster.object(core.services, 'b', 'default')?.metadata.annotations?.[
        'metallb.io/ip-allocated-from-pool'
      ],
      undefined,
    );
  });

  it('changes nothing when it starts again, and serves those first who have an address', async () => {
    await using lab = new Lab();
    lab.cluster.seed(metallb.ipAddressPools, pool('p', ['192.0.2.0/30']));
    const names = ['a', 'b', 'c', 'd'];
    lab.cluster.seed(core.services, ...names.map((name) => service(name)));
    const first = await lab.start();
    await lab.cluster.until(() => names.every((name) => lab.addresses(name) !== ''));
    const before = names.map((name) => lab.addresses(name));
    assert.equal(new Set(before).size, 4);
    await first.stop();
    const writes = lab.writes();
    lab.cluster.seed(core.services, service('0-first-by-name'));
    await lab.start();
    await lab.told('0-first-by-name', 'AllocationFailed', /no available IPs$/);
    assert.deepEqual(
      names.map((name) => lab.addresses(name)),
      before,
    );
    assert.equal(lab.writes(), writes);
  });

  it('moves Services that an edit of the pools strands, says so, and leaves the last good pools in force', async () => {
    await using lab = new Lab();
    lab.cluster.seed(metallb.ipAddressPools, pool('p', ['192.0.2.0/30']));
    lab.cluster.seed(core.services, service('a'), service('b', { spec: { loadBalancerIP: '192.0.2.3' } }));
    await lab.start();
    await lab.has('a', '192.0.2.0');
    await lab.has('b', '192.0.2.3');
    const edit = (addresses: string[]): void =>
      void lab.cluster.change(
        metallb.ipAddressPools,
        'p',
        'metallb-system',
        (copy: IPAddressPool) => (copy.spec.addresses = addresses),
      );
    edit(['192.0.2.9-192.0.2.1']);
    await lab.told(
      'p',
      'ConfigurationInvalid',
      /spec.addresses\[0\]: "192.0.2.9-192.0.2.1" is reversed.*the last good configuration stays in force$/,
    );
    assert.equal(lab.addresses('a'), '192.0.2.0');
    edit(['192.0.2.2/31']);
    await lab.has('a', '192.0.2.2');
    await lab.told('a', 'ClearAssignment', /\["192.0.2.0"\] is not allowed in config$/);
    await lab.told('a', 'IPAllocated', /Assigned IP \["192.0.2.2"\]$/);
    assert.equal(lab.addresses('b'), '192.0.2.3');
  });

  it('gives addresses out though a BGP peer is wrong, and tells what is wrong at the peer', async () => {
    await using lab = new Lab();
    lab.cluster.seed(metallb.ipAddressPools, pool('p', ['192.0.2.0/30']));
    lab.cluster.seed(metallb.bgpPeers, {
      metadata: { name: 'router', namespace: 'metallb-system' },
      spec: { myASN: 64_512, peerASN: 64_513, peerAddress: '192.0.2.1', passwordSecret: { name: 'md5' } },
    });
    lab.cluster.seed(core.services, service('a'));
    await lab.start();
    await lab.has('a', '192.0.2.0');
    await lab.told(
      'router',
      'ConfigurationInvalid',
      /spec.passwordSecret: there is no Secret metallb-system\/md5/,
    );
  });

  it('writes whether the configuration is in force, where it has a namespace of its own', async () => {
    await using lab = new Lab();
    const namespace = 'metallb-system';
    let mayWrite = false;
    lab.cluster.intercept(({ resource }) =>
      resource.kind === 'ConfigurationState' && !mayWrite
        ? errors.forbidden(resource, '', 'no right yet')
        : undefined,
    );
    const clock = new FakeClock();
    await lab.start({ namespace, clock });
    const until = (condition: () => boolean): Promise<void> =>
      lab.cluster.until(() => {
        clock.advance(100);
        return condition();
      });
    const asked = (): number =>
      lab.cluster.calls.filter(({ resource }) => resource.kind === 'ConfigurationState').length;
    await until(() => clock.monotonicMs() > 2000);
    assert.equal(asked(), 0, 'nothing is written where nothing is configured');
    lab.cluster.seed(metallb.ipAddressPools, pool('p', ['192.0.2.0/30']));
    await until(() => asked() > 0);
    mayWrite = true;
    const state = () => lab.cluster.object(metallb.configurationStates, 'controller', namespace)?.status;
    await until(() => state()?.result === 'Valid');
    lab.cluster.seed(metallb.ipAddressPools, pool('q', ['192.0.2.0/31']));
    await until(() => state()?.result === 'Invalid');
    assert.match(
      state()?.errorSummary ?? '',
      /^IPAddressPool metallb-system\/q: spec.addresses\[0\]: 192.0.2.0\/31 overlaps/,
    );
    assert.equal(state()?.conditions?.[0]?.reason, 'ConfigurationError');
    lab.cluster.remove(metallb.ipAddressPools, 'q', namespace);
    await until(() => state()?.result === 'Valid' && state()?.errorSummary === '');
  });

  it('looks again when a namespace gets the label that a pool is for', async () => {
    await using lab = new Lab();
    lab.cluster.seed(
      metallb.ipAddressPools,
      pool('p', ['192.0.2.0/30'], {
        serviceAllocation: { namespaceSelectors: [{ matchLabels: { team: 'x' } }] },
      }),
    );
    lab.cluster.seed(core.services, service('a'));
    await lab.start();
    await lab.told('a', 'AllocationFailed', /no available IPs$/);
    lab.cluster.change(
      core.namespaces,
      'default',
      undefined,
      (copy) => (copy.metadata.labels = { team: 'x' }),
    );
    await lab.has('a', '192.0.2.0');
  });

  it('minds its own class only, and addresses of others where there is no pool', async () => {
    await using lab = new Lab();
    const theirs = { status: { loadBalancer: { ingress: [{ ip: '203.0.113.7' }] } } };
    lab.cluster.seed(
      core.services,
      service('classed', { spec: { loadBalancerClass: 'example.com/x' } }),
      service('foreign', theirs),
    );
    lab.cluster.seed(core.services, service('none'));
    await lab.start();
    await lab.start({ loadBalancerClass: 'example.com/x' });
    // The first pool comes only now: until then nobody knows anything.
    await lab.told('none', 'AllocationFailed', /there is no IPAddressPool$/);
    assert.equal(lab.addresses('foreign'), '203.0.113.7');
    await lab.cluster.client.create(metallb.ipAddressPools, pool('p', ['192.0.2.0/30']));
    await lab.has('none', '192.0.2.1').catch(() => lab.has('none', '192.0.2.0'));
    await lab.has('classed', '192.0.2.0');
  });

  it('writes again after a conflict, and stays with what it decided', async () => {
    await using lab = new Lab();
    lab.cluster.seed(metallb.ipAddressPools, pool('p', ['192.0.2.0/30']));
    let conflicts = 2;
    lab.cluster.intercept(({ verb, resource, name = '' }) =>
      verb === 'update' && resource.plural === 'services' && conflicts-- > 0
        ? errors.modified(core.services, name)
        : undefined,
    );
    lab.cluster.seed(core.services, service('a'));
    await lab.start();
    await lab.has('a', '192.0.2.0');
  });

  it('works where it leads, and another takes over with the same addresses', async () => {
    await using lab = new Lab();
    lab.cluster.seed(metallb.ipAddressPools, pool('p', ['192.0.2.0/30']));
    lab.cluster.seed(core.services, service('a'));
    const election = (identity: string): Partial<ControllerOptions> => ({
      leaderElection: { namespace: 'metallb-system', identity },
    });
    const one = await lab.start(election('one'));
    await lab.has('a', '192.0.2.0');
    const two = await lab.start(election('two'));
    assert.deepEqual([one.isWorking, two.isWorking], [true, false]);
    await lab.cluster.until(() => two.isStandby);
    assert.equal(one.isStandby, false);
    assert.equal(two.metrics(), '');
    await one.stop();
    await lab.cluster.until(() => two.isWorking, 'the other one to lead', 15_000);
    assert.equal(
      lab.cluster.object(coordination.leases, 'metallb-controller', 'metallb-system')?.spec?.holderIdentity,
      'two',
    );
    await lab.cluster.client.create(core.services, service('b'));
    await lab.has('b', '192.0.2.1');
    assert.equal(lab.addresses('a'), '192.0.2.0');
  });

  it('leaves no timer behind', async () => {
    const clock = new FakeClock();
    const lab = new Lab();
    lab.cluster.seed(metallb.ipAddressPools, pool('p', ['192.0.2.0/30']));
    lab.cluster.seed(core.services, service('a'));
    const controller = await lab.start({ clock });
    await lab.cluster.until(() => {
      clock.advance(50);
      return lab.addresses('a') !== '';
    });
    await lab.cluster.client.create(core.services, service('b'));
    await controller.stop();
    assert.equal(clock.pendingTimers, 0);
  });
});
