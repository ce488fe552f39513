import type { Job, JobCondition, JobStatus } from '@cloudless/kube/types/batch-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { formatTime, parseTime } from '@cloudless/kube/time';
import { isPodReady, isPodTerminal } from '../pods/condition.ts';
import { failureVerdict } from './failure-policy.ts';
import { indexOf, parseIndexes } from './indexes.ts';

/** What is true of a Job and its pods at one moment (upstream: pkg/controller/job). Pure. */

export const trackingFinalizer = 'batch.kubernetes.io/job-tracking';
/** Pods taken into the status at a time (upstream: MaxUncountedPods). */
const maxUncounted = 500;

export const isIndexed = (job: Job): boolean => job.spec?.completionMode === 'Indexed';
export const isTracked = (pod: Pod): boolean => pod.metadata.finalizers?.includes(trackingFinalizer) ?? false;

export function jobCondition(job: Job, type: string): JobCondition | undefined {
  return job.status?.conditions?.find((condition) => condition.type === type && condition.status === 'True');
}

export const isFinished = (job: Job): boolean =>
  jobCondition(job, 'Complete') !== undefined || jobCondition(job, 'Failed') !== undefined;

/** Pods that are going count as failed only when they have, where the Job says so. */
const waitsForFailure = (job: Job): boolean =>
  (job.spec?.podReplacementPolicy ?? (job.spec?.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed')) ===
  'Failed';

export function hasFailed(job: Job, pod: Pod): boolean {
  if (pod.status?.phase === 'Failed') return true;
  return (
    !waitsForFailure(job) && pod.metadata.deletionTimestamp !== undefined && pod.status?.phase !== 'Succeeded'
  );
}

export interface JobState {
  /** Working, and wanted. */
  active: Pod[];
  ready: number;
  /** Being deleted, not ended. */
  terminating: number;
  succeeded: number;
  failed: number;
  /** Of an Indexed Job. */
  completedIndexes: Set<number>;
  /** Ended pods not yet in the counters, with what they are to be counted as. */
  uncounted: { succeeded: string[]; failed: string[] };
  /** Failed pods seen for the first time. */
  newlyFailed: Pod[];
  newlySucceeded: number;
  /** Ended pods that count for nothing. */
  ignored: string[];
  /** Why a pod's failure fails the Job. */
  failureRule: string | undefined;
}

/** Counts what the pods say on top of what the status has. */
export function stateOf(job: Job, pods: readonly Pod[]): JobState {
  const { status } = job;
  const completions = job.spec?.completions ?? 0;
  const byUid = new Map(pods.map((pod) => [pod.metadata.uid ?? '', pod]));
  const still = (uids: readonly string[] | undefined): string[] =>
    (uids ?? []).filter((uid) => {
      const pod = byUid.get(uid);
      return pod !== undefined && isTracked(pod);
    });
  const before = status?.uncountedTerminatedPods;
  const counted = {
    succeeded: (status?.succeeded ?? 0) + (before?.succeeded ?? []).length - still(before?.succeeded).length,
    failed: (status?.failed ?? 0) + (before?.failed ?? []).length - still(before?.failed).length,
  };
  const state: JobState = {
    active: [],
    ready: 0,
    terminating: 0,
    succeeded: 0,
    failed: 0,
    completedIndexes: parseIndexes(status?.completedIndexes, completions),
    uncounted: { succeeded: still(before?.succeeded), failed: still(before?.failed) },
    newlyFailed: [],
    newlySucceeded: 0,
    ignored: [],
    failureRule: undefined,
  };
  const known = new Set([...state.uncounted.succeeded, ...state.uncounted.failed]);
  for (const pod of pods) look(job, pod, state, known);
  state.failed = counted.failed + state.uncounted.failed.length;
  state.succeeded = isIndexed(job)
    ? state.completedIndexes.size
    : counted.succeeded + state.uncounted.succeeded.length;
  return state;
}

function look(job: Job, pod: Pod, state: JobState, known: Set<string>): void {
  const uid = pod.metadata.uid ?? '';
  const index = indexOf(pod);
  const stray = isIndexed(job) && (index === undefined || index >= (job.spec?.completions ?? 0));
  if (!isPodTerminal(pod)) {
    if (pod.metadata.deletionTimestamp === undefined) {
      state.active.push(pod);
      if (isPodReady(pod)) state.ready++;
    } else state.terminating++;
  }
  if (!isTracked(pod)) return;
  const full = state.uncounted.succeeded.length + state.uncounted.failed.length >= maxUncounted;
  if (pod.status?.phase === 'Succeeded') {
    if (known.has(uid) || full) return;
    if (!stray && index !== undefined) state.completedIndexes.add(index);
    state.uncounted.succeeded.push(uid);
    state.newlySucceeded++;
    return;
  }
  if (!hasFailed(job, pod)) return;
  const verdict = failureVerdict(job, pod);
  state.failureRule ??= verdict.failsJob;
  if (!verdict.counts) state.ignored.push(uid);
  if (known.has(uid) || full || !verdict.counts) return;
  state.uncounted.failed.push(uid);
  state.newlyFailed.push(pod);
}

export interface Verdict {
  type: 'Complete' | 'Failed';
  reason: string;
  message: string;
}

/** Restarts of containers in place count against backoffLimit where pods restart them. */
function restarts(active: readonly Pod[]): number {
  let count = 0;
  for (const pod of active) {
    for (const one of [
      ...(pod.status?.initContainerStatuses ?? []),
      ...(pod.status?.containerStatuses ?? []),
    ]) {
      count += one.restartCount ?? 0;
    }
  }
  return count;
}

/** Whether the Job's outcome is certain. */
export function verdictOf(job: Job, state: JobState, nowMs: number): Verdict | undefined {
  const target = jobCondition(job, 'FailureTarget');
  if (target) return { type: 'Failed', reason: target.reason ?? '', message: target.message ?? '' };
  const met = jobCondition(job, 'SuccessCriteriaMet');
  if (met) return { type: 'Complete', reason: met.reason ?? '', message: met.message ?? '' };
  if (state.failureRule) return { type: 'Failed', reason: 'PodFailurePolicy', message: state.failureRule };
  const limit = job.spec?.backoffLimit ?? 6;
  const inPlace = job.spec?.template.spec?.restartPolicy === 'OnFailure' ? restarts(state.active) : 0;
  if (state.failed > limit || (inPlace > 0 && inPlace >= limit)) {
    return {
      type: 'Failed',
      reason: 'BackoffLimitExceeded',
      message: 'Job has reached the specified backoff limit',
    };
  }
  if ((deadlineLeftMs(job, nowMs) ?? 1) <= 0) {
    return {
      type: 'Failed',
      reason: 'DeadlineExceeded',
      message: 'Job was active longer than specified deadline',
    };
  }
  return success(job, state);
}

function success(job: Job, state: JobState): Verdict | undefined {
  const reached: Verdict = {
    type: 'Complete',
    reason: 'CompletionsReached',
    message: 'Reached expected number of succeeded pods',
  };
  const completions = job.spec?.completions;
  if (completions === undefined) {
    // A queue of work: done when one has succeeded and the others have ended.
    return state.succeeded > 0 && state.active.length === 0 ? reached : undefined;
  }
  if (state.succeeded >= completions) return reached;
  if (!isIndexed(job)) return undefined;
  for (const [i, rule] of (job.spec?.successPolicy?.rules ?? []).entries()) {
    const asked =
      rule.succeededIndexes === undefined ? undefined : parseIndexes(rule.succeededIndexes, completions);
    const done = [...state.completedIndexes].filter((index) => asked?.has(index) ?? true).length;
    if (done >= (rule.succeededCount ?? asked?.size ?? completions)) {
      return { type: 'Complete', reason: 'SuccessPolicy', message: `Matched rules at index ${i}` };
    }
  }
  return undefined;
}

/** Milliseconds of its activeDeadlineSeconds that are left; undefined without one, or while suspended. */
export function deadlineLeftMs(job: Job, nowMs: number): number | undefined {
  const seconds = job.spec?.activeDeadlineSeconds;
  if (seconds === undefined || job.spec?.suspend || job.status?.startTime === undefined) return undefined;
  return parseTime(job.status.startTime) + seconds * 1000 - nowMs;
}

/** Pods that should be working. */
export function wantedActive(job: Job, state: JobState): number {
  const parallelism = job.spec?.parallelism ?? 1;
  const completions = job.spec?.completions;
  // A queue of work gets nobody new once one has found it empty.
  if (completions === undefined)
    return state.succeeded > 0 ? Math.min(state.active.length, parallelism) : parallelism;
  return Math.max(0, Math.min(parallelism, completions - state.succeeded));
}

/** Conditions with one set; a condition that is so already keeps its times. */
export function withJobCondition(
  status: JobStatus | undefined,
  type: string,
  value: 'True' | 'False',
  reason: string,
  message: string,
  nowMs: number,
): JobCondition[] {
  const conditions = status?.conditions ?? [];
  const current = conditions.find((condition) => condition.type === type);
  if (current?.status === value) return conditions;
  const now = formatTime(nowMs);
  const next = { type, status: value, reason, message, lastProbeTime: now, lastTransitionTime: now };
  return [...conditions.filter((condition) => condition.type !== type), next];
}
