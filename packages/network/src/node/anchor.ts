import { ipBatch, ipJson } from '../iproute.ts';
import { runProgram } from '../run-program.ts';
import { routeProtocol } from '../cni/interface.ts';

/** The device that holds the pods' gateway address and the route to Services; no packet ever leaves by it. */
export const anchorDevice = 'cloudless0';

interface AddressedLink {
  ifname: string;
  mtu: number;
  addr_info?: Array<{ local: string; prefixlen: number }>;
}

/**
 * Gives the node the pods' gateway address and a route for the service block, so that the kernel has a way (and the
 * node's own address as source) before address translation decides. Idempotent.
 */
export async function setUpAnchor(options: {
  gateway: string;
  serviceCidrs: readonly string[];
  nodeIp: string;
}): Promise<void> {
  const links = await ipJson<AddressedLink>(['addr', 'show']);
  const anchor = links.find((link) => link.ifname === anchorDevice);
  const commands: string[] = [];
  if (!anchor) commands.push(`link add ${anchorDevice} type bridge`);
  for (const address of anchor?.addr_info ?? [])
    if (!address.local.includes(':') && address.local !== options.gateway)
      commands.push(`addr del ${address.local}/${address.prefixlen} dev ${anchorDevice}`);
  if (!anchor?.addr_info?.some((address) => address.local === options.gateway))
    commands.push(`addr add ${options.gateway}/32 dev ${anchorDevice}`);
  commands.push(`link set ${anchorDevice} up`);
  for (const cidr of options.serviceCidrs)
    if (!cidr.includes(':'))
      commands.push(`route replace ${cidr} dev ${anchorDevice} src ${options.nodeIp} proto ${routeProtocol}`);
  await ipBatch(commands);
}

/** Removes the device; its addresses and routes go with it. */
export async function removeAnchor(): Promise<void> {
  const links = await ipJson<AddressedLink>(['link', 'show']);
  if (links.some((link) => link.ifname === anchorDevice))
    await runProgram('ip', ['link', 'del', anchorDevice]);
}

/** MTU of the link that carries the node's address; 1500 when it has none. */
export async function uplinkMtu(nodeIp: string): Promise<number> {
  const links = await ipJson<AddressedLink>(['addr', 'show']);
  const uplink = links.find((link) => link.addr_info?.some((address) => address.local === nodeIp));
  return uplink === undefined || uplink.ifname === 'lo' ? 1500 : uplink.mtu;
}
