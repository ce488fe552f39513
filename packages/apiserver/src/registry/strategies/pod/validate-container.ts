/** Containers of every sort (upstream: validateContainerCommon and its callers). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  Container,
  ContainerPort,
  ContainerResizePolicy,
  EphemeralContainer,
  PodSpec,
  Volume,
  VolumeDevice,
  VolumeMount,
} from '@cloudless/kube/types/core-v1';
import { dns1123Label, invalidEach, oneOf, optionalOneOf, required } from '../../validation/fields.ts';
import { isPortName, isPortNumber } from '../../validation/names.ts';
import { type AnyContainer, isRestartableInit } from './containers.ts';
import { noBacksteps, relativePath } from './paths.ts';
import { validateEnv, validateEnvFrom } from './validate-environment.ts';
import { validateLifecycle, validateProbes } from './validate-probes.ts';
import { validateContainerResources } from './validate-resources.ts';
import { validateContainerSecurity } from './validate-security.ts';

/** What containers may refer to in their pod. */
export interface PodScope {
  readonly spec: PodSpec;
  readonly volumes: ReadonlyMap<string, Volume>;
  readonly claims: ReadonlySet<string>;
  readonly hostUsers: boolean;
}

export const protocols = ['SCTP', 'TCP', 'UDP'];

function validatePorts(ports: readonly ContainerPort[] | undefined, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const names = new Set<string>();
  ports?.forEach((port, i) => {
    const at = path.index(i);
    if (port.name) {
      const texts = isPortName(port.name);
      if (texts.length > 0) wrong.push(...invalidEach(at.child('name'), port.name, texts));
      else if (names.has(port.name)) wrong.push(fieldErrors.duplicate(at.child('name'), port.name));
      names.add(port.name);
    }
    if (!port.containerPort) wrong.push(fieldErrors.required(at.child('containerPort')));
    else
      wrong.push(
        ...invalidEach(at.child('containerPort'), port.containerPort, isPortNumber(port.containerPort)),
      );
    if (port.hostPort) {
      wrong.push(...invalidEach(at.child('hostPort'), port.hostPort, isPortNumber(port.hostPort)));
    }
    wrong.push(...oneOf(port.protocol, protocols, at.child('protocol')));
  });
  return wrong;
}

function validateMount(
  mount: VolumeMount,
  container: AnyContainer,
  at: FieldPath,
  list: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  // Upstream reports these at the list, not at the mount.
  if (mount.subPath) wrong.push(...relativePath(mount.subPath, list.child('subPath')));
  if (mount.subPathExpr) {
    if (mount.subPath) {
      const text = 'subPathExpr and subPath are mutually exclusive';
      wrong.push(fieldErrors.invalid(at.child('subPathExpr'), mount.subPathExpr, text));
    }
    wrong.push(...relativePath(mount.subPathExpr, list.child('subPathExpr')));
  }
  const propagation = list.child('mountPropagation');
  wrong.push(
    ...optionalOneOf(mount.mountPropagation, ['Bidirectional', 'HostToContainer', 'None'], propagation),
  );
  if (mount.mountPropagation === 'Bidirectional' && !container.securityContext?.privileged) {
    const text = 'Bidirectional mount propagation is available only to privileged containers';
    wrong.push(fieldErrors.forbidden(propagation, text));
  }
  const recursive = list.child('recursiveReadOnly');
  wrong.push(...optionalOneOf(mount.recursiveReadOnly, ['Disabled', 'Enabled', 'IfPossible'], recursive));
  if (mount.recursiveReadOnly === 'Enabled' || mount.recursiveReadOnly === 'IfPossible') {
    if (!mount.readOnly) {
      wrong.push(fieldErrors.forbidden(recursive, 'may only be specified when readOnly is true'));
    }
    if (mount.mountPropagation != null && mount.mountPropagation !== 'None') {
      const text = 'may only be specified when mountPropagation is None or not specified';
      wrong.push(fieldErrors.forbidden(recursive, text));
    }
  }
  return wrong;
}

function validateMounts(container: AnyContainer, scope: PodScope, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const devices = container.volumeDevices ?? [];
  const seen = new Set<string>();
  container.volumeMounts?.forEach((mount, i) => {
    const at = path.index(i);
    wrong.push(...required(mount.name, at.child('name')));
    if (!scope.volumes.has(mount.name)) wrong.push(fieldErrors.notFound(at.child('name'), mount.name ?? ''));
    wrong.push(...required(mount.mountPath, at.child('mountPath')));
    if (seen.has(mount.mountPath)) {
      wrong.push(fieldErrors.invalid(at.child('mountPath'), mount.mountPath, 'must be unique'));
    }
    seen.add(mount.mountPath);
    if (devices.some((device) => device.name === mount.name)) {
      const text = 'must not already exist in volumeDevices';
      wrong.push(fieldErrors.invalid(at.child('name'), mount.name, text));
    }
    if (devices.some((device) => device.devicePath === mount.mountPath)) {
      const text = 'must not already exist as a path in volumeDevices';
      wrong.push(fieldErrors.invalid(at.child('mountPath'), mount.mountPath, text));
    }
    wrong.push(...validateMount(mount, container, at, path));
  });
  return wrong;
}

function validateDevice(
  device: VolumeDevice,
  container: AnyContainer,
  scope: PodScope,
  at: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  const volume = scope.volumes.get(device.name);
  const mounts = container.volumeMounts ?? [];
  const name = at.child('name');
  const devicePath = at.child('devicePath');
  wrong.push(...required(device.name, name));
  if (!volume) wrong.push(fieldErrors.notFound(name, device.name ?? ''));
  else if (!volume.persistentVolumeClaim && !volume.ephemeral) {
    const text = 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode';
    wrong.push(fieldErrors.invalid(name, device.name, text));
  }
  wrong.push(...required(device.devicePath, devicePath));
  if (noBacksteps(device.devicePath ?? '', devicePath).length > 0) {
    wrong.push(fieldErrors.invalid(devicePath, device.devicePath, "can not contain backsteps ('..')"));
  }
  if (mounts.some((mount) => mount.name === device.name)) {
    wrong.push(fieldErrors.invalid(name, device.name, 'must not already exist in volumeMounts'));
  }
  if (mounts.some((mount) => mount.mountPath === device.devicePath)) {
    const text = 'must not already exist as a path in volumeMounts';
    wrong.push(fieldErrors.invalid(devicePath, device.devicePath, text));
  }
  return wrong;
}

function validateDevices(container: AnyContainer, scope: PodScope, path: FieldPath): FieldError[] {
  const devices = container.volumeDevices ?? [];
  return devices.flatMap((device, i) => {
    const at = path.index(i);
    const before = devices.slice(0, i);
    const wrong = validateDevice(device, container, scope, at);
    if (before.some((other) => other.name === device.name)) {
      wrong.push(fieldErrors.invalid(at.child('name'), device.name, 'must be unique'));
    }
    if (before.some((other) => other.devicePath === device.devicePath)) {
      wrong.push(fieldErrors.invalid(at.child('devicePath'), device.devicePath, 'must be unique'));
    }
    return wrong;
  });
}

function validateResizePolicy(
  policies: readonly ContainerResizePolicy[] | undefined,
  restartPolicy: string | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  const seen = new Set<string>();
  policies?.forEach((policy, i) => {
    if (seen.has(policy.resourceName)) wrong.push(fieldErrors.duplicate(path.index(i), policy.resourceName));
    seen.add(policy.resourceName);
    wrong.push(
      ...oneOf(policy.resourceName, ['cpu', 'memory'], path),
      ...oneOf(policy.restartPolicy, ['NotRequired', 'RestartContainer'], path),
    );
    if (restartPolicy === 'Never' && policy.restartPolicy !== 'NotRequired') {
      const text = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
      wrong.push(fieldErrors.invalid(path, policy.restartPolicy, text));
    }
  });
  return wrong;
}

/** What holds for containers, init containers and ephemeral ones alike. */
function validateCommon(container: AnyContainer, scope: PodScope, path: FieldPath): FieldError[] {
  const name = path.child('name');
  return [
    ...(container.name ? dns1123Label(container.name, name) : [fieldErrors.required(name)]),
    ...required(container.image, path.child('image')),
    ...oneOf(
      container.terminationMessagePolicy,
      ['FallbackToLogsOnError', 'File'],
      path.child('terminationMessagePolicy'),
    ),
    ...validatePorts(container.ports, path.child('ports')),
    ...validateEnv(container.env, path.child('env')),
    ...validateEnvFrom(container.envFrom, path.child('envFrom')),
    ...validateMounts(container, scope, path.child('volumeMounts')),
    ...validateDevices(container, scope, path.child('volumeDevices')),
    ...oneOf(container.imagePullPolicy, ['Always', 'IfNotPresent', 'Never'], path.child('imagePullPolicy')),
    ...validateContainerResources(container.resources, scope.claims, path.child('resources')),
    ...validateResizePolicy(container.resizePolicy, scope.spec.restartPolicy, path.child('resizePolicy')),
    ...validateContainerSecurity(container.securityContext, scope.hostUsers, path.child('securityContext')),
  ];
}

function validateRestartRules(container: Container, path: FieldPath): FieldError[] {
  const rules = container.restartPolicyRules ?? [];
  const wrong: FieldError[] = [];
  const at = path.child('restartPolicy');
  if (container.restartPolicy == null) {
    if (rules.length === 0) return [];
    wrong.push(fieldErrors.required(at, 'must specify restartPolicy when restart rules are used'));
  } else wrong.push(...optionalOneOf(container.restartPolicy, ['Always', 'Never', 'OnFailure'], at));
  if (rules.length > 20) wrong.push(fieldErrors.tooMany(path.child('restartPolicyRules'), rules.length, 20));
  for (const [i, rule] of rules.entries()) {
    const rulePath = path.child('restartPolicyRules').index(i);
    const actions = ['Restart', 'RestartAllContainers'];
    wrong.push(...optionalOneOf(rule.action ?? '', actions, rulePath.child('action')));
    const codes = rulePath.child('exitCodes');
    if (!rule.exitCodes) wrong.push(fieldErrors.required(codes, 'must be specified'));
    else {
      wrong.push(...optionalOneOf(rule.exitCodes.operator ?? '', ['In', 'NotIn'], codes.child('operator')));
      const count = rule.exitCodes.values?.length ?? 0;
      if (count > 255) wrong.push(fieldErrors.tooMany(codes.child('values'), count, 255));
    }
  }
  return wrong;
}

function hostPortConflicts(containers: readonly Container[], path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const taken = new Set<string>();
  for (const [i, container] of containers.entries()) {
    for (const [j, port] of (container.ports ?? []).entries()) {
      if (!port.hostPort) continue;
      const key = `${port.protocol}/${port.hostIP ?? ''}/${port.hostPort}`;
      const at = path.index(i).child('ports').index(j).child('hostPort');
      if (taken.has(key)) wrong.push(fieldErrors.duplicate(at, key));
      taken.add(key);
    }
  }
  return wrong;
}

export function validateContainers(scope: PodScope, path: FieldPath): FieldError[] {
  const { spec } = scope;
  const containers = spec.containers ?? [];
  if (containers.length === 0) return [fieldErrors.required(path)];
  const wrong: FieldError[] = [];
  const names = new Set<string>();
  for (const [i, container] of containers.entries()) {
    const at = path.index(i);
    wrong.push(...validateCommon(container, scope, at));
    if (names.has(container.name)) wrong.push(fieldErrors.duplicate(at.child('name'), container.name));
    names.add(container.name);
    wrong.push(
      ...validateLifecycle(
        container.lifecycle,
        spec.os,
        spec.terminationGracePeriodSeconds,
        at.child('lifecycle'),
      ),
      ...validateProbes(container, at),
      ...validateRestartRules(container, at),
    );
  }
  return [...wrong, ...hostPortConflicts(containers, path)];
}

const initOnlyText = 'may not be set for init containers without restartPolicy=Always';

export function validateInitContainers(scope: PodScope, path: FieldPath): FieldError[] {
  const { spec } = scope;
  const wrong: FieldError[] = [];
  const names = new Set((spec.containers ?? []).map((container) => container.name));
  for (const [i, container] of (spec.initContainers ?? []).entries()) {
    const at = path.index(i);
    wrong.push(...validateCommon(container, scope, at));
    // Rules without a policy are not judged any further.
    const rules = validateRestartRules(container, at);
    wrong.push(...(container.restartPolicy == null ? rules.slice(0, 1) : rules));
    if (names.has(container.name)) wrong.push(fieldErrors.duplicate(at.child('name'), container.name));
    else if (container.name) names.add(container.name);
    wrong.push(...hostPortConflicts([container], path));
    if (isRestartableInit(container)) {
      const grace = spec.terminationGracePeriodSeconds;
      wrong.push(
        ...validateLifecycle(container.lifecycle, spec.os, grace, at.child('lifecycle')),
        ...validateProbes(container, at),
      );
      continue;
    }
    for (const name of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
      if (container[name]) wrong.push(fieldErrors.forbidden(at.child(name), initOnlyText));
    }
    for (const [j, policy] of (container.resizePolicy ?? []).entries()) {
      if (policy.restartPolicy !== 'RestartContainer') continue;
      const text = "must not be set to 'RestartContainer' for non-sidecar initContainers";
      const policyPath = at.child('resizePolicy').index(j).child('restartPolicy');
      wrong.push(fieldErrors.invalid(policyPath, policy.restartPolicy, text));
    }
  }
  return wrong;
}

/** In the order in which upstream finds them. */
const refusedInEphemeral = [
  'ports',
  'resources',
  'resizePolicy',
  'restartPolicy',
  'restartPolicyRules',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
] as const;
/** Set even when empty: upstream has pointers here. */
const setWhenEmpty: ReadonlySet<string> = new Set([
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
]);

const isUnset = (name: string, value: unknown): boolean =>
  value == null || (!setWhenEmpty.has(name) && typeof value === 'object' && Object.keys(value).length === 0);

function validateEphemeral(container: EphemeralContainer, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const text = 'cannot be set for an Ephemeral Container';
  for (const name of refusedInEphemeral) {
    if (!isUnset(name, container[name])) wrong.push(fieldErrors.forbidden(path.child(name), text));
  }
  container.volumeMounts?.forEach((mount, i) => {
    const at = path.child('volumeMounts').index(i);
    if (mount.subPath) wrong.push(fieldErrors.forbidden(at.child('subPath'), text));
    if (mount.subPathExpr) wrong.push(fieldErrors.forbidden(at.child('subPathExpr'), text));
  });
  return wrong;
}

export function validateEphemeralContainers(scope: PodScope, path: FieldPath): FieldError[] {
  const { spec } = scope;
  const wrong: FieldError[] = [];
  const others = new Set(
    [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map(({ name }) => name),
  );
  const names = new Set(others);
  for (const [i, container] of (spec.ephemeralContainers ?? []).entries()) {
    const at = path.index(i);
    wrong.push(...validateCommon(container, scope, at), ...validateImageSpaces(container, at));
    if (names.has(container.name)) wrong.push(fieldErrors.duplicate(at.child('name'), container.name));
    names.add(container.name);
    const target = container.targetContainerName;
    if (target && !others.has(target)) {
      wrong.push(fieldErrors.notFound(at.child('targetContainerName'), target));
    }
    wrong.push(...validateEphemeral(container, at));
  }
  return wrong;
}

/** Pods only: a template's image may be padded. */
export function validateImageSpaces(container: AnyContainer, path: FieldPath): FieldError[] {
  const image = container.image ?? '';
  if (image.trim() === image) return [];
  return [fieldErrors.invalid(path.child('image'), image, 'must not have leading or trailing whitespace')];
}
