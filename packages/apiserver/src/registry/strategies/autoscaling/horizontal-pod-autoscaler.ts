import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  HorizontalPodAutoscaler,
  HPAScalingRules,
  MetricSpec,
  MetricStatus,
} from '@cloudless/kube/types/autoscaling-v2';
import type { Strategy } from '../../strategy.ts';
import { invalidEach, oneOf } from '../../validation/fields.ts';
import { nameIsPathSegment } from '../../validation/names.ts';
import { formatQuantity } from '../../validation/quantities.ts';
import { ageColumn, ageOf, listCell, table, text } from '../table/table.ts';

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

const metricTypes = ['ContainerResource', 'External', 'Object', 'Pods', 'Resource'];

function validateMetric(metric: MetricSpec, path: FieldPath): FieldError[] {
  const wrong = oneOf(metric.type, metricTypes, path.child('type'));
  if (wrong.length > 0) return wrong;
  const source = (metric.type[0] as string).toLowerCase() + metric.type.slice(1);
  if ((metric as unknown as Record<string, unknown>)[source] == null) {
    const why = `must populate information for the given metric source (type: ${metric.type})`;
    wrong.push(fieldErrors.required(path.child(source), why));
  }
  return wrong;
}

function validate(autoscaler: HorizontalPodAutoscaler): FieldError[] {
  const spec = autoscaler.spec;
  const target = spec?.scaleTargetRef;
  const targetPath = specPath.child('scaleTargetRef');
  const wrong: FieldError[] = [];
  if (spec?.minReplicas != null && spec.minReplicas < 1) {
    const why = 'must be greater than or equal to 1';
    wrong.push(fieldErrors.invalid(specPath.child('minReplicas'), spec.minReplicas, why));
  }
  const max = spec?.maxReplicas ?? 0;
  if (max < 1) wrong.push(fieldErrors.invalid(specPath.child('maxReplicas'), max, 'must be greater than 0'));
  if (spec?.minReplicas != null && max < spec.minReplicas) {
    const why = 'must be greater than or equal to `minReplicas`';
    wrong.push(fieldErrors.invalid(specPath.child('maxReplicas'), max, why));
  }
  for (const name of ['kind', 'name'] as const) {
    const value = target?.[name];
    if (!value) wrong.push(fieldErrors.required(targetPath.child(name)));
    else wrong.push(...invalidEach(targetPath.child(name), value, nameIsPathSegment(value)));
  }
  const metrics = specPath.child('metrics');
  return [
    ...wrong,
    ...(spec?.metrics ?? []).flatMap((metric, i) => validateMetric(metric, metrics.index(i))),
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
  validateUpdate: (_context, object) => validate(object),
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
