import { BlockList, isIPv6 } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { crc32 } from 'node:zlib';
import type { Family } from './wire/prefix.ts';
import type { NextHop } from './wire/update.ts';

export type Interfaces = ReturnType<typeof networkInterfaces>;

/** What a connection's own address says about where this node can be reached. */
export interface LocalAddresses {
  readonly address: string;
  /** The peer is on the same subnet: no router in between. */
  readonly onLink: boolean;
  readonly nextHops: Readonly<Record<Family, NextHop | undefined>>;
}

const isLinkLocal = (address: string): boolean => /^fe[89ab]/i.test(address);

/** The interface that has `address`, all its addresses. */
function interfaceOf(address: string, interfaces: Interfaces): readonly NetworkInterfaceInfo[] {
  const [bare] = address.split('%');
  return Object.values(interfaces).find((list) => list?.some((one) => one.address === bare)) ?? [];
}

/**
 * Next hops of a connection from `address` to `peer`. The connection's own family: its own address. The other one: the
 * address of that family on the same interface, as FRR chooses it for MetalLB; IPv4 routes over an IPv6 session from an
 * interface without an IPv4 address have an IPv6 next hop if the peer knows RFC 8950, else none can be told.
 */
export function localAddresses(
  address: string,
  peer: string,
  ipv4OverIpv6: boolean,
  interfaces: Interfaces = networkInterfaces(),
): LocalAddresses {
  const [bare = ''] = address.split('%');
  const list = interfaceOf(bare, interfaces);
  const onLink = isOnLink(bare, peer, list);
  // A router's own address may be on lo, but what every machine has there is none that a peer can send to.
  const usable = list.filter(({ address: one }) => !one.startsWith('127.') && one !== '::1');
  const global6 = usable.find(({ family, address: one }) => family === 'IPv6' && !isLinkLocal(one))?.address;
  // RFC 2545 section 3: beside the global one, where the peer can use it.
  const linkLocal = onLink ? list.find(({ address: one }) => isLinkLocal(one))?.address : undefined;
  const first4 = usable.find(({ family }) => family === 'IPv4')?.address;
  const hop = (one: string | undefined, beside?: string): NextHop | undefined =>
    one === undefined ? undefined : { address: one, linkLocal: beside };
  if (!isIPv6(bare))
    return { address: bare, onLink, nextHops: { ipv4: hop(bare), ipv6: hop(global6, linkLocal) } };
  const own6 = isLinkLocal(bare) ? hop(global6 ?? bare, bare) : hop(bare, linkLocal);
  return {
    address: bare,
    onLink,
    nextHops: { ipv4: hop(first4) ?? (ipv4OverIpv6 ? own6 : undefined), ipv6: own6 },
  };
}

function isOnLink(address: string, peer: string, list: readonly NetworkInterfaceInfo[]): boolean {
  const [bare = ''] = peer.split('%');
  const own = list.find((one) => one.address === address);
  if (own?.cidr == null) return false;
  const [network = '', bits] = own.cidr.split('/');
  const kind = isIPv6(network) ? 'ipv6' : 'ipv4';
  const subnet = new BlockList();
  subnet.addSubnet(network, Number(bits), kind);
  return subnet.check(bare, kind);
}

/**
 * The BGP identifier of a speaker that was given none, as MetalLB chooses it: the connection's address, for IPv6 the
 * first IPv4 address of its interface, else a checksum of the node's name.
 */
export function defaultRouterId(
  address: string,
  nodeName: string,
  interfaces: Interfaces = networkInterfaces(),
): string {
  if (!isIPv6(address.split('%')[0] ?? '')) return address;
  const first4 = interfaceOf(address, interfaces).find(({ family }) => family === 'IPv4');
  if (first4) return first4.address;
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(crc32(nodeName));
  return bytes.join('.');
}
