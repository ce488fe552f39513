import { isDeepStrictEqual } from 'node:util';
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Job, JobStatus } from '@cloudless/kube/types/batch-v1';
import { nonNegative, semanticallyEqual } from '../../validation/fields.ts';
import { immutableText } from '../../validation/metadata.ts';
import { commonIndex, countIndexes } from './completion-indexes.ts';

const path = FieldPath.of('status');

const hasCondition = (job: Job, type: string, status = 'True'): boolean =>
  job.status?.conditions?.some((each) => each.type === type && each.status === status) ?? false;
const isComplete = (job: Job): boolean => hasCondition(job, 'Complete');
const isFailed = (job: Job): boolean => hasCondition(job, 'Failed');
const isFinished = (job: Job): boolean => isComplete(job) || isFailed(job);

const wrongConditions = (why: string): FieldError => fieldErrors.invalidUnseen(path.child('conditions'), why);

function validateUncounted({ uncountedTerminatedPods }: JobStatus): FieldError[] {
  const wrong: FieldError[] = [];
  const seen = new Set<string>();
  for (const name of ['succeeded', 'failed'] as const) {
    for (const [i, uid] of (uncountedTerminatedPods?.[name] ?? []).entries()) {
      const at = path.child('uncountedTerminatedPods', name).index(i);
      if (uid === '') wrong.push(fieldErrors.invalid(at, uid, 'must not be empty'));
      else if (seen.has(uid)) wrong.push(fieldErrors.duplicate(at, uid));
      seen.add(uid);
    }
  }
  return wrong;
}

/** Which parts of a status differ from the old one: only what changes is judged by most rules. */
function changesOf(job: Job, old: Job) {
  const [now, before] = [job.status ?? {}, old.status ?? {}];
  const differs = (name: keyof JobStatus): boolean => !semanticallyEqual(now[name], before[name]);
  const turns = (type: string): boolean => hasCondition(job, type) !== hasCondition(old, type);
  return {
    finished: isFinished(job) !== isFinished(old),
    complete: turns('Complete'),
    failed: turns('Failed'),
    failureTarget: turns('FailureTarget'),
    successCriteriaMet: turns('SuccessCriteriaMet'),
    completedIndexes: differs('completedIndexes'),
    failedIndexes: !isDeepStrictEqual(now.failedIndexes, before.failedIndexes),
    active: (now.active ?? 0) !== (before.active ?? 0),
    startTime: differs('startTime'),
    completionTime: differs('completionTime'),
    uncounted: differs('uncountedTerminatedPods'),
    ready: now.ready !== before.ready,
    terminating: now.terminating !== before.terminating,
  };
}
type Changes = ReturnType<typeof changesOf>;

function validateCompletion(job: Job, changed: Changes): FieldError[] {
  const { startTime, completionTime } = job.status ?? {};
  const at = path.child('completionTime');
  const wrong: FieldError[] = [];
  if ((changed.complete || changed.failed) && isComplete(job) && isFailed(job))
    wrong.push(wrongConditions('cannot set Complete=True and Failed=true conditions'));
  if ((changed.complete || changed.failureTarget) && isComplete(job) && hasCondition(job, 'FailureTarget'))
    wrong.push(wrongConditions('cannot set Complete=True and FailureTarget=true conditions'));
  if (changed.complete || changed.completionTime) {
    if (completionTime && !isComplete(job)) {
      const why = 'cannot set completionTime when there is no Complete=True condition';
      wrong.push(fieldErrors.invalid(at, completionTime, why));
    }
    if (!completionTime && isComplete(job))
      wrong.push(fieldErrors.required(at, 'completionTime is required for Complete jobs'));
  }
  const isReversed = startTime && completionTime && Date.parse(completionTime) < Date.parse(startTime);
  if ((changed.startTime || changed.completionTime) && isReversed)
    wrong.push(fieldErrors.invalid(at, completionTime, 'must be equal to or after `startTime`'));
  return wrong;
}

function validateFinish(job: Job, changed: Changes): FieldError[] {
  const { active = 0, startTime, uncountedTerminatedPods: uncounted } = job.status ?? {};
  const wrong: FieldError[] = [];
  if ((changed.failed || changed.failedIndexes) && isFailed(job) && !hasCondition(job, 'FailureTarget'))
    wrong.push(wrongConditions('cannot set Failed=True condition without the FailureTarget=true condition'));
  const hasMet = hasCondition(job, 'SuccessCriteriaMet');
  if ((changed.complete || changed.successCriteriaMet) && isComplete(job) && !hasMet)
    wrong.push(
      wrongConditions('cannot set Complete=True condition without the SuccessCriteriaMet=true condition'),
    );
  if (!isFinished(job)) return wrong;
  if ((changed.finished || changed.active) && active > 0)
    wrong.push(fieldErrors.invalid(path.child('active'), active, 'active>0 is invalid for finished job'));
  const neverRuns = job.spec?.suspend === true && job.spec.completions === 0;
  if ((changed.finished || changed.startTime) && !neverRuns && !startTime)
    wrong.push(fieldErrors.required(path.child('startTime'), 'startTime is required for finished job'));
  const left = (uncounted?.failed?.length ?? 0) + (uncounted?.succeeded?.length ?? 0);
  if ((changed.finished || changed.uncounted) && left > 0) {
    const at = path.child('uncountedTerminatedPods');
    wrong.push(fieldErrors.invalid(at, uncounted, 'must be empty for finished job'));
  }
  return wrong;
}

function unreadable(list: string, completions: number, name: string): FieldError[] {
  try {
    countIndexes(list, completions);
    return [];
  } catch (error) {
    const why = `error parsing ${name}: ${(error as Error).message}`;
    return [fieldErrors.invalid(path.child(name), list, why)];
  }
}

function validateIndexes(job: Job, changed: Changes): FieldError[] {
  const { completions, backoffLimitPerIndex, completionMode } = job.spec ?? {};
  const { completedIndexes = '', failedIndexes } = job.status ?? {};
  const wrong: FieldError[] = [];
  if (changed.completedIndexes && completions != null)
    wrong.push(...unreadable(completedIndexes, completions, 'completedIndexes'));
  if (changed.failedIndexes && completions != null && backoffLimitPerIndex != null && failedIndexes != null)
    wrong.push(...unreadable(failedIndexes, completions, 'failedIndexes'));
  if (changed.completedIndexes && completedIndexes !== '' && completionMode !== 'Indexed') {
    const why = 'cannot set non-empty completedIndexes when non-indexed completion mode';
    wrong.push(fieldErrors.invalid(path.child('completedIndexes'), completedIndexes, why));
  }
  if (failedIndexes == null) return wrong;
  const at = path.child('failedIndexes');
  if (changed.failedIndexes && backoffLimitPerIndex == null) {
    const why = 'cannot set non-null failedIndexes when backoffLimitPerIndex is null';
    wrong.push(fieldErrors.invalid(at, failedIndexes, why));
  }
  if ((changed.failedIndexes || changed.completedIndexes) && completions != null) {
    const both = commonIndex(completedIndexes, failedIndexes, completions);
    const why = `failedIndexes and completedIndexes overlap at index: ${both}`;
    if (both !== undefined) wrong.push(fieldErrors.invalid(at, failedIndexes, why));
  }
  return wrong;
}

function validateCounts(job: Job, changed: Changes): FieldError[] {
  const { terminating, ready, active = 0 } = job.status ?? {};
  const wrong: FieldError[] = [];
  if ((changed.finished || changed.terminating) && (terminating ?? 0) > 0 && isFinished(job)) {
    const why = 'terminating>0 is invalid for finished job';
    wrong.push(fieldErrors.invalid(path.child('terminating'), terminating, why));
  }
  if ((changed.ready || changed.active) && ready != null && ready > active) {
    const why = 'cannot set more ready pods than active';
    wrong.push(fieldErrors.invalid(path.child('ready'), ready, why));
  }
  return wrong;
}

function validateCriteria(job: Job): FieldError[] {
  const hasMet = hasCondition(job, 'SuccessCriteriaMet');
  const wrong: FieldError[] = [];
  if (hasMet && isFailed(job))
    wrong.push(wrongConditions('cannot set SuccessCriteriaMet=True and Failed=true conditions'));
  if (hasMet && hasCondition(job, 'FailureTarget'))
    wrong.push(wrongConditions('cannot set SuccessCriteriaMet=True and FailureTarget=true conditions'));
  if (job.spec?.successPolicy && !hasMet && isComplete(job)) {
    const why = 'cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True';
    wrong.push(wrongConditions(why));
  }
  return wrong;
}

function validateCounters(job: Job, old: Job): FieldError[] {
  const { completionMode, completions, parallelism } = job.spec ?? {};
  const wrong: FieldError[] = [];
  // Jobs of as many completions as pods at a time can be scaled down.
  const isElastic = completionMode === 'Indexed' && completions === parallelism;
  for (const name of isElastic ? (['failed'] as const) : (['failed', 'succeeded'] as const)) {
    const now = job.status?.[name] ?? 0;
    if (now < (old.status?.[name] ?? 0))
      wrong.push(fieldErrors.invalid(path.child(name), now, `cannot decrease the ${name} counter`));
  }
  return wrong;
}

function validateTransition(job: Job, old: Job, changed: Changes): FieldError[] {
  const [now, before] = [job.status ?? {}, old.status ?? {}];
  const wrong: FieldError[] = [];
  for (const type of ['Failed', 'Complete', 'FailureTarget'])
    if (hasCondition(old, type) && !hasCondition(job, type))
      wrong.push(wrongConditions(`cannot disable the terminal ${type}=True condition`));
  wrong.push(...validateCounters(job, old));
  if (now.completionTime && before.completionTime && changed.completionTime)
    wrong.push(fieldErrors.invalid(path.child('completionTime'), now.completionTime, immutableText));
  const resumes = hasCondition(old, 'Suspended') && hasCondition(job, 'Suspended', 'False');
  if (changed.startTime && !resumes && before.startTime && job.spec?.suspend !== true) {
    const why = 'field is immutable for unsuspended job once set';
    wrong.push(fieldErrors.invalid(path.child('startTime'), now.startTime, why));
  }
  const [met, wasMet] = [hasCondition(job, 'SuccessCriteriaMet'), hasCondition(old, 'SuccessCriteriaMet')];
  if (wasMet && !met) wrong.push(wrongConditions('cannot disable the SuccessCriteriaMet=True condition'));
  if (isComplete(old) && !wasMet && met) {
    const why = 'cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions';
    wrong.push(wrongConditions(why));
  }
  return wrong;
}

/** What a job's status may become (upstream: getStatusValidationOptions, ValidateJobStatusUpdate). */
export function validateJobStatus(job: Job, old: Job): FieldError[] {
  const status = job.status ?? {};
  const changed = changesOf(job, old);
  const counters = ['active', 'succeeded', 'failed', 'ready', 'terminating'] as const;
  return [
    ...counters.flatMap((name) => nonNegative(status[name], path.child(name))),
    ...validateUncounted(status),
    ...validateCompletion(job, changed),
    ...validateFinish(job, changed),
    ...validateIndexes(job, changed),
    ...validateCounts(job, changed),
    ...validateCriteria(job),
    ...validateTransition(job, old, changed),
  ];
}
