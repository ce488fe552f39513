import { type Case, changeSpec, create, createSpec, type Sample } from './case.ts';

const pool: Sample = {
  apiVersion: 'metallb.io/v1beta1',
  kind: 'IPAddressPool',
  plural: 'ipaddresspools',
  spec: { addresses: ['192.0.2.0/24', '198.51.100.1-198.51.100.9'] },
};
const peer: Sample = {
  apiVersion: 'metallb.io/v1beta2',
  kind: 'BGPPeer',
  plural: 'bgppeers',
  spec: { myASN: 64500, peerASN: 64501, peerAddress: '192.0.2.1' },
};
const oldPeer: Sample = {
  ...peer,
  apiVersion: 'metallb.io/v1beta1',
  spec: { myASN: 64500, peerASN: 64501, peerAddress: '192.0.2.1' },
};
const bgp: Sample = {
  apiVersion: 'metallb.io/v1beta1',
  kind: 'BGPAdvertisement',
  plural: 'bgpadvertisements',
  spec: {},
};
const layer2: Sample = { ...bgp, kind: 'L2Advertisement', plural: 'l2advertisements' };
const bfd: Sample = { ...bgp, kind: 'BFDProfile', plural: 'bfdprofiles' };
const community: Sample = { ...bgp, kind: 'Community', plural: 'communities' };
const selector = { matchExpressions: [{ key: 'rack', operator: 'In', values: ['1'] }] };

export const cases: readonly Case[] = [
  createSpec('a pool gets its defaults', pool),
  createSpec('a pool with selectors', pool, {
    autoAssign: false,
    serviceAllocation: { priority: 50, namespaces: ['web'], serviceSelectors: [selector] },
  }),
  createSpec('a peer gets its defaults', peer),
  createSpec('a peer by every field', peer, {
    connectTime: '10s',
    bfdProfile: 'fast',
    ebgpMultiHop: true,
    nodeSelectors: [selector],
    passwordSecret: { name: 'password' },
    peerPort: 1790,
  }),
  createSpec('a peer of the older version warns', oldPeer),
  createSpec('a BGP advertisement gets its defaults', bgp),
  createSpec('a BGP advertisement of some services', bgp, { serviceSelectors: [selector], localPref: 100 }),
  createSpec('a layer 2 advertisement', layer2, { interfaces: ['eth0'], nodeSelectors: [selector] }),
  createSpec('a BFD profile', bfd, { detectMultiplier: 3, receiveInterval: 300, transmitInterval: 300 }),
  createSpec('communities', community, { communities: [{ name: 'a', value: '64500:1' }] }),
  createSpec('an unknown field of a pool is dropped', pool, {
    color: 'blue',
    serviceAllocation: { nope: 1 },
  }),
  {
    title: 'a strict creation names unknown fields',
    of: pool,
    steps: [
      { do: 'create', strict: true, with: { spec: { color: 'blue', serviceAllocation: { nope: 1 } } } },
    ],
  },
  { title: 'columns of pools', of: pool, steps: [{ do: 'create' }, { do: 'table' }] },
  { title: 'columns of peers', of: peer, steps: [{ do: 'create' }, { do: 'table' }] },
  {
    title: 'status of a pool apart from its spec',
    of: pool,
    steps: [
      { do: 'create', with: { status: { assignedIPv4: 1 } } },
      {
        do: 'status',
        with: {
          spec: { autoAssign: false },
          status: { assignedIPv4: 3, availableIPv4: 2, assignedIPv6: 0, availableIPv6: 0 },
        },
      },
      { do: 'update', with: { spec: { autoAssign: false }, status: { assignedIPv4: 9 } } },
    ],
  },
  create('a pool without spec', pool, { spec: null }),
  createSpec('a pool without addresses', pool, { addresses: null }),
  createSpec('a pool whose addresses are a text', pool, { addresses: '192.0.2.0/24' }),
  createSpec('a pool with an address that is a number', pool, { addresses: ['192.0.2.0/24', 5] }),
  createSpec('a pool whose flag is a text', pool, { autoAssign: 'yes' }),
  createSpec('a peer without an AS number', peer, { myASN: null }),
  createSpec('a peer whose AS number is beyond 32 bits', peer, { myASN: 4294967296 }),
  createSpec('a peer whose AS number is negative', peer, { peerASN: -1 }),
  createSpec('a peer on port 0', peer, { peerPort: 0 }),
  createSpec('a peer with an unknown kind of AS number', peer, { dynamicASN: 'any', peerASN: null }),
  createSpec('a peer whose connect time is no duration', peer, { connectTime: 'soon' }),
  createSpec('a peer whose connect time is too long', peer, { connectTime: '20h' }),
  createSpec('a peer whose connect time is half a second', peer, { connectTime: '1500ms' }),
  createSpec('a peer of the older version without its address', oldPeer, { peerAddress: null }),
  changeSpec(
    'a peer keeps graceful restart as it was',
    peer,
    { enableGracefulRestart: true },
    { enableGracefulRestart: false },
  ),
  changeSpec('a peer may begin to name graceful restart', peer, { enableGracefulRestart: true }),
  createSpec('a BGP advertisement of some services must be exact', bgp, {
    serviceSelectors: [selector],
    aggregationLength: 24,
  }),
  createSpec('a BGP advertisement with an aggregation of nothing', bgp, { aggregationLength: 0 }),
  createSpec('a BFD profile out of bounds on all sides', bfd, {
    detectMultiplier: 1,
    echoInterval: 60001,
    minimumTtl: 255,
    receiveInterval: 9,
  }),
  createSpec('a layer 2 advertisement with a selector that lacks its operator', layer2, {
    nodeSelectors: [{ matchExpressions: [{ key: 'rack' }] }],
  }),
];
