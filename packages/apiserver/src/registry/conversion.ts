import { apiVersionOf, type KubeObject, type Resource } from '@cloudless/kube/object';

type Fields = Record<string, unknown>;
/** Changes an object of one version into another in place, but for apiVersion and kind. */
type Converter = (object: Fields) => void;

/** Renames fields; absent ones stay absent. */
const rename =
  (names: Readonly<Record<string, string>>): Converter =>
  (object) => {
    const moved: Array<[string, unknown]> = [];
    for (const from in names) {
      if (!(from in object)) continue;
      moved.push([names[from] as string, object[from]]);
      delete object[from];
    }
    for (const [to, value] of moved) object[to] = value;
  };

const eventNames = {
  involvedObject: 'regarding',
  message: 'note',
  source: 'deprecatedSource',
  firstTimestamp: 'deprecatedFirstTimestamp',
  lastTimestamp: 'deprecatedLastTimestamp',
  count: 'deprecatedCount',
  reportingComponent: 'reportingController',
};
const inverse = (names: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(names).map(([from, to]) => [to, from]));

const metricsAnnotation = 'autoscaling.alpha.kubernetes.io/metrics';
const currentMetricsAnnotation = 'autoscaling.alpha.kubernetes.io/current-metrics';
const conditionsAnnotation = 'autoscaling.alpha.kubernetes.io/conditions';
const behaviorAnnotation = 'autoscaling.alpha.kubernetes.io/behavior';

interface CpuMetric {
  type: string;
  resource?: {
    name: string;
    target?: { averageUtilization?: number };
    current?: { averageUtilization?: number };
  };
}
/** Percent of the request. */
const defaultCpuUtilization = 80;

const isCpu = (metric: CpuMetric): boolean => metric.type === 'Resource' && metric.resource?.name === 'cpu';

/**
 * autoscaling/v2 → v1: CPU utilization has fields of its own, everything else travels in annotations
 * (kubernetes/pkg/apis/autoscaling/v1/conversion.go).
 */
const hpaToV1: Converter = (object) => {
  const spec = object['spec'] as Fields | undefined;
  const status = object['status'] as Fields | undefined;
  const metadata = object['metadata'] as Fields;
  const kept: Record<string, unknown> = {};
  if (spec) {
    const metrics = (spec['metrics'] as CpuMetric[] | undefined) ?? [];
    const cpu = metrics.find(
      (metric) => isCpu(metric) && metric.resource?.target?.averageUtilization !== undefined,
    );
    const rest = metrics.filter((metric) => metric !== cpu);
    if (cpu) spec['targetCPUUtilizationPercentage'] = cpu.resource?.target?.averageUtilization;
    if (rest.length > 0) kept[metricsAnnotation] = rest;
    if (spec['behavior']) kept[behaviorAnnotation] = spec['behavior'];
    delete spec['metrics'];
    delete spec['behavior'];
  }
  if (status) {
    const metrics = (status['currentMetrics'] as CpuMetric[] | undefined) ?? [];
    const cpu = metrics.find(
      (metric) => isCpu(metric) && metric.resource?.current?.averageUtilization !== undefined,
    );
    const rest = metrics.filter((metric) => metric !== cpu);
    if (cpu) status['currentCPUUtilizationPercentage'] = cpu.resource?.current?.averageUtilization;
    if (rest.length > 0) kept[currentMetricsAnnotation] = rest;
    if (status['conditions']) kept[conditionsAnnotation] = status['conditions'];
    delete status['currentMetrics'];
    delete status['conditions'];
  }
  const annotations = { ...(metadata['annotations'] as Fields | undefined) };
  for (const key in kept) annotations[key] = JSON.stringify(kept[key]);
  if (Object.keys(annotations).length > 0) metadata['annotations'] = annotations;
};

const hpaToV2: Converter = (object) => {
  const spec = (object['spec'] ??= {}) as Fields;
  const status = object['status'] as Fields | undefined;
  const metadata = object['metadata'] as Fields;
  const annotations = { ...(metadata['annotations'] as Record<string, string> | undefined) };
  const take = (key: string): unknown => {
    const text = annotations[key];
    delete annotations[key];
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return undefined;
    }
  };
  const cpuMetric = (side: 'target' | 'current', value: unknown): Fields => ({
    type: 'Resource',
    resource: {
      name: 'cpu',
      [side]:
        side === 'target'
          ? { type: 'Utilization', averageUtilization: value }
          : { averageUtilization: value },
    },
  });
  const metrics = (take(metricsAnnotation) as Fields[] | undefined) ?? [];
  const behavior = take(behaviorAnnotation);
  const current = (take(currentMetricsAnnotation) as Fields[] | undefined) ?? [];
  const conditions = take(conditionsAnnotation);
  const percentage = spec['targetCPUUtilizationPercentage'];
  if (percentage !== undefined) metrics.push(cpuMetric('target', percentage));
  delete spec['targetCPUUtilizationPercentage'];
  // The default is set here, where all metrics are known; v1 has none (defaultCpuUtilization of upstream).
  spec['metrics'] = metrics.length > 0 ? metrics : [cpuMetric('target', defaultCpuUtilization)];
  if (behavior) spec['behavior'] = behavior;
  if (status) {
    const percentage = status['currentCPUUtilizationPercentage'];
    if (percentage !== undefined) current.push(cpuMetric('current', percentage));
    delete status['currentCPUUtilizationPercentage'];
    if (current.length > 0) status['currentMetrics'] = current;
    if (conditions) status['conditions'] = conditions;
  }
  if (Object.keys(annotations).length > 0) metadata['annotations'] = annotations;
  else delete metadata['annotations'];
};

/** By `from→to`; versions that differ in name only need none. */
const converters: Readonly<Record<string, Converter>> = {
  'v1/Event→events.k8s.io/v1/Event': rename(eventNames),
  'events.k8s.io/v1/Event→v1/Event': rename(inverse(eventNames)),
  'autoscaling/v2/HorizontalPodAutoscaler→autoscaling/v1/HorizontalPodAutoscaler': hpaToV1,
  'autoscaling/v1/HorizontalPodAutoscaler→autoscaling/v2/HorizontalPodAutoscaler': hpaToV2,
};

/**
 * The conversion slot of the request path (ARCHITECTURE.md, wall 4): every object passes here between the version of
 * its URL and the one it is stored in. Changes and returns `object`, which the caller owns.
 */
export function convert(object: KubeObject, from: Resource, to: Resource): KubeObject {
  if (from.group === to.group && from.version === to.version) return object;
  const converter = converters[`${apiVersionOf(from)}/${from.kind}→${apiVersionOf(to)}/${to.kind}`];
  converter?.(object as unknown as Fields);
  object.apiVersion = apiVersionOf(to);
  object.kind = to.kind;
  return object;
}
