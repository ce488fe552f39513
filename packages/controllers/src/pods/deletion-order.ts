import type { Pod } from '@cloudless/kube/types/core-v1';
import { parseTime } from '@cloudless/kube/time';
import { isPodReady, podCondition } from './condition.ts';

const deletionCostAnnotation = 'controller.kubernetes.io/pod-deletion-cost';
const phaseOrder: Record<string, number> = { Pending: 0, Unknown: 1, Running: 2 };

interface Ranked {
  pod: Pod;
  ready: boolean;
  cost: number;
  /** Pods of the same owners on the same node. */
  crowd: number;
  restarts: number;
  readySinceMs: number;
  createdMs: number;
}

function deletionCost(pod: Pod): number {
  const text = pod.metadata.annotations?.[deletionCostAnnotation];
  return text !== undefined && /^(0|-?[1-9]\d{0,9})$/.test(text) ? Number(text) : 0;
}

function readySinceMs(pod: Pod): number {
  const condition = podCondition(pod, 'Ready');
  return condition?.status === 'True' ? parseTime(condition.lastTransitionTime) : Number.NaN;
}

const maxRestarts = (pod: Pod): number =>
  Math.max(0, ...(pod.status?.containerStatuses ?? []).map((status) => status.restartCount ?? 0));

/** Ages compared by their order of magnitude, so that pods of about one age are told apart by chance (KEP-2185). */
function magnitude(ms: number, nowMs: number): number {
  const age = nowMs - ms;
  return age <= 0 ? 0 : Math.floor(Math.log2(age * 1_000_000)) + 1;
}

/** The younger first by magnitude; equals by UID; without a time, later. */
function byAge(a: number, b: number, uids: [string, string], nowMs: number): number {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return 0;
  if (Number.isNaN(a)) return -1;
  if (Number.isNaN(b)) return 1;
  const difference = magnitude(a, nowMs) - magnitude(b, nowMs);
  if (difference !== 0) return difference;
  return uids[0] < uids[1] ? -1 : 1;
}

/**
 * `pods` in the order in which a scale-down deletes them (upstream: controller_utils.go, ActivePodsWithRanks):
 * unassigned, pending, not ready, cheap, crowded, lately ready, often restarted, young. `crowds` counts related
 * pods for each node name.
 */
export function deletionOrder(
  pods: readonly Pod[],
  crowds: ReadonlyMap<string, number>,
  nowMs: number,
): Pod[] {
  const ranked: Ranked[] = pods.map((pod) => ({
    pod,
    ready: isPodReady(pod),
    cost: deletionCost(pod),
    crowd: crowds.get(pod.spec?.nodeName ?? '') ?? 0,
    restarts: maxRestarts(pod),
    readySinceMs: readySinceMs(pod),
    createdMs: parseTime(pod.metadata.creationTimestamp),
  }));
  const assigned = (one: Ranked): number => (one.pod.spec?.nodeName ? 1 : 0);
  const phase = (one: Ranked): number => phaseOrder[one.pod.status?.phase ?? ''] ?? 0;
  ranked.sort((a, b) => {
    const uids: [string, string] = [a.pod.metadata.uid ?? '', b.pod.metadata.uid ?? ''];
    return (
      assigned(a) - assigned(b) ||
      phase(a) - phase(b) ||
      Number(a.ready) - Number(b.ready) ||
      a.cost - b.cost ||
      b.crowd - a.crowd ||
      (a.ready && b.ready ? byAge(a.readySinceMs, b.readySinceMs, uids, nowMs) : 0) ||
      b.restarts - a.restarts ||
      byAge(a.createdMs, b.createdMs, uids, nowMs)
    );
  });
  return ranked.map((one) => one.pod);
}
