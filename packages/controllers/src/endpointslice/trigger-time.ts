import type { Pod, Service } from '@cloudless/kube/types/core-v1';
import { formatTime, parseTime } from '@cloudless/kube/time';
import { podCondition } from '../pods/condition.ts';

interface Known {
  pods: Map<string, number>;
  serviceMs: number;
}

/**
 * Since when a Service's endpoints have needed the change that is being written: the earliest of what changed
 * since the last time (upstream: endpointslice/trigger_time_tracker.go). Measures how fast the network follows.
 */
export class TriggerTimes {
  readonly #known = new Map<string, Known>();

  /** RFC 3339, or undefined when nothing with a time changed. */
  next(key: string, service: Service, pods: readonly Pod[]): string | undefined {
    const known = this.#known.get(key);
    const times = new Map<string, number>();
    let earliest = Number.POSITIVE_INFINITY;
    for (const pod of pods) {
      const ms = parseTime(podCondition(pod, 'Ready')?.lastTransitionTime);
      if (Number.isNaN(ms)) continue;
      times.set(pod.metadata.uid ?? '', ms);
      if (ms > (known?.pods.get(pod.metadata.uid ?? '') ?? Number.NEGATIVE_INFINITY))
        earliest = Math.min(earliest, ms);
    }
    const serviceMs = parseTime(service.metadata.creationTimestamp) || 0;
    if (serviceMs > (known?.serviceMs ?? Number.NEGATIVE_INFINITY)) {
      // For a new Service only its own birth counts: its pods may be far older.
      earliest = known ? Math.min(earliest, serviceMs) : serviceMs;
    }
    this.#known.set(key, { pods: times, serviceMs });
    return Number.isFinite(earliest) && earliest > 0 ? formatTime(earliest) : undefined;
  }

  forget(key: string): void {
    this.#known.delete(key);
  }
}
