import { readFileSync, statfsSync } from 'node:fs';
import type { Clock } from '@cloudless/kube/clock';
import type { CriRuntime } from '../cri/runtime.ts';
import { labels } from '../runtime/labels.ts';

/** Use of one container at a moment. */
interface ContainerUse {
  name: string;
  startedAtMs?: number;
  atMs: number;
  cpuNanoseconds: bigint;
  cpuNanoCores: bigint;
  workingSetBytes: bigint;
  usageBytes: bigint;
  rssBytes: bigint;
  writableLayerBytes: bigint;
}

interface PodUse {
  uid: string;
  namespace: string;
  name: string;
  containers: ContainerUse[];
}

interface NodeUse {
  cpuNanoseconds: bigint;
  memoryTotalBytes: number;
  memoryAvailableBytes: number;
  bootAtMs: number;
}

const ticksPerSecond = 100n;

/** CPU time and memory of the whole machine. */
function nodeUse(clock: Clock): NodeUse {
  const stat = readFileSync('/proc/stat', 'utf8');
  const fields = (/^cpu +(.*)$/m.exec(stat)?.[1] ?? '').split(' ').map(BigInt);
  // user, nice, system, then idle and iowait, which are no use; irq, softirq, steal.
  const busy = [0, 1, 2, 5, 6, 7].reduce((sum, index) => sum + (fields[index] ?? 0n), 0n);
  const memory = readFileSync('/proc/meminfo', 'utf8');
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(memory)?.[1] ?? 0) * 1024;
  const boot = Number(/^btime (\d+)$/m.exec(stat)?.[1] ?? 0) * 1000;
  return {
    cpuNanoseconds: (busy * 1_000_000_000n) / ticksPerSecond,
    memoryTotalBytes: bytes('MemTotal'),
    memoryAvailableBytes: bytes('MemAvailable'),
    bootAtMs: boot || clock.nowMs(),
  };
}

/** Reads the containers' use from the runtime, and works out rates between two readings. */
export class Stats {
  readonly #cri: CriRuntime;
  readonly #clock: Clock;
  readonly #nodeName: string;
  readonly #folder: string;
  #before = new Map<string, { atMs: number; cpuNanoseconds: bigint }>();

  /** `folder`'s file system is the node's own in the summary. */
  constructor(options: { cri: CriRuntime; clock: Clock; nodeName: string; folder: string }) {
    this.#cri = options.cri;
    this.#clock = options.clock;
    this.#nodeName = options.nodeName;
    this.#folder = options.folder;
  }

  async #pods(): Promise<PodUse[]> {
    const [{ stats }, { containers }] = await Promise.all([
      this.#cri.listContainerStats({}),
      this.#cri.listContainers({}),
    ]);
    const startedAt = new Map(containers.map((each) => [each.id, Number(each.createdAt / 1_000_000n)]));
    const pods = new Map<string, PodUse>();
    const seen = new Map<string, { atMs: number; cpuNanoseconds: bigint }>();
    for (const each of stats) {
      const attributes = each.attributes;
      if (!attributes || !each.cpu) continue;
      const uid = attributes.labels[labels.podUid] ?? '';
      const pod = pods.get(uid) ?? {
        uid,
        namespace: attributes.labels[labels.podNamespace] ?? '',
        name: attributes.labels[labels.podName] ?? '',
        containers: [],
      };
      pods.set(uid, pod);
      const atMs = Number(each.cpu.timestamp / 1_000_000n);
      const cpuNanoseconds = each.cpu.usageCoreNanoSeconds?.value ?? 0n;
      const started = startedAt.get(attributes.id);
      pod.containers.push({
        name: attributes.labels[labels.containerName] ?? '',
        ...(started === undefined ? {} : { startedAtMs: started }),
        atMs,
        cpuNanoseconds,
        cpuNanoCores: each.cpu.usageNanoCores?.value || this.#rate(attributes.id, atMs, cpuNanoseconds),
        workingSetBytes: each.memory?.workingSetBytes?.value ?? 0n,
        usageBytes: each.memory?.usageBytes?.value ?? 0n,
        rssBytes: each.memory?.rssBytes?.value ?? 0n,
        writableLayerBytes: each.writableLayer?.usedBytes?.value ?? 0n,
      });
      seen.set(attributes.id, { atMs, cpuNanoseconds });
    }
    this.#before = seen;
    return [...pods.values()];
  }

  #rate(id: string, atMs: number, cpuNanoseconds: bigint): bigint {
    const before = this.#before.get(id);
    if (!before || atMs <= before.atMs || cpuNanoseconds < before.cpuNanoseconds) return 0n;
    return ((cpuNanoseconds - before.cpuNanoseconds) * 1000n) / BigInt(atMs - before.atMs);
  }

  /** `/stats/summary` (upstream: kubelet/pkg/apis/stats/v1alpha1). */
  async summary(): Promise<object> {
    const pods = await this.#pods();
    const node = nodeUse(this.#clock);
    const now = time(this.#clock.nowMs());
    const fs = this.#fileSystem();
    return {
      node: {
        nodeName: this.#nodeName,
        startTime: time(node.bootAtMs),
        cpu: { time: now, usageCoreNanoSeconds: Number(node.cpuNanoseconds) },
        memory: {
          time: now,
          availableBytes: node.memoryAvailableBytes,
          usageBytes: node.memoryTotalBytes - node.memoryAvailableBytes,
          workingSetBytes: node.memoryTotalBytes - node.memoryAvailableBytes,
        },
        fs: { time: now, ...fs },
        runtime: { imageFs: { time: now, ...fs, usedBytes: await this.#imageBytes() } },
      },
      pods: pods.map((pod) => podSummary(pod, now)),
    };
  }

  #fileSystem(): { availableBytes: number; capacityBytes: number; usedBytes: number } {
    const fs = statfsSync(this.#folder);
    return {
      availableBytes: fs.bavail * fs.bsize,
      capacityBytes: fs.blocks * fs.bsize,
      usedBytes: (fs.blocks - fs.bfree) * fs.bsize,
    };
  }

  async #imageBytes(): Promise<number> {
    const { imageFilesystems } = await this.#cri.imageFsInfo({});
    return imageFilesystems.reduce((sum, each) => sum + Number(each.usedBytes?.value ?? 0n), 0);
  }

  /** `/metrics/resource` in Prometheus' text format (upstream: kubelet/metrics/collectors/resource_metrics.go). */
  async resourceMetrics(): Promise<string> {
    const node = nodeUse(this.#clock);
    let pods: PodUse[] = [];
    let failed = 0;
    try {
      pods = await this.#pods();
    } catch {
      failed = 1;
    }
    const containers = pods.flatMap((pod) => pod.containers.map((container) => ({ pod, container })));
    const sum = (pod: PodUse, key: 'cpuNanoseconds' | 'workingSetBytes'): bigint =>
      pod.containers.reduce((total, each) => total + each[key], 0n);
    const nowMs = this.#clock.nowMs();
    return [
      family('container_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the container in core-seconds',
        containers.map(({ pod, container }) => sample(names(pod, container), seconds(container.cpuNanoseconds), container.atMs))),
      family('container_memory_working_set_bytes', 'gauge', 'Current working set of the container in bytes',
        containers.map(({ pod, container }) => sample(names(pod, container), String(container.workingSetBytes), container.atMs))),
      family('container_start_time_seconds', 'gauge', 'Start time of the container since unix epoch in seconds',
        containers.flatMap(({ pod, container }) =>
          container.startedAtMs === undefined ? [] : [sample(names(pod, container), String(container.startedAtMs / 1000))])),
      family('node_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the node in core-seconds',
        [sample({}, seconds(node.cpuNanoseconds), nowMs)]),
      family('node_memory_working_set_bytes', 'gauge', 'Current working set of the node in bytes',
        [sample({}, String(node.memoryTotalBytes - node.memoryAvailableBytes), nowMs)]),
      family('pod_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the pod in core-seconds',
        pods.map((pod) => sample({ namespace: pod.namespace, pod: pod.name }, seconds(sum(pod, 'cpuNanoseconds')), nowMs))),
      family('pod_memory_working_set_bytes', 'gauge', 'Current working set of the pod in bytes',
        pods.map((pod) => sample({ namespace: pod.namespace, pod: pod.name }, String(sum(pod, 'workingSetBytes')), nowMs))),
      family('resource_scrape_error', 'gauge', '1 if there was an error while getting container metrics, 0 otherwise',
        [sample({}, String(failed))]),
    ].join(''); // prettier-ignore
  }
}

const time = (ms: number): string => new Date(ms).toISOString();

function podSummary(pod: PodUse, now: string): object {
  const total = (
    key: 'cpuNanoseconds' | 'cpuNanoCores' | 'workingSetBytes' | 'usageBytes' | 'rssBytes',
  ): number => Number(pod.containers.reduce((sum, each) => sum + each[key], 0n));
  const started = pod.containers.flatMap((each) => each.startedAtMs ?? []);
  return {
    podRef: { name: pod.name, namespace: pod.namespace, uid: pod.uid },
    ...(started.length === 0 ? {} : { startTime: time(Math.min(...started)) }),
    containers: pod.containers.map((each) => ({
      name: each.name,
      ...(each.startedAtMs === undefined ? {} : { startTime: time(each.startedAtMs) }),
      cpu: {
        time: time(each.atMs),
        usageNanoCores: Number(each.cpuNanoCores),
        usageCoreNanoSeconds: Number(each.cpuNanoseconds),
      },
      memory: {
        time: time(each.atMs),
        usageBytes: Number(each.usageBytes),
        workingSetBytes: Number(each.workingSetBytes),
        rssBytes: Number(each.rssBytes),
      },
      rootfs: { time: time(each.atMs), usedBytes: Number(each.writableLayerBytes) },
    })),
    cpu: { time: now, usageNanoCores: total('cpuNanoCores'), usageCoreNanoSeconds: total('cpuNanoseconds') },
    memory: {
      time: now,
      usageBytes: total('usageBytes'),
      workingSetBytes: total('workingSetBytes'),
      rssBytes: total('rssBytes'),
    },
  };
}

const names = (pod: PodUse, container: ContainerUse): Record<string, string> => ({
  container: container.name,
  namespace: pod.namespace,
  pod: pod.name,
});
const seconds = (nanoseconds: bigint): string => String(Number(nanoseconds) / 1e9);

function sample(of: Record<string, string>, value: string, atMs?: number): string {
  const inner = Object.entries(of).map(([name, text]) => `${name}=${JSON.stringify(text)}`);
  const labelText = inner.length === 0 ? '' : `{${inner.join(',')}}`;
  return `${labelText} ${value}${atMs === undefined ? '' : ` ${Math.round(atMs)}`}`;
}

function family(name: string, type: string, help: string, samples: readonly string[]): string {
  const lines = samples.map((each) => `${name}${each}\n`).join('');
  return lines === '' ? '' : `# HELP ${name} [STABLE] ${help}\n# TYPE ${name} ${type}\n${lines}`;
}
