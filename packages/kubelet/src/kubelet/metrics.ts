import { Gauge, Registry } from 'prom-client';
import type { RuntimeView } from '../runtime/view.ts';
import type { PodSet } from './pod-set.ts';

export interface KubeletMetrics {
  /** Prometheus text. */
  text(): Promise<string>;
}

/** Upstream's names (pkg/kubelet/metrics). */
export function kubeletMetrics(sources: {
  nodeName: string;
  pods: PodSet;
  view: RuntimeView;
}): KubeletMetrics {
  const registry = new Registry();
  const registers: Registry[] = [];
  const name = new Gauge({
    name: 'kubelet_node_name',
    help: "The node's name, as a label. The value is always 1.",
    labelNames: ['node'],
    registers,
  });
  name.set({ node: sources.nodeName }, 1);
  const pods = new Gauge({
    name: 'kubelet_running_pods',
    help: 'Pods with a running sandbox.',
    registers,
    collect() {
      const observed = sources.view.uids().map((uid) => sources.view.pod(uid));
      this.set(observed.filter((pod) => pod?.sandboxes.some(({ ready }) => ready)).length);
    },
  });
  const containers = new Gauge({
    name: 'kubelet_running_containers',
    help: 'Containers by their state in the runtime.',
    labelNames: ['container_state'],
    registers,
    collect() {
      this.reset();
      for (const uid of sources.view.uids()) {
        for (const { state } of sources.view.pod(uid)?.containers ?? []) this.inc({ container_state: state });
      }
    },
  });
  const desired = new Gauge({
    name: 'kubelet_desired_pods',
    help: 'Pods the kubelet has been told to run, by where they come from.',
    labelNames: ['static'],
    registers,
    collect() {
      this.reset();
      for (const { pod } of sources.pods.all()) {
        const source = pod.metadata.annotations?.['kubernetes.io/config.source'];
        this.inc({ static: source === undefined || source === 'api' ? '' : 'true' });
      }
    },
  });
  for (const metric of [name, pods, containers, desired]) registry.registerMetric(metric);
  return { text: () => registry.metrics() };
}
