/** What may change once a pod exists (upstream: ValidatePodUpdate and its siblings). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  Container,
  ContainerStatus,
  NodeAffinity,
  Pod,
  PodSpec,
  ResourceRequirements,
} from '@cloudless/kube/types/core-v1';
import { parseIp, validateLegacyIp } from '../../validation/addresses.ts';
import { immutable, qualifiedName, invalidEach, semanticallyEqual } from '../../validation/fields.ts';
import { nameIsDnsSubdomain, rangeError } from '../../validation/names.ts';
import type { ResourceAmounts } from '../../validation/quantities.ts';
import { isRestartableInit } from './containers.ts';
import { difference } from './difference.ts';
import { qosClass } from './qos.ts';
import { validatePod } from './validate-pod.ts';
import { validateAddedTolerations, validateDeletedGates } from './validate-scheduling.ts';
import { validateClaimStatuses, validateContainerStatuses } from './validate-status.ts';
import { validateAnnotationUpdates } from './validate-security.ts';

const specPath = FieldPath.of('spec');
const statusPath = FieldPath.of('status');
const annotationsPath = FieldPath.of('metadata', 'annotations');
const nowhere = FieldPath.of('');
const updatable = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
];

const withImages = (containers: readonly Container[], old: readonly Container[]): Container[] =>
  containers.map((container, i) => ({ ...container, image: old[i]?.image as string }));

function validateDeadline(now: PodSpec, before: PodSpec): FieldError[] {
  const path = specPath.child('activeDeadlineSeconds');
  const deadline = now.activeDeadlineSeconds;
  const old = before.activeDeadlineSeconds;
  if (deadline == null) {
    if (old == null) return [];
    return [fieldErrors.invalid(path, null, 'must not update from a positive integer to nil value')];
  }
  if (deadline < 0 || deadline > 2147483647)
    return [fieldErrors.invalid(path, deadline, rangeError(0, 2147483647))];
  if (old == null || old >= deadline) return [];
  return [fieldErrors.invalid(path, deadline, 'must be less than or equal to previous value')];
}

type Terms = NonNullable<NodeAffinity['requiredDuringSchedulingIgnoredDuringExecution']>['nodeSelectorTerms'];
const termsOf = (affinity: NodeAffinity | undefined): Terms =>
  affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];

function onlyAdds(now: Terms[number], before: Terms[number]): boolean {
  const keys = ['matchExpressions', 'matchFields'] as const;
  const wasEmpty = keys.every((key) => !before[key]?.length);
  if (wasEmpty) return keys.every((key) => !now[key]?.length);
  return keys.every((key) =>
    semanticallyEqual(now[key]?.slice(0, before[key]?.length ?? 0) ?? [], before[key] ?? []),
  );
}

/** A gated pod may still narrow where it runs. Returns `munged` with the old placement. */
function validateGatedPlacement(munged: PodSpec, before: PodSpec): FieldError[] {
  const wrong: FieldError[] = [];
  for (const [key, value] of Object.entries(before.nodeSelector ?? {})) {
    if (munged.nodeSelector?.[key] === value) continue;
    const text = 'only additions to spec.nodeSelector are allowed (no mutations or deletions)';
    wrong.push(fieldErrors.invalid(specPath.child('nodeSelector'), munged.nodeSelector ?? {}, text));
  }
  if (before.nodeSelector) munged.nodeSelector = before.nodeSelector;
  else delete munged.nodeSelector;
  const now = termsOf(munged.affinity?.nodeAffinity);
  const old = termsOf(before.affinity?.nodeAffinity);
  const path = specPath
    .child('affinity', 'nodeAffinity')
    .child('requiredDuringSchedulingIgnoredDuringExecution', 'nodeSelectorTerms');
  if (old.length > 0 && old.length !== now.length) {
    const text = 'no additions/deletions to non-empty NodeSelectorTerms list are allowed';
    wrong.push(fieldErrors.invalid(path, now, text));
  } else {
    for (const [i, term] of old.entries()) {
      if (onlyAdds(now[i] as Terms[number], term)) continue;
      const text = 'only additions are allowed (no mutations or deletions)';
      wrong.push(fieldErrors.invalid(path.index(i), now[i], text));
    }
  }
  const affinity = { ...munged.affinity };
  delete affinity.nodeAffinity;
  if (before.affinity?.nodeAffinity) affinity.nodeAffinity = before.affinity.nodeAffinity;
  if (Object.keys(affinity).length > 0 || before.affinity) munged.affinity = affinity;
  else delete munged.affinity;
  return wrong;
}

/** The new spec with every field that may change set back to what it was. */
function withoutAllowedChanges(now: PodSpec, before: PodSpec): PodSpec {
  const munged: PodSpec = { ...now, containers: withImages(now.containers, before.containers) };
  if (now.initContainers) munged.initContainers = withImages(now.initContainers, before.initContainers ?? []);
  const restore = <K extends keyof PodSpec>(key: K): void => {
    if (before[key] === undefined) delete munged[key];
    else munged[key] = before[key];
  };
  restore('activeDeadlineSeconds');
  restore('schedulingGates');
  restore('tolerations');
  const grace = before.terminationGracePeriodSeconds;
  if (grace != null && grace < 0 && now.terminationGracePeriodSeconds === 1) {
    munged.terminationGracePeriodSeconds = grace;
  }
  return munged;
}

export function validatePodUpdate(pod: Pod, old: Pod): FieldError[] {
  const now = pod.spec ?? { containers: [] };
  const before = old.spec ?? { containers: [] };
  const wrong = [
    ...validatePod(pod, old),
    ...validateAnnotationUpdates(pod.metadata.annotations, old.metadata.annotations, annotationsPath),
  ];
  for (const name of ['containers', 'initContainers'] as const) {
    if ((now[name]?.length ?? 0) === (before[name]?.length ?? 0)) continue;
    const text = 'pod updates may not add or remove containers';
    return [...wrong, fieldErrors.forbidden(specPath.child(name), text)];
  }
  const deadline = validateDeadline(now, before);
  wrong.push(...deadline);
  // Upstream looks no further behind a deadline that moves out.
  if (deadline.length > 0 && now.activeDeadlineSeconds != null) return wrong;
  wrong.push(
    ...validateAddedTolerations(now.tolerations, before.tolerations, specPath.child('tolerations')),
    ...validateDeletedGates(now.schedulingGates, before.schedulingGates, specPath.child('schedulingGates')),
  );
  if (semanticallyEqual(now, before)) return wrong;
  const munged = withoutAllowedChanges(now, before);
  if (before.schedulingGates?.length) wrong.push(...validateGatedPlacement(munged, before));
  if (!semanticallyEqual(munged, before)) {
    const text = `pod updates may not change fields other than ${updatable.join(',')}\n${difference(before, munged)}`;
    wrong.push(fieldErrors.forbidden(specPath, text));
  }
  return wrong;
}

/** A container that ended for good stays ended. */
function validateEnded(
  now: readonly ContainerStatus[] | undefined,
  before: readonly ContainerStatus[] | undefined,
  mayRestart: (status: ContainerStatus) => boolean,
  path: FieldPath,
): FieldError[] {
  return (before ?? []).flatMap((status, i) => {
    if (!status.state?.terminated || mayRestart(status)) return [];
    const next = now?.find((one) => one.name === status.name);
    if (!next || next.state?.terminated) return [];
    const text = 'may not be transitioned to non-terminated state';
    return [fieldErrors.forbidden(path.index(i).child('state'), text)];
  });
}

/** The pod's policy, or the container's own where it has one. */
function mayRestart(spec: PodSpec, containers: readonly Container[] | undefined, isInit: boolean) {
  return (status: ContainerStatus): boolean => {
    const container = containers?.find((one) => one.name === status.name);
    const code = status.state?.terminated?.exitCode ?? 0;
    if (isInit && isRestartableInit(container)) return true;
    for (const rule of container?.restartPolicyRules ?? []) {
      const listed = rule.exitCodes?.values?.includes(code) ?? false;
      if (rule.exitCodes && listed === (rule.exitCodes.operator === 'In')) return true;
    }
    const policy = container?.restartPolicy ?? spec.restartPolicy;
    return policy === 'Always' || (policy === 'OnFailure' && code !== 0);
  };
}

function validateAddresses(list: ReadonlyArray<{ ip?: string }> | undefined, path: FieldPath): FieldError[] {
  const addresses = (list ?? []).map((one) => one.ip ?? '');
  const wrong = addresses.flatMap((address, i) => validateLegacyIp(address, path.index(i)));
  if (addresses.length < 2 || wrong.length > 0) return wrong;
  const families = new Set(addresses.map((address) => parseIp(address)?.family));
  if (families.size === 2 && addresses.length === 2) return wrong;
  return [...wrong, fieldErrors.invalid(path, list, 'may specify no more than one IP for each IP family')];
}

const systemConditions = ['PodScheduled', 'Ready', 'Initialized'];

export function validatePodStatusUpdate(pod: Pod, old: Pod): FieldError[] {
  const now = pod.status ?? {};
  const before = old.status ?? {};
  const spec = old.spec ?? { containers: [] };
  const wrong = validateAnnotationUpdates(
    pod.metadata.annotations,
    old.metadata.annotations,
    annotationsPath,
  );
  now.conditions?.forEach((condition, i) => {
    if ((condition.observedGeneration ?? 0) < 0) {
      const here = statusPath.child('conditions').index(i).child('observedGeneration');
      const why = 'must be a non-negative integer';
      wrong.push(fieldErrors.invalid(here, condition.observedGeneration, why));
    }
    if (systemConditions.includes(condition.type)) return;
    const at = statusPath.child('conditions').index(i).child('Type');
    wrong.push(...qualifiedName(condition.type ?? '', at));
  });
  const nominated = now.nominatedNodeName;
  if (nominated && nominated !== before.nominatedNodeName) {
    const at = statusPath.child('nominatedNodeName');
    wrong.push(...invalidEach(at, nominated, nameIsDnsSubdomain(nominated)));
    if (spec.nodeName) {
      wrong.push(fieldErrors.forbidden(at, 'may not be set on pods that are already bound to a node'));
    }
  }
  if ((now.observedGeneration ?? 0) < 0) {
    const at = statusPath.child('observedGeneration');
    wrong.push(fieldErrors.invalid(at, now.observedGeneration, 'must be a non-negative integer'));
  }
  wrong.push(
    ...immutable(now.qosClass, before.qosClass, statusPath.child('qosClass')),
    ...validateEnded(
      now.containerStatuses,
      before.containerStatuses,
      mayRestart(spec, spec.containers, false),
      statusPath.child('containerStatuses'),
    ),
    ...validateEnded(
      now.initContainerStatuses,
      before.initContainerStatuses,
      mayRestart(spec, spec.initContainers, true),
      statusPath.child('initContainerStatuses'),
    ),
    ...validateEnded(
      now.ephemeralContainerStatuses,
      before.ephemeralContainerStatuses,
      () => false,
      statusPath.child('ephemeralContainerStatuses'),
    ),
    ...validateClaimStatuses(pod, statusPath),
    ...validateAddresses(now.podIPs, statusPath.child('podIPs')),
  );
  const hostIps = now.hostIPs ?? [];
  if (hostIps.length > 0 && hostIps[0]?.ip !== now.hostIP) {
    const at = statusPath.child('hostIPs').index(0).child('ip');
    wrong.push(fieldErrors.invalid(at, hostIps[0]?.ip, 'must be equal to `hostIP`'));
  }
  return [
    ...wrong,
    ...validateAddresses(hostIps, statusPath.child('hostIPs')),
    ...validateContainerStatuses(pod, statusPath),
  ];
}

export function validateEphemeralUpdate(pod: Pod, old: Pod): FieldError[] {
  const wrong = [
    ...validatePod(pod, old),
    ...validateAnnotationUpdates(pod.metadata.annotations, old.metadata.annotations, annotationsPath),
  ];
  if (old.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined) {
    return [fieldErrors.forbidden(nowhere, 'static pods do not support ephemeral containers')];
  }
  const path = specPath.child('ephemeralContainers');
  for (const before of old.spec?.ephemeralContainers ?? []) {
    const now = pod.spec?.ephemeralContainers?.find((one) => one.name === before.name);
    const name = JSON.stringify(before.name);
    if (!now) {
      wrong.push(fieldErrors.forbidden(path, `existing ephemeral containers ${name} may not be removed\n`));
    } else if (!semanticallyEqual(now, before)) {
      const text = `existing ephemeral containers ${name} may not be changed\n${difference(before, now)}`;
      wrong.push(fieldErrors.forbidden(path, text));
    }
  }
  return wrong;
}

const isRemoved = (now: ResourceAmounts | undefined, before: ResourceAmounts | undefined): boolean =>
  Object.keys(before ?? {}).some((name) => now?.[name] === undefined);

/** The container with its old CPU and memory. */
function withComputeOf(container: Container, old: Container | undefined): Container {
  const resources: ResourceRequirements = {};
  for (const kind of ['limits', 'requests'] as const) {
    const before = old?.resources?.[kind];
    const now = container.resources?.[kind];
    if (!before) continue;
    const list: ResourceAmounts = { ...now };
    for (const name of ['cpu', 'memory']) {
      if (before[name] === undefined) delete list[name];
      else list[name] = before[name];
    }
    resources[kind] = list;
  }
  return { ...container, resources };
}

function validateOrder(pod: Pod, old: Pod): FieldError[] {
  const wrong: FieldError[] = [];
  for (const name of ['containers', 'initContainers'] as const) {
    const now = pod.spec?.[name] ?? [];
    const before = old.spec?.[name] ?? [];
    const path = specPath.child(name);
    if (now.length !== before.length) {
      wrong.push(fieldErrors.forbidden(path, `${name} may not be added or removed on resize`));
      continue;
    }
    for (const [i, container] of before.entries()) {
      if (now[i]?.name === container.name) continue;
      const text = `${name} may not be renamed or reordered on resize`;
      wrong.push(fieldErrors.forbidden(path.index(i).child('name'), text));
    }
  }
  return wrong;
}

/** `/resize`: CPU and memory of containers and sidecars, nothing else. */
export function validateResize(pod: Pod, old: Pod): FieldError[] {
  if (old.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined) {
    return [fieldErrors.forbidden(nowhere, 'static pods cannot be resized')];
  }
  if (old.spec?.os?.name === 'windows')
    return [fieldErrors.forbidden(nowhere, 'windows pods cannot be resized')];
  if (pod.spec?.resources || old.spec?.resources) {
    return [fieldErrors.forbidden(nowhere, 'pods with pod-level resources cannot be resized')];
  }
  const wrong = validatePod(pod, old);
  if ((old.status?.qosClass ?? qosClass(old)) !== qosClass(pod)) {
    const text = 'Pod QOS Class may not change as a result of resizing';
    wrong.push(fieldErrors.invalid(specPath, pod.status?.qosClass ?? '', text));
  }
  const order = validateOrder(pod, old);
  if (order.length > 0) return [...wrong, ...order];
  const munged: PodSpec = { ...(pod.spec as PodSpec) };
  for (const name of ['containers', 'initContainers'] as const) {
    const before = old.spec?.[name] ?? [];
    const list = (pod.spec?.[name] ?? []).map((container, i) => {
      if (name === 'initContainers' && !isRestartableInit(container)) return container;
      const at = specPath.child(name).index(i).child('resources');
      for (const kind of ['requests', 'limits'] as const) {
        if (!isRemoved(container.resources?.[kind], before[i]?.resources?.[kind])) continue;
        wrong.push(fieldErrors.forbidden(at.child(kind), `resource ${kind} cannot be removed`));
      }
      return withComputeOf(container, before[i]);
    });
    if (munged[name]) munged[name] = list;
  }
  if (!semanticallyEqual(munged, old.spec)) {
    wrong.push(fieldErrors.forbidden(specPath, 'only cpu and memory resources are mutable'));
  }
  return wrong;
}
