import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type { Job, JobSpec } from '@cloudless/kube/types/batch-v1';
import type { PodSpec, PodTemplateSpec } from '@cloudless/kube/types/core-v1';
import { domainPrefixedPath, immutable, nonNegative, selectorOf } from '../../validation/fields.ts';
import { validateLabelSelector } from '../../validation/metadata.ts';
import { isDns1123Label } from '../../validation/names.ts';
import { validatePodTemplate } from '../pod/validate-template.ts';
import { validateFailurePolicy, validateSuccessPolicy } from './validate-job-policies.ts';

export const controllerUid = 'batch.kubernetes.io/controller-uid';
export const jobName = 'batch.kubernetes.io/job-name';

const specPath = FieldPath.of('spec');
const manyIndexes = 100_000;
/** Of an Indexed Job with more than {@link manyIndexes} completions whose indexes are retried one by one. */
const fewerIndexes = 10_000;

function noMoreThan(value: number | undefined, limit: number, path: FieldPath, detail = ''): FieldError[] {
  if (value == null || value <= limit) return [];
  return [fieldErrors.invalid(path, value, `must be less than or equal to ${limit}${detail}`)];
}

function validateNumbers(spec: JobSpec, path: FieldPath): FieldError[] {
  const names = [
    'parallelism',
    'completions',
    'activeDeadlineSeconds',
    'backoffLimit',
    'ttlSecondsAfterFinished',
    'backoffLimitPerIndex',
    'maxFailedIndexes',
  ] as const;
  const wrong = names.flatMap((name) => nonNegative(spec[name], path.child(name)));
  if (spec.maxFailedIndexes != null && spec.backoffLimitPerIndex == null)
    wrong.push(
      fieldErrors.required(path.child('backoffLimitPerIndex'), 'when maxFailedIndexes is specified'),
    );
  if (spec.managedBy == null) return wrong;
  const at = path.child('managedBy');
  wrong.push(...domainPrefixedPath(spec.managedBy, at));
  if (Buffer.byteLength(spec.managedBy) > 63) wrong.push(fieldErrors.tooLong(at, 63));
  return wrong;
}

function validateIndexed(spec: JobSpec, path: FieldPath): FieldError[] {
  const { completions, parallelism, maxFailedIndexes: failed } = spec;
  const failedPath = path.child('maxFailedIndexes');
  const parallelismPath = path.child('parallelism');
  const wrong: FieldError[] = [];
  if (completions == null)
    wrong.push(fieldErrors.required(path.child('completions'), 'when completion mode is Indexed'));
  wrong.push(...noMoreThan(parallelism, manyIndexes, parallelismPath, ' when completion mode is Indexed'));
  if (completions != null && failed != null && failed > completions)
    wrong.push(fieldErrors.invalid(failedPath, failed, 'must be less than or equal to completions'));
  wrong.push(...noMoreThan(failed, manyIndexes, failedPath));
  if (completions == null || completions <= manyIndexes || spec.backoffLimitPerIndex == null) return wrong;
  const detail = ` when completions are above ${manyIndexes} and used with backoff limit per index`;
  if (failed == null) {
    const why = `must be specified when completions is above ${manyIndexes}`;
    wrong.push(fieldErrors.required(failedPath, why));
  }
  wrong.push(
    ...noMoreThan(parallelism, fewerIndexes, parallelismPath, detail),
    ...noMoreThan(failed, fewerIndexes, failedPath, detail),
  );
  return wrong;
}

function validateCompletionMode(spec: JobSpec, path: FieldPath): FieldError[] {
  const mode = spec.completionMode ?? 'NonIndexed';
  if (mode === 'Indexed') return validateIndexed(spec, path);
  if (mode !== 'NonIndexed') {
    const supported = ['NonIndexed', 'Indexed'];
    return [fieldErrors.notSupportedAsListed(path.child('completionMode'), mode, supported)];
  }
  return (['backoffLimitPerIndex', 'maxFailedIndexes'] as const).flatMap((name) =>
    spec[name] == null
      ? []
      : [fieldErrors.invalid(path.child(name), spec[name], 'requires indexed completion mode')],
  );
}

function validateReplacement(spec: JobSpec, path: FieldPath): FieldError[] {
  const policy = spec.podReplacementPolicy;
  const supported = spec.podFailurePolicy ? ['Failed'] : ['Failed', 'TerminatingOrFailed'];
  if (policy == null || supported.includes(policy)) return [];
  return [fieldErrors.notSupported(path, policy, supported)];
}

function validateRestartPolicy(spec: JobSpec, path: FieldPath): FieldError[] {
  const policy = spec.template?.spec?.restartPolicy ?? '';
  const supported = ['OnFailure', 'Never'];
  // Always may have come from the defaults of pods.
  if (policy === '' || policy === 'Always')
    return [fieldErrors.required(path, 'valid values: "OnFailure", "Never"')];
  if (!supported.includes(policy)) return [fieldErrors.notSupportedAsListed(path, policy, supported)];
  if (!spec.podFailurePolicy || policy === 'Never') return [];
  const why = 'only "Never" is supported when podFailurePolicy is specified';
  return [fieldErrors.invalid(path, policy, why)];
}

/** Of jobs and of what cron jobs make them from (upstream: validateJobSpec). */
function validateCommon(spec: JobSpec, path: FieldPath, old?: JobSpec): FieldError[] {
  return [
    ...validateNumbers(spec, path),
    ...validateCompletionMode(spec, path),
    ...validateFailurePolicy(spec, path.child('podFailurePolicy')),
    ...validateSuccessPolicy(spec, path.child('successPolicy')),
    ...validateReplacement(spec, path.child('podReplacementPolicy')),
    ...validatePodTemplate(spec.template ?? {}, path.child('template'), old?.template),
    ...validateRestartPolicy(spec, path.child('template', 'spec', 'restartPolicy')),
  ];
}

/** What jobs are made from, at `path`: their selectors are not the user's business (upstream: ValidateJobTemplateSpec). */
export function validateTemplateOfJobs(
  spec: JobSpec = {} as JobSpec,
  path: FieldPath = specPath,
  old?: JobSpec,
): FieldError[] {
  const wrong = validateCommon(spec, path, old);
  if (spec.selector) {
    const why = '`selector` will be auto-generated';
    wrong.push(fieldErrors.invalid(path.child('selector'), spec.selector, why));
  }
  if (spec.manualSelector)
    wrong.push(fieldErrors.notSupportedAsListed(path.child('manualSelector'), true, ['nil', 'false']));
  return wrong;
}

function validateSelector(spec: JobSpec): FieldError[] {
  const wrong = spec.selector
    ? validateLabelSelector(spec.selector, specPath.child('selector'))
    : [fieldErrors.required(specPath.child('selector'))];
  // A selector that is not there selects nothing.
  const selects = spec.selector ? selectorOf(spec.selector) : nothing;
  const labels = spec.template?.metadata?.labels;
  if (selects && !selects.matches(labels)) {
    const why = '`selector` does not match template `labels`';
    wrong.push(fieldErrors.invalid(specPath.child('template', 'metadata', 'labels'), labels, why));
  }
  return wrong;
}
const nothing = { matches: (_labels: Record<string, string> | undefined): boolean => false };

/** The labels and selector that generateSelector sets (upstream: validateGeneratedSelector). */
function validateGenerated(job: Job, withPrefixed: boolean): FieldError[] {
  const { manualSelector, selector, template } = job.spec ?? ({} as JobSpec);
  if (manualSelector || !selector) return [];
  const { name = '', uid = '' } = job.metadata;
  const legacy = { 'controller-uid': uid, 'job-name': name };
  const expected: Record<string, string> = withPrefixed
    ? { ...legacy, [controllerUid]: uid, [jobName]: name }
    : legacy;
  const labels = template?.metadata?.labels ?? {};
  const path = specPath.child('template', 'metadata', 'labels');
  const wrong: FieldError[] = [];
  for (const [key, value] of Object.entries(expected)) {
    if (labels[key] === undefined) wrong.push(fieldErrors.required(path.key(key), `must be '${value}'`));
    else if (labels[key] !== value)
      wrong.push(fieldErrors.invalid(path.key(key), labels, `must be '${value}'`));
  }
  if (selectorOf(selector)?.matches(expected) === false) {
    const why = '`selector` not auto-generated';
    wrong.push(fieldErrors.invalid(specPath.child('selector'), selector, why));
  }
  return wrong;
}

function validate(job: Job, withPrefixed: boolean, old?: JobSpec): FieldError[] {
  const spec = job.spec ?? ({} as JobSpec);
  const wrong = [
    ...validateGenerated(job, withPrefixed),
    ...validateCommon(spec, specPath, old),
    ...validateSelector(spec),
  ];
  if (spec.completionMode !== 'Indexed' || (spec.completions ?? 0) <= 0) return wrong;
  // Pods of an indexed job are named after it and their index, and that is their host name.
  const name = `${job.metadata.name}-${Number(spec.completions) - 1}`;
  if (isDns1123Label(name).length > 0) {
    const why = `will not able to create pod with invalid DNS label: ${name}`;
    wrong.push(fieldErrors.invalid(FieldPath.of('metadata', 'name'), job.metadata.name, why));
  }
  return wrong;
}

/** Upstream: ValidateJob. */
export const validateJob = (job: Job): FieldError[] => validate(job, true);

function validateCompletions(now: JobSpec, before: JobSpec): FieldError[] {
  const path = specPath.child('completions');
  if (now.completionMode !== 'Indexed') return immutable(now.completions, before.completions, path);
  const mayDiffer = now.completions == null || now.completions === now.parallelism;
  if (mayDiffer || now.completions === before.completions) return [];
  return [fieldErrors.invalid(path, now.completions, 'can only be modified in tandem with spec.parallelism')];
}

/** Where pods of a job may run, not what they are. */
function withPlacement(old: PodTemplateSpec, now: PodTemplateSpec): PodTemplateSpec {
  const spec = { ...old.spec, containers: old.spec?.containers ?? [] };
  for (const name of ['nodeSelector', 'tolerations', 'schedulingGates'] as const)
    Object.assign(spec, { [name]: now.spec?.[name] });
  const { affinity } = now.spec ?? {};
  const merged = { ...spec.affinity, nodeAffinity: affinity?.nodeAffinity };
  const isEmpty = Object.values(merged).every((each) => each === undefined);
  spec.affinity = isEmpty && !affinity ? undefined : merged;
  const { labels, annotations } = now.metadata ?? {};
  return { ...old, metadata: { ...old.metadata, labels, annotations }, spec };
}

function withResources(old: PodSpec, now: PodSpec): PodSpec {
  const spec = { ...old };
  for (const name of ['containers', 'initContainers'] as const) {
    const wanted = now[name] ?? [];
    const before = old[name] ?? [];
    if (wanted.length !== before.length) continue;
    spec[name] = before.map((container, i) =>
      container.name === wanted[i]?.name ? { ...container, resources: wanted[i]?.resources } : container,
    );
  }
  return spec;
}

/** A job that is held and has no pods may still change where they run and what they get (KEP-5440). */
function validateTemplateUpdate(now: JobSpec, job: Job): FieldError[] {
  const before = job.spec ?? ({} as JobSpec);
  const { startTime, conditions = [], active = 0 } = job.status ?? {};
  const isHeld = conditions.some(({ type, status }) => type === 'Suspended' && status === 'True');
  const mayMove = before.suspend === true && (startTime == null || isHeld) && active === 0;
  const template = now.template ?? {};
  const path = specPath.child('template');
  if (!mayMove) return immutable(template, before.template ?? {}, path);
  const old = withPlacement(before.template ?? {}, template);
  const [spec, oldSpec] = [template.spec ?? { containers: [] }, old.spec ?? { containers: [] }];
  return immutable(spec, withResources(oldSpec, spec), path.child('spec'));
}

/** Upstream: ValidateJobUpdate after ValidateJob. */
export function validateJobUpdate(job: Job, old: Job): FieldError[] {
  const now = job.spec ?? ({} as JobSpec);
  const before = old.spec ?? ({} as JobSpec);
  const labels = before.template?.metadata?.labels ?? {};
  const hadPrefixed = labels[jobName] !== undefined && labels[controllerUid] !== undefined;
  const wrong = [
    ...validate(job, hadPrefixed, before),
    ...validateCompletions(now, before),
    ...immutable(now.selector, before.selector, specPath.child('selector')),
    ...validateTemplateUpdate(now, old),
  ];
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
