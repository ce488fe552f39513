import type { Service, ServicePort } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import {
  countReadyHere,
  type EndpointAddress,
  endpointsOf,
  isPort,
  type PortEndpoints,
} from './endpoints.ts';
import { canonicalIp, type Family, familyOf, formatBlock, inBlock, parseBlock, withoutNested } from './ip.ts';

export type { EndpointAddress } from './endpoints.ts';

export type ServiceProtocol = 'tcp' | 'udp' | 'sctp';

/** One address and port that the data plane translates. */
export interface Frontend {
  ip: string;
  protocol: ServiceProtocol;
  port: number;
  /** Where connections go, each as likely as the other; empty: refused. Sorted, so that equal sets are equal. */
  endpoints: EndpointAddress[];
  /**
   * What is different for clients outside the cluster: nothing; or they reach the same endpoints from the node's address
   * (`externalTrafficPolicy: Cluster`); or they reach these endpoints with their own address, and are dropped when
   * there is none (`Local`).
   */
  outside: 'same' | 'masqueraded' | readonly EndpointAddress[];
  /** A client goes where it went before until this long after its last connection; undefined: each one anew. */
  affinitySeconds?: number | undefined;
  /** Blocks whose addresses may connect, none nested in another; undefined: everyone. */
  sources?: readonly string[] | undefined;
}

/**
 * An address that is a Service's. `virtual`: the cluster owns it (a load balancer's), so that nothing else is to be
 * expected behind it; `external`: someone else's (`externalIPs`), of which this cluster answers for what comes to it.
 */
export interface ServedAddress {
  ip: string;
  kind: 'virtual' | 'external';
}

/** What a node knows about itself and the others. */
export interface NodeView {
  name: string;
  /** This node's own addresses: node ports are served there. */
  addresses: readonly string[];
  /** Those of all nodes: never taken for virtual ones, as much more than Services listens there. */
  addressesOfNodes: ReadonlySet<string>;
}

/** The port on which load balancers ask whether this node has endpoints. */
export interface HealthCheck {
  port: number;
  localEndpoints: number;
}

const protocols: Record<string, ServiceProtocol> = { TCP: 'tcp', UDP: 'udp', SCTP: 'sctp' };
/** The API's default for `sessionAffinityConfig.clientIP.timeoutSeconds`, and the most it allows. */
const affinityDefaultSeconds = 10_800;
const affinityMaxSeconds = 86_400;

/** The key that names a frontend in the kernel's maps: `10.96.0.1 . tcp . 443`. */
export function frontendKey(frontend: Pick<Frontend, 'ip' | 'protocol' | 'port'>): string {
  return `${frontend.ip} . ${frontend.protocol} . ${frontend.port}`;
}

function canonicalIps(texts: Iterable<string | undefined>): string[] {
  const found = new Set<string>();
  for (const text of texts) {
    const ip = canonicalIp(text ?? '');
    if (ip !== undefined) found.add(ip);
  }
  return [...found];
}

const clusterIpsOf = ({ spec }: Service): string[] => canonicalIps(spec?.clusterIPs ?? [spec?.clusterIP]);

/** Addresses of a load balancer that hands packets on as they are; those of mode `Proxy` come by other addresses. */
const virtualIpsOf = ({ status }: Service): string[] =>
  canonicalIps((status?.loadBalancer?.ingress ?? []).map(({ ip, ipMode }) => (ipMode === 'Proxy' ? '' : ip)));

/** A Service with this label is another proxy's. */
const proxyNameLabel = 'service.kubernetes.io/service-proxy-name';

/** False for those that the data plane has nothing to do with: another's, names only, headless, or without an address yet. */
const isServed = (service: Service): boolean =>
  service.spec !== undefined &&
  service.spec.type !== 'ExternalName' &&
  service.metadata.labels?.[proxyNameLabel] === undefined &&
  clusterIpsOf(service).length > 0;

/** Upstream: pkg/api/v1/service.ExternalPolicyLocal, ExternallyAccessible. */
function isLocalOutside({ spec }: Service): boolean {
  const accessible =
    spec?.type === 'LoadBalancer' || spec?.type === 'NodePort' || (spec?.externalIPs?.length ?? 0) > 0;
  return accessible && spec?.externalTrafficPolicy === 'Local';
}

function affinityOf({ spec }: Service): number | undefined {
  if (spec?.sessionAffinity !== 'ClientIP') return undefined;
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds;
  return Number.isInteger(seconds) && (seconds as number) >= 1 && (seconds as number) <= affinityMaxSeconds
    ? seconds
    : affinityDefaultSeconds;
}

/**
 * Who may connect to the virtual address `ip` (upstream: pkg/proxy/serviceport.go, nftables/proxier.go). Ranges of the other
 * family do not restrict it; one that allows everybody lifts all. A node that may connect does so from the virtual address
 * itself when that is assigned to one of its interfaces.
 */
function sourcesOf(service: Service, ip: string, node: NodeView): string[] | undefined {
  const blocks = (service.spec?.loadBalancerSourceRanges ?? [])
    .map(parseBlock)
    .filter((block) => block !== undefined)
    .filter((block) => block.family === familyOf(ip));
  if (blocks.length === 0 || blocks.some((block) => block.prefix === 0)) return undefined;
  if (node.addresses.some((own) => blocks.some((block) => inBlock(block, own))))
    for (const vip of virtualIpsOf(service)) {
      const block = parseBlock(`${vip}/${familyOf(vip) === 4 ? 32 : 128}`);
      if (block?.family === familyOf(ip)) blocks.push(block);
    }
  return withoutNested(blocks).map(formatBlock);
}

/**
 * What a Service and its EndpointSlices mean on this node (upstream: pkg/proxy/serviceport.go, topology.go,
 * nftables/proxier.go). At a ClusterIP, `internalTrafficPolicy: Local` keeps the endpoints of this node. At the addresses
 * of load balancers, `externalIPs` and node ports, clients within the cluster reach all endpoints whatever the policy
 * is, as if they had gone out and come in again. Texts that are no address, block or port never get into a script.
 */
export function frontendsOf(service: Service, slices: readonly EndpointSlice[], node: NodeView): Frontend[] {
  if (!isServed(service)) return [];
  const internalOnly = service.spec?.internalTrafficPolicy === 'Local';
  const localOutside = isLocalOutside(service);
  const affinitySeconds = affinityOf(service);
  const clusterIps = clusterIpsOf(service);
  const externalIps = canonicalIps(service.spec?.externalIPs ?? []);
  const virtualIps = virtualIpsOf(service).map((ip) => ({ ip, sources: sourcesOf(service, ip, node) }));
  // Where a Service has no family, ports of the node stay the host's own.
  const families = new Set(clusterIps.map(familyOf));
  const nodeIps = node.addresses.filter((ip) => families.has(familyOf(ip)));
  const frontends: Frontend[] = [];
  const serve = (
    port: ServicePort,
    reach: (family: Family) => PortEndpoints,
    at: { ip: string; number: number; sources?: string[] | undefined },
    inside: boolean,
  ): void => {
    if (!isPort(at.number)) return;
    const { everywhere, here } = reach(familyOf(at.ip));
    frontends.push({
      ip: at.ip,
      protocol: protocols[port.protocol ?? 'TCP'] ?? 'tcp',
      port: at.number,
      endpoints: inside && internalOnly ? here : everywhere,
      outside: inside ? 'same' : localOutside ? here : 'masqueraded',
      ...(affinitySeconds === undefined ? {} : { affinitySeconds }),
      ...(at.sources === undefined ? {} : { sources: at.sources }),
    });
  };
  for (const port of service.spec?.ports ?? []) {
    const known = new Map<Family, PortEndpoints>();
    const reach = (family: Family): PortEndpoints => {
      const found = known.get(family) ?? endpointsOf(port, slices, node.name, family);
      known.set(family, found);
      return found;
    };
    for (const ip of clusterIps) serve(port, reach, { ip, number: port.port }, true);
    for (const ip of externalIps) serve(port, reach, { ip, number: port.port }, false);
    for (const { ip, sources } of virtualIps) serve(port, reach, { ip, number: port.port, sources }, false);
    if (port.nodePort) for (const ip of nodeIps) serve(port, reach, { ip, number: port.nodePort }, false);
  }
  return frontends;
}

/** The addresses from outside that are this Service's. */
export function servedAddressesOf(service: Service, node: NodeView): ServedAddress[] {
  if (!isServed(service)) return [];
  const virtual = virtualIpsOf(service);
  const external = canonicalIps(service.spec?.externalIPs ?? []).filter((ip) => !virtual.includes(ip));
  return [
    ...virtual.map((ip) => ({ ip, kind: 'virtual' as const })),
    ...external.map((ip) => ({ ip, kind: 'external' as const })),
  ].filter(({ ip }) => !node.addressesOfNodes.has(ip));
}

/** The health check that a Service asks for; undefined when it asks for none (upstream: NeedsHealthCheck). */
export function healthCheckOf(
  service: Service,
  slices: readonly EndpointSlice[],
  nodeName: string,
): HealthCheck | undefined {
  const port = service.spec?.healthCheckNodePort;
  if (service.spec?.type !== 'LoadBalancer' || !isLocalOutside(service) || !isPort(port)) return undefined;
  if (!isServed(service)) return undefined;
  return { port, localEndpoints: countReadyHere(slices, nodeName) };
}
