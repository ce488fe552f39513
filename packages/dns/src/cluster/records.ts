import { isIP } from 'node:net';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { ResourceRecord } from '../wire/message.ts';
import { rrType, WireError, writeName } from '../wire/name.ts';
import { addressData, reverseName, soaData, srvData, txtData } from '../wire/rdata.ts';

/** TTL of answers about the cluster, as CoreDNS's kubernetes plugin has it by default. */
export const clusterTtlSeconds = 5;

/** Version of the DNS-Based Service Discovery specification that the records follow. */
export const schemaVersion = '1.1.0';

/** Records by lower-case owner name; an empty list: the name exists and has no records of its own. */
type Names = Map<string, ResourceRecord[]>;

interface Owned {
  names: Names;
}

/**
 * The names of one cluster, kept by Service: a change replaces the records of that Service only. Pure; fed by
 * informers. Kubernetes DNS-Based Service Discovery 1.1.0.
 */
export class ClusterRecords {
  readonly #domain: string;
  readonly #byService = new Map<string, Owned>();
  readonly #names = new Map<string, Map<string, ResourceRecord[]>>();
  #serial = 1;

  constructor(clusterDomain: string) {
    this.#domain = clusterDomain.toLowerCase().replace(/\.$/, '');
    this.#add(
      '',
      new Map([
        [this.#domain, []],
        [`svc.${this.#domain}`, []],
        [
          `dns-version.${this.#domain}`,
          [
            {
              name: `dns-version.${this.#domain}`,
              type: rrType.TXT,
              ttlSeconds: clusterTtlSeconds,
              data: txtData(schemaVersion),
            },
          ],
        ],
      ]),
    );
  }

  get domain(): string {
    return this.#domain;
  }

  /** Whether this cluster's names decide about `name` (lower case). */
  owns(name: string): boolean {
    return name === this.#domain || name.endsWith(`.${this.#domain}`);
  }

  /** Replaces what one Service contributes; `service` undefined removes it. */
  set(namespace: string, name: string, service: Service | undefined, slices: readonly EndpointSlice[]): void {
    const key = `${namespace}/${name}`;
    const old = this.#byService.get(key);
    if (old) this.#remove(key, old.names);
    this.#serial += 1;
    if (!service) {
      this.#byService.delete(key);
      return;
    }
    const names = recordsOf(service, slices, this.#domain);
    this.#byService.set(key, { names });
    this.#add(key, names);
  }

  /** The records of a name; undefined when it does not exist. */
  lookup(name: string): ResourceRecord[] | undefined {
    const owners = this.#names.get(name);
    if (!owners) return undefined;
    const [first, ...others] = owners.values();
    return others.length === 0 ? first : [first ?? [], ...others].flat();
  }

  /** For negative answers (RFC 2308). */
  soa(): ResourceRecord {
    return {
      name: this.#domain,
      type: rrType.SOA,
      ttlSeconds: clusterTtlSeconds,
      data: soaData({
        primary: `ns.dns.${this.#domain}`,
        mailbox: `hostmaster.${this.#domain}`,
        serial: this.#serial,
        refreshSeconds: 7200,
        retrySeconds: 1800,
        expireSeconds: 86400,
        minimumSeconds: clusterTtlSeconds,
      }),
    };
  }

  #add(owner: string, names: Names): void {
    for (const [name, records] of names) {
      let owners = this.#names.get(name);
      if (!owners) this.#names.set(name, (owners = new Map()));
      owners.set(owner, records);
    }
  }

  #remove(owner: string, names: Names): void {
    for (const name of names.keys()) {
      const owners = this.#names.get(name);
      owners?.delete(owner);
      if (owners?.size === 0) this.#names.delete(name);
    }
  }
}

/** The names that one Service contributes, as they are collected. */
class Collector {
  readonly names: Names = new Map();

  /** The name exists. So do those above it, as soon as something below them does (RFC 8020). */
  exists(name: string): void {
    if (!this.names.has(name)) this.names.set(name, []);
  }

  /** Adds a record. One that DNS cannot hold (a label over 63 octets in an externalName) is left out. */
  put(name: string, type: number, makeData: () => Buffer): void {
    let data: Buffer;
    try {
      data = makeData();
    } catch (error) {
      if (error instanceof WireError) return;
      throw error;
    }
    this.exists(name);
    const records = this.names.get(name) as ResourceRecord[];
    if (!records.some((record) => record.type === type && record.data.equals(data)))
      records.push({ name, type, ttlSeconds: clusterTtlSeconds, data });
  }

  address(name: string, ip: string): void {
    this.put(name, ip.includes(':') ? rrType.AAAA : rrType.A, () => addressData(ip));
  }

  /** SRV of a named port (RFC 2782); a port without a name has none. */
  port(
    base: string,
    name: string | undefined,
    protocol: string | undefined,
    port: number,
    target: string,
  ): void {
    if (!name) return;
    const above = `_${(protocol ?? 'TCP').toLowerCase()}.${base}`;
    this.exists(above);
    this.put(`_${name}.${above}`.toLowerCase(), rrType.SRV, () => srvData(0, 100, port, target));
  }
}

function recordsOf(service: Service, slices: readonly EndpointSlice[], domain: string): Names {
  const collector = new Collector();
  const spec = service.spec ?? {};
  const namespaceName = `${service.metadata.namespace}.svc.${domain}`;
  const base = `${service.metadata.name}.${namespaceName}`.toLowerCase();
  collector.exists(namespaceName);
  collector.exists(base);
  if (spec.type === 'ExternalName') {
    const { externalName } = spec;
    if (externalName) collector.put(base, rrType.CNAME, () => writeName(externalName));
  } else if (spec.clusterIP === 'None') putHeadless(collector, base, spec, slices);
  else {
    const ips = (spec.clusterIPs ?? [spec.clusterIP ?? '']).filter((ip) => isIP(ip) !== 0);
    for (const ip of ips) {
      collector.address(base, ip);
      collector.put(reverseName(ip), rrType.PTR, () => writeName(base));
    }
    for (const { name, protocol, port } of spec.ports ?? []) collector.port(base, name, protocol, port, base);
  }
  return collector.names;
}

/** A headless Service has the addresses of its endpoints, and a name for each of them. */
function putHeadless(
  collector: Collector,
  base: string,
  spec: NonNullable<Service['spec']>,
  slices: readonly EndpointSlice[],
): void {
  for (const slice of slices) {
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.conditions?.ready === false && spec.publishNotReadyAddresses !== true) continue;
      // Slices of addressType FQDN hold names: there is no address to give.
      for (const ip of endpoint.addresses.filter((address) => isIP(address) !== 0)) {
        const host = (endpoint.hostname ?? ip.replaceAll(/[.:]/g, '-')).toLowerCase();
        const target = `${host}.${base}`;
        collector.address(base, ip);
        collector.address(target, ip);
        if (endpoint.hostname) collector.put(reverseName(ip), rrType.PTR, () => writeName(target));
        for (const port of slice.ports ?? [])
          if (port.port !== undefined) collector.port(base, port.name, port.protocol, port.port, target);
      }
    }
  }
}
