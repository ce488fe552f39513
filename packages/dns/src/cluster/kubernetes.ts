import { isIP } from 'node:net';
import { parseLabelSelector, type Selector } from '@cloudless/kube/selector/selector';
import type { KubernetesConfig } from '../corefile/config.ts';
import type { ResourceRecord } from '../wire/message.ts';
import { writeName } from '../wire/name.ts';
import { addressData, soaData, txtData } from '../wire/rdata.ts';
import { rrType } from '../wire/types.ts';
import type { Networks } from './networks.ts';
import { parseReverse } from './reverse.ts';
import { canonicalAddress, readyEndpoints, type ServiceEntry, type ServiceIndex } from './service-index.ts';
import { endpointLabel, type Names, namesOfService, serviceName } from './service-names.ts';
import { isBelow, zoneAround } from './zones.ts';

/** Version of the DNS-Based Service Discovery specification that the records follow. */
export const schemaVersion = '1.1.0';

/** What is known of the cluster besides its Services. */
export interface ClusterState {
  readonly services: ServiceIndex;
  /** Labels of a namespace; undefined: there is no such namespace. */
  namespaceLabels(name: string): Readonly<Record<string, string>> | undefined;
  /** Whether there is a pod with this address in the namespace (`pods verified`). */
  hasPod(namespace: string, ip: string): boolean;
  /** Networks of Services and pods: names of addresses in them are nobody else's. */
  readonly networks: Networks;
  /** Address of the DNS Service itself. */
  readonly clusterIp: string;
}

/** A name of the cluster's. No records: it exists, but not with the type asked for. */
export interface ClusterAnswer {
  readonly exists: boolean;
  readonly records: readonly ResourceRecord[];
  /** The zone that denies (RFC 2308). */
  readonly zone: string;
}

/** Answers for one `kubernetes` of a Corefile from what is in memory. */
export class KubernetesZones {
  readonly #config: KubernetesConfig;
  readonly #state: ClusterState;
  readonly #namespaces: ReadonlySet<string> | undefined;
  readonly #labels: Selector | undefined;
  readonly #namespaceLabels: Selector | undefined;
  readonly #primaryZone: string;
  readonly #names = new Map<string, WeakMap<ServiceEntry, Names>>();

  constructor(config: KubernetesConfig, state: ClusterState) {
    this.#config = config;
    this.#state = state;
    this.#namespaces = config.namespaces && new Set(config.namespaces);
    this.#labels = config.labels === '' ? undefined : parseLabelSelector(config.labels);
    this.#namespaceLabels =
      config.namespaceLabels === '' ? undefined : parseLabelSelector(config.namespaceLabels);
    this.#primaryZone = config.zones.find((zone) => !/(^|\.)(in-addr|ip6)\.arpa$/.test(zone)) ?? '';
  }

  /** Undefined: none of these zones is about the name (lower case), or it falls through. */
  answer(name: string): ClusterAnswer | undefined {
    const zone = zoneAround(this.#config.zones, name);
    if (zone === undefined) return undefined;
    const found = this.#reverse(name, zone) ?? this.#forward(name, zone);
    return found.exists || this.owns(name) ? found : undefined;
  }

  /** The SOA of negative answers and of the zones themselves. */
  soa(zone: string): ResourceRecord {
    const { ttlSeconds } = this.#config;
    const below = (label: string): string => (zone === '' ? label : `${label}.${zone}`);
    return {
      name: zone,
      type: rrType.SOA,
      ttlSeconds: Math.min(ttlSeconds, 300),
      data: soaData({
        primary: below('ns.dns'),
        mailbox: below('hostmaster'),
        serial: this.#state.services.serial,
        refreshSeconds: 7200,
        retrySeconds: 1800,
        expireSeconds: 86400,
        minimumSeconds: ttlSeconds,
      }),
    };
  }

  /** Records of one of the names, for additional sections. */
  lookup(name: string): readonly ResourceRecord[] {
    return this.answer(name)?.records ?? [];
  }

  /** Whether nobody but the cluster has names for it. */
  owns(name: string): boolean {
    const zone = zoneAround(this.#config.zones, name);
    if (zone === undefined) return false;
    const falls = this.#config.fallthrough?.some((below) => isBelow(name, below)) === true;
    return !falls || this.#isOwnAddress(name);
  }

  #isOwnAddress(name: string): boolean {
    const reverse = parseReverse(name);
    return reverse !== undefined && reverse.bits >= 16 && this.#state.networks.hasBytes(reverse.bytes);
  }

  /** PTR of a Service or an endpoint; denial for other addresses of the cluster. Undefined: not about an address. */
  #reverse(name: string, zone: string): ClusterAnswer | undefined {
    const reverse = parseReverse(name);
    if (!reverse) return undefined;
    const records = reverse.address === undefined ? [] : this.#pointers(name, reverse.address);
    // Names above addresses exist (RFC 8020): a resolver that asks step by step must not be told otherwise.
    const isAbove = reverse.address === undefined && this.#isOwnAddress(name);
    return { exists: records.length > 0 || isAbove, records, zone };
  }

  /** Its Service's own name wins; else each Service that an endpoint is of, those with headless names first. */
  #pointers(owner: string, address: string): ResourceRecord[] {
    const entries = [...this.#state.services.withAddress(address)].filter((entry) => this.#isExposed(entry));
    const own = entries.find((entry) => entry.clusterIps.includes(address));
    const targets = own
      ? [serviceName(own, this.#primaryZone)]
      : entries
          .sort((a, b) => Number(b.isHeadless) - Number(a.isHeadless) || (a.name < b.name ? -1 : 1))
          .flatMap((entry) => this.#endpointNames(entry, address));
    const { ttlSeconds } = this.#config;
    return [...new Set(targets)].map((target) => ({
      name: owner,
      type: rrType.PTR,
      ttlSeconds,
      data: writeName(target),
    }));
  }

  #endpointNames(entry: ServiceEntry, address: string): string[] {
    if (this.#config.noEndpoints) return [];
    const names: string[] = [];
    for (const endpoint of readyEndpoints(entry))
      if (endpoint.ip === address)
        names.push(`${endpointLabel(endpoint, this.#config)}.${serviceName(entry, this.#primaryZone)}`);
    return names;
  }

  #forward(name: string, zone: string): ClusterAnswer {
    const nothing = { exists: true, records: [], zone };
    const missing = { exists: false, records: [], zone };
    if (name === zone) return { ...nothing, records: this.#apex(zone) };
    const relative = zone === '' ? name : name.slice(0, -zone.length - 1);
    const labels = relative.split('.');
    const kind = labels.pop();
    if (relative === 'dns-version') return { ...nothing, records: [this.#version(name)] };
    if (relative === 'dns') return nothing;
    if (relative === 'ns.dns') return { ...nothing, records: this.#ownAddresses(name) };
    if (kind !== 'svc' && kind !== 'pod') return missing;
    const namespace = labels.pop();
    if (namespace === undefined) return nothing;
    if (!this.#isNamespaceExposed(namespace)) return missing;
    const service = labels.pop();
    if (service === undefined) return this.#hasNamespace(namespace) ? nothing : missing;
    if (kind === 'pod') return labels.length > 0 ? missing : this.#pod(name, namespace, service, zone);
    const entry = this.#state.services.find(namespace, service);
    const records = entry && this.#isExposed(entry) ? this.#namesOf(entry, zone).get(name) : undefined;
    return records === undefined ? missing : { exists: true, records, zone };
  }

  #namesOf(entry: ServiceEntry, zone: string): Names {
    let ofZone = this.#names.get(zone);
    if (!ofZone) this.#names.set(zone, (ofZone = new WeakMap()));
    let names = ofZone.get(entry);
    if (!names) ofZone.set(entry, (names = namesOfService(entry, { ...this.#config, zone })));
    return names;
  }

  #apex(zone: string): ResourceRecord[] {
    const { ttlSeconds } = this.#config;
    const own = [...this.#state.services.withAddress(this.#state.clusterIp)].find((entry) =>
      entry.clusterIps.includes(this.#state.clusterIp),
    );
    const server = own ? serviceName(own, zone) : zone === '' ? 'ns.dns' : `ns.dns.${zone}`;
    return [this.soa(zone), { name: zone, type: rrType.NS, ttlSeconds, data: writeName(server) }];
  }

  #version(name: string): ResourceRecord {
    return { name, type: rrType.TXT, ttlSeconds: this.#config.ttlSeconds, data: txtData(schemaVersion) };
  }

  #ownAddresses(name: string): ResourceRecord[] {
    const ip = this.#state.clusterIp;
    return isIP(ip) === 0 ? [] : [this.#addressRecord(name, ip)];
  }

  #addressRecord(name: string, ip: string): ResourceRecord {
    const type = ip.includes(':') ? rrType.AAAA : rrType.A;
    return { name, type, ttlSeconds: this.#config.ttlSeconds, data: addressData(ip) };
  }

  /** `1-2-3-4` and `fd00--1`: a name that says its address (specification section 2.6, CoreDNS's `pods`). */
  #pod(name: string, namespace: string, label: string, zone: string): ClusterAnswer {
    const missing = { exists: false, records: [], zone };
    if (this.#config.pods === 'disabled') return missing;
    const ip = addressOfLabel(label);
    if (ip === undefined) return missing;
    const exists =
      this.#config.pods === 'verified' ? this.#state.hasPod(namespace, ip) : this.#hasNamespace(namespace);
    return exists ? { exists, records: [this.#addressRecord(name, ip)], zone } : missing;
  }

  #hasNamespace(namespace: string): boolean {
    return (
      this.#state.namespaceLabels(namespace) !== undefined || this.#state.services.hasNamespace(namespace)
    );
  }

  #isNamespaceExposed(namespace: string): boolean {
    if (this.#namespaces && !this.#namespaces.has(namespace)) return false;
    return this.#namespaceLabels?.matches(this.#state.namespaceLabels(namespace)) ?? true;
  }

  #isExposed(entry: ServiceEntry): boolean {
    return (
      this.#isNamespaceExposed(entry.namespace) &&
      (this.#labels?.matches(entry.service.metadata.labels) ?? true)
    );
  }
}

function addressOfLabel(label: string): string | undefined {
  const isIpv4 = /^\d+-\d+-\d+-\d+$/.test(label);
  const ip = label.replaceAll('-', isIpv4 ? '.' : ':');
  return isIP(ip) === 0 ? undefined : canonicalAddress(ip);
}
