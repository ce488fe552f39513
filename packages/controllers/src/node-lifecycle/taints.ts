import { formatTime } from '@cloudless/kube/time';
import type { Node, NodeCondition, Taint } from '@cloudless/kube/types/core-v1';

export const notReadyTaint = 'node.kubernetes.io/not-ready';
export const unreachableTaint = 'node.kubernetes.io/unreachable';
const unschedulableTaint = 'node.kubernetes.io/unschedulable';

/** Taint that a condition's status stands for (upstream: nodeConditionToTaintKeyStatusMap). */
const conditionTaints: Record<string, Partial<Record<string, string>>> = {
  Ready: { False: notReadyTaint, Unknown: unreachableTaint },
  MemoryPressure: { True: 'node.kubernetes.io/memory-pressure' },
  DiskPressure: { True: 'node.kubernetes.io/disk-pressure' },
  NetworkUnavailable: { True: 'node.kubernetes.io/network-unavailable' },
  PIDPressure: { True: 'node.kubernetes.io/pid-pressure' },
};

const noScheduleKeys = new Set([
  unschedulableTaint,
  ...Object.values(conditionTaints).flatMap((byStatus) => Object.values(byStatus) as string[]),
]);
const noExecuteKeys = new Set([notReadyTaint, unreachableTaint]);

export function readyCondition(node: Node): NodeCondition | undefined {
  return node.status?.conditions?.find((condition) => condition.type === 'Ready');
}

/** Keys of the NoSchedule taints that a node's state asks for. */
export function wantedNoSchedule(node: Node): Set<string> {
  const keys = new Set<string>();
  for (const condition of node.status?.conditions ?? []) {
    const key = conditionTaints[condition.type]?.[condition.status];
    if (key !== undefined) keys.add(key);
  }
  if (node.spec?.unschedulable) keys.add(unschedulableTaint);
  return keys;
}

/** Key of the NoExecute taint that a node's readiness asks for. */
export function wantedNoExecute(node: Node): string | undefined {
  return conditionTaints['Ready']?.[readyCondition(node)?.status ?? ''];
}

const ours = (taint: Taint): boolean =>
  (taint.effect === 'NoSchedule' && noScheduleKeys.has(taint.key)) ||
  (taint.effect === 'NoExecute' && noExecuteKeys.has(taint.key));

/**
 * The node's taints as they should be: others' as they are, ours by its state. Undefined when they are right
 * already. A taint that stays keeps the time it was added.
 */
export function nextTaints(node: Node, noExecute: string | undefined, nowMs: number): Taint[] | undefined {
  const current = node.spec?.taints ?? [];
  const wanted: Taint[] = [...wantedNoSchedule(node)].map((key) => ({ key, effect: 'NoSchedule' }));
  if (noExecute !== undefined) wanted.push({ key: noExecute, effect: 'NoExecute' });
  const has = (list: readonly Taint[], one: Taint): Taint | undefined =>
    list.find((taint) => taint.key === one.key && taint.effect === one.effect);
  const kept = current.filter((taint) => !ours(taint) || has(wanted, taint));
  const added = wanted.filter((taint) => !has(current, taint));
  if (added.length === 0 && kept.length === current.length) return undefined;
  return [...kept, ...added.map((taint) => ({ ...taint, timeAdded: formatTime(nowMs) }))];
}
