import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Metrics of all work queues of a process, with upstream's names and buckets (component-base/metrics/workqueue). */
export interface WorkQueueMetrics {
  readonly adds: Counter<'name'>;
  readonly depth: Gauge<'name'>;
  readonly retries: Counter<'name'>;
  readonly queueSeconds: Histogram<'name'>;
  readonly workSeconds: Histogram<'name'>;
  /** Lets a queue tell how long what it works on has been running, when the metrics are read. */
  observe(name: string, runningSeconds: () => number[]): void;
}

/** Powers of ten from 10 ns to 10 s. */
const buckets = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10];

/** Registers the metrics; once per registry. */
export function workQueueMetrics(registry: Registry): WorkQueueMetrics {
  const running = new Map<string, () => number[]>();
  const common = { labelNames: ['name'] as const, registers: [registry] };
  const unfinished = new Gauge({
    ...common,
    name: 'workqueue_unfinished_work_seconds',
    help: 'Seconds of work in progress that work_duration has not observed yet; large values mean stuck work.',
    collect() {
      for (const [name, seconds] of running)
        unfinished.set(
          { name },
          seconds().reduce((a, b) => a + b, 0),
        );
    },
  });
  const longest = new Gauge({
    ...common,
    name: 'workqueue_longest_running_processor_seconds',
    help: 'Seconds that the longest running worker of the queue has been at its item.',
    collect() {
      for (const [name, seconds] of running) longest.set({ name }, Math.max(0, ...seconds()));
    },
  });
  return {
    adds: new Counter({ ...common, name: 'workqueue_adds_total', help: 'Items added to the queue.' }),
    depth: new Gauge({ ...common, name: 'workqueue_depth', help: 'Items that wait in the queue.' }),
    retries: new Counter({
      ...common,
      name: 'workqueue_retries_total',
      help: 'Items added again after a failure.',
    }),
    queueSeconds: new Histogram({
      ...common,
      name: 'workqueue_queue_duration_seconds',
      help: 'Seconds an item waits before it is worked on.',
      buckets,
    }),
    workSeconds: new Histogram({
      ...common,
      name: 'workqueue_work_duration_seconds',
      help: 'Seconds that work on an item takes.',
      buckets,
    }),
    observe: (name, seconds) => running.set(name, seconds),
  };
}
