import assert from 'node:assert/strict';
import type { NetworkInterfaceInfo } from 'node:os';
import { describe, it } from 'node:test';
import { defaultRouterId, localAddresses } from './local-addresses.ts';

const info = (cidr: string, internal = false): NetworkInterfaceInfo => {
  const [address = ''] = cidr.split('/');
  const common = { address, netmask: '', mac: '', internal, cidr };
  return address.includes(':') ? { ...common, family: 'IPv6', scopeid: 0 } : { ...common, family: 'IPv4' };
};

const interfaces = {
  lo: [
    info('127.0.0.1/8', true),
    info('203.0.113.1/32', true),
    info('::1/128', true),
    info('2001:db8:ff::1/128', true),
  ],
  eth0: [info('192.0.2.1/24'), info('2001:db8::1/64'), info('fe80::1/64')],
  eth1: [info('198.51.100.1/24')],
  eth2: [info('2001:db8:2::1/64'), info('fe80::3/64')],
};

const of = (address: string, peer: string, ipv4OverIpv6 = false) =>
  localAddresses(address, peer, ipv4OverIpv6, interfaces);

describe('next hops', () => {
  it("IPv6 over IPv4: the interface's global address, and the link-local one for a peer on the link", () => {
    assert.deepEqual(of('192.0.2.1', '192.0.2.254'), {
      address: '192.0.2.1',
      onLink: true,
      nextHops: {
        ipv4: { address: '192.0.2.1', linkLocal: undefined },
        ipv6: { address: '2001:db8::1', linkLocal: 'fe80::1' },
      },
    });
    const far = of('192.0.2.1', '203.0.113.254');
    assert.equal(far.onLink, false);
    assert.deepEqual(far.nextHops.ipv6, { address: '2001:db8::1', linkLocal: undefined });
  });

  it('over addresses on lo: its others, but not those of the machine alone', () => {
    assert.equal(of('203.0.113.1', '203.0.113.2').nextHops.ipv6?.address, '2001:db8:ff::1');
    assert.equal(of('2001:db8:ff::1', '2001:db8:ff::2').nextHops.ipv4?.address, '203.0.113.1');
  });

  it('IPv6 over IPv4 from an interface without IPv6: none', () => {
    assert.equal(of('198.51.100.1', '198.51.100.254').nextHops.ipv6, undefined);
  });

  it("IPv4 over IPv6: the interface's IPv4 address, else IPv6 where the peer knows RFC 8950", () => {
    assert.equal(of('2001:db8::1', '2001:db8::fe').nextHops.ipv4?.address, '192.0.2.1');
    assert.equal(of('2001:db8:2::1', '2001:db8:2::fe').nextHops.ipv4, undefined);
    assert.deepEqual(of('2001:db8:2::1', '2001:db8:2::fe', true).nextHops.ipv4, {
      address: '2001:db8:2::1',
      linkLocal: 'fe80::3',
    });
  });

  it('over link-local addresses the global one goes beside', () => {
    assert.deepEqual(of('fe80::3%eth2', 'fe80::fe%eth2').nextHops.ipv6, {
      address: '2001:db8:2::1',
      linkLocal: 'fe80::3',
    });
  });
});

describe('the BGP identifier of a speaker that was given none', () => {
  it("is the connection's IPv4 address", () =>
    assert.equal(defaultRouterId('192.0.2.1', 'node', interfaces), '192.0.2.1'));
  it('is the IPv4 address beside an IPv6 one', () =>
    assert.equal(defaultRouterId('2001:db8::1', 'node', interfaces), '192.0.2.1'));
  it("is made of the node's name where there is no IPv4, as MetalLB makes it", () =>
    // crc32 of "node" is 0x857fe845; its bytes from the lowest.
    assert.equal(defaultRouterId('2001:db8:2::1', 'node', interfaces), '69.232.127.133'));
});
