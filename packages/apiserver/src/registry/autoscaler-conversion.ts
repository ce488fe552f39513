/**
 * HorizontalPodAutoscaler between autoscaling/v2, in which it is stored, and autoscaling/v1: CPU utilization has
 * fields of its own there, everything else travels in annotations (kubernetes/pkg/apis/autoscaling/v1/conversion.go).
 */
type Fields = Record<string, unknown>;

const defaultCpuUtilization = 80;
const prefix = 'autoscaling.alpha.kubernetes.io/';

interface Target {
  type?: string;
  value?: unknown;
  averageValue?: unknown;
  averageUtilization?: number;
}
interface Metric {
  name?: string;
  selector?: unknown;
}
/** One metric of v2, wanted or measured. */
interface Source {
  name?: string;
  container?: string;
  describedObject?: { kind?: string; name?: string; apiVersion?: string };
  metric?: Metric;
  target?: Target;
  current?: Target;
}
type Sources = { type: string } & Record<string, Source | undefined>;

/** Without absent members: JSON in Go's order, which clients compare as text. */
const present = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

/** v1's names of a source: `target…` for what is wanted, `current…` for what was measured. */
function sourceToV1(kind: string, source: Source, side: 'target' | 'current'): Fields {
  const { metric = {}, name, container, describedObject } = source;
  const amount = source[side] ?? {};
  const required = (value: unknown): unknown => value ?? '0';
  const perPod = {
    name: name ?? '',
    [`${side}AverageUtilization`]: amount.averageUtilization,
    [`${side}AverageValue`]: side === 'current' ? required(amount.averageValue) : amount.averageValue,
  };
  switch (kind) {
    case 'object': {
      const { kind: objectKind, name: objectName, apiVersion } = describedObject ?? {};
      return present({
        target: present({ kind: objectKind ?? '', name: objectName ?? '', apiVersion }),
        metricName: metric.name ?? '',
        [`${side}Value`]: required(amount.value),
        selector: metric.selector,
        averageValue: amount.averageValue,
      });
    }
    case 'pods':
      return present({
        metricName: metric.name ?? '',
        [`${side}AverageValue`]: required(amount.averageValue),
        selector: metric.selector,
      });
    case 'resource':
      return present(perPod);
    case 'containerResource':
      return present({ ...perPod, container: container ?? '' });
    default:
      return present({
        metricName: metric.name ?? '',
        metricSelector: metric.selector,
        [`${side}Value`]: side === 'current' ? required(amount.value) : amount.value,
        [`${side}AverageValue`]: amount.averageValue,
      });
  }
}

const kinds = ['object', 'pods', 'resource', 'containerResource', 'external'];

const metricsToV1 = (metrics: readonly Sources[], side: 'target' | 'current'): Fields[] =>
  metrics.map((metric) => {
    const out: Fields = { type: metric.type };
    for (const kind of kinds) if (metric[kind]) out[kind] = sourceToV1(kind, metric[kind], side);
    return out;
  });

/** How much is wanted or was measured, with the type that v1 leaves to be guessed. */
function amountToV2(kind: string, source: Fields, side: 'target' | 'current'): Fields {
  const value = source[`${side}Value`];
  const average = kind === 'object' ? source['averageValue'] : source[`${side}AverageValue`];
  const utilization = source[`${side}AverageUtilization`];
  const isZero = value === undefined || value === '0' || value === 0;
  const type =
    kind === 'resource' || kind === 'containerResource'
      ? utilization === undefined
        ? 'AverageValue'
        : 'Utilization'
      : kind === 'pods' || average !== undefined
        ? 'AverageValue'
        : 'Value';
  return present({
    type: side === 'target' ? type : undefined,
    value: kind === 'object' && average !== undefined && isZero ? undefined : value,
    // v1 always writes what was measured, zero or not.
    averageValue: side === 'current' && utilization !== undefined && average === '0' ? undefined : average,
    averageUtilization: utilization,
  });
}

function sourceToV2(kind: string, source: Fields, side: 'target' | 'current'): Fields {
  const metric = present({
    name: source['metricName'],
    selector: source[kind === 'external' ? 'metricSelector' : 'selector'],
  });
  const amount = { [side]: amountToV2(kind, source, side) };
  if (kind === 'object') return present({ describedObject: source['target'], ...amount, metric });
  if (kind === 'pods' || kind === 'external') return { metric, ...amount };
  return present({ name: source['name'], container: source['container'], ...amount });
}

const metricsToV2 = (metrics: readonly Fields[], side: 'target' | 'current'): Fields[] =>
  metrics.map((metric) => {
    const out: Fields = { type: metric['type'] };
    for (const kind of kinds) if (metric[kind]) out[kind] = sourceToV2(kind, metric[kind] as Fields, side);
    return out;
  });

type Rules = Record<string, unknown>;

/** Upstream writes its internal struct: names in capitals, what is not set as null. */
function behaviorToV1(behavior: Fields): Fields {
  const rules = (of: Rules | undefined): unknown =>
    of
      ? {
          StabilizationWindowSeconds: of['stabilizationWindowSeconds'] ?? null,
          SelectPolicy: of['selectPolicy'] ?? null,
          Policies:
            (of['policies'] as Rules[] | undefined)?.map((policy) => ({
              Type: policy['type'] ?? '',
              Value: policy['value'] ?? 0,
              PeriodSeconds: policy['periodSeconds'] ?? 0,
            })) ?? null,
          Tolerance: of['tolerance'] ?? null,
        }
      : null;
  return {
    ScaleUp: rules(behavior['scaleUp'] as Rules | undefined),
    ScaleDown: rules(behavior['scaleDown'] as Rules | undefined),
  };
}

/** Names in either case, as Go's decoder reads them; nulls left out. */
function behaviorToV2(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(behaviorToV2);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null)
      .map(([name, member]) => [(name[0] ?? '').toLowerCase() + name.slice(1), behaviorToV2(member)]),
  );
}

const isCpu = (metric: Sources): boolean => metric.type === 'Resource' && metric['resource']?.name === 'cpu';

/** Changes an object of autoscaling/v2 into one of autoscaling/v1 in place. */
export function autoscalerToV1(object: Fields): void {
  const spec = object['spec'] as Fields | undefined;
  const status = object['status'] as Fields | undefined;
  const metadata = object['metadata'] as Fields;
  const kept: Fields = {};
  if (spec) {
    const metrics = (spec['metrics'] as Sources[] | undefined) ?? [];
    const cpu = metrics.find(
      (metric) => isCpu(metric) && metric['resource']?.target?.averageUtilization !== undefined,
    );
    const rest = metrics.filter((metric) => metric !== cpu);
    if (cpu) spec['targetCPUUtilizationPercentage'] = cpu['resource']?.target?.averageUtilization;
    if (rest.length > 0) kept['metrics'] = metricsToV1(rest, 'target');
    if (spec['behavior']) kept['behavior'] = behaviorToV1(spec['behavior'] as Fields);
    delete spec['metrics'];
    delete spec['behavior'];
  }
  if (status) {
    status['currentReplicas'] ??= 0;
    const metrics = (status['currentMetrics'] as Sources[] | undefined) ?? [];
    const cpu = metrics.find(
      (metric) => isCpu(metric) && metric['resource']?.current?.averageUtilization !== undefined,
    );
    if (cpu) status['currentCPUUtilizationPercentage'] = cpu['resource']?.current?.averageUtilization;
    if (metrics.length > 0) kept['current-metrics'] = metricsToV1(metrics, 'current');
    if ((status['conditions'] as unknown[] | undefined)?.length) kept['conditions'] = status['conditions'];
    delete status['currentMetrics'];
    delete status['conditions'];
  }
  const annotations = { ...(metadata['annotations'] as Fields | undefined) };
  for (const key in kept) annotations[prefix + key] = JSON.stringify(kept[key]);
  if (Object.keys(annotations).length > 0) metadata['annotations'] = annotations;
}

/** Takes an annotation's JSON; undefined for none or a broken one. */
function take(annotations: Record<string, string>, key: string): unknown {
  const text = annotations[prefix + key];
  delete annotations[prefix + key];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Changes an object of autoscaling/v1 into one of autoscaling/v2 in place. */
export function autoscalerToV2(object: Fields): void {
  const spec = (object['spec'] ??= {}) as Fields;
  const status = object['status'] as Fields | undefined;
  const metadata = object['metadata'] as Fields;
  const annotations = { ...(metadata['annotations'] as Record<string, string> | undefined) };
  const metrics = metricsToV2((take(annotations, 'metrics') as Fields[] | undefined) ?? [], 'target');
  const behavior = behaviorToV2(take(annotations, 'behavior'));
  const current = metricsToV2(
    (take(annotations, 'current-metrics') as Fields[] | undefined) ?? [],
    'current',
  );
  const conditions = take(annotations, 'conditions');
  const percentage = spec['targetCPUUtilizationPercentage'];
  delete spec['targetCPUUtilizationPercentage'];
  // The default is set here, where all metrics are known; v1 has none (defaultCpuUtilization of upstream).
  if (percentage !== undefined || metrics.length === 0) {
    const target = { type: 'Utilization', averageUtilization: percentage ?? defaultCpuUtilization };
    metrics.push({ type: 'Resource', resource: { name: 'cpu', target } });
  }
  spec['metrics'] = metrics;
  if (behavior) spec['behavior'] = behavior;
  if (status) {
    const percentage = status['currentCPUUtilizationPercentage'];
    if (percentage !== undefined && current.length === 0) {
      const measured = { averageUtilization: percentage };
      current.push({ type: 'Resource', resource: { name: 'cpu', current: measured } });
    }
    delete status['currentCPUUtilizationPercentage'];
    if (current.length > 0) status['currentMetrics'] = current;
    if (conditions) status['conditions'] = conditions;
  }
  if (Object.keys(annotations).length > 0) metadata['annotations'] = annotations;
  else delete metadata['annotations'];
}
