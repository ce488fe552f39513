import type { Node, Pod, Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import { annotation, listAnnotation, settingsOf } from './annotations.ts';
import { type Endpoint, endpointsFor, merged } from './endpoint.ts';
import { nodeAddresses } from './node.ts';

/** What the endpoints of some Services depend on beside themselves. */
export interface ServiceSurroundings {
  /** Slices of this Service. */
  slices(): readonly EndpointSlice[];
  pod(name: string): Pod | undefined;
  /** Pods that the Service selects. */
  pods(): readonly Pod[];
  node(name: string): Node | undefined;
  nodes(): readonly Node[];
}

/** Kinds of objects that a Service's endpoints depend on, so that others need not be watched. */
export type Surrounding = 'endpointslices' | 'pods' | 'nodes';

type Settings = ReturnType<typeof settingsOf>;

/**
 * The endpoints of a Service, by its type and annotations (upstream: source/service.go). Names in `hostname` are for
 * everybody, those in `internal-hostname` have the cluster's own address.
 */
export function serviceEndpoints(service: Service, around: ServiceSurroundings): Endpoint[] {
  const endpoints: Endpoint[] = [];
  for (const hostname of listAnnotation(service, 'hostname'))
    endpoints.push(...endpointsOf(service, hostname, false, around));
  for (const hostname of listAnnotation(service, 'internal-hostname'))
    endpoints.push(...endpointsOf(service, hostname, true, around));
  return merged(endpoints);
}

/** What {@link serviceEndpoints} will look at for this Service. */
export function surroundingsOf(service: Service): readonly Surrounding[] {
  if (listAnnotation(service, 'hostname').length + listAnnotation(service, 'internal-hostname').length === 0)
    return [];
  if (annotation(service, 'target')) return [];
  const type = service.spec?.type;
  if (type === 'NodePort')
    return service.spec?.externalTrafficPolicy === 'Local' ? ['nodes', 'pods'] : ['nodes'];
  if (service.spec?.clusterIP !== 'None' || (type ?? 'ClusterIP') !== 'ClusterIP') return [];
  return annotation(service, 'endpoints-type') === 'NodeExternalIP'
    ? ['endpointslices', 'pods', 'nodes']
    : ['endpointslices', 'pods'];
}

function endpointsOf(
  service: Service,
  hostname: string,
  isInternal: boolean,
  around: ServiceSurroundings,
): Endpoint[] {
  const settings = settingsOf(service);
  const explicit = listAnnotation(service, 'target');
  if (explicit.length > 0) return endpointsFor(hostname, explicit, settings);
  const { type = 'ClusterIP', clusterIP, externalIPs = [], externalName = '' } = service.spec ?? {};
  switch (type) {
    case 'LoadBalancer':
      return endpointsFor(
        hostname,
        isInternal ? clusterAddress(service) : balancerTargets(service),
        settings,
      );
    case 'NodePort':
      return [
        ...nodePortServers(service, hostname, settings),
        ...endpointsFor(hostname, nodePortTargets(service, around), settings),
      ];
    case 'ExternalName':
      return endpointsFor(hostname, externalIPs.length > 0 ? externalIPs : [externalName], settings);
    default:
      if (clusterIP === 'None') return headlessEndpoints(service, hostname, settings, around);
      return isInternal ? endpointsFor(hostname, clusterAddress(service), settings) : [];
  }
}

function clusterAddress({ spec }: Service): string[] {
  return spec?.clusterIP && spec.clusterIP !== 'None' ? [spec.clusterIP] : [];
}

function balancerTargets({ spec, status }: Service): string[] {
  if (spec?.externalIPs && spec.externalIPs.length > 0) return spec.externalIPs;
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) =>
    [ip, hostname].filter((target) => target !== undefined),
  );
}

/** Node ports by SRV: `_SERVICE._PROTOCOL.HOSTNAME`, priority 0, weight 50. */
function nodePortServers(service: Service, hostname: string, settings: Settings): Endpoint[] {
  const host = hostname.replace(/\.$/, '');
  return (service.spec?.ports ?? [])
    .filter(({ nodePort }) => nodePort !== undefined && nodePort > 0)
    .map(({ nodePort, protocol }) => ({
      dnsName: `_${service.metadata.name}._${(protocol ?? 'TCP').toLowerCase()}.${host}`,
      recordType: 'SRV',
      targets: [`0 50 ${nodePort} ${host}.`],
      ...settings,
    }));
}

/** Addresses of nodes: external ones if there are any, unless `access` says otherwise. */
function nodePortTargets(service: Service, around: ServiceSurroundings): readonly string[] {
  const nodes =
    service.spec?.externalTrafficPolicy === 'Local' ? nodesWithPods(around) : Array.from(around.nodes());
  const addresses = nodes.map(nodeAddresses);
  const external = addresses.flatMap((one) => one.external);
  const internal = addresses.flatMap((one) => one.internal);
  const access = annotation(service, 'access');
  if (access === 'public') return external;
  if (access === 'private') return internal;
  return external.length > 0 ? external : internal;
}

/** Nodes whose pods are readiest: ready ones, else ready ones that end, else running ones. */
function nodesWithPods(around: ServiceSurroundings): Node[] {
  const best = new Map<Node, number>();
  for (const pod of around.pods()) {
    if (pod.status?.phase !== 'Running') continue;
    const node = around.node(pod.spec?.nodeName ?? '');
    if (!node) continue;
    const isReady = pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
    const rank = !isReady ? 1 : pod.metadata.deletionTimestamp !== undefined ? 2 : 3;
    best.set(node, Math.max(best.get(node) ?? 0, rank));
  }
  const highest = Math.max(0, ...best.values());
  return [...best].filter(([, rank]) => rank === highest).map(([node]) => node);
}

/** The ready endpoints of a headless Service: all under its name, and each pod with a hostname under a name of its own. */
function headlessEndpoints(
  service: Service,
  hostname: string,
  settings: Settings,
  around: ServiceSurroundings,
): Endpoint[] {
  const host = hostname.replace(/\.$/, '');
  const endpointsType = annotation(service, 'endpoints-type');
  const publishesPods = endpointsType !== 'NodeExternalIP' && endpointsType !== 'HostIP';
  const targets = new Map<string, string[]>();
  for (const { addressType, endpoints } of around.slices()) {
    if (publishesPods && addressType !== 'IPv4' && addressType !== 'IPv6') continue;
    for (const { conditions, targetRef, addresses } of endpoints ?? []) {
      if (conditions?.ready === false && service.spec?.publishNotReadyAddresses !== true) continue;
      const pod = targetRef?.kind === 'Pod' ? around.pod(targetRef.name ?? '') : undefined;
      if (!pod) continue;
      const names = pod.spec?.hostname ? [host, `${pod.spec.hostname}.${host}`] : [host];
      const own = podTargets(pod, addresses, endpointsType, around);
      for (const name of names) {
        const list = targets.get(name);
        if (list) list.push(...own);
        else targets.set(name, [...own]);
      }
    }
  }
  return [...targets]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, list]) => endpointsFor(name, list, settings));
}

function podTargets(
  pod: Pod,
  addresses: readonly string[],
  endpointsType: string | undefined,
  around: ServiceSurroundings,
): readonly string[] {
  const explicit = listAnnotation(pod, 'target');
  if (explicit.length > 0) return explicit;
  if (endpointsType === 'NodeExternalIP') {
    const node = around.node(pod.spec?.nodeName ?? '');
    return node ? nodeAddresses(node).external : [];
  }
  if (endpointsType === 'HostIP') return pod.status?.hostIP ? [pod.status.hostIP] : [];
  return addresses.slice(0, 1);
}
