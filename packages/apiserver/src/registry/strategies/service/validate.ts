/** Services (upstream: validateService and its callers in pkg/apis/core/validation). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { LoadBalancerIngress, Service, ServicePort } from '@cloudless/kube/types/core-v1';
import { validateLegacyCidr, validateLegacyIp } from '../../validation/addresses.ts';
import {
  dns1123Label,
  dns1123Subdomain,
  invalidEach,
  oneOf,
  optionalOneOf,
  portNumberOrName,
  qualifiedName,
} from '../../validation/fields.ts';
import { validateLabels } from '../../validation/metadata.ts';
import { isPortNumber } from '../../validation/names.ts';
import { validateEndpointIp } from '../endpoints/endpoint-ip.ts';
import { protocols } from '../pod/validate-container.ts';
import { isExternallyAccessible, isHeadless, needsHealthCheck } from './traits.ts';
import { validateAddressChange, validateClusterIps } from './validate-addresses.ts';

const specPath = FieldPath.of('spec');
const annotationsPath = FieldPath.of('metadata', 'annotations');
const portsPath = specPath.child('ports');
const maxAffinitySeconds = 86_400;

function validatePort(port: ServicePort, needsName: boolean, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  if (port.name) wrong.push(...dns1123Label(port.name, path.child('name')));
  else if (needsName) wrong.push(fieldErrors.required(path.child('name')));
  wrong.push(
    ...invalidEach(path.child('port'), port.port ?? 0, isPortNumber(port.port ?? 0)),
    ...oneOf(port.protocol, protocols, path.child('protocol')),
    ...portNumberOrName(port.targetPort, path.child('targetPort')),
  );
  if (port.appProtocol != null) wrong.push(...qualifiedName(port.appProtocol, path.child('appProtocol')));
  return wrong;
}

function validatePorts(service: Service): FieldError[] {
  const ports = service.spec?.ports ?? [];
  const wrong: FieldError[] = [];
  if (ports.length === 0 && !isHeadless(service) && service.spec?.type !== 'ExternalName') {
    wrong.push(fieldErrors.required(portsPath));
  }
  const names = new Set<string>();
  const nodePorts = new Set<string>();
  const numbers = new Set<string>();
  for (const [i, port] of ports.entries()) {
    const at = portsPath.index(i);
    wrong.push(...validatePort(port, ports.length > 1, at));
    if (port.name && names.has(port.name)) wrong.push(fieldErrors.duplicate(at.child('name'), port.name));
    if (port.name) names.add(port.name);
    if (port.nodePort) {
      const key = `${port.protocol}/${port.nodePort}`;
      if (service.spec?.type === 'ClusterIP') {
        wrong.push(fieldErrors.forbidden(at.child('nodePort'), "may not be used when `type` is 'ClusterIP'"));
      }
      if (nodePorts.has(key)) wrong.push(fieldErrors.duplicate(at.child('nodePort'), port.nodePort));
      nodePorts.add(key);
    }
    const number = `${port.protocol}/${port.port}`;
    if (numbers.has(number)) {
      wrong.push(fieldErrors.duplicate(at, { protocol: port.protocol, port: port.port }));
    }
    numbers.add(number);
  }
  return wrong;
}

function validateType(service: Service): FieldError[] {
  const spec = service.spec ?? {};
  const wrong: FieldError[] = [];
  if ((spec.type === 'LoadBalancer' || spec.type === 'NodePort') && isHeadless(service)) {
    const text = `may not be set to 'None' for ${spec.type} services`;
    wrong.push(fieldErrors.invalid(specPath.child('clusterIPs').index(0), 'None', text));
  }
  if (spec.type === 'ExternalName') {
    const text = 'may not be set for ExternalName services';
    if (spec.clusterIPs?.length) wrong.push(fieldErrors.forbidden(specPath.child('clusterIPs'), text));
    if (spec.ipFamilies?.length) wrong.push(fieldErrors.forbidden(specPath.child('ipFamilies'), text));
    if (spec.ipFamilyPolicy != null)
      wrong.push(fieldErrors.forbidden(specPath.child('ipFamilyPolicy'), text));
    const name = (spec.externalName ?? '').replace(/\.$/, '');
    const at = specPath.child('externalName');
    wrong.push(...(name === '' ? [fieldErrors.required(at)] : dns1123Subdomain(name, at)));
  }
  const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
  return [...wrong, ...oneOf(spec.type, types, specPath.child('type'))];
}

function validateAffinity(service: Service): FieldError[] {
  const spec = service.spec ?? {};
  const path = specPath.child('sessionAffinityConfig');
  const wrong = oneOf(spec.sessionAffinity, ['ClientIP', 'None'], specPath.child('sessionAffinity'));
  if (spec.sessionAffinity === 'None') {
    if (spec.sessionAffinityConfig == null) return wrong;
    return [...wrong, fieldErrors.forbidden(path, 'must not be set when session affinity is None')];
  }
  if (spec.sessionAffinity !== 'ClientIP') return wrong;
  const text = 'when session affinity type is ClientIP';
  const clientIp = spec.sessionAffinityConfig?.clientIP;
  if (!spec.sessionAffinityConfig) return [...wrong, fieldErrors.required(path, text)];
  if (!clientIp) return [...wrong, fieldErrors.required(path.child('clientIP'), text)];
  const at = path.child('clientIP', 'timeoutSeconds');
  const seconds = clientIp.timeoutSeconds;
  if (seconds == null) return [...wrong, fieldErrors.required(at, text)];
  if (seconds > 0 && seconds <= maxAffinitySeconds) return wrong;
  return [
    ...wrong,
    fieldErrors.invalid(at, seconds, `must be greater than 0 and less than ${maxAffinitySeconds}`),
  ];
}

const sourceRangesAnnotation = 'service.beta.kubernetes.io/load-balancer-source-ranges';

function validateSourceRanges(service: Service): FieldError[] {
  const spec = service.spec ?? {};
  const ranges = spec.loadBalancerSourceRanges ?? [];
  const text = "may only be used when `type` is 'LoadBalancer'";
  const wrong: FieldError[] = [];
  if (ranges.length > 0) {
    const path = specPath.child('LoadBalancerSourceRanges');
    if (spec.type !== 'LoadBalancer') wrong.push(fieldErrors.forbidden(path, text));
    for (const [i, range] of ranges.entries()) wrong.push(...validateLegacyCidr(range.trim(), path.index(i)));
    return wrong;
  }
  const annotation = service.metadata.annotations?.[sourceRangesAnnotation];
  if (annotation === undefined) return wrong;
  const path = annotationsPath.key(sourceRangesAnnotation);
  if (spec.type !== 'LoadBalancer') wrong.push(fieldErrors.forbidden(path, text));
  for (const range of annotation.trim() === '' ? [] : annotation.split(',')) {
    wrong.push(...validateLegacyCidr(range.trim(), path));
  }
  return wrong;
}

function validateLoadBalancer(service: Service): FieldError[] {
  const spec = service.spec ?? {};
  const wrong = validateSourceRanges(service);
  const text = "may only be used when `type` is 'LoadBalancer'";
  const classPath = specPath.child('loadBalancerClass');
  if (spec.type === 'LoadBalancer') {
    if (spec.allocateLoadBalancerNodePorts == null) {
      wrong.push(fieldErrors.required(FieldPath.of('allocateLoadBalancerNodePorts')));
    }
    if (spec.loadBalancerClass != null) wrong.push(...qualifiedName(spec.loadBalancerClass, classPath));
    return wrong;
  }
  if (spec.allocateLoadBalancerNodePorts != null) {
    wrong.push(fieldErrors.forbidden(specPath.child('allocateLoadBalancerNodePorts'), text));
  }
  if (spec.loadBalancerClass != null) wrong.push(fieldErrors.forbidden(classPath, text));
  return wrong;
}

function validateExternalTraffic(service: Service): FieldError[] {
  const spec = service.spec ?? {};
  const policy = specPath.child('externalTrafficPolicy');
  const wrong: FieldError[] = [];
  if (isExternallyAccessible(service)) {
    wrong.push(...oneOf(spec.externalTrafficPolicy, ['Cluster', 'Local'], policy));
  } else if (spec.externalTrafficPolicy) {
    const text = 'may only be set for externally-accessible services';
    wrong.push(fieldErrors.invalid(policy, spec.externalTrafficPolicy, text));
  }
  const port = spec.healthCheckNodePort ?? 0;
  const portPath = specPath.child('healthCheckNodePort');
  if (!needsHealthCheck(service)) {
    if (port !== 0) {
      const text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
      wrong.push(fieldErrors.invalid(portPath, port, text));
    }
  } else if (port === 0) wrong.push(fieldErrors.required(portPath));
  else wrong.push(...invalidEach(portPath, port, isPortNumber(port)));
  return wrong;
}

function validateInternalTraffic(service: Service): FieldError[] {
  const spec = service.spec ?? {};
  const path = specPath.child('internalTrafficPolicy');
  if (spec.internalTrafficPolicy == null) {
    const needed = ['ClusterIP', 'NodePort', 'LoadBalancer'].includes(spec.type ?? '');
    return needed ? [fieldErrors.required(path)] : [];
  }
  return optionalOneOf(spec.internalTrafficPolicy, ['Cluster', 'Local'], path);
}

const topologyMode = 'service.kubernetes.io/topology-mode';
const topologyHints = 'service.kubernetes.io/topology-aware-hints';

/** What holds for a Service at all times. */
export function validateService(service: Service): FieldError[] {
  const spec = service.spec ?? {};
  const wrong: FieldError[] = [];
  const { [topologyMode]: mode, [topologyHints]: hints } = service.metadata.annotations ?? {};
  if (mode !== undefined && hints !== undefined && mode !== hints) {
    const text = `must match annotations[${topologyHints}] when both are specified`;
    wrong.push(fieldErrors.invalid(annotationsPath.key(topologyMode), mode, text));
  }
  wrong.push(
    ...validatePorts(service),
    ...validateType(service),
    ...validateLabels(spec.selector, specPath.child('selector')),
    ...validateAffinity(service),
    ...validateClusterIps(service),
  );
  for (const [i, ip] of (spec.externalIPs ?? []).entries()) {
    const at = specPath.child('externalIPs').index(i);
    const unreadable = validateLegacyIp(ip, at);
    wrong.push(...(unreadable.length > 0 ? unreadable : validateEndpointIp(ip, at)));
  }
  const distributions = ['PreferClose', 'PreferSameZone', 'PreferSameNode'];
  return [
    ...wrong,
    ...validateLoadBalancer(service),
    ...validateExternalTraffic(service),
    ...validateInternalTraffic(service),
    ...(spec.trafficDistribution == null || distributions.includes(spec.trafficDistribution)
      ? []
      : [
          fieldErrors.notSupportedAsListed(
            specPath.child('trafficDistribution'),
            spec.trafficDistribution,
            distributions,
          ),
        ]),
  ];
}

export function validateServiceUpdate(service: Service, old: Service): FieldError[] {
  const wrong = validateAddressChange(service, old);
  const now = service.spec ?? {};
  const before = old.spec ?? {};
  if (now.type === 'LoadBalancer' && before.type === 'LoadBalancer') {
    if ((now.loadBalancerClass ?? null) !== (before.loadBalancerClass ?? null)) {
      const text = 'may not change once set';
      wrong.push(fieldErrors.invalid(specPath.child('loadBalancerClass'), now.loadBalancerClass, text));
    }
  }
  if (
    needsHealthCheck(service) &&
    needsHealthCheck(old) &&
    now.healthCheckNodePort !== before.healthCheckNodePort
  ) {
    wrong.push(fieldErrors.forbidden(specPath.child('healthCheckNodePort'), 'field is immutable'));
  }
  return [...wrong, ...validateService(service)];
}

function validateIngress(ingress: LoadBalancerIngress, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const modePath = path.child('ipMode');
  if (ingress.ip) {
    wrong.push(...validateLegacyIp(ingress.ip, path.child('ip')));
    wrong.push(...optionalOneOf(ingress.ipMode, ['Proxy', 'VIP'], modePath));
    if (ingress.ipMode == null)
      wrong.push(fieldErrors.required(modePath, 'must be specified when `ip` is set'));
  } else if (ingress.ipMode != null) {
    wrong.push(fieldErrors.forbidden(modePath, 'may not be specified when `ip` is not set'));
  }
  if (ingress.hostname) {
    const at = path.child('hostname');
    wrong.push(...dns1123Subdomain(ingress.hostname, at));
    if (validateLegacyIp(ingress.hostname, at).length === 0) {
      wrong.push(fieldErrors.invalid(at, ingress.hostname, 'must be a DNS name, not an IP address'));
    }
  }
  return wrong;
}

export function validateServiceStatus(service: Service): FieldError[] {
  const path = FieldPath.of('status', 'loadBalancer', 'ingress');
  const ingress = service.status?.loadBalancer?.ingress ?? [];
  if (ingress.length > 0 && service.spec?.type !== 'LoadBalancer') {
    return [fieldErrors.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")];
  }
  return ingress.flatMap((one, i) => validateIngress(one, path.index(i)));
}
