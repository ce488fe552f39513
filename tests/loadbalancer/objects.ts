/** Objects of `metallb.io` that its definitions accept, and some that they refuse, with a part of the sentence. */
const metadata = { name: 'it', namespace: 'default' };

export const goodObjects: ReadonlyArray<readonly [what: string, object: object]> = [
  [
    'a network, a range, a range with spaces, both families',
    pool([
      '192.0.2.0/24',
      '198.51.100.1-198.51.100.9',
      '203.0.113.1 - 203.0.113.2',
      '2001:db8::/64',
      '2001:db8:1::1-2001:db8:1::ff',
    ]),
  ],
  ['a peer of the older version', { ...peer({ holdTime: '90s' }), apiVersion: 'metallb.io/v1beta1' }],
  ['a peer by interface', peer({ peerAddress: undefined, interface: 'eth0' })],
  ['a peer with every timer', peer({ holdTime: '1m30s', keepaliveTime: '500ms', connectTime: '10s' })],
  [
    'communities of all forms',
    advertisement({ communities: ['65535:65282', 'large:4294967295:0:1', 'no-export'] }),
  ],
];

export const badObjects: ReadonlyArray<readonly [what: string, object: object, sentence: string]> = [
  [
    'no addresses',
    pool([]),
    'IPAddressPool.metallb.io "it" is invalid: spec.addresses: Invalid value: a pool needs at least one network or range',
  ],
  [
    'a network that is too long',
    pool(['192.0.2.0/33']),
    'spec.addresses[0]: Invalid value: "192.0.2.0/33": no network: write it as 192.0.2.0/24, or a range as 192.0.2.1-192.0.2.9',
  ],
  [
    'a bare address',
    pool(['192.0.2.0/24', '192.0.3.1']),
    'spec.addresses[1]: Invalid value: "192.0.3.1": no network',
  ],
  [
    'a range of three',
    pool(['192.0.2.1-192.0.2.2-192.0.2.3']),
    'spec.addresses[0]: Invalid value: "192.0.2.1-192.0.2.2-192.0.2.3": no range',
  ],
  [
    'a range that ends before it begins',
    pool(['192.0.2.9-192.0.2.1']),
    'the range is reversed: it ends before it begins',
  ],
  [
    'a range of two families',
    pool(['192.0.2.9-2001:db8::1']),
    'begins in one IP family and ends in the other',
  ],
  [
    'a peer without spec',
    { apiVersion: 'metallb.io/v1beta2', kind: 'BGPPeer', metadata },
    'spec: Required value: spec is missing',
  ],
  [
    'a peer without ASN',
    peer({ peerASN: undefined }),
    'BGPPeer.metallb.io "it" is invalid: spec.peerASN: Invalid value: exactly one of peerASN and dynamicASN must be set',
  ],
  [
    'a peer with two ASNs',
    peer({ dynamicASN: 'external' }),
    'spec.peerASN: Invalid value: exactly one of peerASN and dynamicASN',
  ],
  ['an own ASN of 0', peer({ myASN: 0 }), 'spec.myASN: Invalid value: myASN must be from 1 to 4294967295'],
  [
    'an ASN beyond 32 bits',
    peer({ peerASN: 4_294_967_296 }),
    'spec.peerASN in body should be less than or equal to 4294967295',
  ],
  [
    'a peer nowhere',
    peer({ peerAddress: undefined }),
    'spec.peerAddress: Invalid value: exactly one of peerAddress and interface must be set',
  ],
  [
    'a peer by name',
    peer({ peerAddress: 'router' }),
    'spec.peerAddress: Invalid value: "router": no IP address',
  ],
  [
    'an IPv6 router id',
    peer({ routerID: '2001:db8::1' }),
    'spec.routerID: Invalid value: "2001:db8::1": no IPv4 address',
  ],
  [
    'a hold time below 3 s',
    peer({ holdTime: '2s' }),
    'spec.holdTime: Invalid value: holdTime must be 0s or at least 3s',
  ],
  [
    'no duration',
    peer({ holdTime: 'long' }),
    'spec.holdTime: Invalid value: "long": no duration: write it as 90s or 1m30s',
  ],
  [
    'a keepalive beyond the hold time',
    peer({ holdTime: '9s', keepaliveTime: '10s' }),
    'spec.keepaliveTime: Invalid value: keepaliveTime must not be longer than holdTime',
  ],
  [
    'two passwords',
    peer({ password: 'x', passwordSecret: { name: 's' } }),
    'spec.passwordSecret: Invalid value: only one of password and passwordSecret may be set',
  ],
  [
    'multihop of an internal peer',
    peer({ peerASN: 64_512, ebgpMultiHop: true }),
    'spec.ebgpMultiHop: Invalid value: ebgpMultiHop is for external peers',
  ],
  [
    'a hold time below 3 s in the older version',
    { ...peer({ holdTime: '1s' }), apiVersion: 'metallb.io/v1beta1' },
    'spec.holdTime: Invalid value: holdTime must be 0s or at least 3s',
  ],
  [
    'an aggregate of 33',
    advertisement({ aggregationLength: 33 }),
    'spec.aggregationLength: Invalid value: aggregationLength must be from 1 to 32',
  ],
  [
    'an IPv6 aggregate of 129',
    advertisement({ aggregationLengthV6: 129 }),
    'spec.aggregationLengthV6: Invalid value: aggregationLengthV6 must be from 1 to 128',
  ],
  [
    'no community',
    advertisement({ communities: ['1:2', '70000:1'] }),
    'spec.communities[1]: Invalid value: "70000:1": no community: write it as 65535:65282 or large:1:2:3',
  ],
  [
    'a community without a value',
    {
      apiVersion: 'metallb.io/v1beta1',
      kind: 'Community',
      metadata,
      spec: { communities: [{ name: 'a', value: '1' }] },
    },
    'spec.communities[0].value: Invalid value: "1": no community',
  ],
  [
    'a profile out of bounds',
    { apiVersion: 'metallb.io/v1beta1', kind: 'BFDProfile', metadata, spec: { detectMultiplier: 1 } },
    'spec.detectMultiplier in body should be greater than or equal to 2',
  ],
];

export function pool(addresses: string[]): object {
  return { apiVersion: 'metallb.io/v1beta1', kind: 'IPAddressPool', metadata, spec: { addresses } };
}

function peer(spec: object): object {
  const all = { myASN: 64_512, peerASN: 64_513, peerAddress: '192.0.2.1', ...spec };
  const set = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return { apiVersion: 'metallb.io/v1beta2', kind: 'BGPPeer', metadata, spec: set };
}

function advertisement(spec: object): object {
  return { apiVersion: 'metallb.io/v1beta1', kind: 'BGPAdvertisement', metadata, spec };
}
