import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { ResourceQuota, ResourceQuotaSpec } from '@cloudless/kube/types/core-v1';
import type { Strategy } from '../../strategy.ts';
import { formatQuantity, type ResourceAmounts, roundResources } from '../../validation/quantities.ts';
import {
  isStandardQuotaResource,
  validateQuotaResourceName,
  validateResourceQuantity,
} from '../pod/validate-resources.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';

const specPath = FieldPath.of('spec');
const statusPath = FieldPath.of('status');
const computeNames = ['cpu', 'memory', 'limits.cpu', 'limits.memory', 'requests.cpu', 'requests.memory'];
/** Which standard resources each scope can be applied to. */
const scopes: Readonly<Record<string, readonly string[]>> = {
  Terminating: ['pods', ...computeNames],
  NotTerminating: ['pods', ...computeNames],
  NotBestEffort: ['pods', ...computeNames],
  PriorityClass: ['pods', ...computeNames],
  CrossNamespacePodAffinity: ['pods', ...computeNames],
  BestEffort: ['pods'],
  VolumeAttributesClass: ['persistentvolumeclaims', 'requests.storage'],
};

function validateAmounts(amounts: ResourceAmounts | undefined, path: FieldPath): FieldError[] {
  return Object.entries(amounts ?? {}).flatMap(([name, quantity]) => [
    ...validateQuotaResourceName(name, path.key(name)),
    ...validateResourceQuantity(name, quantity, path.key(name)),
  ]);
}

/** Once for each resource of the quota that the scope cannot be applied to. */
function validateFit(scope: string, spec: ResourceQuotaSpec, path: FieldPath, shown: unknown): FieldError[] {
  const fitting = scopes[scope];
  if (!fitting) return [];
  return Object.keys(spec.hard ?? {})
    .filter((name) => isStandardQuotaResource(name) && !fitting.includes(name))
    .map(() => fieldErrors.invalid(path, shown, 'unsupported scope applied to resource'));
}

const isScope = (name: string): boolean => scopes[name] !== undefined;
/** Scopes that are there or not, without values. */
const isPlain = (name: string): boolean =>
  isScope(name) && name !== 'PriorityClass' && name !== 'VolumeAttributesClass';

function validateConflicts(names: readonly string[], path: FieldPath, shown: unknown): FieldError[] {
  const pairs = [
    ['BestEffort', 'NotBestEffort'],
    ['Terminating', 'NotTerminating'],
  ];
  return pairs
    .filter((pair) => pair.every((name) => names.includes(name)))
    .map(() => fieldErrors.invalid(path, shown, 'conflicting scopes'));
}

function validateSelector(spec: ResourceQuotaSpec): FieldError[] {
  const expressions = spec.scopeSelector?.matchExpressions ?? [];
  const path = specPath.child('scopeSelector', 'matchExpressions');
  const wrong: FieldError[] = [];
  for (const { scopeName, operator, values = [] } of expressions) {
    if (!isScope(scopeName))
      wrong.push(fieldErrors.invalid(path.child('scopeName'), scopeName, 'unsupported scope'));
    wrong.push(...validateFit(scopeName, spec, path, spec.scopeSelector));
    if (isPlain(scopeName) && operator !== 'Exists') {
      const text =
        "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
      wrong.push(fieldErrors.invalid(path.child('operator'), operator, text));
    }
    if (operator === 'In' || operator === 'NotIn') {
      if (values.length === 0) {
        const text = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
        wrong.push(fieldErrors.required(path.child('values'), text));
      }
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values.length > 0) {
        const text = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
        wrong.push(fieldErrors.invalid(path.child('values'), values, text));
      }
    } else wrong.push(fieldErrors.invalid(path.child('operator'), operator, 'not a valid selector operator'));
  }
  const names = expressions.map((one) => one.scopeName);
  return [...wrong, ...validateConflicts(names, path, spec.scopes ?? null)];
}

function validate(quota: ResourceQuota): FieldError[] {
  const spec = quota.spec ?? {};
  const path = specPath.child('scopes');
  const list = spec.scopes ?? [];
  return [
    ...validateAmounts(spec.hard, specPath.child('hard')),
    ...list.flatMap((scope) => [
      ...(isScope(scope) ? [] : [fieldErrors.invalid(path, list, 'unsupported scope')]),
      ...validateFit(scope, spec, path, list),
    ]),
    ...validateConflicts(list, path, list),
    ...validateSelector(spec),
  ];
}

function validateUpdate(quota: ResourceQuota, old: ResourceQuota): FieldError[] {
  const now = new Set(quota.spec?.scopes);
  const before = new Set(old.spec?.scopes);
  const wrong = validate(quota);
  if (now.symmetricDifference(before).size > 0) {
    wrong.push(fieldErrors.invalid(specPath.child('scopes'), quota.spec?.scopes, 'field is immutable'));
  }
  return wrong;
}

function amountCells(quota: ResourceQuota): [string, string] {
  const requests: string[] = [];
  const limits: string[] = [];
  const { hard = {}, used = {} } = quota.status ?? {};
  for (const name of Object.keys(hard).sort()) {
    const cell = `${name}: ${formatQuantity(used[name])}/${formatQuantity(hard[name])}`;
    (name.startsWith('limits.') ? limits : requests).push(cell);
  }
  return [requests.join(', '), limits.join(', ')];
}

/** Upstream: pkg/registry/core/resourcequota. */
export const resourceQuota: Strategy<ResourceQuota> = {
  defaults(object) {
    roundResources(object.spec?.hard);
    roundResources(object.status?.hard);
    roundResources(object.status?.used);
  },
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => validateUpdate(object, old),
  validateStatusUpdate: (_context, object) => [
    ...validateAmounts(object.status?.hard, statusPath.child('hard')),
    ...validateAmounts(object.status?.used, statusPath.child('used')),
  ],
  table: table<ResourceQuota>(
    [
      text('Request', 'What is used of requests and counts.'),
      text('Limit', 'What is used of limits.'),
      ageColumn,
    ],
    (object, nowMs) => [...amountCells(object), ageOf(object, nowMs)],
  ),
};
