/** What a HorizontalPodAutoscaler may look at (upstream: pkg/apis/autoscaling/validation). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  CrossVersionObjectReference,
  MetricIdentifier,
  MetricSpec,
  MetricTarget,
} from '@cloudless/kube/types/autoscaling-v2';
import { dns1123Label, invalidEach } from '../../validation/fields.ts';
import { nameIsPathSegment } from '../../validation/names.ts';
import { formatQuantity, signOf } from '../../validation/quantities.ts';
import { validateContainerResourceName } from '../pod/validate-resources.ts';

/** A kind and a name that fit into a URL. */
export function validateObjectReference(
  reference: Partial<CrossVersionObjectReference> | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  for (const name of ['kind', 'name'] as const) {
    const value = reference?.[name];
    if (!value) wrong.push(fieldErrors.required(path.child(name)));
    else wrong.push(...invalidEach(path.child(name), value, nameIsPathSegment(value)));
  }
  return wrong;
}

/** What is wrong with an apiVersion; with `needsGroup`, so is the core group's. */
export function validateApiVersion(
  apiVersion: string | undefined,
  needsGroup: boolean,
  path: FieldPath,
): FieldError[] {
  const value = apiVersion ?? '';
  const slashes = value.split('/').length - 1;
  if (slashes > 1) return [fieldErrors.invalid(path, value, `unexpected GroupVersion string: ${value}`)];
  const group = slashes === 1 ? value.slice(0, value.indexOf('/')) : '';
  if (!needsGroup || group !== '') return [];
  return [fieldErrors.invalid(path, value, 'apiVersion must specify API group')];
}

function validateIdentifier(metric: MetricIdentifier | undefined, path: FieldPath): FieldError[] {
  const name = metric?.name ?? '';
  const at = path.child('name');
  if (name === '') return [fieldErrors.required(at, 'must specify a metric name')];
  return invalidEach(at, name, nameIsPathSegment(name));
}

function validateTarget(target: Partial<MetricTarget>, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const type = target.type ?? '';
  if (type === '') wrong.push(fieldErrors.required(path.child('type'), 'must specify a metric target type'));
  if (!['Utilization', 'Value', 'AverageValue'].includes(type)) {
    const why = 'must be either Utilization, Value, or AverageValue';
    wrong.push(fieldErrors.invalid(path.child('type'), type, why));
  }
  for (const name of ['value', 'averageValue'] as const) {
    const amount = target[name];
    if (amount == null || signOf(amount) > 0) continue;
    wrong.push(fieldErrors.invalid(path.child(name), formatQuantity(amount), 'must be positive'));
  }
  const utilization = target.averageUtilization;
  if (utilization != null && utilization < 1)
    wrong.push(fieldErrors.invalid(path.child('averageUtilization'), utilization, 'must be greater than 0'));
  return wrong;
}

/** A raw value or a share of what was requested, not both. */
function validateResourceTarget(target: Partial<MetricTarget>, path: FieldPath): FieldError[] {
  const wrong = validateTarget(target, path);
  const { averageUtilization: utilization, averageValue: value } = target;
  if (utilization == null && value == null) {
    const why = 'must set either a target raw value or a target utilization';
    wrong.push(fieldErrors.required(path.child('averageUtilization'), why));
  }
  if (utilization != null && value != null) {
    const why = 'may not set both a target raw value and a target utilization';
    wrong.push(fieldErrors.forbidden(path.child('averageValue'), why));
  }
  return wrong;
}

type Check = (metric: MetricSpec, path: FieldPath) => FieldError[];

const noTarget: Partial<MetricTarget> = {};

/** By the member of the metric, in the order in which upstream looks. */
const sources: Readonly<Record<string, Check>> = {
  object({ object }, path) {
    const target: Partial<MetricTarget> = object?.target ?? noTarget;
    const at = path.child('target');
    const described = object?.describedObject;
    const wrong = [
      ...validateObjectReference(described, path.child('describedObject')),
      ...validateApiVersion(described?.apiVersion, false, path.child('describedObject', 'apiVersion')),
      ...validateIdentifier(object?.metric, path.child('metric')),
      ...validateTarget(target, at),
    ];
    if (target.value != null || target.averageValue != null) return wrong;
    const why = 'must set either a target value or averageValue';
    return [...wrong, fieldErrors.required(at.child('averageValue'), why)];
  },
  external({ external }, path) {
    const target: Partial<MetricTarget> = external?.target ?? noTarget;
    const at = path.child('target');
    const wrong = [
      ...validateIdentifier(external?.metric, path.child('metric')),
      ...validateTarget(target, at),
    ];
    if (target.value == null && target.averageValue == null) {
      const why = 'must set either a target value for metric or a per-pod target';
      wrong.push(fieldErrors.required(at.child('averageValue'), why));
    }
    if (target.value != null && target.averageValue != null) {
      const why = 'may not set both a target value for metric and a per-pod target';
      wrong.push(fieldErrors.forbidden(at.child('value'), why));
    }
    return wrong;
  },
  pods({ pods }, path) {
    const target: Partial<MetricTarget> = pods?.target ?? noTarget;
    const at = path.child('target');
    const wrong = [...validateIdentifier(pods?.metric, path.child('metric')), ...validateTarget(target, at)];
    if (target.averageValue != null) return wrong;
    return [
      ...wrong,
      fieldErrors.required(at.child('averageValue'), 'must specify a positive target averageValue'),
    ];
  },
  resource({ resource }, path) {
    const wrong = resource?.name
      ? []
      : [fieldErrors.required(path.child('name'), 'must specify a resource name')];
    return [...wrong, ...validateResourceTarget(resource?.target ?? {}, path.child('target'))];
  },
  containerResource({ containerResource: source }, path) {
    const wrong = source?.name
      ? validateContainerResourceName(source.name, path.child('name'))
      : [fieldErrors.required(path.child('name'), 'must specify a resource name')];
    if (source?.container) wrong.push(...dns1123Label(source.container, path.child('container')));
    else wrong.push(fieldErrors.required(path.child('container'), 'must specify a container'));
    return [...wrong, ...validateResourceTarget(source?.target ?? {}, path.child('target'))];
  },
};

const types = ['ContainerResource', 'External', 'Object', 'Pods', 'Resource'];

function validateMetric(metric: MetricSpec, path: FieldPath): FieldError[] {
  const type = metric.type ?? '';
  const wrong: FieldError[] = [];
  if (type === '') wrong.push(fieldErrors.required(path.child('type'), 'must specify a metric source type'));
  const members = metric as unknown as Record<string, unknown>;
  const found = Object.keys(sources).filter((name) => members[name] != null);
  const [first] = found;
  if (!types.includes(type)) wrong.push(fieldErrors.notSupported(path.child('type'), type, types));
  if (first !== undefined) wrong.push(...(sources[first] as Check)(metric, path.child(first)));
  const expected = type.slice(0, 1).toLowerCase() + type.slice(1);
  if (types.includes(type) && members[expected] == null) {
    const why = 'must populate information for the given metric source';
    wrong.push(fieldErrors.required(path.child(expected), why));
  }
  if (found.length === 1) return wrong;
  for (const name of found.filter((each) => each !== expected))
    wrong.push(fieldErrors.forbidden(path.child(name), 'must populate the given metric source only'));
  return wrong;
}

/** Every metric; scaling to nothing needs one that can be measured without pods. */
export function validateMetrics(
  metrics: readonly MetricSpec[] | undefined,
  minReplicas: number | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong = (metrics ?? []).flatMap((metric, i) => validateMetric(metric, path.index(i)));
  if (minReplicas !== 0 || metrics?.some(({ type }) => type === 'Object' || type === 'External'))
    return wrong;
  const why = 'must specify at least one Object or External metric to support scaling to zero replicas';
  return [...wrong, fieldErrors.forbidden(path, why)];
}
