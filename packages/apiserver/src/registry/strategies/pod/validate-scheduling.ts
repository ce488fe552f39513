/** Where a pod may run: affinity, tolerations, spreading (upstream: pkg/apis/core/validation). */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  Affinity,
  NodeSelector,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodAffinityTerm,
  PodSchedulingGate,
  Toleration,
  TopologySpreadConstraint,
  WeightedPodAffinityTerm,
} from '@cloudless/kube/types/core-v1';
import type { LabelSelector } from '@cloudless/kube/types/meta-v1';
import {
  invalidEach,
  optionalOneOf,
  positive,
  qualifiedName,
  semanticallyEqual,
} from '../../validation/fields.ts';
import { validateLabelName, validateLabelSelector } from '../../validation/metadata.ts';
import { isLabelValue, nameIsDnsLabel, nameIsDnsSubdomain } from '../../validation/names.ts';

/** In the order in which upstream lists them. */
export const taintEffects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

function validateRequirement(
  requirement: NodeSelectorRequirement,
  path: FieldPath,
  allowInvalidValues: boolean,
): FieldError[] {
  const wrong: FieldError[] = [];
  const values = requirement.values ?? [];
  const at = path.child('values');
  switch (requirement.operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0) {
        wrong.push(fieldErrors.required(at, "must be specified when `operator` is 'In' or 'NotIn'"));
      }
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0) {
        const text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
        wrong.push(fieldErrors.forbidden(at, text));
      }
      break;
    case 'Gt':
    case 'Lt':
      if (values.length !== 1) {
        wrong.push(
          fieldErrors.required(at, "must be specified single value when `operator` is 'Lt' or 'Gt'"),
        );
      }
      break;
    default: {
      const text = 'not a valid selector operator';
      wrong.push(fieldErrors.invalid(path.child('operator'), requirement.operator ?? '', text));
    }
  }
  wrong.push(...validateLabelName(requirement.key ?? '', path.child('key')));
  if (allowInvalidValues) return wrong;
  for (const [i, value] of values.entries())
    wrong.push(...invalidEach(at.index(i), value, isLabelValue(value)));
  return wrong;
}

function validateFieldRequirement(requirement: NodeSelectorRequirement, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const values = requirement.values ?? [];
  if (!['In', 'NotIn'].includes(requirement.operator)) {
    const text = 'not a valid selector operator';
    wrong.push(fieldErrors.invalid(path.child('operator'), requirement.operator ?? '', text));
  } else if (values.length !== 1) {
    const text = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
    wrong.push(fieldErrors.required(path.child('values'), text));
  }
  if (requirement.key !== 'metadata.name') {
    const text = 'not a valid field selector key';
    return [...wrong, fieldErrors.invalid(path.child('key'), requirement.key ?? '', text)];
  }
  for (const [i, value] of values.entries()) {
    wrong.push(...invalidEach(path.child('values').index(i), value, nameIsDnsSubdomain(value)));
  }
  return wrong;
}

function validateTerm(term: NodeSelectorTerm, path: FieldPath, allowInvalidValues = false): FieldError[] {
  const wrong: FieldError[] = [];
  term.matchExpressions?.forEach((requirement, i) => {
    wrong.push(
      ...validateRequirement(requirement, path.child('matchExpressions').index(i), allowInvalidValues),
    );
  });
  term.matchFields?.forEach((requirement, i) => {
    wrong.push(...validateFieldRequirement(requirement, path.child('matchFields').index(i)));
  });
  return wrong;
}

/** Also of PersistentVolumes. */
export function validateNodeSelector(selector: NodeSelector, path: FieldPath): FieldError[] {
  const at = path.child('nodeSelectorTerms');
  const terms = selector.nodeSelectorTerms ?? [];
  if (terms.length === 0) {
    return [fieldErrors.required(at, 'must have at least one node selector term')];
  }
  return terms.flatMap((term, i) => validateTerm(term, at.index(i)));
}

function selectorKeys(selector: LabelSelector): Set<string> {
  const expressions = (selector.matchExpressions ?? []).map((expression) => expression.key);
  return new Set([...Object.keys(selector.matchLabels ?? {}), ...expressions]);
}

function validateLabelKeys(
  keys: readonly string[] | undefined,
  selector: LabelSelector | undefined,
  path: FieldPath,
): FieldError[] {
  if (!keys || keys.length === 0) return [];
  if (!selector) return [fieldErrors.forbidden(path, 'must not be specified when labelSelector is not set')];
  return keys.flatMap((key, i) => validateLabelName(key, path.index(i)));
}

function validateAffinityTerm(term: PodAffinityTerm, path: FieldPath): FieldError[] {
  const wrong = [
    ...validateLabelSelector(term.labelSelector, path.child('labelSelector')),
    ...validateLabelSelector(term.namespaceSelector, path.child('namespaceSelector')),
  ];
  for (const name of term.namespaces ?? []) {
    wrong.push(...invalidEach(path.child('namespace'), name, nameIsDnsLabel(name)));
  }
  wrong.push(
    ...validateLabelKeys(term.matchLabelKeys, term.labelSelector, path.child('matchLabelKeys')),
    ...validateLabelKeys(term.mismatchLabelKeys, term.labelSelector, path.child('mismatchLabelKeys')),
  );
  term.matchLabelKeys?.forEach((key, i) => {
    if (!term.mismatchLabelKeys?.includes(key)) return;
    const text = 'exists in both matchLabelKeys and mismatchLabelKeys';
    wrong.push(fieldErrors.invalid(path.child('matchLabelKeys').index(i), key, text));
  });
  const at = path.child('topologyKey');
  if (!term.topologyKey) wrong.push(fieldErrors.required(at, 'can not be empty'));
  return [...wrong, ...validateLabelName(term.topologyKey ?? '', at)];
}

function validateWeight(weight: number | undefined, path: FieldPath): FieldError[] {
  if (weight !== undefined && weight > 0 && weight <= 100) return [];
  return [fieldErrors.invalid(path.child('weight'), weight ?? 0, 'must be in the range 1-100')];
}

const requiredName = 'requiredDuringSchedulingIgnoredDuringExecution';
const preferredName = 'preferredDuringSchedulingIgnoredDuringExecution';

function validatePodAffinity(
  affinity: { [requiredName]?: PodAffinityTerm[]; [preferredName]?: WeightedPodAffinityTerm[] },
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  affinity[requiredName]?.forEach((term, i) => {
    wrong.push(...validateAffinityTerm(term, path.child(requiredName).index(i)));
  });
  affinity[preferredName]?.forEach((term, i) => {
    const at = path.child(preferredName).index(i);
    wrong.push(
      ...validateWeight(term.weight, at),
      ...validateAffinityTerm(term.podAffinityTerm, at.child('podAffinityTerm')),
    );
  });
  return wrong;
}

export function validateAffinity(affinity: Affinity | undefined | null, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const node = affinity?.nodeAffinity;
  const nodePath = path.child('nodeAffinity');
  if (node?.[requiredName])
    wrong.push(...validateNodeSelector(node[requiredName], nodePath.child(requiredName)));
  node?.[preferredName]?.forEach((term, i) => {
    const at = nodePath.child(preferredName).index(i);
    wrong.push(
      ...validateWeight(term.weight, at),
      ...validateTerm(term.preference, at.child('preference'), true),
    );
  });
  for (const name of ['podAffinity', 'podAntiAffinity'] as const) {
    const pods = affinity?.[name];
    if (pods) wrong.push(...validatePodAffinity(pods, path.child(name)));
  }
  return wrong;
}

function validateToleration(toleration: Toleration, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const operator = toleration.operator ?? '';
  const at = path.child('operator');
  if (toleration.key) wrong.push(...validateLabelName(toleration.key, path.child('key')));
  else if (operator !== 'Exists') {
    const text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"';
    wrong.push(fieldErrors.invalid(at, operator, text));
  }
  if (toleration.tolerationSeconds != null && toleration.effect !== 'NoExecute') {
    const text = "effect must be 'NoExecute' when `tolerationSeconds` is set";
    wrong.push(fieldErrors.invalid(path.child('effect'), toleration.effect ?? '', text));
  }
  const value = toleration.value ?? '';
  if (operator === 'Exists') {
    if (value !== '') {
      wrong.push(fieldErrors.invalid(at, value, "value must be empty when `operator` is 'Exists'"));
    }
  } else if (operator === 'Equal' || operator === '') {
    const texts = isLabelValue(value);
    if (texts.length > 0) wrong.push(fieldErrors.invalid(at, value, texts.join(';')));
  } else {
    // The operators of a feature that is off are named to those who use them.
    const newer = operator === 'Lt' || operator === 'Gt' ? ['Lt', 'Gt'] : [];
    wrong.push(fieldErrors.notSupportedAsListed(at, operator, ['Equal', 'Exists', ...newer]));
  }
  const { effect } = toleration;
  if (effect && !taintEffects.includes(effect))
    wrong.push(fieldErrors.notSupportedAsListed(path.child('effect'), effect, taintEffects));
  return wrong;
}

export const validateTolerations = (list: readonly Toleration[] | undefined, path: FieldPath): FieldError[] =>
  (list ?? []).flatMap((toleration, i) => validateToleration(toleration, path.index(i)));

/** On update tolerations may be added and their time changed, nothing else. */
export function validateAddedTolerations(
  now: readonly Toleration[] | undefined,
  before: readonly Toleration[] | undefined,
  path: FieldPath,
): FieldError[] {
  const withoutSeconds = ({ tolerationSeconds: _, ...rest }: Toleration): object => rest;
  const wrong: FieldError[] = [];
  for (const old of before ?? []) {
    if (now?.some((toleration) => semanticallyEqual(withoutSeconds(toleration), withoutSeconds(old))))
      continue;
    const text = 'existing toleration can not be modified except its tolerationSeconds';
    return [...wrong, fieldErrors.forbidden(path, text)];
  }
  return [...wrong, ...validateTolerations(now, path)];
}

export function validateSpread(
  constraints: readonly TopologySpreadConstraint[] | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong: FieldError[] = [];
  const all = constraints ?? [];
  for (const [i, constraint] of all.entries()) {
    const at = path.index(i);
    wrong.push(...positive(constraint.maxSkew, at.child('maxSkew')));
    if (!constraint.topologyKey)
      wrong.push(fieldErrors.required(at.child('topologyKey'), 'can not be empty'));
    const action = constraint.whenUnsatisfiable ?? '';
    wrong.push(...optionalOneOf(action, ['DoNotSchedule', 'ScheduleAnyway'], at.child('whenUnsatisfiable')));
    const repeated = all
      .slice(i + 1)
      .some((other) => other.topologyKey === constraint.topologyKey && other.whenUnsatisfiable === action);
    if (repeated) {
      const pair = `{${constraint.topologyKey}, ${action}}`;
      wrong.push(fieldErrors.duplicate(at.child('{topologyKey, whenUnsatisfiable}'), pair));
    }
    if (constraint.minDomains != null) {
      const minDomains = at.child('minDomains');
      wrong.push(...positive(constraint.minDomains, minDomains));
      if (action !== 'DoNotSchedule') {
        const text = `can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ${action}`;
        wrong.push(fieldErrors.invalid(minDomains, constraint.minDomains, text));
      }
    }
    for (const name of ['nodeAffinityPolicy', 'nodeTaintsPolicy'] as const) {
      wrong.push(...optionalOneOf(constraint[name], ['Honor', 'Ignore'], at.child(name)));
    }
    wrong.push(
      ...validateSpreadKeys(constraint, at.child('matchLabelKeys')),
      ...validateLabelSelector(constraint.labelSelector, at.child('labelSelector')),
    );
  }
  return wrong;
}

function validateSpreadKeys(constraint: TopologySpreadConstraint, path: FieldPath): FieldError[] {
  const wrong = validateLabelKeys(constraint.matchLabelKeys, constraint.labelSelector, path);
  const selector = constraint.labelSelector;
  if (!selector) return wrong;
  const known = selectorKeys(selector);
  constraint.matchLabelKeys?.forEach((key, i) => {
    if (known.has(key)) {
      wrong.push(fieldErrors.invalid(path.index(i), key, 'exists in both matchLabelKeys and labelSelector'));
    }
  });
  return wrong;
}

export function validateGates(
  gates: readonly PodSchedulingGate[] | undefined,
  path: FieldPath,
): FieldError[] {
  const seen = new Set<string>();
  return (gates ?? []).flatMap((gate, i) => {
    const wrong = qualifiedName(gate.name ?? '', path.index(i));
    if (seen.has(gate.name)) wrong.push(fieldErrors.duplicate(path.index(i), gate.name));
    seen.add(gate.name);
    return wrong;
  });
}

export function validateDeletedGates(
  now: readonly PodSchedulingGate[] | undefined,
  before: readonly PodSchedulingGate[] | undefined,
  path: FieldPath,
): FieldError[] {
  const known = new Set((before ?? []).map((gate) => gate.name));
  return (now ?? []).flatMap((gate, i) => {
    if (known.has(gate.name)) return [];
    const text = `only deletion is allowed, but found new scheduling gate '${gate.name}'`;
    return [fieldErrors.forbidden(path.index(i).child('name'), text)];
  });
}
