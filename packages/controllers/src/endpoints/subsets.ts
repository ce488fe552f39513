import type {
  EndpointAddress,
  EndpointPort,
  EndpointSubset,
  Pod,
  Service,
} from '@cloudless/kube/types/core-v1';
import type { EndpointPort as SlicePort } from '@cloudless/kube/types/discovery-v1';
import { endpointPorts, hasEndpoint, podAddresses } from '../endpointslice/endpoint.ts';
import { isPodReady } from '../pods/condition.ts';
import { canonicalJson } from '../runtime/compare.ts';

/** An Endpoints object holds at most so many addresses; the rest is only in slices (upstream: maxCapacity). */
export const maxAddresses = 1000;

interface Group {
  ports: EndpointPort[];
  ready: EndpointAddress[];
  notReady: EndpointAddress[];
}

function address(service: Service, pod: Pod, ip: string): EndpointAddress {
  const hostname = pod.spec?.subdomain === service.metadata.name ? pod.spec?.hostname : undefined;
  return {
    ip,
    ...(hostname ? { hostname } : {}),
    ...(pod.spec?.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    targetRef: {
      kind: 'Pod',
      namespace: pod.metadata.namespace ?? '',
      name: pod.metadata.name ?? '',
      uid: pod.metadata.uid ?? '',
    },
  };
}

/**
 * The subsets of an Endpoints object: addresses of the Service's first family, grouped by the ports they serve,
 * in a fixed order (upstream: pkg/controller/endpoint; api/v1/endpoints/util.go). Pods that are being deleted
 * are left out.
 */
export function endpointSubsets(service: Service, pods: readonly Pod[]): EndpointSubset[] {
  const family = service.spec?.ipFamilies?.[0] ?? (service.spec?.clusterIP?.includes(':') ? 'IPv6' : 'IPv4');
  const groups = new Map<string, Group>();
  const addTo = (ports: EndpointPort[], ready: boolean, one: EndpointAddress): void => {
    const key = canonicalJson(ports);
    const group = groups.get(key) ?? { ports, ready: [], notReady: [] };
    (ready ? group.ready : group.notReady).push(one);
    groups.set(key, group);
  };
  for (const pod of pods) {
    if (!hasEndpoint(pod) || pod.metadata.deletionTimestamp !== undefined) continue;
    const [ip] = podAddresses(pod, family === 'IPv6' ? 'IPv6' : 'IPv4');
    if (ip === undefined) continue;
    const ready = service.spec?.publishNotReadyAddresses === true || isPodReady(pod);
    const one = address(service, pod, ip);
    const headless = (service.spec?.ports ?? []).length === 0;
    const ports = endpointPorts(service, pod).map(corePort);
    if (headless) addTo([], ready, one);
    // Pods that lack every named port serve nothing.
    else if (ports.length > 0) addTo(sortedPorts(ports), ready, one);
  }
  return [...groups.values()].map(toSubset).sort((a, b) => (canonicalJson(a) < canonicalJson(b) ? -1 : 1));
}

/** The core kind leaves an empty name out, the slices' kind writes it. */
function corePort({ name, port = 0, protocol, appProtocol }: SlicePort): EndpointPort {
  return {
    ...(name ? { name } : {}),
    port,
    ...(protocol === undefined ? {} : { protocol }),
    ...(appProtocol === undefined ? {} : { appProtocol }),
  };
}

const sortedPorts = (ports: EndpointPort[]): EndpointPort[] =>
  ports.sort((a, b) => (canonicalJson(a) < canonicalJson(b) ? -1 : 1));

function toSubset({ ports, ready, notReady }: Group): EndpointSubset {
  const byIp = (a: EndpointAddress, b: EndpointAddress): number => (a.ip < b.ip ? -1 : 1);
  return {
    ...(ready.length > 0 ? { addresses: ready.sort(byIp) } : {}),
    ...(notReady.length > 0 ? { notReadyAddresses: notReady.sort(byIp) } : {}),
    ...(ports.length > 0 ? { ports } : {}),
  };
}

/** Whether there were more addresses than fit, and the subsets cut to what does: ready ones first, in turn. */
export function truncated(subsets: EndpointSubset[]): { subsets: EndpointSubset[]; overCapacity: boolean } {
  const count = (key: 'addresses' | 'notReadyAddresses'): number =>
    subsets.reduce((n, subset) => n + (subset[key]?.length ?? 0), 0);
  const ready = count('addresses');
  if (ready + count('notReadyAddresses') <= maxAddresses) return { subsets, overCapacity: false };
  let readyRoom = Math.min(ready, maxAddresses);
  let otherRoom = maxAddresses - readyRoom;
  const cut = subsets.map((subset) => {
    const addresses = subset.addresses?.slice(0, readyRoom) ?? [];
    const notReadyAddresses = subset.notReadyAddresses?.slice(0, otherRoom) ?? [];
    readyRoom -= addresses.length;
    otherRoom -= notReadyAddresses.length;
    return {
      ...(addresses.length > 0 ? { addresses } : {}),
      ...(notReadyAddresses.length > 0 ? { notReadyAddresses } : {}),
      ...(subset.ports ? { ports: subset.ports } : {}),
    };
  });
  return { subsets: cut.filter((one) => one.addresses ?? one.notReadyAddresses), overCapacity: true };
}
