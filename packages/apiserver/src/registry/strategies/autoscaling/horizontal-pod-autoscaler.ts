import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  HorizontalPodAutoscaler,
  HPAScalingRules,
  MetricSpec,
  MetricStatus,
} from '@cloudless/kube/types/autoscaling-v2';
import type { Strategy } from '../../strategy.ts';
import { nonNegativeEach, optionalOneOf } from '../../validation/fields.ts';
import { formatQuantity, validateNonNegativeQuantity } from '../../validation/quantities.ts';
import { ageColumn, ageOf, listCell, table, text } from '../table/table.ts';
import { validateApiVersion, validateMetrics, validateObjectReference } from './validate-metrics.ts';

const specPath = FieldPath.of('spec');

const scaleUp = (): HPAScalingRules => ({
  stabilizationWindowSeconds: 0,
  selectPolicy: 'Max',
  policies: [
    { type: 'Pods', value: 4, periodSeconds: 15 },
    { type: 'Percent', value: 100, periodSeconds: 15 },
  ],
});
const scaleDown = (): HPAScalingRules => ({
  selectPolicy: 'Max',
  policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
});

/** What is set wins over the default, field by field. */
function withDefaults(rules: HPAScalingRules | undefined, defaults: HPAScalingRules): HPAScalingRules {
  const merged = { ...defaults } as Record<string, unknown>;
  for (const [name, value] of Object.entries(rules ?? {})) if (value != null) merged[name] = value;
  return merged;
}

/** Upstream: pkg/apis/autoscaling/v2/defaults.go. */
function defaults(autoscaler: HorizontalPodAutoscaler): void {
  const spec = autoscaler.spec;
  if (!spec) return;
  spec.minReplicas ??= 1;
  if (!spec.metrics?.length) {
    const target = { type: 'Utilization', averageUtilization: 80 };
    spec.metrics = [{ type: 'Resource', resource: { name: 'cpu', target } }];
  }
  if (spec.behavior) {
    spec.behavior.scaleUp = withDefaults(spec.behavior.scaleUp, scaleUp());
    spec.behavior.scaleDown = withDefaults(spec.behavior.scaleDown, scaleDown());
  }
}

const selectPolicies = ['Disabled', 'Max', 'Min'];
const policyTypes = ['Percent', 'Pods'];
const maxPeriodSeconds = 1800;
const maxWindowSeconds = 3600;

function validateRules(rules: HPAScalingRules | undefined, path: FieldPath): FieldError[] {
  if (!rules) return [];
  const wrong: FieldError[] = [];
  const invalid = (at: FieldPath, value: unknown, why: string): void =>
    void wrong.push(fieldErrors.invalid(at, value, why));
  const window = rules.stabilizationWindowSeconds;
  const windowPath = path.child('stabilizationWindowSeconds');
  if (window != null && window < 0) invalid(windowPath, window, 'must be greater than or equal to zero');
  if (window != null && window > maxWindowSeconds)
    invalid(windowPath, window, `must be less than or equal to ${maxWindowSeconds}`);
  wrong.push(...optionalOneOf(rules.selectPolicy, selectPolicies, path.child('selectPolicy')));
  const policies = path.child('policies');
  if (!rules.policies?.length) wrong.push(fieldErrors.required(policies, 'must specify at least one Policy'));
  for (const [i, { type = '', value = 0, periodSeconds = 0 }] of (rules.policies ?? []).entries()) {
    const at = policies.index(i);
    wrong.push(...optionalOneOf(type, policyTypes, at.child('type')));
    if (value <= 0) invalid(at.child('value'), value, 'must be greater than zero');
    if (periodSeconds <= 0) invalid(at.child('periodSeconds'), periodSeconds, 'must be greater than zero');
    if (periodSeconds > maxPeriodSeconds)
      invalid(at.child('periodSeconds'), periodSeconds, `must be less than or equal to ${maxPeriodSeconds}`);
  }
  return rules.tolerance == null
    ? wrong
    : [...wrong, ...validateNonNegativeQuantity(rules.tolerance, path.child('tolerance'))];
}

function validateReplicas(spec: HorizontalPodAutoscaler['spec'], lowest: number): FieldError[] {
  const wrong: FieldError[] = [];
  const invalid = (name: string, value: number, why: string): void =>
    void wrong.push(fieldErrors.invalid(specPath.child(name), value, why));
  const min = spec?.minReplicas;
  const max = spec?.maxReplicas ?? 0;
  if (min != null && min < lowest) invalid('minReplicas', min, `must be greater than or equal to ${lowest}`);
  if (max === 0)
    wrong.push(fieldErrors.required(specPath.child('maxReplicas'), 'must be set and greater than 0'));
  else if (max < 0) invalid('maxReplicas', max, 'must be greater than or equal to 1');
  if (min != null && max < min) invalid('maxReplicas', max, 'must be greater than or equal to `minReplicas`');
  return wrong;
}

/** What was wrong before may stay so: `old` loosens the rules about the reference. */
function validate({ spec }: HorizontalPodAutoscaler, old?: HorizontalPodAutoscaler): FieldError[] {
  const target = specPath.child('scaleTargetRef');
  const before = old?.spec?.scaleTargetRef;
  const version = target.child('apiVersion');
  const wasWrong = old !== undefined && validateApiVersion(before?.apiVersion, false, version).length > 0;
  const needsGroup = old === undefined || validateApiVersion(before?.apiVersion, true, version).length === 0;
  return [
    ...validateReplicas(spec, 1),
    ...validateObjectReference(spec?.scaleTargetRef, target),
    ...(wasWrong ? [] : validateApiVersion(spec?.scaleTargetRef?.apiVersion, needsGroup, version)),
    ...validateMetrics(spec?.metrics, spec?.minReplicas, specPath.child('metrics')),
    ...validateRules(spec?.behavior?.scaleUp, specPath.child('behavior', 'scaleUp')),
    ...validateRules(spec?.behavior?.scaleDown, specPath.child('behavior', 'scaleDown')),
  ];
}

interface Target {
  averageValue?: string | number;
  value?: string | number;
  averageUtilization?: number;
}

function metricCell(metric: MetricSpec, status: MetricStatus | undefined): string {
  const key = metric.type.slice(0, 1).toLowerCase() + metric.type.slice(1);
  const source = (metric as unknown as Record<string, { name?: string; target?: Target } | undefined>)[key];
  const current = (status as unknown as Record<string, { current?: Target } | undefined> | undefined)?.[key]
    ?.current;
  const target = source?.target ?? {};
  const show = (value: string | number | undefined): string =>
    value === undefined ? '<unknown>' : formatQuantity(value);
  const perPod = key === 'resource' || key === 'containerResource';
  if (perPod) {
    if (target.averageValue !== undefined) {
      return `${source?.name}: ${show(current?.averageValue)}/${show(target.averageValue)}`;
    }
    const now = current?.averageUtilization === undefined ? '<unknown>' : `${current.averageUtilization}%`;
    const wanted = target.averageUtilization === undefined ? '<auto>' : `${target.averageUtilization}%`;
    return `${source?.name}: ${now}/${wanted}`;
  }
  if (key === 'pods') return `${show(current?.averageValue)}/${show(target.averageValue)}`;
  if (target.averageValue !== undefined) {
    return `${show(current?.averageValue)}/${show(target.averageValue)} (avg)`;
  }
  return `${show(current?.value)}/${show(target.value)}`;
}

/** Upstream: pkg/apis/autoscaling, pkg/registry/autoscaling/horizontalpodautoscaler. Stored as autoscaling/v2. */
export const horizontalPodAutoscaler: Strategy<HorizontalPodAutoscaler> = {
  defaults,
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => validate(object, old),
  validateStatusUpdate: (_context, { status }) =>
    nonNegativeEach(status, ['currentReplicas', 'desiredReplicas'], FieldPath.of('status')),
  table: table<HorizontalPodAutoscaler>(
    [
      text('Reference', 'What is scaled.'),
      text('Targets', 'Metrics, now and wanted.'),
      text('MinPods', 'Fewest pods.'),
      text('MaxPods', 'Most pods.'),
      text('Replicas', 'Pods now.'),
      ageColumn,
    ],
    (object, nowMs) => [
      `${object.spec?.scaleTargetRef?.kind}/${object.spec?.scaleTargetRef?.name}`,
      listCell(
        (object.spec?.metrics ?? []).map((metric, i) =>
          metricCell(metric, object.status?.currentMetrics?.[i]),
        ),
        2,
        ', ',
      ),
      object.spec?.minReplicas == null ? '<unset>' : String(object.spec.minReplicas),
      object.spec?.maxReplicas ?? 0,
      object.status?.currentReplicas ?? 0,
      ageOf(object, nowMs),
    ],
  ),
};
