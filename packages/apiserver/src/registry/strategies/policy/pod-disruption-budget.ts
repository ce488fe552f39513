import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { PodDisruptionBudget } from '@cloudless/kube/types/policy-v1';
import type { Strategy } from '../../strategy.ts';
import {
  nonNegativeEach,
  notMoreThan100Percent,
  optionalOneOf,
  positiveIntOrPercent,
} from '../../validation/fields.ts';
import { validateConditions, validateLabelSelector } from '../../validation/metadata.ts';
import { ageColumn, ageOf, integer, table, text } from '../table/table.ts';

const specPath = FieldPath.of('spec');
const statusPath = FieldPath.of('status');

function validate(budget: PodDisruptionBudget): FieldError[] {
  const spec = budget.spec ?? {};
  const wrong: FieldError[] = [];
  if (spec.minAvailable != null && spec.maxUnavailable != null) {
    const why = 'minAvailable and maxUnavailable cannot be both set';
    wrong.push(fieldErrors.invalid(specPath, spec, why));
  }
  for (const name of ['minAvailable', 'maxUnavailable'] as const) {
    const value = spec[name];
    if (value == null) continue;
    wrong.push(
      ...positiveIntOrPercent(value, specPath.child(name)),
      ...notMoreThan100Percent(value, specPath.child(name)),
    );
  }
  return [
    ...wrong,
    ...validateLabelSelector(spec.selector, specPath.child('selector')),
    ...optionalOneOf(
      spec.unhealthyPodEvictionPolicy,
      ['AlwaysAllow', 'IfHealthyBudget'],
      specPath.child('unhealthyPodEvictionPolicy'),
    ),
  ];
}

const counters = ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'];

/** Upstream: pkg/apis/policy/validation, pkg/registry/policy/poddisruptionbudget. */
export const podDisruptionBudget: Strategy<PodDisruptionBudget> = {
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object) => validate(object),
  validateStatusUpdate: (_context, { status }) => [
    ...validateConditions(status?.conditions, statusPath.child('conditions')),
    ...nonNegativeEach(status, counters, statusPath),
  ],
  table: table<PodDisruptionBudget>(
    [
      text('Min Available', 'Pods that must stay.'),
      text('Max Unavailable', 'Pods that may be away.'),
      integer('Allowed Disruptions', 'Pods that may be disrupted now.'),
      ageColumn,
    ],
    (object, nowMs) => [
      String(object.spec?.minAvailable ?? 'N/A'),
      String(object.spec?.maxUnavailable ?? 'N/A'),
      object.status?.disruptionsAllowed ?? 0,
      ageOf(object, nowMs),
    ],
  ),
};
