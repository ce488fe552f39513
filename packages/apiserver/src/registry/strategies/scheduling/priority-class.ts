import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { PriorityClass } from '@cloudless/kube/types/scheduling-v1';
import type { Strategy } from '../../strategy.ts';
import { immutable, oneOfListed } from '../../validation/fields.ts';
import { ageColumn, ageOf, boolean, integer, table, text } from '../table/table.ts';

const highestUserPriority = 1_000_000_000;
/** Classes of the cluster itself, with the only values they may have. */
export const systemPriorities: Readonly<Record<string, number>> = {
  'system-node-critical': 2_000_001_000,
  'system-cluster-critical': 2_000_000_000,
};

function validate(object: PriorityClass): FieldError[] {
  const name = object.metadata.name ?? '';
  const value = object.value ?? 0;
  const wrong: FieldError[] = [];
  if (name.startsWith('system-')) {
    const isSystem =
      systemPriorities[name] !== undefined && systemPriorities[name] === value && !object.globalDefault;
    if (!isSystem) {
      const why = "priority class names with 'system-' prefix are reserved for system use only. error: ";
      const detail =
        systemPriorities[name] === undefined
          ? `${name} is not a known system priority class`
          : `value of ${name} PriorityClass must be ${systemPriorities[name]}`;
      wrong.push(fieldErrors.forbidden(FieldPath.of('metadata', 'name'), why + detail));
    }
  } else if (value > highestUserPriority) {
    const why = `maximum allowed value of a user defined priority is ${highestUserPriority}`;
    wrong.push(fieldErrors.forbidden(FieldPath.of('value'), why));
  }
  const path = FieldPath.of('preemptionPolicy');
  if (object.preemptionPolicy === '') return [...wrong, fieldErrors.required(path)];
  return [...wrong, ...oneOfListed(object.preemptionPolicy, ['PreemptLowerPriority', 'Never'], path)];
}

/** Upstream: pkg/apis/scheduling/validation, pkg/registry/scheduling/priorityclass. */
export const priorityClass: Strategy<PriorityClass> = {
  defaults: (object) => void (object.preemptionPolicy ??= 'PreemptLowerPriority'),
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => [
    ...(object.value === old.value
      ? []
      : [fieldErrors.forbidden(FieldPath.of('value'), 'may not be changed in an update.')]),
    ...immutable(object.preemptionPolicy, old.preemptionPolicy, FieldPath.of('preemptionPolicy')),
  ],
  table: table<PriorityClass>(
    [
      integer('Value', 'Higher goes first.'),
      boolean('Global-Default', 'Whether pods without a class get it.'),
      ageColumn,
      text('PreemptionPolicy', 'Whether it makes room by ending others.'),
    ],
    (object, nowMs) => [
      object.value ?? 0,
      object.globalDefault ?? false,
      ageOf(object, nowMs),
      object.preemptionPolicy ?? '',
    ],
  ),
};
