import type { ContainerPort, Node, Pod, Service, ServicePort } from '@cloudless/kube/types/core-v1';
import type { Endpoint, EndpointPort } from '@cloudless/kube/types/discovery-v1';
import { isPodReady, isPodTerminal } from '../pods/condition.ts';

/** How a Service's pods become endpoints (upstream: staging/endpointslice/utils.go). Pure. */

export type AddressType = 'IPv4' | 'IPv6';

const zoneLabel = 'topology.kubernetes.io/zone';

export const isHeadless = (service: Service): boolean => service.spec?.clusterIP === 'None';

/** Address families of a Service. */
export function addressTypes(service: Service): AddressType[] {
  const families = service.spec?.ipFamilies ?? [];
  if (families.length > 0) return families.map((family) => (family === 'IPv6' ? 'IPv6' : 'IPv4'));
  const ip = service.spec?.clusterIP ?? '';
  if (ip !== '' && ip !== 'None') return [ip.includes(':') ? 'IPv6' : 'IPv4'];
  // A headless Service of a server without dual stack says no family: serve whichever the pods have.
  return ['IPv4', 'IPv6'];
}

/** Whether a pod can be an endpoint at all, ready or not. */
export function hasEndpoint(pod: Pod): boolean {
  return !isPodTerminal(pod) && ((pod.status?.podIPs ?? []).length > 0 || (pod.status?.podIP ?? '') !== '');
}

export function podAddresses(pod: Pod, type: AddressType): string[] {
  const ips = (pod.status?.podIPs ?? []).map((one) => one.ip);
  if (ips.length === 0 && pod.status?.podIP) ips.push(pod.status.podIP);
  return ips.filter((ip) => ip.includes(':') === (type === 'IPv6'));
}

function containerPorts(pod: Pod): ContainerPort[] {
  const sidecars = (pod.spec?.initContainers ?? []).filter(
    (container) => container.restartPolicy === 'Always',
  );
  return [...(pod.spec?.containers ?? []), ...sidecars].flatMap((container) => container.ports ?? []);
}

/** The number of a Service port in a pod; undefined when the pod has no port of that name. */
export function targetPort(pod: Pod, port: ServicePort): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target === 0 ? port.port : target;
  const protocol = port.protocol ?? 'TCP';
  return containerPorts(pod).find((one) => one.name === target && (one.protocol ?? 'TCP') === protocol)
    ?.containerPort;
}

/** The ports under which a pod serves a Service, named ones resolved; a port the pod lacks is left out. */
export function endpointPorts(service: Service, pod: Pod): EndpointPort[] {
  const ports: EndpointPort[] = [];
  for (const port of service.spec?.ports ?? []) {
    const number = targetPort(pod, port);
    if (number === undefined) continue;
    ports.push({
      name: port.name ?? '',
      port: number,
      protocol: port.protocol ?? 'TCP',
      ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
    });
  }
  return ports;
}

/** One pod as an endpoint. */
export function podEndpoint(service: Service, pod: Pod, node: Node | undefined, type: AddressType): Endpoint {
  const serving = isPodReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const zone = node?.metadata.labels?.[zoneLabel];
  const nodeName = pod.spec?.nodeName;
  const hostname = pod.spec?.subdomain === service.metadata.name ? pod.spec?.hostname : undefined;
  return {
    addresses: podAddresses(pod, type),
    conditions: {
      ready: service.spec?.publishNotReadyAddresses === true || (serving && !terminating),
      serving,
      terminating,
    },
    ...(hostname ? { hostname } : {}),
    targetRef: {
      kind: 'Pod',
      namespace: pod.metadata.namespace ?? '',
      name: pod.metadata.name ?? '',
      uid: pod.metadata.uid ?? '',
    },
    ...(nodeName ? { nodeName } : {}),
    ...(zone ? { zone } : {}),
    ...hints(service, zone, nodeName, serving && !terminating),
  };
}

/** Where traffic had better stay (KEP-4444, KEP-3015). */
function hints(
  service: Service,
  zone: string | undefined,
  nodeName: string | undefined,
  ready: boolean,
): Pick<Endpoint, 'hints'> {
  const distribution = service.spec?.trafficDistribution;
  if (!ready || distribution === undefined) return {};
  const forZones = zone ? { forZones: [{ name: zone }] } : {};
  if (distribution === 'PreferClose' || distribution === 'PreferSameZone')
    return zone ? { hints: forZones } : {};
  if (distribution !== 'PreferSameNode') return {};
  const forNodes = nodeName ? { forNodes: [{ name: nodeName }] } : {};
  return { hints: { ...forNodes, ...forZones } };
}
