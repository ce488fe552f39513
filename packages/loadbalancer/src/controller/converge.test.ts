import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Service } from '@cloudless/kube/types/core-v1';
import { parseConfiguration } from '../config/parse.ts';
import { Allocator } from './allocator.ts';
import { converge } from './converge.ts';

/** A small cluster of Services whose statuses are written back, as the controller does it. */
class World {
  readonly allocator = new Allocator();
  readonly services = new Map<string, Service>();

  constructor(pools: Parameters<World['pools']>[0]) {
    this.pools(pools);
  }

  pools(specs: Record<string, object>): void {
    const parsed = parseConfiguration({
      ipAddressPools: Object.entries(specs).map(([name, spec]) => ({
        metadata: { name, namespace: 'lb' },
        spec: spec as { addresses: string[] },
      })),
    });
    if (!('config' in parsed)) assert.fail(JSON.stringify(parsed.problems));
    this.allocator.setPools(parsed.config.pools);
  }

  /** Applies a Service, and answers its addresses and what was told. */
  apply(
    name: string,
    spec: object = {},
    annotations: Record<string, string> = {},
    labels: Record<string, string> = {},
  ): string {
    const old = this.services.get(name);
    this.services.set(name, {
      metadata: { name, namespace: 'default', annotations, labels },
      spec: {
        type: 'LoadBalancer',
        clusterIPs: ['10.96.0.1'],
        ports: [{ protocol: 'TCP', port: 80 }],
        ...spec,
      },
      ...(old?.status ? { status: old.status } : {}),
    });
    return this.again(name);
  }

  again(name: string): string {
    const service = this.services.get(name) as Service;
    const { assigned, notes, isWaiting } = converge(this.allocator, service, {});
    assert.equal(isWaiting, assigned === undefined && service.spec?.type === 'LoadBalancer');
    const ingress = (assigned?.addresses ?? []).map(({ text }) => ({ ip: text }));
    this.services.set(name, { ...service, status: { loadBalancer: { ingress } } });
    const told = notes.map(({ reason, message }) => ` ${reason}: ${message}`).join('');
    return `${ingress.map(({ ip }) => ip).join(',') || 'none'}${assigned ? ` of ${assigned.pool}` : ''}${told}`;
  }
}

const two = { a: { addresses: ['192.0.2.0/30'] }, b: { addresses: ['198.51.100.0/30'], autoAssign: false } };

describe('a Service', () => {
  it('gets an address, keeps it, and gives it back when it is no load balancer any more', () => {
    const world = new World(two);
    assert.equal(world.apply('s'), '192.0.2.0 of a IPAllocated: Assigned IP ["192.0.2.0"]');
    assert.equal(world.again('s'), '192.0.2.0 of a');
    assert.equal(world.apply('s', { type: 'ClusterIP' }), 'none');
    assert.equal(world.apply('t'), '192.0.2.0 of a IPAllocated: Assigned IP ["192.0.2.0"]');
  });

  it('keeps what its status has when the allocator knows nothing', () => {
    const world = new World(two);
    world.services.set('s', { metadata: {}, status: { loadBalancer: { ingress: [{ ip: '192.0.2.2' }] } } });
    assert.equal(world.apply('s'), '192.0.2.2 of a');
    assert.equal(world.apply('t'), '192.0.2.0 of a IPAllocated: Assigned IP ["192.0.2.0"]');
  });

  it('keeps what is being written while its status does not show it yet', () => {
    const world = new World(two);
    world.apply('s');
    world.apply('t');
    world.allocator.release('default/s');
    world.services.set('t', { ...(world.services.get('t') as Service), status: {} });
    assert.equal(world.again('t'), '192.0.2.1 of a', 'though a lower address is free by now');
  });

  it('gets the address it asks for, by field or annotation, old and new', () => {
    const world = new World(two);
    const asked = (spec: object, annotations: Record<string, string> = {}): string =>
      world.apply('s', spec, annotations).split(' ')[0] as string;
    assert.equal(asked({ loadBalancerIP: '192.0.2.3' }), '192.0.2.3');
    assert.equal(
      asked({ loadBalancerIP: '198.51.100.2' }),
      '198.51.100.2',
      'a wish may name a pool that is not automatic',
    );
    assert.equal(asked({}, { 'metallb.io/loadBalancerIPs': '192.0.2.1' }), '192.0.2.1');
    assert.equal(asked({}, { 'metallb.universe.tf/loadBalancerIPs': '192.0.2.2' }), '192.0.2.2');
    assert.equal(asked({}), '192.0.2.2', 'without a wish it keeps what it has');
    assert.equal(
      world.apply('s', { loadBalancerIP: '203.0.113.1' }),
      'none AllocationFailed: Failed to allocate IP for "default/s": ["203.0.113.1"] is not allowed in config',
    );
    assert.match(
      world.apply('t', { loadBalancerIP: '192.0.2.1' }, { 'metallb.io/loadBalancerIPs': '192.0.2.1' }),
      /can not have both/,
    );
    assert.match(
      world.apply('t', {}, { 'metallb.io/loadBalancerIPs': 'one' }),
      /invalid metallb.io\/loadBalancerIPs: "one"/,
    );
    assert.match(
      world.apply('t', { loadBalancerIP: '2001:db8::1' }),
      /does not match the ipFamily of the service/,
    );
  });

  it('keeps its address beside a wish that cannot be understood, and says so', () => {
    const world = new World(two);
    world.apply('s');
    assert.equal(
      world.apply('s', { loadBalancerIP: 'x' }),
      '192.0.2.0 of a LoadBalancerFailed: invalid requested loadbalancer IPs: invalid spec.loadBalancerIP "x"',
    );
  });

  it('gets an address of the pool it names, old and new, and moves when it names another', () => {
    const world = new World(two);
    assert.match(world.apply('s', {}, { 'metallb.universe.tf/address-pool': 'b' }), /^198.51.100.0 of b/);
    assert.match(world.apply('s', {}, { 'metallb.io/address-pool': 'a' }), /^192.0.2.0 of a/);
    assert.match(
      world.apply('s', {}, { 'metallb.io/address-pool': 'c' }),
      /^none AllocationFailed: .* unknown pool "c"$/,
    );
    assert.match(
      world.apply('s', { loadBalancerIP: '192.0.2.1' }, { 'metallb.io/address-pool': 'b' }),
      /requested loadBalancer IP\(s\) \["192.0.2.1"\] is not compatible with requested address pool b$/,
    );
  });

  it('shares by the annotation, and loses what it shared when the other one forbids it', () => {
    const world = new World({ a: { addresses: ['192.0.2.0/31'] } });
    const key = { 'metallb.io/allow-shared-ip': 'k' };
    const udp = { ports: [{ protocol: 'UDP', port: 80 }] };
    assert.match(world.apply('tcp', {}, key), /^192.0.2.0/);
    assert.match(world.apply('udp', udp, { 'metallb.universe.tf/allow-shared-ip': 'k' }), /^192.0.2.0/);
    assert.match(
      world.apply(
        'local',
        {
          ...udp,
          ports: [{ protocol: 'TCP', port: 81 }],
          externalTrafficPolicy: 'Local',
          selector: { app: 'x' },
        },
        key,
      ),
      /^192.0.2.1/,
    );
    assert.equal(
      world.apply('udp', udp),
      `none ClearAssignment: current IP for "default/udp" not allowed by config, will attempt for new IP assignment: can't change sharing key for "default/udp", address also in use by default/tcp AllocationFailed: Failed to allocate IP for "default/udp": no available IPs`,
    );
    world.apply('local', { type: 'ClusterIP' });
    assert.match(world.again('udp'), /^192.0.2.1 of a IPAllocated/);
  });

  it('moves when an edit of the pools strands it, and says so', () => {
    const world = new World(two);
    world.apply('s');
    world.pools({ a: { addresses: ['192.0.2.2/31'] } });
    assert.equal(
      world.again('s'),
      '192.0.2.2 of a ClearAssignment: current IP for "default/s" not allowed by config, will attempt for new IP assignment: ["192.0.2.0"] is not allowed in config IPAllocated: Assigned IP ["192.0.2.2"]',
    );
    world.pools({});
    assert.match(
      world.again('s'),
      /^none ClearAssignment: .* AllocationFailed: .*: there is no IPAddressPool$/,
    );
  });

  it('has as many families as its cluster IPs, by its policy', () => {
    const world = new World({
      six: { addresses: ['2001:db8::/120'] },
      four: { addresses: ['192.0.2.0/24'] },
    });
    const dual = { clusterIPs: ['10.96.0.1', 'fd00::1'] };
    assert.match(world.apply('r', { ...dual, ipFamilyPolicy: 'RequireDualStack' }), /AllocationFailed/);
    assert.match(
      world.apply('p', { ...dual, ipFamilyPolicy: 'PreferDualStack' }),
      /^192.0.2.0 of four IPAllocated/,
    );
    assert.match(
      world.apply('six', { clusterIPs: ['fd00::2'], ipFamilyPolicy: 'SingleStack' }),
      /^2001:db8:: of six/,
    );
    assert.match(world.apply('half', { ipFamilyPolicy: 'RequireDualStack' }), /not enough clusterips/);
    assert.match(world.apply('none', { clusterIPs: [] }), /can't determine family/);
    world.pools({ both: { addresses: ['192.0.2.0/24', '2001:db8::/120'] } });
    assert.equal(
      world.again('p'),
      '192.0.2.0,2001:db8::1 of both IPAllocated: Assigned additional IP "2001:db8::1"',
    );
    assert.match(world.again('r'), /^192.0.2.1,2001:db8::2 of both/);
    assert.match(
      world.apply(
        'w',
        { ...dual, ipFamilyPolicy: 'RequireDualStack' },
        { 'metallb.io/loadBalancerIPs': '2001:db8::99, 192.0.2.99' },
      ),
      /^2001:db8::99,192.0.2.99 of both/,
    );
    assert.match(world.again('w'), /^2001:db8::99,192.0.2.99 of both$/);
  });
});
