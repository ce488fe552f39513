/** Questions about a Service that several rules ask (upstream: pkg/api/service, pkg/registry/core/service). */
import type { Service, ServiceSpec } from '@cloudless/kube/types/core-v1';

export const specOf = (service: Service): ServiceSpec => (service.spec ??= {});

export const isHeadless = (service: Service | undefined): boolean =>
  service?.spec?.clusterIPs?.length === 1 && service.spec.clusterIPs[0] === 'None';

export const needsClusterIp = (service: Service): boolean =>
  ['ClusterIP', 'NodePort', 'LoadBalancer'].includes(service.spec?.type ?? '');

/** Whether ports without a number get one. */
export const wantsNodePorts = (service: Service): boolean =>
  service.spec?.type === 'NodePort' ||
  (service.spec?.type === 'LoadBalancer' && service.spec.allocateLoadBalancerNodePorts === true);

/** Whether the type may have node ports at all. */
export const mayHaveNodePorts = (service: Service): boolean =>
  service.spec?.type === 'NodePort' || service.spec?.type === 'LoadBalancer';

export const isExternallyAccessible = (service: Service): boolean =>
  mayHaveNodePorts(service) ||
  (service.spec?.type === 'ClusterIP' && (service.spec.externalIPs?.length ?? 0) > 0);

/** A load balancer that sends only to nodes with endpoints asks them on a port of their own. */
export const needsHealthCheck = (service: Service): boolean =>
  service.spec?.type === 'LoadBalancer' && service.spec.externalTrafficPolicy === 'Local';

export function sameList(a: readonly unknown[] | undefined, b: readonly unknown[] | undefined): boolean {
  const [left, right] = [a ?? [], b ?? []];
  return left.length === right.length && left.every((value, i) => value === right[i]);
}

export const sameClusterIps = (a: Service, b: Service): boolean =>
  sameList(a.spec?.clusterIPs, b.spec?.clusterIPs);
export const sameFamilies = (a: Service, b: Service): boolean =>
  sameList(a.spec?.ipFamilies, b.spec?.ipFamilies);
