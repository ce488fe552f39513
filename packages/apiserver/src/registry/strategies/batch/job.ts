import { FieldPath } from '@cloudless/kube/field';
import type { Job, JobSpec } from '@cloudless/kube/types/batch-v1';
import type { Strategy } from '../../strategy.ts';
import { isDns1123Label } from '../../validation/names.ts';
import { defaultPodTemplate, dropDisabledPodFields } from '../pod/defaults.ts';
import { templateWarnings } from '../pod/warnings.ts';
import { humanDuration } from '../table/age.ts';
import {
  ageColumn,
  ageOf,
  containerCells,
  containersColumn,
  imagesColumn,
  selectorCell,
  selectorColumn,
  table,
  text,
} from '../table/table.ts';
import { controllerUid, jobName, validateJob, validateJobUpdate } from './validate-job.ts';
import { validateJobStatus } from './validate-job-status.ts';

const specPath = FieldPath.of('spec');
const maxInt32 = 2147483647;
const hugeText =
  'spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, ' +
  'Kubernetes might not be able to track completedIndexes when a big number of indexes fail';

/** Also of a CronJob's template. */
export function defaultJobSpec(spec: JobSpec): void {
  if (spec.completions == null && spec.parallelism == null) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex == null ? 6 : maxInt32;
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  spec.podReplacementPolicy ??= spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed';
  spec.manualSelector ??= false;
  for (const rule of spec.podFailurePolicy?.rules ?? []) {
    for (const pattern of rule.onPodConditions ?? []) pattern.status ||= 'True';
  }
  defaultPodTemplate((spec.template ??= {}));
}

/** Jobs that had no labels of their own: they follow their template's until they are stored. */
const labelledByTemplate = new WeakSet<Job>();

function defaults(job: Job): void {
  const spec = (job.spec ??= {} as JobSpec);
  const labels = spec.template?.metadata?.labels;
  if (labels && Object.keys(job.metadata.labels ?? {}).length === 0) {
    job.metadata.labels = { ...labels };
    labelledByTemplate.add(job);
  }
  defaultJobSpec(spec);
}

/** The pods of a job are told by its uid, unless the user brings a selector (upstream: generateSelector). */
function generateSelector(job: Job): void {
  const spec = job.spec as JobSpec;
  if (spec.manualSelector) return;
  const metadata = ((spec.template ??= {}).metadata ??= {});
  const labels = (metadata.labels ??= {});
  const uid = job.metadata.uid ?? '';
  const name = job.metadata.name ?? '';
  // The older labels without a prefix stay for those who look for them. What a user set is judged in validation.
  for (const key of ['job-name', jobName]) labels[key] ??= name;
  for (const key of ['controller-uid', controllerUid]) labels[key] ??= uid;
  const selector = (spec.selector ??= {});
  (selector.matchLabels ??= {})[controllerUid] ??= uid;
}

/**
 * A job without labels gets its template's, generated ones too: upstream's defaults make the two one map, and run
 * again on what was stored.
 */
function prepare(job: Job): void {
  const unlabelled = labelledByTemplate.has(job) || Object.keys(job.metadata.labels ?? {}).length === 0;
  generateSelector(job);
  const labels = job.spec?.template?.metadata?.labels;
  if (unlabelled && labels) job.metadata.labels = { ...labels };
}

const isTrue = (job: Job, type: string): boolean =>
  job.status?.conditions?.find((condition) => condition.type === type)?.status === 'True';

function statusCell(job: Job): string {
  if (isTrue(job, 'Complete')) return 'Complete';
  if (isTrue(job, 'Failed')) return 'Failed';
  if (job.metadata.deletionTimestamp) return 'Terminating';
  for (const type of ['Suspended', 'FailureTarget', 'SuccessCriteriaMet']) if (isTrue(job, type)) return type;
  return 'Running';
}

function completionsCell(job: Job): string {
  const { completions, parallelism = 0 } = job.spec ?? {};
  const succeeded = job.status?.succeeded ?? 0;
  if (completions != null) return `${succeeded}/${completions}`;
  return parallelism > 1 ? `${succeeded}/1 of ${parallelism}` : `${succeeded}/1`;
}

function durationCell(job: Job, nowMs: number): string {
  const { startTime, completionTime } = job.status ?? {};
  if (!startTime) return '';
  return humanDuration((completionTime ? Date.parse(completionTime) : nowMs) - Date.parse(startTime));
}

function warnings(job: Job, old: Job | undefined): string[] {
  const wrong = old ? [] : isDns1123Label(job.metadata.name ?? '');
  const named =
    'metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended';
  const { completionMode, completions = 0, parallelism = 0 } = job.spec ?? {};
  const isHuge = completionMode === 'Indexed' && completions > 100_000 && parallelism > 10_000;
  return [
    ...(wrong.length > 0 ? [`${named}: [${wrong.join(' ')}]`] : []),
    ...(isHuge ? [hugeText] : []),
    ...templateWarnings(job.spec?.template, old?.spec?.template, specPath.child('template')),
  ];
}

/** Upstream: pkg/apis/batch, pkg/registry/batch/job. */
export const job: Strategy<Job> = {
  defaults,
  dropDisabledFields: (object) => dropDisabledPodFields(object.spec?.template?.spec),
  prepareForCreate: (_context, object) => prepare(object),
  validate: (_context, object) => validateJob(object),
  validateUpdate: (_context, object, old) => validateJobUpdate(object, old),
  validateStatusUpdate: (_context, object, old) => validateJobStatus(object, old),
  warnings: (_context, object, old) => warnings(object, old),
  selectableFields: { 'status.successful': (object) => String(object.status?.succeeded ?? 0) },
  table: table<Job>(
    [
      text('Status', 'How the job is doing.'),
      text('Completions', 'Pods that succeeded, of those wanted.'),
      text('Duration', 'How long it took or is taking.'),
      ageColumn,
      containersColumn,
      imagesColumn,
      selectorColumn,
    ],
    (object, nowMs) => [
      statusCell(object),
      completionsCell(object),
      durationCell(object, nowMs),
      ageOf(object, nowMs),
      ...containerCells(object.spec?.template?.spec?.containers),
      selectorCell(object.spec?.selector),
    ],
  ),
};
