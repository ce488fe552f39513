import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Secret } from '@cloudless/kube/types/core-v1';
import type { LoadBalancerConfig } from './config.ts';
import type {
  BfdProfileObject,
  BgpAdvertisementObject,
  BgpPeerObject,
  CommunityObject,
  IPAddressPool,
  L2AdvertisementObject,
} from './kinds.ts';
import { type ConfigurationObjects, parseConfiguration } from './parse.ts';
import { problemText } from './problem.ts';

const meta = (name: string, more: object = {}): { name: string; namespace: string } => ({
  name,
  namespace: 'lb',
  ...more,
});
const pool = (name: string, addresses: string[], more: object = {}): IPAddressPool => ({
  metadata: meta(name),
  spec: { addresses, ...more },
});
const peer = (name: string, spec: Partial<BgpPeerObject['spec']> = {}): BgpPeerObject => ({
  metadata: meta(name),
  spec: { myASN: 64_512, peerASN: 64_513, peerAddress: '192.0.2.1', ...spec },
});
const l2 = (name: string, spec: L2AdvertisementObject['spec'] = {}): L2AdvertisementObject => ({
  metadata: meta(name),
  spec,
});
const bgp = (name: string, spec: BgpAdvertisementObject['spec'] = {}): BgpAdvertisementObject => ({
  metadata: meta(name),
  spec,
});
const community = (name: string, value: string, object = name): CommunityObject => ({
  metadata: meta(object),
  spec: { communities: [{ name, value }] },
});
const profile = (name: string, spec: BfdProfileObject['spec'] = {}): BfdProfileObject => ({
  metadata: meta(name),
  spec,
});
const secret = (name: string, type: string, data: Record<string, string>, namespace = 'lb'): Secret => ({
  metadata: { name, namespace },
  type,
  data: Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  ),
});

function good(objects: ConfigurationObjects, secrets: readonly Secret[] = []): LoadBalancerConfig {
  const parsed = parseConfiguration(objects, secrets);
  if (!('config' in parsed)) assert.fail(parsed.problems.map(problemText).join('\n'));
  return parsed.config;
}
function problems(objects: ConfigurationObjects, secrets: readonly Secret[] = []): string[] {
  const parsed = parseConfiguration(objects, secrets);
  return 'problems' in parsed ? parsed.problems.map(problemText) : [];
}

describe('a good configuration', () => {
  it('joins pools with the advertisements that name, select or include them', () => {
    const { pools } = good({
      ipAddressPools: [
        {
          ...pool('a', ['192.0.2.0/28', '2001:db8::1-2001:db8::9']),
          metadata: meta('a', { labels: { zone: 'x' } }),
        },
        pool('b', ['198.51.100.9 - 198.51.100.17'], { autoAssign: false, avoidBuggyIPs: true }),
      ],
      l2Advertisements: [
        l2('named', { ipAddressPools: ['b'], interfaces: ['eth0'] }),
        l2('selected', { ipAddressPoolSelectors: [{ matchLabels: { zone: 'x' } }] }),
        l2('all', { nodeSelectors: [{ matchLabels: { rack: '1' } }] }),
      ],
    });
    const [a, b] = [pools.get('a'), pools.get('b')];
    assert.deepEqual(
      a?.ranges.map(({ family, first, last, prefixLength }) => [family, first, last, prefixLength]),
      [
        [4, 0xc000_0200n, 0xc000_020fn, 28],
        [6, (0x2001_0db8n << 96n) + 1n, (0x2001_0db8n << 96n) + 9n, undefined],
      ],
    );
    assert.deepEqual(
      a?.l2Advertisements.map(({ name }) => name),
      ['all', 'selected'],
    );
    assert.deepEqual(
      b?.l2Advertisements.map(({ name }) => name),
      ['all', 'named'],
    );
    assert.deepEqual(
      [a?.autoAssign, a?.avoidBuggyIPs, b?.autoAssign, b?.avoidBuggyIPs],
      [true, false, false, true],
    );
    assert.deepEqual(b?.l2Advertisements[1]?.interfaces, ['eth0']);
    assert.equal(a?.l2Advertisements[0]?.nodeSelectors[0]?.({ rack: '1' }), true);
    assert.equal(a?.l2Advertisements[0]?.nodeSelectors[0]?.({ rack: '2' }), false);
  });

  it('resolves communities, timers and passwords', () => {
    const { peers, pools, bfdProfiles } = good(
      {
        ipAddressPools: [pool('a', ['192.0.2.0/24'])],
        bgpPeers: [
          peer('defaults'),
          peer('timers', {
            peerAddress: '192.0.2.2',
            holdTime: '1m30s',
            keepaliveTime: '10s',
            connectTime: '5s',
          }),
          peer('hold', { peerAddress: '192.0.2.3', holdTime: '9s' }),
          peer('keepalive', { peerAddress: '192.0.2.4', keepaliveTime: '4s' }),
          peer('off', { peerAddress: '192.0.2.5', holdTime: '0s' }),
          peer('old', { peerAddress: '192.0.2.6', holdTime: '12s', keepaliveTime: '0s' }),
          peer('secret', {
            peerAddress: '2001:DB8:0::7',
            passwordSecret: { name: 'md5' },
            bfdProfile: 'fast',
          }),
          peer('dynamic', { peerAddress: '192.0.2.8', peerASN: 0, dynamicASN: 'external', password: 'p' }),
        ],
        bfdProfiles: [profile('fast', { receiveInterval: 50 })],
        communities: [community('no-export', '65535:65281'), community('far', 'large:4200000000:2:3')],
        bgpAdvertisements: [
          bgp('one', { communities: ['no-export', '1:2', 'large:4200000000:2:3', 'far'], localPref: 150 }),
        ],
      },
      [
        secret('md5', 'kubernetes.io/basic-auth', { password: 'pässword' }),
        secret('md5', 'Opaque', {}, 'other'),
      ],
    );
    const timers = (name: string): unknown[] => {
      const found = peers.get(name);
      return [found?.holdTimeSeconds, found?.keepaliveTimeSeconds, found?.connectTimeSeconds];
    };
    assert.deepEqual(timers('defaults'), [90, 30, 10]);
    assert.deepEqual(timers('timers'), [90, 10, 5]);
    assert.deepEqual(timers('hold'), [9, 3, 10]);
    assert.deepEqual(timers('keepalive'), [12, 4, 10]);
    assert.deepEqual(timers('off'), [0, 0, 10]);
    assert.deepEqual(timers('old'), [12, 4, 10]);
    assert.equal(peers.get('secret')?.password, 'pässword');
    assert.equal(peers.get('secret')?.peerAddress, '2001:db8::7');
    assert.equal(peers.get('dynamic')?.peerAsn, 'external');
    assert.equal(bfdProfiles.get('fast')?.receiveIntervalMs, 50);
    assert.equal(bfdProfiles.get('fast')?.transmitIntervalMs, 300);
    assert.deepEqual(pools.get('a')?.bgpAdvertisements[0]?.communities, [
      { type: 'standard', high: 65_535, low: 65_281 },
      { type: 'standard', high: 1, low: 2 },
      { type: 'large', global: 4_200_000_000, local1: 2, local2: 3 },
    ]);
  });

  it('is the same in whatever order the objects come', () => {
    const pools = [pool('a', ['192.0.2.0/25']), pool('b', ['192.0.2.128/25']), pool('c', ['2001:db8::/64'])];
    const advertisements = [l2('x'), l2('y', { ipAddressPools: ['b'] })];
    const shape = (config: LoadBalancerConfig): unknown =>
      [...config.pools].map(([name, { l2Advertisements }]) => [
        name,
        l2Advertisements.map((one) => one.name),
      ]);
    assert.deepEqual(
      shape(good({ ipAddressPools: pools, l2Advertisements: advertisements })),
      shape(good({ ipAddressPools: pools.toReversed(), l2Advertisements: advertisements.toReversed() })),
    );
  });

  it('warns of what has no effect, and comes into force', () => {
    const parsed = parseConfiguration({
      ipAddressPools: [pool('a', ['192.0.2.0/24'])],
      l2Advertisements: [l2('x', { ipAddressPools: ['gone'] })],
      bgpAdvertisements: [bgp('y', { peers: ['nobody'] })],
      bfdProfiles: [profile('z', { echoMode: true })],
    });
    assert.ok('config' in parsed);
    assert.deepEqual(parsed.warnings.map(problemText), [
      'BFDProfile lb/z: spec.echoMode: echo packets are not sent; the peer is watched by control packets alone',
      'L2Advertisement lb/x: spec.ipAddressPools[0]: there is no IPAddressPool gone',
      'BGPAdvertisement lb/y: spec.peers[0]: there is no BGPPeer nobody',
    ]);
  });
});

describe('a bad configuration is refused in a sentence that names object and field', () => {
  const cases: Array<[string, ConfigurationObjects, string, Secret[]?]> = [
    [
      'no addresses',
      { ipAddressPools: [pool('p', [])] },
      'IPAddressPool lb/p: spec.addresses: a pool needs at least one',
    ],
    [
      'no network',
      { ipAddressPools: [pool('p', ['192.0.2.0/33'])] },
      'IPAddressPool lb/p: spec.addresses[0]: "192.0.2.0/33" is no network',
    ],
    [
      'a bare address',
      { ipAddressPools: [pool('p', ['192.0.2.1'])] },
      'spec.addresses[0]: "192.0.2.1" is no network',
    ],
    [
      'no range',
      { ipAddressPools: [pool('p', ['192.0.2.0/24', '192.0.2.1-x'])] },
      'spec.addresses[1]: "192.0.2.1-x" is no range',
    ],
    [
      'a reversed range',
      { ipAddressPools: [pool('p', ['2001:db8::9-2001:db8::1'])] },
      'is reversed: it ends before it begins',
    ],
    [
      'two families',
      { ipAddressPools: [pool('p', ['192.0.2.1-2001:db8::1'])] },
      'begins in one IP family and ends in the other',
    ],
    [
      'overlap of pools',
      { ipAddressPools: [pool('a', ['192.0.2.0/24']), pool('b', ['192.0.2.250-192.0.3.9'])] },
      'IPAddressPool lb/b: spec.addresses[0]: 192.0.2.250-192.0.3.9 overlaps 192.0.2.0/24 (spec.addresses[0] of IPAddressPool lb/a)',
    ],
    [
      'overlap within a pool',
      { ipAddressPools: [pool('a', ['2001:db8::/64', '2001:db8::5/128'])] },
      'IPAddressPool lb/a: spec.addresses[1]: 2001:db8::5/128 overlaps 2001:db8::/64',
    ],
    [
      'one name twice',
      {
        ipAddressPools: [
          pool('a', ['192.0.2.0/24']),
          { ...pool('a', ['198.51.100.0/24']), metadata: { name: 'a', namespace: 'zz' } },
        ],
      },
      'IPAddressPool zz/a: metadata.name: a is the name of IPAddressPool lb/a already',
    ],
    [
      'a bad selector',
      {
        ipAddressPools: [
          pool('a', ['192.0.2.0/24'], {
            serviceAllocation: { serviceSelectors: [{ matchExpressions: [{ key: 'a', operator: 'Near' }] }] },
          }),
        ],
      },
      'IPAddressPool lb/a: spec.serviceAllocation.serviceSelectors[0]: "Near" is not a valid label selector operator',
    ],
    [
      'a namespace twice',
      {
        ipAddressPools: [pool('a', ['192.0.2.0/24'], { serviceAllocation: { namespaces: ['x', 'y', 'x'] } })],
      },
      'spec.serviceAllocation.namespaces[2]: x stands twice',
    ],
    [
      'a selector twice',
      {
        l2Advertisements: [
          l2('l', { nodeSelectors: [{ matchLabels: { a: 'b' } }, { matchLabels: { a: 'b' } }] }),
        ],
      },
      'L2Advertisement lb/l: spec.nodeSelectors[1]: the same selector stands twice',
    ],
    [
      'a pool named twice',
      { l2Advertisements: [l2('l', { ipAddressPools: ['a', 'a'] })] },
      'spec.ipAddressPools[1]: a stands twice',
    ],
    [
      'a long aggregate',
      {
        ipAddressPools: [pool('p', ['192.0.2.0/28'])],
        bgpAdvertisements: [bgp('b', { aggregationLength: 24 })],
      },
      'BGPAdvertisement lb/b: spec.aggregationLength: a prefix of length 24 holds addresses beyond 192.0.2.0/28 of IPAddressPool lb/p; it must be at least 28',
    ],
    [
      'a long aggregate of a range',
      {
        ipAddressPools: [pool('p', ['192.0.2.4-192.0.2.13'])],
        bgpAdvertisements: [bgp('b', { aggregationLength: 28 })],
      },
      'it must be at least 30',
    ],
    [
      'a long aggregate in IPv6',
      {
        ipAddressPools: [pool('p', ['2001:db8::/120'])],
        bgpAdvertisements: [bgp('b', { aggregationLengthV6: 64 })],
      },
      'spec.aggregationLengthV6: a prefix of length 64',
    ],
    [
      'aggregates and selectors',
      { bgpAdvertisements: [bgp('b', { aggregationLength: 24, serviceSelectors: [{}] })] },
      'BGPAdvertisement lb/b: spec.serviceSelectors: ',
    ],
    [
      'a community unknown',
      { bgpAdvertisements: [bgp('b', { communities: ['quiet'] })] },
      'BGPAdvertisement lb/b: spec.communities[0]: no Community object defines quiet',
    ],
    [
      'a community malformed',
      { bgpAdvertisements: [bgp('b', { communities: ['1:65536'] })] },
      'spec.communities[0]: "1:65536" is no community',
    ],
    [
      'a community value malformed',
      { communities: [community('c', 'extended:1:2:3')] },
      'Community lb/c: spec.communities[0].value: "extended:1:2:3" is no community',
    ],
    [
      'a community twice',
      { communities: [community('c', '1:2', 'x'), community('c', '1:3', 'y')] },
      'Community lb/y: spec.communities[0].name: c is defined already, by Community lb/x',
    ],
    [
      'preferences that contradict',
      {
        ipAddressPools: [pool('p', ['192.0.2.0/24'])],
        bgpAdvertisements: [bgp('a', { localPref: 1 }), bgp('b', { localPref: 2 })],
      },
      'BGPAdvertisement lb/b: spec.localPref: 2 contradicts 1 of BGPAdvertisement lb/a',
    ],
    [
      'a profile unknown',
      { bgpPeers: [peer('p', { bfdProfile: 'x' })] },
      'BGPPeer lb/p: spec.bfdProfile: there is no BFDProfile x',
    ],
    [
      'a profile out of range',
      { bfdProfiles: [profile('f', { detectMultiplier: 1 })] },
      'BFDProfile lb/f: spec.detectMultiplier: 1 is not from 2 to 255',
    ],
    [
      'a short hold time',
      { bgpPeers: [peer('p', { holdTime: '2s' })] },
      'BGPPeer lb/p: spec.holdTime: 2 s is too short',
    ],
    [
      'a keepalive beyond hold',
      { bgpPeers: [peer('p', { holdTime: '9s', keepaliveTime: '10s' })] },
      'spec.keepaliveTime: 10 s is longer than holdTime, 9 s',
    ],
    [
      'no duration',
      { bgpPeers: [peer('p', { holdTime: '9 seconds' })] },
      'spec.holdTime: "9 seconds" is no duration',
    ],
    [
      'a connect time in parts',
      { bgpPeers: [peer('p', { connectTime: '1500ms' })] },
      'spec.connectTime: 1.5 s is not a whole number',
    ],
    ['no own ASN', { bgpPeers: [peer('p', { myASN: 0 })] }, 'spec.myASN: 0 is not from 1 to 4294967295'],
    [
      'no peer ASN',
      { bgpPeers: [peer('p', { peerASN: 0 })] },
      'spec.peerASN: one of peerASN and dynamicASN must be set',
    ],
    [
      'both peer ASNs',
      { bgpPeers: [peer('p', { dynamicASN: 'internal' })] },
      'spec.peerASN: only one of peerASN and dynamicASN',
    ],
    [
      'no address',
      { bgpPeers: [peer('p', { peerAddress: 'router' })] },
      'spec.peerAddress: "router" is no IP address',
    ],
    [
      'an IPv6 router id',
      { bgpPeers: [peer('p', { routerID: '2001:db8::1' })] },
      'spec.routerID: "2001:db8::1" is no IPv4 address',
    ],
    [
      'multihop of an internal peer',
      { bgpPeers: [peer('p', { peerASN: 64_512, ebgpMultiHop: true })] },
      'spec.ebgpMultiHop: it is for external peers',
    ],
    [
      'one peer twice',
      { bgpPeers: [peer('p'), peer('q')] },
      'BGPPeer lb/q: spec.peerAddress: 192.0.2.1 is the peer of BGPPeer lb/p already',
    ],
    [
      'two passwords',
      { bgpPeers: [peer('p', { password: 'x', passwordSecret: { name: 's' } })] },
      'spec.passwordSecret: only one of password and passwordSecret',
    ],
    [
      'no secret',
      { bgpPeers: [peer('p', { passwordSecret: { name: 's' } })] },
      'spec.passwordSecret: there is no Secret lb/s of type kubernetes.io/basic-auth',
    ],
    [
      'a secret of another type',
      { bgpPeers: [peer('p', { passwordSecret: { name: 's' } })] },
      'Secret lb/s is of type Opaque',
      [secret('s', 'Opaque', { password: 'geheim' })],
    ],
    [
      'a secret without password',
      { bgpPeers: [peer('p', { passwordSecret: { name: 's' } })] },
      'Secret lb/s has no key "password"',
      [secret('s', 'kubernetes.io/basic-auth', { user: 'geheim' })],
    ],
    [
      'an unnumbered peer',
      { bgpPeers: [peer('p', { peerAddress: '', interface: 'eth0' })] },
      'BGPPeer lb/p: spec.interface: a session by interface',
    ],
    [
      'a peer in a VRF',
      { bgpPeers: [peer('p', { vrf: 'red' })] },
      'BGPPeer lb/p: spec.vrf: a session in a VRF',
    ],
  ];
  for (const [name, objects, expected, secrets] of cases)
    it(name, () => {
      const found = problems(objects, secrets);
      assert.equal(found.length, 1, found.join('\n'));
      assert.ok(found[0]?.includes(expected), `${found[0]}\nlacks: ${expected}`);
      assert.ok(!found[0]?.includes('geheim'), 'a secret must not be told');
    });

  it('a peer without any field', () => {
    const bare = { metadata: meta('p') } as BgpPeerObject;
    assert.deepEqual(problems({ bgpPeers: [bare] }), [
      'BGPPeer lb/p: spec: missing: a peer needs at least myASN, peerASN and peerAddress',
    ]);
  });

  it('the younger of two objects that cannot be together is the one to blame', () => {
    const at = (name: string, creationTimestamp: string): IPAddressPool => ({
      ...pool(name, ['192.0.2.0/24']),
      metadata: meta(name, { creationTimestamp }),
    });
    const [text] = problems({
      ipAddressPools: [at('a', '2026-01-02T00:00:00Z'), at('b', '2026-01-01T00:00:00Z')],
    });
    assert.match(text ?? '', /^IPAddressPool lb\/a: .* of IPAddressPool lb\/b\)$/);
  });
});
