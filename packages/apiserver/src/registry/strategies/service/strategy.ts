import { FieldPath } from '@cloudless/kube/field';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { cidrWarnings, ipWarnings } from '../../validation/addresses.ts';
import { ageColumn, ageOf, labelsCell, loadBalancerCell, table, text, wideText } from '../table/table.ts';
import { allocateService } from './allocate.ts';
import { dropTypeDependentFields, normalizeClusterIps, patchAllocated } from './prepare.ts';
import { isExternallyAccessible, isHeadless, specOf } from './traits.ts';
import { validateService, validateServiceStatus, validateServiceUpdate } from './validate.ts';

/**
 * No node ports unless asked for: a load balancer that does not say gets none. Upstream's default is `true`; whoever
 * says so, or names a `nodePort`, gets ports as upstream gives them.
 */
function beforeDefaults(service: Service): void {
  const spec = specOf(service);
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= false;
}

function defaultAffinity(service: Service): void {
  const spec = specOf(service);
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  else if (
    spec.sessionAffinity === 'ClientIP' &&
    spec.sessionAffinityConfig?.clientIP?.timeoutSeconds == null
  ) {
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: 10_800 } };
  }
}

/** Upstream: SetDefaults_Service. */
function defaults(service: Service): void {
  const spec = specOf(service);
  defaultAffinity(service);
  spec.type ||= 'ClusterIP';
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    if (!port.targetPort) port.targetPort = port.port;
  }
  if (isExternallyAccessible(service)) spec.externalTrafficPolicy ||= 'Cluster';
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'LoadBalancer') {
    spec.allocateLoadBalancerNodePorts ??= true;
    for (const point of service.status?.loadBalancer?.ingress ?? []) if (point.ip) point.ipMode ??= 'VIP';
  }
}

function warnings(service: Service): string[] {
  const spec = specOf(service);
  const path = FieldPath.of('spec');
  const found: string[] = [];
  if (service.metadata.annotations?.['service.kubernetes.io/topology-aware-hints'] !== undefined) {
    found.push(
      'annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead',
    );
  }
  if (!isHeadless(service)) {
    for (const [i, ip] of (spec.clusterIPs ?? []).entries())
      found.push(...ipWarnings(ip, path.child('clusterIPs').index(i)));
  } else {
    if (spec.loadBalancerIP) found.push('spec.loadBalancerIP is ignored for headless services');
    if (spec.externalIPs?.length) found.push('spec.externalIPs is ignored for headless services');
    if (spec.sessionAffinity && spec.sessionAffinity !== 'None') {
      found.push('spec.SessionAffinity is ignored for headless services');
    }
  }
  for (const [i, ip] of (spec.externalIPs ?? []).entries())
    found.push(...ipWarnings(ip, path.child('externalIPs').index(i)));
  if (spec.externalIPs?.length && !isHeadless(service) && spec.type !== 'ExternalName')
    found.push('spec.externalIPs is deprecated and may no longer be implemented in some clusters');
  if (spec.loadBalancerIP) found.push(...ipWarnings(spec.loadBalancerIP, path.child('loadBalancerIP')));
  for (const [i, range] of (spec.loadBalancerSourceRanges ?? []).entries()) {
    found.push(...cidrWarnings(range, path.child('loadBalancerSourceRanges').index(i)));
  }
  if (spec.type === 'ExternalName' && spec.externalIPs?.length) {
    found.push('spec.externalIPs is ignored when spec.type is "ExternalName"');
  }
  if (spec.type !== 'ExternalName' && spec.externalName) {
    found.push('spec.externalName is ignored when spec.type is not "ExternalName"');
  }
  return found;
}

function externalIp(service: Service): string {
  const spec = specOf(service);
  const external = spec.externalIPs ?? [];
  if (spec.type === 'ExternalName') return spec.externalName ?? '';
  if (spec.type === 'LoadBalancer') {
    const points = loadBalancerCell(service.status?.loadBalancer);
    const all = [...(points === '' ? [] : points.split(',')), ...external];
    return all.length > 0 ? all.join(',') : '<pending>';
  }
  return external.length > 0 ? external.join(',') : '<none>';
}

const portsCell = (service: Service): string =>
  (service.spec?.ports ?? [])
    .map((port) => `${port.port}${port.nodePort ? `:${port.nodePort}` : ''}/${port.protocol}`)
    .join(',') || '<none>';

/** Upstream: pkg/registry/core/service. */
export const service: Strategy<Service> = {
  beforeDefaults: (_context, object) => beforeDefaults(object),
  defaults,
  prepareForCreate: (_context, object) => normalizeClusterIps(object, undefined),
  prepareForUpdate(context, object, old) {
    if (context.subresource !== '') return;
    patchAllocated(object, old);
    normalizeClusterIps(object, old);
    dropTypeDependentFields(object, old);
  },
  allocate: allocateService,
  validate: (_context, object) => validateService(object),
  validateUpdate: (_context, object, old) => validateServiceUpdate(object, old),
  validateStatusUpdate: (_context, object) => validateServiceStatus(object),
  warnings: (_context, object) => warnings(object),
  selectableFields: {
    'spec.clusterIP': (object) => object.spec?.clusterIP ?? '',
    'spec.type': (object) => object.spec?.type ?? '',
  },
  table: table<Service>(
    [
      text('Type', 'How the service is reached.'),
      text('Cluster-IP', 'Address inside the cluster.'),
      text('External-IP', 'Addresses from outside.'),
      text('Port(s)', 'Ports, with node ports where there are any.'),
      ageColumn,
      wideText('Selector', 'Labels of the pods behind the service.'),
    ],
    (object, nowMs) => [
      object.spec?.type ?? '',
      object.spec?.clusterIPs?.[0] ?? '<none>',
      externalIp(object),
      portsCell(object),
      ageOf(object, nowMs),
      labelsCell(object.spec?.selector),
    ],
  ),
};
