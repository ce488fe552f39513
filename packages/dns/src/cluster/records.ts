import type { Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { ResourceRecord } from '../wire/message.ts';
import { rrType, writeName } from '../wire/name.ts';
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
    return owners.size === 1
      ? (owners.values().next().value as ResourceRecord[])
      : [...owners.values()].flat();
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

function recordsOf(service: Service, slices: readonly EndpointSlice[], domain: string): Names {
  const names: Names = new Map();
  const spec = service.spec ?? {};
  const namespaceName = `${service.metadata.namespace}.svc.${domain}`;
  const base = `${service.metadata.name}.${namespaceName}`.toLowerCase();
  const put = (name: string, type: number, data: Buffer): void => {
    const records = names.get(name) ?? [];
    if (!records.some((record) => record.type === type && record.data.equals(data)))
      records.push({ name, type, ttlSeconds: clusterTtlSeconds, data });
    names.set(name, records);
  };
  const address = (name: string, ip: string): void =>
    put(name, ip.includes(':') ? rrType.AAAA : rrType.A, addressData(ip));
  // The names above exist as soon as something below them does (RFC 8020).
  names.set(namespaceName, []);
  names.set(base, []);
  if (spec.type === 'ExternalName') {
    if (spec.externalName) put(base, rrType.CNAME, writeName(spec.externalName));
    return names;
  }
  const headless = spec.clusterIP === 'None';
  if (!headless) {
    const ips = (spec.clusterIPs ?? [spec.clusterIP ?? '']).filter((ip) => ip !== '' && ip !== 'None');
    for (const ip of ips) {
      address(base, ip);
      put(reverseName(ip), rrType.PTR, writeName(base));
    }
    for (const port of spec.ports ?? []) {
      if (!port.name) continue;
      const protocol = `_${(port.protocol ?? 'TCP').toLowerCase()}.${base}`;
      if (!names.has(protocol)) names.set(protocol, []);
      put(`_${port.name}.${protocol}`, rrType.SRV, srvData(0, 100, port.port, base));
    }
    return names;
  }
  for (const slice of slices) {
    for (const endpoint of slice.endpoints ?? []) {
      if (endpoint.conditions?.ready === false && spec.publishNotReadyAddresses !== true) continue;
      for (const ip of endpoint.addresses) {
        const host = (endpoint.hostname ?? ip.replaceAll(/[.:]/g, '-')).toLowerCase();
        const target = `${host}.${base}`;
        address(base, ip);
        address(target, ip);
        if (endpoint.hostname) put(reverseName(ip), rrType.PTR, writeName(target));
        for (const port of slice.ports ?? []) {
          if (!port.name || port.port === undefined) continue;
          const protocol = `_${(port.protocol ?? 'TCP').toLowerCase()}.${base}`;
          if (!names.has(protocol)) names.set(protocol, []);
          put(`_${port.name}.${protocol}`, rrType.SRV, srvData(0, 100, port.port, target));
        }
      }
    }
  }
  return names;
}
