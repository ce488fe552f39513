import { isIPv4 } from 'node:net';
import type { Logger } from '@cloudless/kube/logger';
import type { Node } from '@cloudless/kube/types/core-v1';
import { routeProtocol } from '../cni/interface.ts';
import { blockContains } from '../cni/ipam.ts';
import { ipBatch, ipJson } from '../iproute.ts';

/** A route to another node's pods. */
export interface PodRoute {
  cidr: string;
  via: string;
}

/**
 * The routes that a set of Nodes asks for, on the node `self`. IPv4. A node can write its own addresses: what is no
 * address, or no block of the pods', is never handed to the kernel.
 */
export function routesOf(nodes: Iterable<Node>, self: string, clusterCidrs: readonly string[]): PodRoute[] {
  const routes = new Map<string, PodRoute>();
  for (const node of nodes) {
    if (node.metadata.name === self) continue;
    const via = (node.status?.addresses ?? []).find(
      (address) => address.type === 'InternalIP' && isIPv4(address.address),
    )?.address;
    if (via === undefined) continue;
    const cidrs = node.spec?.podCIDRs ?? (node.spec?.podCIDR ? [node.spec.podCIDR] : []);
    for (const cidr of cidrs)
      if (clusterCidrs.some((block) => blockContains(block, cidr))) routes.set(cidr, { cidr, via });
  }
  return [...routes.values()].sort((a, b) => (a.cidr < b.cidr ? -1 : 1));
}

interface KernelRoute {
  dst: string;
  gateway?: string;
}

/**
 * Keeps the kernel's routes to other nodes' pods equal to what the Nodes say. Only routes that carry our protocol
 * number and a gateway are touched. A node that is not on this L2 is named in a warning; its route waits.
 */
export class PodRoutes {
  readonly #log: Logger;
  #current = new Map<string, string>();
  readonly #warned = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Reads what an earlier agent left. */
  async load(): Promise<void> {
    const routes = await ipJson<KernelRoute>(['-4', 'route', 'show', 'proto', String(routeProtocol)]);
    this.#current = new Map(
      routes
        .filter((route) => route.gateway !== undefined)
        .map((route) => [route.dst, route.gateway as string]),
    );
  }

  async apply(wanted: readonly PodRoute[]): Promise<void> {
    const next = new Map(wanted.map((route) => [route.cidr, route.via]));
    for (const [cidr, via] of this.#current) {
      if (next.has(cidr)) continue;
      await ipBatch([`route del ${cidr} via ${via} proto ${routeProtocol}`]).catch((error: unknown) =>
        this.#log.debug({ err: String(error), cidr }, 'a stale route was gone already'),
      );
      this.#current.delete(cidr);
    }
    for (const [cidr, via] of next) {
      if (this.#current.get(cidr) === via) continue;
      try {
        await ipBatch([`route replace ${cidr} via ${via} proto ${routeProtocol}`]);
        this.#current.set(cidr, via);
        this.#warned.delete(cidr);
      } catch (error) {
        if (!this.#warned.has(cidr))
          this.#log.warn(
            { cidr, via, err: error instanceof Error ? error.message : String(error) },
            'pods of another node are not reachable: the node must be on the same layer-2 network as this one',
          );
        this.#warned.add(cidr);
      }
    }
  }

  /** Removes every route of ours. */
  async clear(): Promise<void> {
    await this.apply([]);
  }
}
