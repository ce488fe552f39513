import type { ServicePort } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import { canonicalIp, type Family, familyOf } from './ip.ts';

export interface EndpointAddress {
  ip: string;
  port: number;
}

/** Where connections to one port of a Service may go. Both sorted, so that equal sets are equal. */
export interface PortEndpoints {
  /** On any node. */
  everywhere: EndpointAddress[];
  /** On this node; may hold endpoints that terminate although ready ones exist elsewhere. */
  here: EndpointAddress[];
}

export const isPort = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65535;

export const endpointKey = ({ ip, port }: EndpointAddress): string => `${ip} . ${port}`;

/** Ready endpoints; when there is none, those that terminate and still serve (KEP-1669). */
class Usable {
  readonly #ready = new Map<string, EndpointAddress>();
  readonly #terminating = new Map<string, EndpointAddress>();

  add(
    address: EndpointAddress,
    conditions: { ready?: boolean; serving?: boolean; terminating?: boolean },
  ): void {
    // Unknown counts as ready, and as serving (the API's rule for unset conditions).
    if (conditions.ready !== false) this.#ready.set(endpointKey(address), address);
    else if (conditions.serving !== false && conditions.terminating === true)
      this.#terminating.set(endpointKey(address), address);
  }

  sorted(): EndpointAddress[] {
    const used = this.#ready.size > 0 ? this.#ready : this.#terminating;
    return [...used].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, address]) => address);
  }
}

/**
 * The endpoints of a port in one address family (upstream: pkg/proxy/topology.go, CategorizeEndpoints). Texts that are no
 * address or port are left out: none gets into a script.
 */
export function endpointsOf(
  port: ServicePort,
  slices: readonly EndpointSlice[],
  nodeName: string,
  family: Family,
): PortEndpoints {
  const everywhere = new Usable();
  const here = new Usable();
  for (const slice of slices) {
    if (slice.addressType !== (family === 4 ? 'IPv4' : 'IPv6')) continue;
    const target = (slice.ports ?? []).find(
      (candidate) =>
        (candidate.name ?? '') === (port.name ?? '') &&
        (candidate.protocol ?? 'TCP') === (port.protocol ?? 'TCP'),
    );
    if (!isPort(target?.port)) continue;
    for (const endpoint of slice.endpoints ?? []) {
      const ip = canonicalIp(endpoint.addresses[0] ?? '');
      if (ip === undefined || familyOf(ip) !== family) continue;
      const address = { ip, port: target.port };
      everywhere.add(address, endpoint.conditions ?? {});
      if (endpoint.nodeName === nodeName) here.add(address, endpoint.conditions ?? {});
    }
  }
  return { everywhere: everywhere.sorted(), here: here.sorted() };
}

/** How many ready endpoints a Service has on this node (upstream: EndpointsMap.LocalReadyEndpoints). */
export function countReadyHere(slices: readonly EndpointSlice[], nodeName: string): number {
  const counts = { IPv4: new Set<string>(), IPv6: new Set<string>() } as Record<string, Set<string>>;
  for (const slice of slices)
    for (const endpoint of slice.endpoints ?? [])
      if (endpoint.nodeName === nodeName && endpoint.conditions?.ready !== false)
        counts[slice.addressType]?.add(endpoint.addresses[0] ?? '');
  // A pod of two families is one endpoint.
  return Math.max(...Object.values(counts).map((ips) => ips.size));
}
