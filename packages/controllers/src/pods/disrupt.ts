import type { KubeClient } from '@cloudless/kube/client/client';
import { patchPodStatus } from '@cloudless/kube/client/pod-status';
import type { Clock } from '@cloudless/kube/clock';
import { formatTime } from '@cloudless/kube/time';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { isPodTerminal, podCondition } from './condition.ts';

/** Why a controller ends a pod; upstream's reasons of the DisruptionTarget condition (KEP-3329). */
export interface Disruption {
  reason: 'DeletionByPodGC' | 'DeletionByTaintManager';
  message: string;
  /** Its node will tell of it no more: the controller sets the phase. */
  fails: boolean;
}

/** Writes into the pod why it goes, before it goes. Does nothing for one that has ended or says so already. */
export async function noteDisruption(
  client: KubeClient,
  clock: Clock,
  pod: Pod,
  disruption: Disruption,
  signal: AbortSignal,
): Promise<void> {
  const noted = podCondition(pod, 'DisruptionTarget')?.status === 'True';
  const fails = disruption.fails && !isPodTerminal(pod);
  if (noted && !fails) return;
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: disruption.reason,
    message: disruption.message,
    lastTransitionTime: formatTime(clock.nowMs()),
  };
  const status = { ...(fails ? { phase: 'Failed' } : {}), ...(noted ? {} : { conditions: [condition] }) };
  await patchPodStatus(client, pod, status, signal);
}
