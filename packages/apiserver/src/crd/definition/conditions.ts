/**
 * The status of CustomResourceDefinitions: accepted names and conditions, as upstream's naming, establishing, approval
 * and schema controllers leave it (apiextensions-apiserver/pkg/controller).
 */
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionCondition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionStatus,
} from '@cloudless/kube/types/apiextensions-v1';
import { timestamp } from '../../registry/metadata.ts';
import { equalJson } from '../../storage/codec.ts';
import { approvalOf } from './approval.ts';
import { caBundleError } from './ca-bundle.ts';
import { conditionOf, isProtectedGroup } from './facts.ts';

type Condition = Pick<CustomResourceDefinitionCondition, 'type' | 'status' | 'reason' | 'message'>;

/** Sets one condition, in place; its time moves only with its status. */
export function setCondition(
  status: CustomResourceDefinitionStatus,
  condition: Condition,
  nowMs: number,
): void {
  const conditions = [...(status.conditions ?? [])];
  const at = conditions.findIndex(({ type }) => type === condition.type);
  const before = conditions[at];
  const lastTransitionTime =
    before?.lastTransitionTime !== undefined && before.status === condition.status
      ? before.lastTransitionTime
      : timestamp(nowMs);
  const next = { ...before, ...condition, lastTransitionTime };
  if (at < 0) conditions.push(next);
  else conditions[at] = next;
  status.conditions = conditions;
}

interface Taken {
  resources: Set<string>;
  kinds: Set<string>;
}

/** Names that the definitions of a group hold. */
function takenNames(definitions: Iterable<CustomResourceDefinition>, group: string): Taken {
  const taken: Taken = { resources: new Set(), kinds: new Set() };
  for (const { spec, status } of definitions) {
    const names = status?.acceptedNames;
    if (spec.group !== group || !names) continue;
    for (const name of [names.plural, names.singular, ...(names.shortNames ?? [])])
      if (name) taken.resources.add(name);
    for (const name of [names.kind, names.listKind]) if (name) taken.kinds.add(name);
  }
  return taken;
}

interface Named {
  accepted: CustomResourceDefinitionNames;
  condition: Condition;
}

/** Which of the wanted names the definition gets, and what is told of the others. */
function acceptNames(definition: CustomResourceDefinition, all: Iterable<CustomResourceDefinition>): Named {
  const wanted = definition.spec.names;
  const held: Partial<CustomResourceDefinitionNames> = definition.status?.acceptedNames ?? {};
  const taken = takenNames(all, definition.spec.group);
  const accepted: Partial<CustomResourceDefinitionNames> = { ...held };
  let condition: Condition = {
    type: 'NamesAccepted',
    status: 'True',
    reason: 'NoConflicts',
    message: 'no conflicts found',
  };
  const refuse = (reason: string, message: string): void => {
    condition = { type: 'NamesAccepted', status: 'False', reason, message };
  };
  const claim = (field: 'plural' | 'singular' | 'kind' | 'listKind', reason: string): void => {
    const name = wanted[field] ?? '';
    const names = field === 'plural' || field === 'singular' ? taken.resources : taken.kinds;
    if (name !== (held[field] ?? '') && names.has(name)) refuse(reason, inUse(name));
    else accepted[field] = name;
  };
  claim('plural', 'PluralConflict');
  claim('singular', 'SingularConflict');
  if (!equalJson(wanted.shortNames ?? [], held.shortNames ?? [])) {
    const conflicts = (wanted.shortNames ?? []).filter(
      (name) => !held.shortNames?.includes(name) && taken.resources.has(name),
    );
    if (conflicts.length > 0) refuse('ShortNamesConflict', aggregate(conflicts.map(inUse)));
    else if (wanted.shortNames) accepted.shortNames = wanted.shortNames;
    else delete accepted.shortNames;
  }
  claim('kind', 'KindConflict');
  claim('listKind', 'ListKindConflict');
  if (wanted.categories) accepted.categories = wanted.categories;
  else delete accepted.categories;
  return { accepted: accepted as CustomResourceDefinitionNames, condition };
}

const inUse = (name: string): string => `${JSON.stringify(name)} is already in use`;

/** Several errors as one text (apimachinery/pkg/util/errors). */
export function aggregate(texts: readonly string[]): string {
  const once = [...new Set(texts)];
  return once.length === 1 ? (once[0] as string) : `[${once.join(', ')}]`;
}

/** Whether the definition is served: its names accepted once, and nothing wrong with its webhook's CA. */
function established(definition: CustomResourceDefinition, names: Condition): Condition {
  const before = conditionOf(definition, 'Established');
  if (before?.status === 'True') return before;
  const caBundle = definition.spec.conversion?.webhook?.clientConfig?.caBundle;
  if (names.status === 'True' && caBundle && caBundleError(caBundle) !== undefined) {
    return {
      type: 'Established',
      status: 'False',
      reason: 'InvalidCABundle',
      message: 'The conversion webhook CABundle is invalid',
    };
  }
  if (names.status === 'True') {
    return {
      type: 'Established',
      status: 'True',
      reason: 'InitialNamesAccepted',
      message: 'the initial names have been accepted',
    };
  }
  return (
    before ?? {
      type: 'Established',
      status: 'False',
      reason: 'NotAccepted',
      message: 'not all names are accepted',
    }
  );
}

/**
 * The status that a definition should have beside `all` definitions; undefined when it has it. `schemaProblems` are
 * what keeps its schemas from being structural.
 */
export function nextStatus(
  definition: CustomResourceDefinition,
  all: Iterable<CustomResourceDefinition>,
  schemaProblems: readonly string[],
  nowMs: number,
): CustomResourceDefinitionStatus | undefined {
  const before = definition.status ?? {};
  const status: CustomResourceDefinitionStatus = { ...before };
  if (isProtectedGroup(definition.spec.group)) setCondition(status, approvalOf(definition).condition, nowMs);
  const settled = equalJson(definition.spec.names, before.acceptedNames);
  const named = settled ? undefined : acceptNames(definition, all);
  const condition = named?.condition ?? conditionOf(definition, 'NamesAccepted');
  if (named) {
    status.acceptedNames = named.accepted;
    setCondition(status, named.condition, nowMs);
  }
  if (condition) setCondition(status, established(definition, condition), nowMs);
  if (schemaProblems.length > 0) {
    const message = aggregate(schemaProblems);
    const told = { type: 'NonStructuralSchema', status: 'True', reason: 'Violations', message };
    setCondition(status, told, nowMs);
  } else if (conditionOf(definition, 'NonStructuralSchema')) {
    status.conditions = (status.conditions ?? []).filter(({ type }) => type !== 'NonStructuralSchema');
  }
  return equalJson(status, before) ? undefined : status;
}
