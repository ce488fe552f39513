import { formatTime } from '@cloudless/kube/time';
import type { NodeCondition } from '@cloudless/kube/types/core-v1';
import type { KubeletConfiguration } from '../config/configuration.ts';
import type { Pressure } from './machine.ts';
import { thresholdBytes } from './resources.ts';

export interface ConditionFacts {
  pressure: Pressure;
  memoryBytes: number;
  config: KubeletConfiguration;
  /** Why the node is not ready; empty when it is. */
  problems: readonly string[];
  appArmor: boolean;
  nowMs: number;
}

/** A node's conditions in upstream's words (nodestatus/setters.go); transitions keep their times. */
export function nodeConditions(facts: ConditionFacts, before: readonly NodeCondition[]): NodeCondition[] {
  const now = formatTime(facts.nowMs);
  return [memory(facts), disk(facts), pids(), ready(facts)].map((made) => {
    const old = before.find((condition) => condition.type === made.type);
    return {
      ...made,
      lastHeartbeatTime: now,
      lastTransitionTime: (old?.status === made.status ? old.lastTransitionTime : undefined) ?? now,
    };
  });
}

function memory({ pressure, config, memoryBytes }: ConditionFacts): NodeCondition {
  const short =
    pressure.memoryAvailableBytes < thresholdBytes(config.evictionHard['memory.available'], memoryBytes);
  return short
    ? {
        type: 'MemoryPressure',
        status: 'True',
        reason: 'KubeletHasInsufficientMemory',
        message: 'kubelet has insufficient memory available',
      }
    : {
        type: 'MemoryPressure',
        status: 'False',
        reason: 'KubeletHasSufficientMemory',
        message: 'kubelet has sufficient memory available',
      };
}

function disk({ pressure, config }: ConditionFacts): NodeCondition {
  const { evictionHard } = config;
  const short =
    pressure.diskAvailableBytes < thresholdBytes(evictionHard['nodefs.available'], pressure.diskBytes) ||
    (pressure.inodes > 0 &&
      pressure.inodesFree < thresholdBytes(evictionHard['nodefs.inodesFree'], pressure.inodes));
  return short
    ? {
        type: 'DiskPressure',
        status: 'True',
        reason: 'KubeletHasDiskPressure',
        message: 'kubelet has disk pressure',
      }
    : {
        type: 'DiskPressure',
        status: 'False',
        reason: 'KubeletHasNoDiskPressure',
        message: 'kubelet has no disk pressure',
      };
}

const pids = (): NodeCondition => ({
  type: 'PIDPressure',
  status: 'False',
  reason: 'KubeletHasSufficientPID',
  message: 'kubelet has sufficient PID available',
});

function ready({ problems, appArmor }: ConditionFacts): NodeCondition {
  if (problems.length > 0) {
    const message = problems.length === 1 ? problems[0]! : `[${problems.join(', ')}]`;
    return { type: 'Ready', status: 'False', reason: 'KubeletNotReady', message };
  }
  const message = `kubelet is posting ready status${appArmor ? '. AppArmor enabled' : ''}`;
  return { type: 'Ready', status: 'True', reason: 'KubeletReady', message };
}
