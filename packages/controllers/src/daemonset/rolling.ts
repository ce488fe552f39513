import type { DaemonSet } from '@cloudless/kube/types/apps-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { scaledValue } from '../deployment/replica-sets.ts';
import { isPodAvailable } from '../pods/condition.ts';
import { isUpdated } from './placement.ts';

/** How far an update may go: nodes without an available pod, nodes with one too many. */
export function limits(ds: DaemonSet, desired: number): { surge: number; unavailable: number } {
  const strategy = ds.spec?.updateStrategy;
  if ((strategy?.type ?? 'RollingUpdate') !== 'RollingUpdate') return { surge: 0, unavailable: 0 };
  const surge = scaledValue(strategy?.rollingUpdate?.maxSurge ?? 0, desired, true);
  const unavailable = scaledValue(strategy?.rollingUpdate?.maxUnavailable ?? 1, desired, true);
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable };
}

export interface UpdateStep {
  /** Old pods to delete; their nodes get new ones after. */
  remove: Pod[];
  /** Nodes that get a new pod beside the old one. */
  surge: string[];
}

interface OnNode {
  node: string;
  old: Pod | undefined;
  updated: Pod | undefined;
}

/** The old and the new pod of a node; undefined when there are several of a kind, which is not for an update to mend. */
function onNode(ds: DaemonSet, node: string, pods: readonly Pod[], hash: string): OnNode | undefined {
  const living = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
  const updated = living.filter((pod) => isUpdated(ds, pod, hash));
  const old = living.filter((pod) => !isUpdated(ds, pod, hash));
  if (updated.length > 1 || old.length > 1) return undefined;
  return { node, old: old[0], updated: updated[0] };
}

/** The next step of a rolling update (upstream: daemon/update.go). Pure. */
export function updateStep(
  ds: DaemonSet,
  byNode: ReadonlyMap<string, readonly Pod[]>,
  desired: number,
  hash: string,
  nowMs: number,
): UpdateStep {
  const { surge, unavailable } = limits(ds, desired);
  const minReadySeconds = ds.spec?.minReadySeconds ?? 0;
  const available = (pod: Pod): boolean => isPodAvailable(pod, minReadySeconds, nowMs);
  const nodes = [...byNode].flatMap(([node, pods]) => onNode(ds, node, pods, hash) ?? []);
  return surge === 0 ? byReplacing(nodes, available, unavailable) : bySurging(nodes, available, surge);
}

function byReplacing(nodes: readonly OnNode[], available: (pod: Pod) => boolean, most: number): UpdateStep {
  let unavailable = 0;
  const broken: Pod[] = [];
  const working: Pod[] = [];
  for (const { old, updated } of nodes) {
    if (!old && !updated) unavailable++;
    else if (updated) {
      if (!available(updated)) unavailable++;
    } else if (old && !available(old)) {
      // It serves nobody: replacing it makes nothing worse, but it counts among the unavailable.
      broken.push(old);
      unavailable++;
    } else if (old) working.push(old);
  }
  return { remove: [...broken, ...working.slice(0, Math.max(0, most - unavailable))], surge: [] };
}

function bySurging(nodes: readonly OnNode[], available: (pod: Pod) => boolean, most: number): UpdateStep {
  let surging = 0;
  const remove: Pod[] = [];
  const free: string[] = [];
  const waiting: string[] = [];
  for (const { node, old, updated } of nodes) {
    if (!old) continue;
    if (!updated) (available(old) ? waiting : free).push(node);
    else if (available(updated)) remove.push(old);
    else surging++;
  }
  return { remove, surge: [...free, ...waiting.slice(0, Math.max(0, most - surging))] };
}
