/** Requests and limits (upstream: validateResourceRequirements). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type { PodSpec, ResourceRequirements } from '@cloudless/kube/types/core-v1';
import type { Quantity } from '@cloudless/kube/types/meta-v1';
import { dns1123Label, invalidEach } from '../../validation/fields.ts';
import { isQualifiedName } from '../../validation/names.ts';
import {
  compareQuantities,
  formatQuantity,
  isMultipleOf,
  isWhole,
  type ResourceAmounts,
  validateNonNegativeQuantity,
} from '../../validation/quantities.ts';
import { aggregateResources, isOvercommitAllowed, isPodLevelResource } from './aggregate-resources.ts';

const compute = ['cpu', 'memory', 'ephemeral-storage'];
const prefixed = (prefix: string): string[] => compute.map((name) => `${prefix}.${name}`);
/** Objects that are counted. */
const countedResources = [
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
];
const standardResources = new Set([
  ...compute,
  ...prefixed('requests'),
  ...prefixed('limits'),
  ...countedResources,
  'storage',
  'requests.storage',
]);
export const standardQuotaResources = new Set([...standardResources].filter((name) => name !== 'storage'));

export const isHugePages = (name: string): boolean => name.startsWith('hugepages-');
const isQuotaHugePages = (name: string): boolean =>
  isHugePages(name) || name.startsWith('requests.hugepages-');
export const isNative = (name: string): boolean => !name.includes('/') || name.includes('kubernetes.io/');

/** `example.com/gpu`: a resource that a device plugin or an operator made up. */
export const isExtendedResource = (name: string): boolean =>
  !isNative(name) && !name.startsWith('requests.') && isQualifiedName(`requests.${name}`).length === 0;

export const isCountedResource = (name: string): boolean =>
  countedResources.includes(name) || isExtendedResource(name);

/** A standard name or a qualified one. */
export function validateResourceName(name: string, path: FieldPath): FieldError[] {
  const wrong = invalidEach(path, name, isQualifiedName(name));
  if (wrong.length > 0 || name.includes('/')) return wrong;
  if (standardResources.has(name) || isQuotaHugePages(name)) return [];
  return [fieldErrors.invalid(path, name, 'must be a standard resource type or fully qualified')];
}

export const isStandardQuotaResource = (name: string): boolean =>
  standardQuotaResources.has(name) || isQuotaHugePages(name);

export function validateQuotaResourceName(name: string, path: FieldPath): FieldError[] {
  const wrong = validateResourceName(name, path);
  if (!name.includes('/') && !isStandardQuotaResource(name)) {
    wrong.push(fieldErrors.invalid(path, name, 'must be a standard resource for quota'));
  }
  return wrong;
}

export function validateContainerResourceName(name: string, path: FieldPath): FieldError[] {
  const wrong = validateResourceName(name, path);
  if (!name.includes('/')) {
    if (!compute.includes(name) && !isHugePages(name)) {
      wrong.push(fieldErrors.invalid(path, name, 'must be a standard resource for containers'));
    }
  } else if (!isNative(name) && !isExtendedResource(name)) {
    wrong.push(fieldErrors.invalid(path, name, "doesn't follow extended resource name standard"));
  }
  return wrong;
}

function validatePodResourceName(name: string, path: FieldPath): FieldError[] {
  const wrong = validateResourceName(name, path);
  if (wrong.length > 0 || isPodLevelResource(name)) return wrong;
  return [fieldErrors.notSupported(path, name, ['cpu', 'hugepages-', 'memory'])];
}

/** Not negative, and whole where things are counted. */
export function validateResourceQuantity(name: string, quantity: Quantity, path: FieldPath): FieldError[] {
  const wrong = validateNonNegativeQuantity(quantity, path);
  if (isCountedResource(name) && !isWhole(quantity)) {
    wrong.push(fieldErrors.invalid(path, formatQuantity(quantity), 'must be an integer'));
  }
  return wrong;
}

function validateList(
  list: ResourceAmounts | undefined,
  nameRule: (name: string, path: FieldPath) => FieldError[],
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  for (const name in list) {
    const quantity = list[name] as Quantity;
    const at = path.key(name);
    wrong.push(...nameRule(name, at), ...validateResourceQuantity(name, quantity, at));
    if (!isHugePages(name)) continue;
    const pageSize = name.slice('hugepages-'.length);
    if (!isMultipleOf(quantity, pageSize)) {
      const shown = formatQuantity(quantity);
      wrong.push(fieldErrors.invalid(at, shown, `${shown} is not positive integer multiple of ${name}`));
    }
  }
  return wrong;
}

function validateRequestsAgainstLimits(resources: ResourceRequirements, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const { requests = {}, limits = {} } = resources;
  const at = path.child('requests');
  for (const name in requests) {
    const request = requests[name] as Quantity;
    const limit = limits[name];
    const mayDiffer = isOvercommitAllowed(name);
    if (limit === undefined) {
      if (mayDiffer) continue;
      const text = 'Limit must be set for non overcommitable resources';
      wrong.push(fieldErrors.required(path.child('limits'), text));
      continue;
    }
    const order = compareQuantities(request, limit);
    if (order === 0 || (order < 0 && mayDiffer)) continue;
    const relation = mayDiffer ? 'less than or equal to' : 'equal to';
    const text = `must be ${relation} ${name} limit of ${formatQuantity(limit)}`;
    wrong.push(fieldErrors.invalid(at, formatQuantity(request), text));
  }
  return wrong;
}

function validateRequirements(
  resources: ResourceRequirements,
  nameRule: (name: string, path: FieldPath) => FieldError[],
  path: FieldPath,
): FieldError[] {
  const wrong = [
    ...validateList(resources.limits, nameRule, path.child('limits')),
    ...validateList(resources.requests, nameRule, path.child('requests')),
    ...validateRequestsAgainstLimits(resources, path),
  ];
  const names = [...Object.keys(resources.limits ?? {}), ...Object.keys(resources.requests ?? {})];
  if (names.some(isHugePages) && !names.includes('cpu') && !names.includes('memory')) {
    wrong.push(fieldErrors.forbidden(path, 'HugePages require cpu or memory'));
  }
  return wrong;
}

function validateClaims(
  resources: ResourceRequirements,
  podClaims: ReadonlySet<string>,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  const seen = new Set<string>();
  resources.claims?.forEach((claim, i) => {
    const at = path.index(i);
    if (!claim.name) {
      wrong.push(fieldErrors.required(at));
      return;
    }
    if (claim.request) wrong.push(...dns1123Label(claim.request, at.child('request')));
    const key = claim.request ? `${claim.name}/${claim.request}` : claim.name;
    const overlaps = !claim.request && [...seen].some((other) => other.startsWith(`${claim.name}/`));
    if (seen.has(claim.name)) wrong.push(fieldErrors.duplicate(at, claim.name));
    else if (seen.has(key) || overlaps) wrong.push(fieldErrors.duplicate(at, key));
    seen.add(key);
    if (!podClaims.has(claim.name)) {
      const error = fieldErrors.notFound(at, claim.name);
      const known = podClaims.size === 0 ? ' which is empty' : `: ${[...podClaims].sort().join(', ')}`;
      const detail = `must be one of the names in pod.spec.resourceClaims${known}`;
      wrong.push({ ...error, message: `${error.message}: ${detail}` });
    }
  });
  return wrong;
}

export function validateContainerResources(
  resources: ResourceRequirements | undefined | null,
  podClaims: ReadonlySet<string>,
  path: FieldPath,
): FieldError[] {
  if (!resources) return [];
  return [
    ...validateRequirements(resources, validateContainerResourceName, path),
    ...validateClaims(resources, podClaims, path.child('claims')),
  ];
}

/** A list of amounts on its own, such as a pod's overhead. */
export const validateOverhead = (list: ResourceAmounts | undefined | null, path: FieldPath): FieldError[] =>
  list ? validateRequirements({ limits: list }, validateContainerResourceName, path) : [];

/** Resources of the pod as a whole must hold those of its containers. */
export function validatePodResources(
  spec: PodSpec,
  podClaims: ReadonlySet<string>,
  path: FieldPath,
): FieldError[] {
  const resources = spec.resources;
  if (!resources) return [];
  if (spec.os?.name === 'windows') return [fieldErrors.forbidden(path, 'may not be set for a windows pod')];
  const wrong: FieldError[] = [];
  if (resources.claims) {
    const text = 'claims may not be set for Resources at pod-level';
    wrong.push(fieldErrors.forbidden(path.child('claims'), text));
  }
  wrong.push(
    ...validateRequirements(resources, validatePodResourceName, path),
    ...validateClaims(resources, podClaims, path.child('claims')),
  );
  for (const [name, amount] of aggregateResources(spec, 'requests')) {
    const request = resources.requests?.[name];
    if (request === undefined || compareQuantities(amount.toString(), request) <= 0) continue;
    const text = `must be greater than or equal to aggregate container requests of ${amount.toString()}`;
    wrong.push(fieldErrors.invalid(path.child('requests').key(name), formatQuantity(request), text));
  }
  for (const [name, amount] of aggregateResources(spec, 'limits')) {
    const limit = resources.limits?.[name];
    if (!isHugePages(name) || limit === undefined) continue;
    if (compareQuantities(amount.toString(), limit) <= 0) continue;
    const text = `must be greater than or equal to aggregate container limits of ${amount.toString()}`;
    wrong.push(fieldErrors.invalid(path.child('limits').key(name), formatQuantity(limit), text));
  }
  for (const [i, container] of (spec.containers ?? []).entries()) {
    for (const [name, limit] of Object.entries(container.resources?.limits ?? {})) {
      const podLimit = resources.limits?.[name];
      if (podLimit === undefined || compareQuantities(limit, podLimit) <= 0) continue;
      const at = path.child('containers').index(i).key(name).child('limits');
      const text = `must be less than or equal to pod limits of ${formatQuantity(podLimit)}`;
      wrong.push(fieldErrors.invalid(at, formatQuantity(limit), text));
    }
  }
  return wrong;
}
