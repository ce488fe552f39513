import type {
  Deployment,
  DeploymentCondition,
  DeploymentStatus,
  ReplicaSet,
} from '@cloudless/kube/types/apps-v1';
import { formatTime, parseTime } from '@cloudless/kube/time';
import {
  actualReplicas,
  availableReplicas,
  desired,
  maxUnavailable,
  readyReplicas,
  totalReplicas,
} from './replica-sets.ts';

/** Status and conditions of a Deployment (upstream: deployment/progress.go, sync.go). Pure. */

export const reasons = {
  created: 'NewReplicaSetCreated',
  found: 'FoundNewReplicaSet',
  updated: 'ReplicaSetUpdated',
  available: 'NewReplicaSetAvailable',
  timedOut: 'ProgressDeadlineExceeded',
  failedCreate: 'ReplicaSetCreateError',
  paused: 'DeploymentPaused',
  resumed: 'DeploymentResumed',
  minimumAvailable: 'MinimumReplicasAvailable',
  minimumUnavailable: 'MinimumReplicasUnavailable',
} as const;

/** A deadline of this many seconds means none (upstream: math.MaxInt32). */
const noDeadline = 2 ** 31 - 1;

export function hasProgressDeadline(d: Deployment): boolean {
  const seconds = d.spec?.progressDeadlineSeconds;
  return seconds !== undefined && seconds !== noDeadline;
}

export function condition(
  status: DeploymentStatus | undefined,
  type: string,
): DeploymentCondition | undefined {
  return status?.conditions?.find((one) => one.type === type);
}

export function newCondition(
  type: 'Available' | 'Progressing' | 'ReplicaFailure',
  status: 'True' | 'False' | 'Unknown',
  reason: string,
  message: string,
  nowMs: number,
): DeploymentCondition {
  const now = formatTime(nowMs);
  return { type, status, reason, message, lastUpdateTime: now, lastTransitionTime: now };
}

/** The conditions with `next` in place; unchanged when status and reason are, so that times stay. */
export function withCondition(
  conditions: readonly DeploymentCondition[] | undefined,
  next: DeploymentCondition,
): DeploymentCondition[] {
  const current = conditions?.find((one) => one.type === next.type);
  if (current && current.status === next.status && current.reason === next.reason)
    return [...(conditions ?? [])];
  const since = current?.status === next.status ? current.lastTransitionTime : next.lastTransitionTime;
  return [
    ...withoutCondition(conditions, next.type),
    { ...next, ...(since === undefined ? {} : { lastTransitionTime: since }) },
  ];
}

export function withoutCondition(
  conditions: readonly DeploymentCondition[] | undefined,
  type: string,
): DeploymentCondition[] {
  return (conditions ?? []).filter((one) => one.type !== type);
}

/** Counts and the Available condition. */
export function countedStatus(
  d: Deployment,
  all: readonly ReplicaSet[],
  newSet: ReplicaSet | undefined,
  nowMs: number,
): DeploymentStatus {
  const available = availableReplicas(all);
  const replicas = actualReplicas(all);
  const updated = newSet ? actualReplicas([newSet]) : 0;
  const ready = readyReplicas(all);
  const unavailable = Math.max(0, totalReplicas(all) - available);
  const enough = available >= desired(d) - maxUnavailable(d);
  const conditions = withCondition(
    d.status?.conditions,
    enough
      ? newCondition(
          'Available',
          'True',
          reasons.minimumAvailable,
          'Deployment has minimum availability.',
          nowMs,
        )
      : newCondition(
          'Available',
          'False',
          reasons.minimumUnavailable,
          'Deployment does not have minimum availability.',
          nowMs,
        ),
  );
  return {
    ...(d.metadata.generation === undefined ? {} : { observedGeneration: d.metadata.generation }),
    ...(replicas > 0 ? { replicas } : {}),
    ...(updated > 0 ? { updatedReplicas: updated } : {}),
    ...(ready > 0 ? { readyReplicas: ready } : {}),
    ...(available > 0 ? { availableReplicas: available } : {}),
    ...(unavailable > 0 ? { unavailableReplicas: unavailable } : {}),
    terminatingReplicas: all.reduce((n, rs) => n + (rs.status?.terminatingReplicas ?? 0), 0),
    ...(d.status?.collisionCount === undefined ? {} : { collisionCount: d.status.collisionCount }),
    conditions,
  };
}

/** Every replica is of the new template, available, and none else is left. */
export function isComplete(d: Deployment, status: DeploymentStatus | undefined): boolean {
  return (
    (status?.updatedReplicas ?? 0) === desired(d) &&
    (status?.replicas ?? 0) === desired(d) &&
    (status?.availableReplicas ?? 0) === desired(d) &&
    (status?.observedGeneration ?? 0) >= (d.metadata.generation ?? 0)
  );
}

function isProgressing(d: Deployment, status: DeploymentStatus): boolean {
  const old = d.status ?? {};
  const outdated = (one: DeploymentStatus): number => (one.replicas ?? 0) - (one.updatedReplicas ?? 0);
  return (
    (status.updatedReplicas ?? 0) > (old.updatedReplicas ?? 0) ||
    outdated(status) < outdated(old) ||
    (status.readyReplicas ?? 0) > (old.readyReplicas ?? 0) ||
    (status.availableReplicas ?? 0) > (old.availableReplicas ?? 0)
  );
}

function isTimedOut(d: Deployment, status: DeploymentStatus, nowMs: number): boolean {
  const current = condition(status, 'Progressing');
  if (!current || current.reason === reasons.available) return false;
  if (current.reason === reasons.timedOut) return true;
  const sinceMs = parseTime(current.lastUpdateTime);
  return sinceMs + (d.spec?.progressDeadlineSeconds ?? 0) * 1000 < nowMs;
}

/** The counted status with what can be said of progress and failures. */
export function rolloutStatus(
  d: Deployment,
  all: readonly ReplicaSet[],
  newSet: ReplicaSet | undefined,
  nowMs: number,
): DeploymentStatus {
  const status = countedStatus(d, all, newSet, nowMs);
  let conditions = status.conditions ?? [];
  if (!hasProgressDeadline(d)) conditions = withoutCondition(conditions, 'Progressing');
  const current = condition(d.status, 'Progressing');
  const wasComplete =
    (status.replicas ?? 0) === (status.updatedReplicas ?? 0) && current?.reason === reasons.available;
  if (hasProgressDeadline(d) && !wasComplete) {
    const subject = newSet
      ? `ReplicaSet ${JSON.stringify(newSet.metadata.name)}`
      : `Deployment ${JSON.stringify(d.metadata.name)}`;
    if (isComplete(d, status)) {
      const message = `${subject} has successfully progressed.`;
      conditions = withCondition(
        conditions,
        newCondition('Progressing', 'True', reasons.available, message, nowMs),
      );
    } else if (isProgressing(d, status)) {
      const message = `${subject} is progressing.`;
      const next = newCondition('Progressing', 'True', reasons.updated, message, nowMs);
      // Each step renews lastUpdateTime, from which the deadline counts.
      if (current?.status === 'True' && current.lastTransitionTime)
        next.lastTransitionTime = current.lastTransitionTime;
      conditions = [...withoutCondition(conditions, 'Progressing'), next];
    } else if (isTimedOut(d, { ...status, conditions }, nowMs)) {
      const message = `${subject} has timed out progressing.`;
      conditions = withCondition(
        conditions,
        newCondition('Progressing', 'False', reasons.timedOut, message, nowMs),
      );
    }
  }
  const failure = replicaFailure(all, newSet);
  conditions = failure ? withCondition(conditions, failure) : withoutCondition(conditions, 'ReplicaFailure');
  return { ...status, conditions };
}

/** The failure of the new ReplicaSet, or else of any. */
function replicaFailure(
  all: readonly ReplicaSet[],
  newSet: ReplicaSet | undefined,
): DeploymentCondition | undefined {
  for (const rs of newSet ? [newSet, ...all] : all) {
    const failure = rs.status?.conditions?.find((one) => one.type === 'ReplicaFailure');
    if (!failure) continue;
    return {
      type: 'ReplicaFailure',
      status: failure.status,
      ...(failure.reason === undefined ? {} : { reason: failure.reason }),
      ...(failure.message === undefined ? {} : { message: failure.message }),
      ...(failure.lastTransitionTime === undefined
        ? {}
        : { lastTransitionTime: failure.lastTransitionTime, lastUpdateTime: failure.lastTransitionTime }),
    };
  }
  return undefined;
}

/** Milliseconds until a rollout that does not move must be looked at again; undefined when it need not be. */
export function checkAgainMs(d: Deployment, status: DeploymentStatus, nowMs: number): number | undefined {
  const current = condition(d.status, 'Progressing');
  if (!hasProgressDeadline(d) || !current) return undefined;
  if (isComplete(d, status) || current.reason === reasons.timedOut) return undefined;
  const deadlineMs = parseTime(current.lastUpdateTime) + (d.spec?.progressDeadlineSeconds ?? 0) * 1000;
  // A second more: times are whole seconds, and the deadline must have passed.
  return Math.max(0, deadlineMs - nowMs) + 1000;
}
