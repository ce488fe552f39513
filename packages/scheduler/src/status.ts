import type { KubeClient } from '@cloudless/kube/client/client';
import { patchPodStatus } from '@cloudless/kube/client/pod-status';
import { formatTime } from '@cloudless/kube/time';
import type { Pod, PodCondition } from '@cloudless/kube/types/core-v1';

/** A change of a pod's status that the scheduler owns. */
export interface StatusChange {
  readonly condition?: Omit<PodCondition, 'lastTransitionTime' | 'observedGeneration'>;
  /** Undefined: leave it; '': clear it. */
  readonly nominatedNodeName?: string | undefined;
}

/** Writes the change if it is one. A pod that is gone needs no status. */
export async function patchStatus(
  client: KubeClient,
  pod: Pod,
  change: StatusChange,
  nowMs: number,
  signal: AbortSignal,
): Promise<void> {
  const status: Record<string, unknown> = {};
  const condition =
    change.condition === undefined ? undefined : changedCondition(pod, change.condition, nowMs);
  if (condition !== undefined) status['conditions'] = [condition];
  const { nominatedNodeName } = change;
  if (nominatedNodeName !== undefined && nominatedNodeName !== (pod.status?.nominatedNodeName ?? '')) {
    status['nominatedNodeName'] = nominatedNodeName === '' ? null : nominatedNodeName;
  }
  if (Object.keys(status).length === 0) return;
  await patchPodStatus(client, pod, status, signal);
}

/** The condition as it must be written, or undefined when it is so already (upstream: UpdatePodCondition). */
function changedCondition(
  pod: Pod,
  condition: NonNullable<StatusChange['condition']>,
  nowMs: number,
): PodCondition | undefined {
  const old = (pod.status?.conditions ?? []).find(({ type }) => type === condition.type);
  const same =
    old !== undefined &&
    old.status === condition.status &&
    old.reason === condition.reason &&
    old.message === condition.message;
  if (same) return undefined;
  const { generation } = pod.metadata;
  return {
    ...condition,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    lastTransitionTime:
      old?.status === condition.status && old.lastTransitionTime ? old.lastTransitionTime : formatTime(nowMs),
  };
}
