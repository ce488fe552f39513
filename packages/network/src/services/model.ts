import { isIPv4 } from 'node:net';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { Service, ServicePort } from '@cloudless/kube/types/core-v1';

export type ServiceProtocol = 'tcp' | 'udp' | 'sctp';

export interface EndpointAddress {
  ip: string;
  port: number;
}

/** One address and port that the data plane translates. */
export interface Frontend {
  ip: string;
  protocol: ServiceProtocol;
  port: number;
  /** Where connections go, each as likely as the other; empty: refused. Sorted, so that equal sets are equal. */
  endpoints: EndpointAddress[];
  /** `client`: the same client address goes to the same endpoint while the set of endpoints stays. */
  affinity: 'none' | 'client';
}

const protocols: Record<string, ServiceProtocol> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };

/** The key that names a frontend in the kernel's maps: `10.96.0.1 . tcp . 443`. */
export function frontendKey(frontend: Pick<Frontend, 'ip' | 'protocol' | 'port'>): string {
  return `${frontend.ip} . ${frontend.protocol} . ${frontend.port}`;
}

/**
 * What a Service and its EndpointSlices mean on this node (upstream: pkg/proxy/servicechangetracker.go,
 * topology.go). Ready endpoints are used; when there is none, those that terminate and still serve (KEP-1669).
 * `internalTrafficPolicy: Local` keeps the endpoints of this node. IPv4 only in this form of the data plane; texts
 * that are no IPv4 address or port never get into a script.
 */
export function frontendsOf(
  service: Service,
  slices: readonly EndpointSlice[],
  nodeName: string,
): Frontend[] {
  const spec = service.spec;
  if (!spec || spec.type === 'ExternalName') return [];
  const ips = (spec.clusterIPs ?? [spec.clusterIP ?? '']).filter((ip) => isIPv4(ip));
  const frontends: Frontend[] = [];
  for (const ip of ips) {
    for (const port of spec.ports ?? []) {
      if (!isPort(port.port)) continue;
      frontends.push({
        ip,
        protocol: protocols[port.protocol ?? 'TCP'] ?? 'tcp',
        port: port.port,
        endpoints: endpointsOf(port, slices, nodeName, spec.internalTrafficPolicy === 'Local'),
        affinity: spec.sessionAffinity === 'ClientIP' ? 'client' : 'none',
      });
    }
  }
  return frontends;
}

const isPort = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= 65535;

function endpointsOf(
  port: ServicePort,
  slices: readonly EndpointSlice[],
  nodeName: string,
  localOnly: boolean,
): EndpointAddress[] {
  const ready = new Map<string, EndpointAddress>();
  const terminating = new Map<string, EndpointAddress>();
  for (const slice of slices) {
    if (slice.addressType !== 'IPv4') continue;
    const target = (slice.ports ?? []).find(
      (candidate) =>
        (candidate.name ?? '') === (port.name ?? '') &&
        (candidate.protocol ?? 'TCP') === (port.protocol ?? 'TCP'),
    );
    if (target?.port === undefined || !isPort(target.port)) continue;
    for (const endpoint of slice.endpoints ?? []) {
      if (localOnly && endpoint.nodeName !== nodeName) continue;
      const ip = endpoint.addresses[0];
      if (ip === undefined || !isIPv4(ip)) continue;
      const address = { ip, port: target.port };
      const conditions = endpoint.conditions ?? {};
      // Unknown counts as ready, and as serving (the API's rule for unset conditions).
      if (conditions.ready !== false) ready.set(`${ip}:${target.port}`, address);
      else if (conditions.serving !== false && conditions.terminating === true)
        terminating.set(`${ip}:${target.port}`, address);
    }
  }
  const used = ready.size > 0 ? ready : terminating;
  return [...used].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, address]) => address);
}
