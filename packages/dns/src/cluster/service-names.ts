import type { ResourceRecord } from '../wire/message.ts';
import { WireError, writeName } from '../wire/name.ts';
import { addressData, srvData } from '../wire/rdata.ts';
import { rrType } from '../wire/types.ts';
import { readyEndpoints, type ReadyEndpoint, type ServiceEntry } from './service-index.ts';

/** Records by lower-case owner name; an empty list: the name exists and has no records of its own (RFC 8020). */
export type Names = ReadonlyMap<string, readonly ResourceRecord[]>;

export interface NamingRules {
  /** Of the cluster's names: `cluster.local`. */
  readonly zone: string;
  readonly ttlSeconds: number;
  /** An endpoint without a hostname is called as its pod, where it has one. */
  readonly endpointPodNames: boolean;
  /** No names of endpoints, and none of headless Services. */
  readonly noEndpoints: boolean;
  /** A Service without a ready endpoint has no name. */
  readonly ignoreEmptyService: boolean;
}

/**
 * The label of an endpoint below its Service: its hostname, else its pod's name where that is wanted, else its address
 * with dashes. An IPv6 address never ends with a dash (RFC 952); `fd00::` is `fd00--0`.
 */
export function endpointLabel(endpoint: ReadyEndpoint, rules: Pick<NamingRules, 'endpointPodNames'>): string {
  if (endpoint.hostname !== undefined) return endpoint.hostname;
  if (rules.endpointPodNames && endpoint.podName !== undefined) return endpoint.podName;
  const label = endpoint.ip.replaceAll(/[.:]/g, '-');
  return label.endsWith('-') ? `${label}0` : label;
}

/** `web.shop.svc.cluster.local` */
export const serviceName = (entry: ServiceEntry, zone: string): string =>
  zone === '' ? `${entry.name}.${entry.namespace}.svc` : `${entry.name}.${entry.namespace}.svc.${zone}`;

/** The names that one Service contributes; none: it does not exist in DNS. Specification sections 2.3 to 2.5. */
export function namesOfService(entry: ServiceEntry, rules: NamingRules): Names {
  const base = serviceName(entry, rules.zone);
  const collector = new Collector(rules.ttlSeconds);
  const { type, externalName, ports } = entry.service.spec ?? {};
  if (type === 'ExternalName') {
    if (externalName) collector.put(base, rrType.CNAME, () => writeName(externalName));
    return collector.names;
  }
  const endpoints = rules.noEndpoints ? [] : [...readyEndpoints(entry)];
  if (rules.ignoreEmptyService && !entry.isHeadless && endpoints.length === 0) return collector.names;
  for (const ip of entry.clusterIps) collector.address(base, ip);
  if (!entry.isHeadless && entry.clusterIps.length > 0)
    for (const { name, protocol, port } of ports ?? [])
      collector.port(
        base,
        { name: name ?? '', protocol: (protocol ?? 'TCP').toLowerCase(), port },
        base,
        100,
      );
  putEndpoints(collector, base, endpoints, entry.isHeadless, rules);
  return collector.names;
}

/** Each endpoint has a name; a headless Service has their addresses and ports as its own besides. */
function putEndpoints(
  collector: Collector,
  base: string,
  endpoints: readonly ReadyEndpoint[],
  isHeadless: boolean,
  rules: NamingRules,
): void {
  // As CoreDNS weighs them: all ports of a name together are 100.
  const weight = Math.max(1, Math.floor(100 / Math.max(1, endpoints.length)));
  for (const endpoint of endpoints) {
    const target = `${endpointLabel(endpoint, rules)}.${base}`;
    if (isHeadless) collector.address(base, endpoint.ip);
    collector.address(target, endpoint.ip);
    for (const port of endpoint.ports) {
      collector.srv(target, port.port, target, 100);
      if (isHeadless) collector.port(base, port, target, weight);
    }
  }
}

/** The names of one Service, as they are collected. */
class Collector {
  readonly names = new Map<string, ResourceRecord[]>();
  readonly #ttlSeconds: number;

  constructor(ttlSeconds: number) {
    this.#ttlSeconds = ttlSeconds;
  }

  /** Adds a record. One that DNS cannot hold (a label over 63 octets in an externalName) is left out. */
  put(name: string, type: number, makeData: () => Buffer): void {
    let data: Buffer;
    try {
      data = makeData();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#recordsOf(name);
      return;
    }
    const records = this.#recordsOf(name);
    if (!records.some((record) => record.type === type && record.data.equals(data)))
      records.push({ name, type, ttlSeconds: this.#ttlSeconds, data });
  }

  address(name: string, ip: string): void {
    this.put(name, ip.includes(':') ? rrType.AAAA : rrType.A, () => addressData(ip));
  }

  srv(name: string, port: number, target: string, weight: number): void {
    this.put(name, rrType.SRV, () => srvData(0, weight, port, target));
  }

  /** `_name._protocol` for a named port (RFC 2782), and every port at the Service's own name, as CoreDNS has it. */
  port(
    base: string,
    { name, protocol, port }: ReadyEndpoint['ports'][number],
    target: string,
    weight: number,
  ): void {
    this.srv(base, port, target, weight);
    if (name === '') return;
    const above = `_${protocol}.${base}`;
    this.#recordsOf(above);
    this.srv(`_${name.toLowerCase()}.${above}`, port, target, weight);
  }

  #recordsOf(name: string): ResourceRecord[] {
    let records = this.names.get(name);
    if (!records) this.names.set(name, (records = []));
    return records;
  }
}
