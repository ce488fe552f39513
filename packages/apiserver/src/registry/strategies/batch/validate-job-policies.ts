import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  JobSpec,
  PodFailurePolicyOnExitCodesRequirement,
  PodFailurePolicyOnPodConditionsPattern,
  PodFailurePolicyRule,
  SuccessPolicyRule,
} from '@cloudless/kube/types/batch-v1';
import { nonNegative, qualifiedName } from '../../validation/fields.ts';
import { countIndexes } from './completion-indexes.ts';

const maxRules = 20;
const maxExitCodes = 255;
const maxIndexesBytes = 64 * 1024;

const actions = ['Count', 'FailIndex', 'FailJob', 'Ignore'];

/** An enumeration whose absence names what it may be. */
function named(value: string | undefined, supported: readonly string[], path: FieldPath): FieldError[] {
  if (!value) {
    const values = supported.map((each) => JSON.stringify(each)).join(' ');
    return [fieldErrors.required(path, `valid values: [${values}]`)];
  }
  return supported.includes(value) ? [] : [fieldErrors.notSupported(path, value, supported)];
}

function validateExitCodes(
  onExitCodes: PodFailurePolicyOnExitCodesRequirement,
  path: FieldPath,
  containers: ReadonlySet<string | undefined>,
): FieldError[] {
  const { operator, containerName, values } = onExitCodes;
  const wrong = named(operator, ['In', 'NotIn'], path.child('operator'));
  if (containerName != null && !containers.has(containerName)) {
    const why = 'must be one of the container or initContainer names in the pod template';
    wrong.push(fieldErrors.invalid(path.child('containerName'), containerName, why));
  }
  const at = path.child('values');
  if (values.length === 0) wrong.push(fieldErrors.invalid(at, values, 'at least one value is required'));
  else if (values.length > maxExitCodes) wrong.push(fieldErrors.tooMany(at, values.length, maxExitCodes));
  const seen = new Set<number>();
  for (const [i, value] of values.entries()) {
    if (value === 0 && operator === 'In')
      wrong.push(fieldErrors.invalid(at.index(i), value, 'must not be 0 for the In operator'));
    if (seen.has(value)) wrong.push(fieldErrors.duplicate(at.index(i), value));
    seen.add(value);
  }
  const isOrdered = values.every((value, i) => i === 0 || (values[i - 1] as number) <= value);
  if (!isOrdered) wrong.push(fieldErrors.invalid(at, values, 'must be ordered'));
  return wrong;
}

function validatePatterns(
  patterns: readonly PodFailurePolicyOnPodConditionsPattern[],
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  if (patterns.length > maxRules) wrong.push(fieldErrors.tooMany(path, patterns.length, maxRules));
  for (const [i, pattern] of patterns.entries()) {
    const at = path.index(i);
    wrong.push(
      ...qualifiedName(pattern.type ?? '', at.child('type')),
      ...named(pattern.status, ['False', 'True', 'Unknown'], at.child('status')),
    );
  }
  return wrong;
}

function validateFailureRule(
  rule: PodFailurePolicyRule,
  spec: JobSpec,
  path: FieldPath,
  containers: ReadonlySet<string | undefined>,
): FieldError[] {
  const wrong = named(rule.action, actions, path.child('action'));
  if (rule.action === 'FailIndex' && spec.backoffLimitPerIndex == null) {
    const why = 'requires the backoffLimitPerIndex to be set';
    wrong.push(fieldErrors.invalid(path.child('action'), rule.action, why));
  }
  const { onExitCodes, onPodConditions = [] } = rule;
  if (onExitCodes) wrong.push(...validateExitCodes(onExitCodes, path.child('onExitCodes'), containers));
  if (onPodConditions.length > 0)
    wrong.push(...validatePatterns(onPodConditions, path.child('onPodConditions')));
  if (onExitCodes && onPodConditions.length > 0) {
    const why = 'specifying both OnExitCodes and OnPodConditions is not supported';
    wrong.push(fieldErrors.invalidUnseen(path, why));
  }
  if (!onExitCodes && onPodConditions.length === 0) {
    const why = 'specifying one of OnExitCodes and OnPodConditions is required';
    wrong.push(fieldErrors.invalidUnseen(path, why));
  }
  return wrong;
}

/** What fails a job early (upstream: validatePodFailurePolicy); nothing when there is no policy. */
export function validateFailurePolicy(spec: JobSpec, path: FieldPath): FieldError[] {
  if (!spec.podFailurePolicy) return [];
  const rules = spec.podFailurePolicy.rules ?? [];
  const at = path.child('rules');
  const wrong: FieldError[] = [];
  if (rules.length > maxRules) wrong.push(fieldErrors.tooMany(at, rules.length, maxRules));
  const { containers = [], initContainers = [] } = spec.template?.spec ?? {};
  const containerNames = new Set([...containers, ...initContainers].map(({ name }) => name));
  for (const [i, rule] of rules.entries())
    wrong.push(...validateFailureRule(rule, spec, at.index(i), containerNames));
  return wrong;
}

function validateSuccessRule(rule: SuccessPolicyRule, completions: number, path: FieldPath): FieldError[] {
  const { succeededCount: count, succeededIndexes: indexes } = rule;
  const wrong: FieldError[] = [];
  if (count == null && indexes == null) {
    const why = 'at least one of succeededCount or succeededIndexes must be specified';
    wrong.push(fieldErrors.required(path, why));
  }
  let named = 0;
  if (indexes != null) {
    const at = path.child('succeededIndexes');
    if (Buffer.byteLength(indexes) > maxIndexesBytes) wrong.push(fieldErrors.tooLong(at, maxIndexesBytes));
    try {
      named = countIndexes(indexes, completions);
    } catch (error) {
      const why = `error parsing succeededIndexes: ${(error as Error).message}`;
      wrong.push(fieldErrors.invalid(at, indexes, why));
    }
  }
  if (count == null) return wrong;
  const at = path.child('succeededCount');
  wrong.push(...nonNegative(count, at));
  if (count > completions) {
    const why = `must be less than or equal to ${completions} (the number of specified completions)`;
    wrong.push(fieldErrors.invalid(at, count, why));
  }
  if (indexes != null && count > named) {
    const why = `must be less than or equal to ${named} (the number of indexes in the specified succeededIndexes field)`;
    wrong.push(fieldErrors.invalid(at, count, why));
  }
  return wrong;
}

/** When a job counts as done before all its pods are (upstream: validateSuccessPolicy). */
export function validateSuccessPolicy(spec: JobSpec, path: FieldPath): FieldError[] {
  if (!spec.successPolicy) return [];
  if (spec.completionMode !== 'Indexed')
    return [fieldErrors.invalid(path, spec.successPolicy, 'requires indexed completion mode')];
  const rules = spec.successPolicy.rules ?? [];
  const at = path.child('rules');
  const wrong: FieldError[] = [];
  if (rules.length === 0) {
    const why = 'at least one rules must be specified when the successPolicy is specified';
    wrong.push(fieldErrors.required(at, why));
  }
  if (rules.length > maxRules) wrong.push(fieldErrors.tooMany(at, rules.length, maxRules));
  for (const [i, rule] of rules.entries())
    // Without completions the job is refused for that; upstream's server panics here.
    if (spec.completions != null) wrong.push(...validateSuccessRule(rule, spec.completions, at.index(i)));
  return wrong;
}
