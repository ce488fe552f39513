import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { ipBatch, ipBatchIn, ipJson } from '../iproute.ts';
import { ProgramError, runProgram } from '../run-program.ts';

/** Routes and neighbours that Cloudless makes carry this protocol number, so that they can be told apart. */
export const routeProtocol = 199;

/** The node's side of a pod's link; the same name for the same container, so that DEL needs no memory. */
export function hostInterfaceName(containerId: string, ifName: string): string {
  return `cl${createHash('sha256').update(`${containerId}/${ifName}`).digest('hex').slice(0, 12)}`;
}

const hostInterfacePattern = /^cl[0-9a-f]{12}$/;

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

/** The commands that make the node's side of a pod's link and its way to the pod. */
function nodeSide(link: PodLink, podMac: string, hostMac: string): string[] {
  return [
    `link add ${link.hostInterface} address ${hostMac} mtu ${link.mtu} type veth peer name ${link.ifName} address ${podMac} mtu ${link.mtu} netns ${link.netns}`,
    `link set ${link.hostInterface} up`,
  ];
}

/** The node's way to a pod: a permanent neighbour entry and a /32 route. */
function wayToPod(link: Pick<PodLink, 'ip' | 'hostInterface'>): string[] {
  return [
    `neigh replace ${link.ip} lladdr ${macOf(`${link.hostInterface}/pod`)} dev ${link.hostInterface} nud permanent`,
    `route replace ${link.ip}/32 dev ${link.hostInterface} scope link proto ${routeProtocol}`,
  ];
}

/**
 * Links a pod to the node by a routed veth pair: the pod has its address as /32 and one gateway, the node a /32
 * route to the pod. Every packet between pods is routed, so that address translation sees both directions without
 * br_netfilter, also between pods of one node. Neighbour entries are permanent: no ARP before the first packet.
 *
 * Idempotent: what a broken earlier attempt left under the same name is replaced. When it rejects, nothing is left.
 */
export async function linkPod(link: PodLink): Promise<{ podMac: string; hostMac: string }> {
  const podMac = macOf(`${link.hostInterface}/pod`);
  const hostMac = macOf(`${link.hostInterface}/host`);
  try {
    await ipBatch(nodeSide(link, podMac, hostMac)).catch(async (error: unknown) => {
      if (!(error instanceof ProgramError && /File exists/.test(error.message))) throw error;
      await unlinkPod(link.hostInterface);
      await ipBatch(nodeSide(link, podMac, hostMac));
    });
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
      ipBatch(wayToPod(link)),
    ]);
  } catch (error) {
    await unlinkPod(link.hostInterface);
    throw error;
  }
  return { podMac, hostMac };
}

/** Removes the link; nothing happens when it is gone already (the kernel removes a pair with the pod's namespace). */
export async function unlinkPod(hostInterface: string): Promise<void> {
  try {
    await runProgram('ip', ['link', 'del', hostInterface]);
  } catch (error) {
    if (!(error instanceof ProgramError && /Cannot find device|No such device/.test(error.message)))
      throw error;
  }
}

/** A route of ours to a pod of this node, as the kernel has it. */
export interface PodWay {
  ip: string;
  hostInterface: string;
}

/** The routes to pods of this node. */
export async function podWays(): Promise<PodWay[]> {
  const routes = await ipJson<{ dst: string; dev?: string; gateway?: string }>([
    '-4',
    'route',
    'show',
    'proto',
    String(routeProtocol),
  ]);
  return routes.flatMap(({ dst, dev, gateway }) =>
    dev !== undefined && gateway === undefined && hostInterfacePattern.test(dev)
      ? [{ ip: dst, hostInterface: dev }]
      : [],
  );
}

/** Makes the ways to pods anew whose links stand; those whose link is gone are left out. */
export async function restoreWays(ways: readonly PodWay[]): Promise<void> {
  const links = new Set((await ipJson<{ ifname: string }>(['link', 'show'])).map((link) => link.ifname));
  const commands = ways.filter((way) => links.has(way.hostInterface)).flatMap(wayToPod);
  if (commands.length > 0) await ipBatch(commands);
}

/** What is wrong with a pod's link, in a sentence; undefined when it is as {@link linkPod} made it. */
export async function whyNotLinked(
  link: Pick<PodLink, 'netns' | 'ifName' | 'hostInterface' | 'ip'>,
): Promise<string | undefined> {
  if (!(await podWays()).some((way) => way.ip === link.ip && way.hostInterface === link.hostInterface))
    return `the node has no route to ${link.ip} by ${link.hostInterface}`;
  const text = await runProgram('nsenter', [`--net=${link.netns}`, 'ip', '-json', '-4', 'addr', 'show']);
  const inside = JSON.parse(text) as Array<{
    ifname?: string;
    operstate?: string;
    addr_info?: Array<{ local: string }>;
  }>;
  const own = inside.find((candidate) => candidate.ifname === link.ifName);
  if (!own?.addr_info?.some((address) => address.local === link.ip))
    return `${link.ifName} in ${link.netns} does not have the address ${link.ip}`;
  return own.operstate === 'UP' ? undefined : `${link.ifName} in ${link.netns} is ${own.operstate}`;
}

function setPerInterface(name: string, key: string, value: '0' | '1'): void {
  const path = `/proc/sys/net/ipv4/conf/${name}/${key}`;
  if (existsSync(path) && readFileSync(path, 'utf8').trim() !== value) writeFileSync(path, value);
}

/**
 * Redirects would tell a pod that talks to itself through a Service to skip the node; and strict reverse-path
 * filtering drops what returns by another way. Both are per interface, so nobody else is affected.
 */
function tuneHostInterface(name: string): void {
  setPerInterface(name, 'send_redirects', '0');
  setPerInterface(name, 'rp_filter', '0');
  setPerInterface(name, 'forwarding', '1');
}

/**
 * Lets answers of this pod come back to 127.0.0.1, for host ports that are called there. Only once the rule is in
 * place that keeps the pod itself from sending to loopback.
 */
export function allowLoopbackAnswers(hostInterface: string): void {
  setPerInterface(hostInterface, 'route_localnet', '1');
}
