import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Job, JobSpec, PodFailurePolicyRule } from '@cloudless/kube/types/batch-v1';
import type { Strategy } from '../../strategy.ts';
import { immutable, nonNegative, nonNegativeEach, oneOf, selectorOf } from '../../validation/fields.ts';
import { validateLabelSelector } from '../../validation/metadata.ts';
import { isDns1123Label } from '../../validation/names.ts';
import { defaultPodTemplate } from '../pod/defaults.ts';
import { validatePodTemplate } from '../pod/validate-template.ts';
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

const specPath = FieldPath.of('spec');
const maxInt32 = 2147483647;
const controllerUid = 'batch.kubernetes.io/controller-uid';
const jobName = 'batch.kubernetes.io/job-name';

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

function defaults(job: Job): void {
  const spec = (job.spec ??= {} as JobSpec);
  const labels = spec.template?.metadata?.labels;
  if (labels && Object.keys(job.metadata.labels ?? {}).length === 0) job.metadata.labels = { ...labels };
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
  // The older labels without a prefix stay for those who look for them; a name may be longer than a label.
  for (const key of ['job-name', jobName])
    if (labels[key] === undefined && name.length <= 63) labels[key] = name;
  labels['controller-uid'] = uid;
  labels[controllerUid] = uid;
  const selector = (spec.selector ??= {});
  (selector.matchLabels ??= {})[controllerUid] ??= uid;
}

function validateFailureRule(rule: PodFailurePolicyRule, spec: JobSpec, path: FieldPath): FieldError[] {
  const actions = ['Count', 'FailIndex', 'FailJob', 'Ignore'];
  const wrong = oneOf(rule.action, actions, path.child('action'));
  if (rule.action === 'FailIndex' && spec.backoffLimitPerIndex == null) {
    const why = 'requires the backoffLimitPerIndex to be set';
    wrong.push(fieldErrors.invalid(path.child('action'), rule.action, why));
  }
  const { onExitCodes, onPodConditions = [] } = rule;
  if (onExitCodes && onPodConditions.length > 0) {
    const why = 'specifying both OnExitCodes and OnPodConditions is not supported';
    wrong.push(fieldErrors.invalid(path, '', why));
  } else if (!onExitCodes && onPodConditions.length === 0) {
    const why = 'specifying one of OnExitCodes and OnPodConditions is required';
    wrong.push(fieldErrors.invalid(path, '', why));
  }
  if (!onExitCodes) return wrong;
  const at = path.child('onExitCodes');
  wrong.push(...oneOf(onExitCodes.operator, ['In', 'NotIn'], at.child('operator')));
  const values = onExitCodes.values ?? [];
  if (values.length === 0)
    wrong.push(fieldErrors.invalid(at.child('values'), values, 'at least one value is required'));
  if (values.length > 255) wrong.push(fieldErrors.tooMany(at.child('values'), values.length, 255));
  for (const [i, value] of values.entries()) {
    if (value === 0 && onExitCodes.operator === 'In') {
      wrong.push(
        fieldErrors.invalid(at.child('values').index(i), value, 'must not be 0 for the In operator'),
      );
    }
  }
  return wrong;
}

/** Also of a CronJob's template, at `path`. */
export function validateJobSpec(spec: JobSpec, path: FieldPath, isTemplate = false): FieldError[] {
  const numbers = [
    'parallelism',
    'completions',
    'backoffLimit',
    'ttlSecondsAfterFinished',
    'backoffLimitPerIndex',
    'maxFailedIndexes',
    'activeDeadlineSeconds',
  ] as const;
  const wrong = numbers.flatMap((name) => nonNegative(spec[name], path.child(name)));
  wrong.push(
    ...oneOf(spec.completionMode ?? 'NonIndexed', ['Indexed', 'NonIndexed'], path.child('completionMode')),
  );
  if (spec.completionMode === 'Indexed') {
    if (spec.completions == null) {
      const why = 'when completion mode is Indexed';
      wrong.push(fieldErrors.required(path.child('completions'), why));
    }
    if ((spec.parallelism ?? 0) > 100_000 && spec.completions != null) {
      const why = 'must be less than or equal to 100000 when completion mode is Indexed';
      wrong.push(fieldErrors.invalid(path.child('parallelism'), spec.parallelism, why));
    }
  } else if (spec.backoffLimitPerIndex != null) {
    const why = 'requires indexed completion mode';
    wrong.push(fieldErrors.invalid(path.child('backoffLimitPerIndex'), spec.backoffLimitPerIndex, why));
  }
  const replacement = ['Failed', 'TerminatingOrFailed'];
  if (spec.podReplacementPolicy != null) {
    const at = path.child('podReplacementPolicy');
    const allowed = spec.podFailurePolicy ? ['Failed'] : replacement;
    wrong.push(...oneOf(spec.podReplacementPolicy, allowed, at));
  }
  for (const [i, rule] of (spec.podFailurePolicy?.rules ?? []).entries()) {
    wrong.push(...validateFailureRule(rule, spec, path.child('podFailurePolicy', 'rules').index(i)));
  }
  return [...wrong, ...validateTemplate(spec, path, isTemplate)];
}

function validateTemplate(spec: JobSpec, path: FieldPath, isTemplate: boolean): FieldError[] {
  const wrong: FieldError[] = [];
  const at = path.child('template', 'spec', 'restartPolicy');
  const template = spec.template ?? {};
  const policy = template.spec?.restartPolicy ?? '';
  const supported = ['Never', 'OnFailure'];
  if (policy === '' || policy === 'Always') {
    wrong.push(fieldErrors.required(at, 'valid values: "OnFailure", "Never"'));
  } else if (!supported.includes(policy)) wrong.push(fieldErrors.notSupported(at, policy, supported));
  else if (spec.podFailurePolicy && policy !== 'Never') {
    const why = 'only "Never" is supported when podFailurePolicy is specified';
    wrong.push(fieldErrors.invalid(at, policy, why));
  }
  wrong.push(...validatePodTemplate(template, path.child('template')));
  if (isTemplate) return wrong;
  if (!spec.selector) wrong.push(fieldErrors.required(path.child('selector')));
  else wrong.push(...validateLabelSelector(spec.selector, path.child('selector')));
  const labels = template.metadata?.labels;
  if (spec.selector && !selectorOf(spec.selector)?.matches(labels)) {
    const labelsPath = path.child('template', 'metadata', 'labels');
    wrong.push(fieldErrors.invalid(labelsPath, labels ?? {}, '`selector` does not match template `labels`'));
  }
  return wrong;
}

function validateGenerated(job: Job): FieldError[] {
  const spec = job.spec as JobSpec;
  if (spec.manualSelector) return [];
  const wrong: FieldError[] = [];
  const labels = spec.template?.metadata?.labels ?? {};
  const path = FieldPath.of('spec', 'template', 'metadata', 'labels');
  for (const [key, value] of [[controllerUid, job.metadata.uid ?? '']] as const) {
    if (labels[key] !== value) wrong.push(fieldErrors.invalid(path.key(key), labels, `must be '${value}'`));
  }
  return wrong;
}

function validate(job: Job): FieldError[] {
  const spec = job.spec ?? ({} as JobSpec);
  const wrong = [...validateGenerated(job), ...validateJobSpec(spec, specPath)];
  if (spec.completionMode === 'Indexed' && (spec.completions ?? 0) > 0) {
    // Pods of an indexed job are named after it and their index, and that is their host name.
    const name = `${job.metadata.name}-${Number(spec.completions) - 1}`;
    const texts = isDns1123Label(name);
    if (texts.length > 0) {
      const why = `will not able to create pod with invalid DNS label: ${name}: ${texts.join(',')}`;
      wrong.push(fieldErrors.invalid(FieldPath.of('metadata', 'name'), job.metadata.name, why));
    }
  }
  return wrong;
}

/** A job that never started may still move: where its pods run, not what they are. */
const placement = ['nodeSelector', 'affinity', 'tolerations', 'schedulingGates'] as const;

function comparableTemplate(job: Job, mayMove: boolean): unknown {
  const template = structuredClone(job.spec?.template ?? {});
  if (!mayMove) return template;
  for (const name of placement) delete template.spec?.[name];
  delete template.metadata?.labels;
  delete template.metadata?.annotations;
  return template;
}

function validateUpdate(job: Job, old: Job): FieldError[] {
  const now = job.spec ?? ({} as JobSpec);
  const before = old.spec ?? ({} as JobSpec);
  const wrong = validateJobSpec(now, specPath);
  const isElastic =
    now.completionMode === 'Indexed' &&
    now.completions === now.parallelism &&
    before.completions === before.parallelism;
  if (!isElastic)
    wrong.push(...immutable(now.completions, before.completions, specPath.child('completions')));
  const mayMove = before.suspend === true && old.status?.startTime == null;
  wrong.push(
    ...immutable(now.selector, before.selector, specPath.child('selector')),
    ...immutable(
      comparableTemplate(job, mayMove),
      comparableTemplate(old, mayMove),
      specPath.child('template'),
    ),
  );
  for (const name of [
    'completionMode',
    'podFailurePolicy',
    'backoffLimitPerIndex',
    'managedBy',
    'successPolicy',
  ] as const) {
    wrong.push(...immutable(now[name], before[name], specPath.child(name)));
  }
  return wrong;
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

/** Upstream: pkg/apis/batch, pkg/registry/batch/job. */
export const job: Strategy<Job> = {
  defaults,
  prepareForCreate: (_context, object) => generateSelector(object),
  validate: (_context, object) => validate(object),
  validateUpdate: (_context, object, old) => validateUpdate(object, old),
  validateStatusUpdate: (_context, object) =>
    nonNegativeEach(
      object.status,
      ['active', 'succeeded', 'failed', 'ready', 'terminating'],
      FieldPath.of('status'),
    ),
  warnings: (_context, object, old) =>
    templateWarnings(object.spec?.template, old?.spec?.template, specPath.child('template')),
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
