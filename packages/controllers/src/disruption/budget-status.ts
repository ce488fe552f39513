import { conditionIsCurrent, withAllowedCondition } from '@cloudless/kube/disruption-budget';
import { formatTime, parseTime } from '@cloudless/kube/time';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { PodDisruptionBudget, PodDisruptionBudgetStatus } from '@cloudless/kube/types/policy-v1';
import { isPodReady } from '../pods/condition.ts';
import { semanticEqual } from '../runtime/compare.ts';

// The arithmetic of budgets (upstream: pkg/controller/disruption), without clock and API.

/** How long an eviction may take from its grant to the pod's deletion (upstream: DeletionTimeout). */
export const evictionTimeoutMs = 2 * 60_000;

/** What a budget expects: of how many pods, how many must be healthy. */
export interface Expectation {
  expectedPods: number;
  desiredHealthy: number;
}

export interface Disrupted {
  /** Pods whose eviction was granted and is under way, with when. */
  pods: Record<string, string>;
  /** Pods that were to be gone by now. */
  overdue: Pod[];
  /** When the next of them is overdue. */
  recheckAtMs: number | undefined;
}

/** What is left of a budget's granted evictions. */
export function disruptedPods(budget: PodDisruptionBudget, pods: readonly Pod[], nowMs: number): Disrupted {
  const result: Disrupted = { pods: {}, overdue: [], recheckAtMs: undefined };
  const granted = budget.status?.disruptedPods ?? {};
  for (const pod of pods) {
    const name = pod.metadata.name ?? '';
    const at = Object.hasOwn(granted, name) ? granted[name] : undefined;
    if (at === undefined || pod.metadata.deletionTimestamp !== undefined) continue;
    const dueMs = parseTime(at) + evictionTimeoutMs;
    if (dueMs < nowMs) {
      result.overdue.push(pod);
      continue;
    }
    result.pods[name] = at;
    result.recheckAtMs = Math.min(dueMs, result.recheckAtMs ?? Infinity);
  }
  return result;
}

/** Pods that are ready and stay: neither being deleted nor about to be. */
export function countHealthy(pods: readonly Pod[], disrupted: Disrupted): number {
  return pods.filter(
    (pod) =>
      pod.metadata.deletionTimestamp === undefined &&
      !Object.hasOwn(disrupted.pods, pod.metadata.name ?? '') &&
      isPodReady(pod),
  ).length;
}

/** The status that a budget must have; undefined when it has it. */
export function nextStatus(
  budget: PodDisruptionBudget,
  { expectedPods, desiredHealthy }: Expectation,
  currentHealthy: number,
  disrupted: Record<string, string>,
  nowMs: number,
): PodDisruptionBudgetStatus | undefined {
  // A budget that expects no pods allows nothing: its first ones may be there before we count again.
  const spare = expectedPods > 0 ? Math.max(0, currentHealthy - desiredHealthy) : 0;
  const before = budget.status;
  const next: PodDisruptionBudgetStatus = {
    currentHealthy,
    desiredHealthy,
    disruptionsAllowed: spare,
    expectedPods,
    ...(Object.keys(disrupted).length > 0 ? { disruptedPods: disrupted } : {}),
    observedGeneration: budget.metadata.generation ?? 0,
    conditions: before?.conditions ?? [],
  };
  const { conditions: _, ...told } = next;
  const { conditions: __, ...toldBefore } = before ?? {};
  if (semanticEqual(told, toldBefore) && conditionIsCurrent(budget)) return undefined;
  return { ...next, conditions: withAllowedCondition(next, nowMs) };
}

/** The status of a budget that cannot be counted: nothing is allowed, and the condition says why. */
export function failedStatus(
  budget: PodDisruptionBudget,
  message: string,
  nowMs: number,
): PodDisruptionBudgetStatus {
  const status = {
    currentHealthy: 0,
    desiredHealthy: 0,
    expectedPods: 0,
    ...budget.status,
    disruptionsAllowed: 0,
  };
  const said = { status: 'False', reason: 'SyncFailed', message };
  return { ...status, conditions: withAllowedCondition(status, nowMs, said) };
}

/** A pod whose announced disruption did not come is announced well again after this long. */
const staleDisruptionMs = 2 * 60_000;

/** When a pod's DisruptionTarget condition is stale; undefined for one that has none or keeps it. */
export function staleAtMs(pod: Pod): number | undefined {
  if (pod.metadata.deletionTimestamp !== undefined) return undefined;
  if (pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed') return undefined;
  const condition = pod.status?.conditions?.find(({ type }) => type === 'DisruptionTarget');
  // The kubelet may take as long as it likes to end a pod.
  if (condition?.status !== 'True' || condition.reason === 'TerminationByKubelet') return undefined;
  return (parseTime(condition.lastTransitionTime) || 0) + staleDisruptionMs;
}

/** The condition of a pod that is no target of a disruption any more. */
export const notDisrupted = (nowMs: number): object => ({
  type: 'DisruptionTarget',
  status: 'False',
  reason: null,
  message: null,
  lastTransitionTime: formatTime(nowMs),
});
