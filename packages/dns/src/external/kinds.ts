/** Kinds that are no part of Kubernetes itself and that records are derived from, and their resources. */
import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { Condition, LabelSelector } from '@cloudless/kube/types/meta-v1';

/** One record set of a DNSEndpoint (external-dns: endpoint/endpoint.go). */
export interface DnsEndpointRecords {
  dnsName?: string;
  /** `A`, `AAAA`, `TXT`, …; none: told from the targets. */
  recordType?: string;
  /** 0 or none: the default. */
  recordTTL?: number | bigint;
  targets?: string[];
  setIdentifier?: string;
  labels?: Record<string, string>;
  providerSpecific?: Array<{ name?: string; value?: string }>;
}

/** `externaldns.k8s.io/v1alpha1`. */
export interface DnsEndpoint extends KubeObject {
  spec?: { endpoints?: DnsEndpointRecords[] };
  status?: { observedGeneration?: number };
}

export const dnsEndpoints: Resource<DnsEndpoint> = {
  group: 'externaldns.k8s.io',
  version: 'v1alpha1',
  plural: 'dnsendpoints',
  kind: 'DNSEndpoint',
  namespaced: true,
};

/** A reference of a route to what it hangs on; group, kind and namespace default to a Gateway beside it. */
export interface ParentReference {
  group?: string;
  kind?: string;
  namespace?: string;
  name: string;
  sectionName?: string;
  port?: number;
}

export interface Listener {
  name: string;
  hostname?: string;
  port: number;
  protocol: string;
  allowedRoutes?: {
    namespaces?: { from?: string; selector?: LabelSelector };
    kinds?: Array<{ group?: string; kind: string }>;
  };
}

export interface Gateway extends KubeObject {
  spec?: { listeners?: Listener[] };
  status?: { addresses?: Array<{ type?: string; value: string }> };
}

/** HTTPRoute, GRPCRoute, TLSRoute, TCPRoute and UDPRoute, as far as names go; the last two have no hostnames. */
export interface Route extends KubeObject {
  spec?: { hostnames?: string[]; parentRefs?: ParentReference[] };
  status?: { parents?: Array<{ parentRef: ParentReference; conditions?: Condition[] }> };
}

export const gatewayGroup = 'gateway.networking.k8s.io';

const gatewayKind = <T>(version: string, plural: string, kind: string): Resource<T> => ({
  group: gatewayGroup,
  version,
  plural,
  kind,
  namespaced: true,
});

/** Kinds of the Gateway API, in the version to use when several are served. */
export const gateways: Resource<Gateway> = gatewayKind('v1', 'gateways', 'Gateway');
export const routes = {
  httproutes: gatewayKind<Route>('v1', 'httproutes', 'HTTPRoute'),
  grpcroutes: gatewayKind<Route>('v1', 'grpcroutes', 'GRPCRoute'),
  tlsroutes: gatewayKind<Route>('v1', 'tlsroutes', 'TLSRoute'),
  tcproutes: gatewayKind<Route>('v1alpha2', 'tcproutes', 'TCPRoute'),
  udproutes: gatewayKind<Route>('v1alpha2', 'udproutes', 'UDPRoute'),
} as const;
