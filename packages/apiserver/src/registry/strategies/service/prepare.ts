/** What an update keeps, copies and drops (upstream: pkg/registry/core/service/storage and strategy.go). */
import type { Service, ServicePort } from '@cloudless/kube/types/core-v1';
import {
  isExternallyAccessible,
  mayHaveNodePorts,
  needsClusterIp,
  needsHealthCheck,
  sameClusterIps,
  sameFamilies,
  specOf,
  wantsNodePorts,
} from './traits.ts';

/** The old singular field and the list say the same; whoever knows only the singular one is understood. */
export function normalizeClusterIps(service: Service, old: Service | undefined): void {
  const spec = specOf(service);
  const one = spec.clusterIP ?? '';
  const before = old?.spec?.clusterIP ?? '';
  if (old && one !== before && sameClusterIps(service, old)) {
    if (before !== '' && one === '') delete spec.clusterIPs;
    else if (before !== '') spec.clusterIPs = [one];
  }
  if (one !== '' && !spec.clusterIPs?.length) spec.clusterIPs = [one];
}

const numbersOf = (service: Service): Set<number> =>
  new Set((service.spec?.ports ?? []).map((port) => port.nodePort ?? 0).filter((port) => port > 0));

function patchNodePorts(service: Service, old: Service): void {
  const used = new Set([...numbersOf(old)].filter((port) => numbersOf(service).has(port)));
  const byName = new Map((old.spec?.ports ?? []).map((port) => [port.name ?? '', port.nodePort ?? 0]));
  for (const port of service.spec?.ports ?? []) {
    const before = byName.get(port.name ?? '') ?? 0;
    if (port.nodePort || before === 0 || used.has(before)) continue;
    port.nodePort = before;
    used.add(before);
  }
}

/** A PUT that does not name what was allocated keeps it. */
export function patchAllocated(service: Service, old: Service): void {
  const spec = specOf(service);
  if (needsClusterIp(old) && needsClusterIp(service)) {
    if (!spec.clusterIP && old.spec?.clusterIP) spec.clusterIP = old.spec.clusterIP;
    if (!spec.clusterIPs?.length && spec.clusterIP === old.spec?.clusterIP && old.spec?.clusterIPs) {
      spec.clusterIPs = [...old.spec.clusterIPs];
    }
  }
  if (wantsNodePorts(old) && wantsNodePorts(service)) patchNodePorts(service, old);
  if (needsHealthCheck(old) && needsHealthCheck(service) && !spec.healthCheckNodePort) {
    if (old.spec?.healthCheckNodePort) spec.healthCheckNodePort = old.spec.healthCheckNodePort;
  }
}

const samePorts = (a: readonly ServicePort[] | undefined, b: readonly ServicePort[] | undefined): boolean => {
  const before = new Set((b ?? []).map((port) => port.nodePort ?? 0));
  return (a ?? []).every((port) => before.has(port.nodePort ?? 0));
};

/** Fields that the new type has no use for go, if the user left them as they were. */
export function dropTypeDependentFields(service: Service, old: Service): void {
  const spec = specOf(service);
  const before = old.spec ?? {};
  if (needsClusterIp(old) && !needsClusterIp(service)) {
    if (sameClusterIps(service, old)) {
      delete spec.clusterIP;
      delete spec.clusterIPs;
    }
    if (sameFamilies(service, old)) delete spec.ipFamilies;
    if (spec.ipFamilyPolicy === before.ipFamilyPolicy) delete spec.ipFamilyPolicy;
  }
  if (
    before.type === 'ExternalName' &&
    spec.type !== 'ExternalName' &&
    spec.externalName === before.externalName
  ) {
    delete spec.externalName;
  }
  if (mayHaveNodePorts(old) && !mayHaveNodePorts(service) && samePorts(spec.ports, before.ports)) {
    for (const port of spec.ports ?? []) delete port.nodePort;
  }
  if (needsHealthCheck(old) && !needsHealthCheck(service)) {
    if (spec.healthCheckNodePort === before.healthCheckNodePort) delete spec.healthCheckNodePort;
  }
  if (before.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    if (spec.allocateLoadBalancerNodePorts === before.allocateLoadBalancerNodePorts) {
      delete spec.allocateLoadBalancerNodePorts;
    }
    if (spec.loadBalancerClass === before.loadBalancerClass) delete spec.loadBalancerClass;
  }
  if (isExternallyAccessible(old) && !isExternallyAccessible(service)) {
    if (spec.externalTrafficPolicy === before.externalTrafficPolicy) delete spec.externalTrafficPolicy;
  }
}
