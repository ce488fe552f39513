import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Node } from '@cloudless/kube/types/core-v1';
import { excludeLabel, planService, type ServiceInputs } from './announcements.ts';
import {
  bgpAdvertisement,
  configuration,
  l2,
  labelled,
  node,
  pool,
  service,
  slice,
} from './testing/objects.ts';

const nodes = (...list: Node[]): Map<string, Node> =>
  new Map(list.map((one) => [one.metadata.name ?? '', one]));
const three = nodes(node('n1'), node('n2'), node('n3'));

function plan(
  over: Partial<Omit<ServiceInputs, 'rules'>> & { rules?: Partial<ServiceInputs['rules']> } = {},
) {
  return planService({
    service: service('web'),
    slices: [slice('web', ['n2'])],
    nodes: three,
    config: configuration(),
    ...over,
    rules: { nodeName: 'n1', strictExclude: false, ...over.rules },
  });
}

const excluded = { [excludeLabel]: '' };

describe('who may announce a Service', () => {
  it('with Cluster every node that an advertisement is for', () => {
    const { layer2, announcements } = plan();
    assert.deepEqual(layer2.candidates, ['n1', 'n2', 'n3']);
    assert.deepEqual(announcements, [
      { address: '192.0.2.9', candidates: ['n1', 'n2', 'n3'], interfaces: 'any' },
    ]);
  });

  it('with Local the nodes of endpoints that are ready, or serve while they terminate', () => {
    const local = service('web', { local: true });
    const slices = [
      slice('web', ['n1'], { ready: false, serving: false }),
      slice('web', ['n2'], { ready: false, serving: true, terminating: true }),
      slice('web', ['n3'], {}),
    ];
    const { layer2 } = plan({ service: local, slices });
    assert.deepEqual(layer2.candidates, ['n2', 'n3']);
    assert.deepEqual([...layer2.others], [['n1', 'no-serving-endpoint']]);
  });

  for (const local of [false, true])
    it(`without a serving endpoint nobody, Local or not (${local})`, () => {
      const slices = [slice('web', ['n1', 'n2'], { ready: false })];
      const { layer2, announcements } = plan({ service: service('web', { local }), slices });
      assert.equal(layer2.silence, 'no-serving-endpoint');
      assert.deepEqual(announcements, []);
    });

  it('node selectors of several advertisements are alternatives; a node without network is out', () => {
    const config = configuration([
      pool({
        l2Advertisements: [
          l2({ nodeSelectors: [labelled('rack', 'a')], interfaces: ['eth1'] }),
          l2({ nodeSelectors: [labelled('rack', 'b')], interfaces: ['eth0'] }),
        ],
      }),
    ]);
    const down = node('n3', { rack: 'a' });
    down.status = { conditions: [{ type: 'NetworkUnavailable', status: 'True' }] };
    const known = nodes(node('n1', { rack: 'a' }), node('n2', { rack: 'b' }), down, node('n4'));
    const { layer2, announcements } = plan({ config, nodes: known });
    assert.deepEqual(layer2.candidates, ['n1', 'n2']);
    assert.deepEqual(
      [...layer2.others],
      [
        ['n3', 'network-unavailable'],
        ['n4', 'no-advertisement'],
      ],
    );
    assert.deepEqual(announcements[0]?.interfaces, ['eth1'], 'those of the advertisements for this node');
    assert.deepEqual(plan({ config, nodes: known, rules: { nodeName: 'n2' } }).announcements[0]?.interfaces, [
      'eth0',
    ]);
  });

  it('interfaces of several advertisements join; one for all of them outweighs the others', () => {
    const config = (last: 'any' | string[]) =>
      configuration([pool({ l2Advertisements: [l2({ interfaces: ['eth1'] }), l2({ interfaces: last })] })]);
    assert.deepEqual(plan({ config: config(['eth0']) }).announcements[0]?.interfaces, ['eth0', 'eth1']);
    assert.equal(plan({ config: config('any') }).announcements[0]?.interfaces, 'any');
  });

  it('service selectors choose, and go with no shared address', () => {
    const config = configuration([
      pool({ l2Advertisements: [l2({ serviceSelectors: [labelled('tier', 'edge')] })] }),
    ]);
    assert.equal(plan({ config }).layer2.silence, 'no-advertisement');
    const edge = service('web', { labels: { tier: 'edge' } });
    assert.equal(plan({ config, service: edge }).layer2.silence, undefined);
    const sharing = service('web', {
      labels: { tier: 'edge' },
      annotations: { 'metallb.universe.tf/allow-shared-ip': 'k' },
    });
    assert.equal(plan({ config, service: sharing }).layer2.silence, 'shared-with-service-selector');
  });

  for (const [why, over] of [
    ['not-load-balancer', { type: 'ClusterIP' }],
    ['other-class', { loadBalancerClass: 'example.com/other' }],
    ['no-address', { addresses: [] }],
    ['invalid-address', { addresses: ['192.0.2.900'] }],
    ['address-in-no-pool', { addresses: ['198.51.100.1'] }],
    ['address-in-no-pool', { addresses: ['192.0.2.9', '2001:db9::1'] }],
  ] as const)
    it(`nobody: ${why}`, () => {
      const { layer2, bgp, announcements } = plan({ service: service('web', over) });
      assert.equal(layer2.silence, why);
      assert.equal(bgp.silence, why);
      assert.deepEqual(announcements, []);
    });

  it('a dual-stack Service is elected by its first address', () => {
    const dual = service('web', { addresses: ['192.0.2.9', '2001:DB8:0::9'] });
    assert.deepEqual(
      plan({ service: dual }).announcements.map(({ address, electedBy }) => [address, electedBy]),
      [
        ['192.0.2.9', undefined],
        ['2001:db8::9', '192.0.2.9'],
      ],
    );
  });

  describe('the exclude label', () => {
    it('takes a node out while another remains', () => {
      const { layer2 } = plan({ nodes: nodes(node('n1', excluded), node('n2')) });
      assert.deepEqual(layer2.candidates, ['n2']);
      assert.deepEqual([...layer2.others], [['n1', 'excluded-by-label']]);
      assert.equal(layer2.labelOverruled, false);
    });

    it('is overruled where it would leave nobody', () => {
      const { layer2 } = plan({ nodes: nodes(node('n1', excluded)) });
      assert.deepEqual(layer2.candidates, ['n1']);
      assert.equal(layer2.labelOverruled, true);
      assert.equal(layer2.silence, undefined);
    });

    it('with Local, where the only endpoints are on labelled nodes', () => {
      const known = nodes(node('n1', excluded), node('n2'));
      const inputs = {
        service: service('web', { local: true }),
        slices: [slice('web', ['n1'])],
        nodes: known,
      };
      assert.deepEqual(plan(inputs).layer2.candidates, ['n1']);
      const strict = plan({ ...inputs, rules: { strictExclude: true } }).layer2;
      assert.equal(strict.silence, 'excluded-by-label');
    });

    it('when strict leaves silence, and is named', () => {
      const { layer2, announcements } = plan({
        nodes: nodes(node('n1', excluded)),
        rules: { strictExclude: true },
      });
      assert.equal(layer2.silence, 'excluded-by-label');
      assert.deepEqual([...layer2.others], [['n1', 'excluded-by-label']]);
      assert.deepEqual(announcements, []);
    });

    it('counts for nothing when it is to be ignored', () => {
      const { layer2 } = plan({
        nodes: nodes(node('n1', excluded), node('n2')),
        rules: { ignoreExclude: true },
      });
      assert.deepEqual(layer2.candidates, ['n1', 'n2']);
      assert.equal(layer2.labelOverruled, false);
    });
  });

  it('BGP follows its own advertisements, and Local the endpoints of a node', () => {
    const config = configuration([
      pool({
        l2Advertisements: [],
        bgpAdvertisements: [bgpAdvertisement({ nodeSelectors: [labelled('kubernetes.io/hostname', 'n2')] })],
      }),
    ]);
    const { layer2, bgp } = plan({ config });
    assert.equal(layer2.silence, 'no-advertisement');
    assert.deepEqual(bgp.candidates, ['n2']);
    const elsewhere = plan({
      config,
      service: service('web', { local: true }),
      slices: [slice('web', ['n1'])],
    });
    assert.equal(elsewhere.bgp.silence, 'no-candidate');
  });
});
