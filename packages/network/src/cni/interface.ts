import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { ipBatch, ipBatchIn, IpRouteError, runProgram } from '../iproute.ts';

/** Routes and neighbours that Cloudless makes carry this protocol number, so that they can be told apart. */
export const routeProtocol = 199;

/** The node's side of a pod's link; the same name for the same container, so that DEL needs no memory. */
export function hostInterfaceName(containerId: string, ifName: string): string {
  return `cl${createHash('sha256').update(`${containerId}/${ifName}`).digest('hex').slice(0, 12)}`;
}

export interface PodLink {
  /** Path of the pod's network namespace. */
  netns: string;
  ifName: string;
  hostInterface: string;
  ip: string;
  gateway: string;
  mtu: number;
}

/** MAC addresses derived from names are stable, locally administered and unicast. */
function macOf(text: string): string {
  const hash = createHash('sha256').update(text).digest();
  return ['0a', ...[0, 1, 2, 3, 4].map((i) => (hash[i] as number).toString(16).padStart(2, '0'))].join(':');
}

/**
 * Links a pod to the node by a routed veth pair: the pod has its address as /32 and one gateway, the node a /32
 * route to the pod. Every packet between pods is routed, so that address translation sees both directions without
 * br_netfilter, also between pods of one node. Neighbour entries are permanent: no ARP before the first packet.
 *
 * Idempotent: what a broken earlier attempt left under the same name is replaced. Returns the pod's MAC address.
 */
export async function linkPod(link: PodLink): Promise<{ podMac: string; hostMac: string }> {
  const podMac = macOf(`${link.hostInterface}/pod`);
  const hostMac = macOf(`${link.hostInterface}/host`);
  await unlinkPod(link.hostInterface);
  await ipBatch([
    `link add ${link.hostInterface} address ${hostMac} mtu ${link.mtu} type veth peer name ${link.ifName} address ${podMac} mtu ${link.mtu} netns ${link.netns}`,
    `link set ${link.hostInterface} up`,
  ]);
  try {
    tuneHostInterface(link.hostInterface);
    await Promise.all([
      ipBatchIn(link.netns, [
        'link set lo up',
        `addr add ${link.ip}/32 dev ${link.ifName}`,
        `link set ${link.ifName} up`,
        `neigh replace ${link.gateway} lladdr ${hostMac} dev ${link.ifName} nud permanent`,
        `route add ${link.gateway}/32 dev ${link.ifName} scope link`,
        `route add default via ${link.gateway} dev ${link.ifName}`,
      ]),
      ipBatch([
        `neigh replace ${link.ip} lladdr ${podMac} dev ${link.hostInterface} nud permanent`,
        `route replace ${link.ip}/32 dev ${link.hostInterface} scope link proto ${routeProtocol}`,
      ]),
    ]);
  } catch (error) {
    await unlinkPod(link.hostInterface);
    throw error;
  }
  return { podMac, hostMac };
}

/** Removes the link; nothing happens when it is gone already. */
export async function unlinkPod(hostInterface: string): Promise<void> {
  if (!existsSync(`/sys/class/net/${hostInterface}`) && !(await linkExists(hostInterface))) return;
  try {
    await runProgram('ip', ['link', 'del', hostInterface]);
  } catch (error) {
    // The kernel removes the pair by itself when the pod's namespace ends; a race with that is success.
    if (!(error instanceof IpRouteError && /Cannot find device/.test(error.message))) throw error;
  }
}

/** /sys may show another network namespace's devices when the process entered this one later. */
async function linkExists(name: string): Promise<boolean> {
  try {
    await runProgram('ip', ['link', 'show', name]);
    return true;
  } catch {
    return false;
  }
}

/**
 * Redirects would tell a pod that talks to itself through a Service to skip the node; and strict reverse-path
 * filtering drops what returns by another way. Both are per interface, so nobody else is affected.
 */
function tuneHostInterface(name: string): void {
  for (const [key, value] of [
    ['send_redirects', '0'],
    ['rp_filter', '0'],
    ['forwarding', '1'],
  ] as const) {
    const path = `/proc/sys/net/ipv4/conf/${name}/${key}`;
    if (existsSync(path) && readFileSync(path, 'utf8').trim() !== value) writeFileSync(path, value);
  }
}
