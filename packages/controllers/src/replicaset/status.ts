import type { ReplicaSet, ReplicaSetCondition, ReplicaSetStatus } from '@cloudless/kube/types/apps-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { formatTime } from '@cloudless/kube/time';
import { isPodAvailable, isPodReady } from '../pods/condition.ts';
import { semanticEqual } from '../runtime/compare.ts';

/** What went wrong while replicas were made or removed. */
export interface ReplicaFailure {
  reason: 'FailedCreate' | 'FailedDelete';
  message: string;
}

/** The status of a ReplicaSet from its pods (upstream: replica_set_utils.go, calculateStatus). */
export function replicaSetStatus(
  rs: ReplicaSet,
  active: readonly Pod[],
  terminating: readonly Pod[],
  failure: ReplicaFailure | undefined,
  nowMs: number,
): ReplicaSetStatus {
  const template = Object.entries(rs.spec?.template?.metadata?.labels ?? {});
  const minReadySeconds = rs.spec?.minReadySeconds ?? 0;
  const fullyLabeled = active.filter((pod) =>
    template.every(([key, value]) => pod.metadata.labels?.[key] === value),
  ).length;
  const ready = active.filter(isPodReady).length;
  const available = active.filter((pod) => isPodAvailable(pod, minReadySeconds, nowMs)).length;
  const conditions = failureConditions(rs.status?.conditions ?? [], failure, nowMs);
  return {
    replicas: active.length,
    ...(fullyLabeled > 0 ? { fullyLabeledReplicas: fullyLabeled } : {}),
    ...(ready > 0 ? { readyReplicas: ready } : {}),
    ...(available > 0 ? { availableReplicas: available } : {}),
    terminatingReplicas: terminating.length,
    ...(rs.metadata.generation === undefined ? {} : { observedGeneration: rs.metadata.generation }),
    ...(conditions.length > 0 ? { conditions } : {}),
  };
}

function failureConditions(
  conditions: readonly ReplicaSetCondition[],
  failure: ReplicaFailure | undefined,
  nowMs: number,
): ReplicaSetCondition[] {
  const current = conditions.find((condition) => condition.type === 'ReplicaFailure');
  // The first failure stays until it is over: its text tells more than the last one's.
  if (failure && current) return [...conditions];
  const others = conditions.filter((condition) => condition.type !== 'ReplicaFailure');
  if (!failure) return others;
  return [
    ...others,
    {
      type: 'ReplicaFailure',
      status: 'True',
      reason: failure.reason,
      message: failure.message,
      lastTransitionTime: formatTime(nowMs),
    },
  ];
}

/** Whether a status needs no write. */
export function sameStatus(a: ReplicaSetStatus | undefined, b: ReplicaSetStatus): boolean {
  const counts = (status: ReplicaSetStatus | undefined): number[] => [
    status?.replicas ?? -1,
    status?.fullyLabeledReplicas ?? 0,
    status?.readyReplicas ?? 0,
    status?.availableReplicas ?? 0,
    status?.terminatingReplicas ?? -1,
    status?.observedGeneration ?? 0,
  ];
  return semanticEqual(counts(a), counts(b)) && semanticEqual(a?.conditions, b.conditions);
}
