/** The spec of a pod or of a template (upstream: ValidatePodSpec). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type { PodDNSConfig, PodResourceClaim, PodSpec } from '@cloudless/kube/types/core-v1';
import type { ObjectMeta } from '@cloudless/kube/types/meta-v1';
import { validateLegacyIp } from '../../validation/addresses.ts';
import {
  dns1123Label,
  dns1123Subdomain,
  type Integer,
  invalidEach,
  oneOfAsListed,
  optionalOneOf,
  qualifiedName,
} from '../../validation/fields.ts';
import { validateLabels } from '../../validation/metadata.ts';
import { isDns1123SubdomainWithUnderscore, nameIsDnsSubdomain, rangeError } from '../../validation/names.ts';
import { containersOf } from './containers.ts';
import {
  type PodScope,
  validateContainers,
  validateEphemeralContainers,
  validateInitContainers,
} from './validate-container.ts';
import { validateOverhead, validatePodResources } from './validate-resources.ts';
import {
  validateAffinity,
  validateGates,
  validateSpread,
  validateTolerations,
} from './validate-scheduling.ts';
import { validatePodSecurity } from './validate-security.ts';
import { validateHostProcesses } from './validate-windows.ts';
import { validateVolumes } from './validate-volumes.ts';

const maxInt32 = 2147483647;

function validateDnsConfig(
  config: PodDNSConfig | undefined | null,
  policy: string | undefined,
  path: FieldPath,
): FieldError[] {
  if (policy === 'None') {
    if (!config) return [fieldErrors.required(path, 'must provide `dnsConfig` when `dnsPolicy` is None')];
    if (!config.nameservers?.length) {
      const text = 'must provide at least one DNS nameserver when `dnsPolicy` is None';
      return [fieldErrors.required(path.child('nameservers'), text)];
    }
  }
  if (!config) return [];
  const wrong: FieldError[] = [];
  const { nameservers = [], searches = [], options = [] } = config;
  if (nameservers.length > 3) {
    wrong.push(
      fieldErrors.invalid(path.child('nameservers'), nameservers, 'must not have more than 3 nameservers'),
    );
  }
  for (const [i, server] of nameservers.entries()) {
    wrong.push(...validateLegacyIp(server, path.child('nameservers').index(i)));
  }
  if (searches.length > 32) {
    const text = 'must not have more than 32 search paths';
    wrong.push(fieldErrors.invalid(path.child('searches'), searches, text));
  }
  if (searches.join(' ').length > 2048) {
    const text = 'must not have more than 2048 characters (including spaces) in the search list';
    wrong.push(fieldErrors.invalid(path.child('searches'), searches, text));
  }
  for (const [i, search] of searches.entries()) {
    if (search === '.') continue;
    const name = search.endsWith('.') ? search.slice(0, -1) : search;
    wrong.push(...invalidEach(path.child('searches').index(i), name, isDns1123SubdomainWithUnderscore(name)));
  }
  for (const [i, option] of options.entries()) {
    if (!option.name) wrong.push(fieldErrors.required(path.child('options').index(i), 'must not be empty'));
  }
  return wrong;
}

function validateResourceClaim(claim: PodResourceClaim, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const { resourceClaimName: name, resourceClaimTemplateName: template } = claim;
  if (name != null && template != null) {
    const text = 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified';
    wrong.push(fieldErrors.invalid(path, claim, text));
  }
  if (name == null && template == null) {
    const text = 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`';
    wrong.push(fieldErrors.invalid(path, claim, text));
  }
  if (name != null)
    wrong.push(...invalidEach(path.child('resourceClaimName'), name, nameIsDnsSubdomain(name)));
  if (template != null) {
    wrong.push(
      ...invalidEach(path.child('resourceClaimTemplateName'), template, nameIsDnsSubdomain(template)),
    );
  }
  return wrong;
}

function validateResourceClaims(
  claims: readonly PodResourceClaim[] | undefined,
  metadata: ObjectMeta | undefined,
  path: FieldPath,
): FieldError[] {
  const seen = new Set<string>();
  return (claims ?? []).flatMap((claim, i) => {
    const at = path.index(i);
    if (metadata?.annotations?.['kubernetes.io/config.mirror'] !== undefined) {
      return [fieldErrors.forbidden(path.index(i), 'static pods do not support resource claims')];
    }
    const wrong: FieldError[] = [];
    if (!claim.name) wrong.push(fieldErrors.required(at.child('name')));
    else if (seen.has(claim.name)) wrong.push(fieldErrors.duplicate(at.child('name'), claim.name));
    else wrong.push(...dns1123Label(claim.name, at.child('name')));
    seen.add(claim.name);
    return [...wrong, ...validateResourceClaim(claim, at)];
  });
}

/** Host ports of host network pods equal their container ports; a template's may be unset. */
function validateHostNetwork(spec: PodSpec, path: FieldPath, isPod: boolean): FieldError[] {
  if (!spec.hostNetwork) return [];
  const wrong: FieldError[] = [];
  for (const [i, container] of (spec.containers ?? []).entries()) {
    for (const [j, port] of (container.ports ?? []).entries()) {
      const hostPort = port.hostPort ?? 0;
      if ((!isPod && hostPort === 0) || hostPort === port.containerPort) continue;
      const at = path.child('containers').index(i).child('ports').index(j).child('hostPort');
      const text = 'must match `containerPort` when `hostNetwork` is true';
      wrong.push(fieldErrors.invalid(at, hostPort, text));
    }
  }
  return wrong;
}

function validateHostUsers(spec: PodSpec, path: FieldPath): FieldError[] {
  if (spec.hostUsers !== false) return [];
  const wrong: FieldError[] = [];
  const text = 'when `hostUsers` is false';
  if (spec.hostNetwork) wrong.push(fieldErrors.forbidden(path.child('hostNetwork'), text));
  if (spec.hostPID) wrong.push(fieldErrors.forbidden(path.child('HostPID'), text));
  if (spec.hostIPC) wrong.push(fieldErrors.forbidden(path.child('HostIPC'), text));
  for (const [container, at] of containersOf(spec, path)) {
    if (container.volumeDevices?.length) wrong.push(fieldErrors.forbidden(at.child('volumeDevices'), text));
  }
  return wrong;
}

function validateHostname(spec: PodSpec, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  if (spec.hostname) wrong.push(...dns1123Label(spec.hostname, path.child('hostname')));
  if (spec.subdomain) wrong.push(...dns1123Label(spec.subdomain, path.child('subdomain')));
  return wrong;
}

function validateHostnameOverride(spec: PodSpec, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const override = spec.hostnameOverride;
  if (override == null) return wrong;
  const at = path.child('hostnameOverride');
  if (spec.setHostnameAsFQDN) {
    wrong.push(fieldErrors.forbidden(at, 'may not be specified when setHostnameAsFQDN is true'));
  }
  if (spec.hostNetwork) {
    wrong.push(fieldErrors.forbidden(at, 'may not be specified when hostNetwork is true'));
  }
  if (override.length > 64) wrong.push(fieldErrors.tooLong(at, 64));
  return [...wrong, ...dns1123Subdomain(override, at)];
}

/** Files that environment variables come from must lie in an emptyDir. */
function validateFileKeyVolumes(scope: PodScope, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  for (const [container, containerPath] of containersOf(scope.spec, path)) {
    for (const [i, variable] of (container.env ?? []).entries()) {
      const name = variable.valueFrom?.fileKeyRef?.volumeName;
      if (name === undefined) continue;
      const at = containerPath.child('env').index(i).child('valueFrom', 'fileKeyRef', 'volumeName');
      const volume = scope.spec.volumes?.find((one) => one.name === name);
      if (!volume) wrong.push(fieldErrors.notFound(at, name));
      else if (!volume.emptyDir) {
        wrong.push(fieldErrors.invalid(at, name, 'referenced volume must be of type emptyDir'));
      }
    }
  }
  return wrong;
}

const windowsPodFields = ['hostUsers', 'hostPID', 'hostIPC', 'shareProcessNamespace'] as const;
const windowsContextFields = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'fsGroup',
  'fsGroupChangePolicy',
  'sysctls',
  'runAsUser',
  'runAsGroup',
  'supplementalGroups',
  'supplementalGroupsPolicy',
  'seLinuxChangePolicy',
] as const;
const windowsContainerFields = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'capabilities',
  'readOnlyRootFilesystem',
  'privileged',
  'allowPrivilegeEscalation',
  'procMount',
  'runAsUser',
  'runAsGroup',
] as const;

function validateOs(spec: PodSpec, path: FieldPath): FieldError[] {
  if (!spec.os) return [];
  const wrong: FieldError[] = [];
  const context = path.child('securityContext');
  if (!spec.os.name) return [fieldErrors.required(path.child('os', 'name'))];
  if (spec.os.name === 'linux') {
    const text = 'windows options cannot be set for a linux pod';
    if (spec.securityContext?.windowsOptions) {
      wrong.push(fieldErrors.forbidden(context.child('windowsOptions'), text));
    }
    for (const [container, at] of containersOf(spec, path)) {
      if (!container.securityContext?.windowsOptions) continue;
      wrong.push(fieldErrors.forbidden(at.child('securityContext', 'windowsOptions'), text));
    }
    return wrong;
  }
  if (spec.os.name !== 'windows') {
    return [fieldErrors.notSupported(path.child('os'), spec.os.name, ['linux', 'windows'])];
  }
  const text = 'cannot be set for a windows pod';
  for (const name of windowsPodFields) {
    if (spec[name]) wrong.push(fieldErrors.forbidden(path.child(name), text));
  }
  for (const name of windowsContextFields) {
    if (spec.securityContext?.[name] != null) wrong.push(fieldErrors.forbidden(context.child(name), text));
  }
  for (const [container, at] of containersOf(spec, path)) {
    for (const name of windowsContainerFields) {
      if (container.securityContext?.[name] == null) continue;
      wrong.push(fieldErrors.forbidden(at.child('securityContext').child(name), text));
    }
  }
  return wrong;
}

/** The name of another object; '' is as none, where the field has no pointer upstream. */
function validateName(
  spec: PodSpec,
  name: 'serviceAccountName' | 'nodeName' | 'priorityClassName' | 'runtimeClassName',
  path: FieldPath,
): FieldError[] {
  const value = spec[name];
  if (value == null || (value === '' && name !== 'runtimeClassName')) return [];
  return invalidEach(path.child(name), value, nameIsDnsSubdomain(value));
}

function validateDeadline(deadline: Integer | undefined | null, path: FieldPath): FieldError[] {
  if (deadline == null || (deadline >= 1 && deadline <= maxInt32)) return [];
  return [fieldErrors.invalid(path, deadline, rangeError(1, maxInt32))];
}

function validateHostAliases(spec: PodSpec, path: FieldPath): FieldError[] {
  return (spec.hostAliases ?? []).flatMap((alias, i) => {
    const at = path.index(i);
    const names = (alias.hostnames ?? []).flatMap((name, j) =>
      dns1123Subdomain(name, at.child('hostnames').index(j)),
    );
    return [...validateLegacyIp(alias.ip ?? '', at.child('ip')), ...names];
  });
}

const validateReadinessGates = (spec: PodSpec, path: FieldPath): FieldError[] =>
  (spec.readinessGates ?? []).flatMap((gate, i) =>
    qualifiedName(gate.conditionType ?? '', path.index(i).child('conditionType')),
  );

/** `metadata` is the pod's, absent for a template; `old` is what it replaces, which may hold what new specs may not. */
export function validatePodSpec(
  spec: PodSpec,
  metadata: ObjectMeta | undefined,
  path: FieldPath,
  old?: PodSpec,
): FieldError[] {
  const wrong: FieldError[] = [];
  if (spec.terminationGracePeriodSeconds == null) {
    wrong.push(fieldErrors.required(path.child('terminationGracePeriodSeconds')));
  }
  const { volumes, wrong: wrongVolumes } = validateVolumes(spec.volumes, metadata, path.child('volumes'));
  const claims = new Set((spec.resourceClaims ?? []).map((claim) => claim.name).filter(Boolean));
  const scope: PodScope = { spec, volumes, claims, hostUsers: spec.hostUsers !== false };
  return [
    ...wrong,
    ...wrongVolumes,
    ...validateResourceClaims(spec.resourceClaims, metadata, path.child('resourceClaims')),
    ...validateContainers(scope, path.child('containers')),
    ...validateInitContainers(scope, path.child('initContainers')),
    ...validateEphemeralContainers(scope, path.child('ephemeralContainers')),
    ...validatePodResources(spec, claims, path.child('resources')),
    ...validateHostNetwork(spec, path, metadata !== undefined),
    ...oneOfAsListed(spec.restartPolicy, ['Always', 'OnFailure', 'Never'], path.child('restartPolicy')),
    ...oneOfAsListed(
      spec.dnsPolicy,
      ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'],
      path.child('dnsPolicy'),
    ),
    ...validateLabels(spec.nodeSelector, path.child('nodeSelector')),
    ...validatePodSecurity(spec, path.child('securityContext'), old),
    ...validateAffinity(spec.affinity, path.child('affinity')),
    ...validateDnsConfig(spec.dnsConfig, spec.dnsPolicy, path.child('dnsConfig')),
    ...validateReadinessGates(spec, path.child('readinessGates')),
    ...validateGates(spec.schedulingGates, path.child('schedulingGates')),
    ...validateSpread(spec.topologySpreadConstraints, path.child('topologySpreadConstraints')),
    ...validateHostProcesses(spec, path),
    ...validateHostUsers(spec, path),
    ...validateHostnameOverride(spec, path),
    ...validateName(spec, 'serviceAccountName', path),
    ...validateName(spec, 'nodeName', path),
    ...validateDeadline(spec.activeDeadlineSeconds, path.child('activeDeadlineSeconds')),
    ...validateHostname(spec, path),
    ...validateTolerations(spec.tolerations, path.child('tolerations')),
    ...validateHostAliases(spec, path.child('hostAliases')),
    ...validateName(spec, 'priorityClassName', path),
    ...validateName(spec, 'runtimeClassName', path),
    ...optionalOneOf(
      spec.preemptionPolicy,
      ['Never', 'PreemptLowerPriority'],
      path.child('preemptionPolicy'),
    ),
    ...validateOverhead(spec.overhead, path.child('overhead')),
    ...validateOs(spec, path),
    ...validateFileKeyVolumes(scope, path),
  ];
}
