import { isIP } from 'node:net';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';

/** An address behind a Service that may be handed out. */
export interface ReadyEndpoint {
  readonly ip: string;
  readonly hostname: string | undefined;
  readonly podName: string | undefined;
  readonly ports: readonly NamedPort[];
}

export interface NamedPort {
  readonly name: string;
  /** Lower case. */
  readonly protocol: string;
  readonly port: number;
}

/** One Service and what is behind it. A change makes a new entry: what is derived from one may be kept with it. */
export interface ServiceEntry {
  readonly namespace: string;
  readonly name: string;
  readonly service: Service;
  readonly slices: readonly EndpointSlice[];
  /** Its own addresses; none: it is headless or an ExternalName. */
  readonly clusterIps: readonly string[];
  readonly isHeadless: boolean;
}

/** The Services of a cluster by name and by address. Pure; fed by informers. */
export class ServiceIndex {
  readonly #byNamespace = new Map<string, Map<string, ServiceEntry>>();
  readonly #byAddress = new Map<string, Set<ServiceEntry>>();
  readonly #nowMs: () => number;
  #changedMs: number;

  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
    this.#changedMs = nowMs();
  }

  /** For the SOA: seconds of the last change, as CoreDNS has it. */
  get serial(): number {
    return Math.floor(this.#changedMs / 1000) % 2 ** 32;
  }

  /** Replaces what is known of one Service; `service` undefined removes it. */
  set(namespace: string, name: string, service: Service | undefined, slices: readonly EndpointSlice[]): void {
    this.#changedMs = Math.max(this.#nowMs(), this.#changedMs);
    const services = this.#byNamespace.get(namespace);
    const old = services?.get(name);
    if (old) this.#forget(old);
    if (!service) {
      services?.delete(name);
      if (services?.size === 0) this.#byNamespace.delete(namespace);
      return;
    }
    const entry = entryOf(namespace, name, service, slices);
    if (services) services.set(name, entry);
    else this.#byNamespace.set(namespace, new Map([[name, entry]]));
    for (const address of addressesOf(entry)) {
      const entries = this.#byAddress.get(address);
      if (entries) entries.add(entry);
      else this.#byAddress.set(address, new Set([entry]));
    }
  }

  find(namespace: string, name: string): ServiceEntry | undefined {
    return this.#byNamespace.get(namespace)?.get(name);
  }

  hasNamespace(namespace: string): boolean {
    return this.#byNamespace.has(namespace);
  }

  /** The Services that an address belongs to, as their own or as an endpoint. */
  withAddress(ip: string): Iterable<ServiceEntry> {
    return this.#byAddress.get(ip) ?? [];
  }

  #forget(entry: ServiceEntry): void {
    for (const address of addressesOf(entry)) {
      const entries = this.#byAddress.get(address);
      entries?.delete(entry);
      if (entries?.size === 0) this.#byAddress.delete(address);
    }
  }
}

function entryOf(
  namespace: string,
  name: string,
  service: Service,
  slices: readonly EndpointSlice[],
): ServiceEntry {
  const spec = service.spec ?? {};
  const isNamed = spec.type === 'ExternalName';
  const ips = isNamed ? [] : (spec.clusterIPs ?? [spec.clusterIP ?? '']);
  return {
    namespace,
    name,
    service,
    slices,
    clusterIps: ips.filter((ip) => isIP(ip) !== 0).map(canonicalAddress),
    isHeadless: !isNamed && spec.clusterIP === 'None',
  };
}

function* addressesOf(entry: ServiceEntry): Iterable<string> {
  yield* entry.clusterIps;
  for (const { ip } of readyEndpoints(entry)) yield ip;
}

/**
 * The endpoints that are ready (no condition counts as ready, as the API says), or all of a Service that publishes
 * those that are not. Slices of both address families count; those of type FQDN hold names, which are no addresses.
 */
export function* readyEndpoints({ service, slices }: ServiceEntry): Iterable<ReadyEndpoint> {
  const all = service.spec?.publishNotReadyAddresses === true;
  if (service.spec?.type === 'ExternalName') return;
  for (const slice of slices) {
    const ports = portsOf(slice);
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.conditions?.ready === false && !all) continue;
      const podName = endpoint.targetRef?.kind === 'Pod' ? endpoint.targetRef.name : undefined;
      for (const ip of endpoint.addresses)
        if (isIP(ip) !== 0)
          yield {
            ip: canonicalAddress(ip),
            hostname: endpoint.hostname?.toLowerCase() || undefined,
            podName: podName !== undefined && podName.length <= 63 ? podName.toLowerCase() : undefined,
            ports,
          };
    }
  }
}

function portsOf(slice: EndpointSlice): NamedPort[] {
  return (slice.ports ?? []).flatMap(({ name, protocol, port }) =>
    port === undefined ? [] : [{ name: name ?? '', protocol: (protocol ?? 'TCP').toLowerCase(), port }],
  );
}

/** IPv6 in its one short form (RFC 5952), so that equal addresses are equal texts. */
export function canonicalAddress(ip: string): string {
  return ip.includes(':') ? new URL(`http://[${ip}]/`).hostname.slice(1, -1) : ip;
}
