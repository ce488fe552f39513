import type {
  PodSpec,
  ResourceQuotaSpec,
  ScopedResourceSelectorRequirement,
} from '../generated/types/core-v1.ts';
import { requirement, Selector } from '../selector/selector.ts';

const operators = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: '!' } as const;

function isBestEffort(spec: PodSpec): boolean {
  const named = (list: object | undefined): boolean =>
    Object.keys(list ?? {}).some((name) => name === 'cpu' || name === 'memory');
  return ![...spec.containers, ...(spec.initContainers ?? []), { resources: spec.resources }].some(
    ({ resources }) => named(resources?.requests) || named(resources?.limits),
  );
}

function crossesNamespaces({ affinity }: PodSpec): boolean {
  const terms = [affinity?.podAffinity, affinity?.podAntiAffinity].flatMap((side) => [
    ...(side?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(side?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(
      ({ podAffinityTerm }) => podAffinityTerm,
    ),
  ]);
  return terms.some((term) => (term.namespaces ?? []).length > 0 || term.namespaceSelector !== undefined);
}

function matches(
  spec: PodSpec,
  { scopeName, operator, values = [] }: ScopedResourceSelectorRequirement,
): boolean {
  const terminating = (spec.activeDeadlineSeconds ?? -1) >= 0;
  switch (scopeName) {
    case 'Terminating':
      return terminating;
    case 'NotTerminating':
      return !terminating;
    case 'BestEffort':
      return isBestEffort(spec);
    case 'NotBestEffort':
      return !isBestEffort(spec);
    case 'CrossNamespacePodAffinity':
      return crossesNamespaces(spec);
    case 'PriorityClass': {
      const { priorityClassName = '' } = spec;
      const known = operators[operator as keyof typeof operators];
      if (known === undefined) return false;
      const selector = new Selector([requirement(scopeName, known, values)]);
      return selector.matches(priorityClassName === '' ? {} : { [scopeName]: priorityClassName });
    }
    default:
      return false;
  }
}

/** Whether a quota means this object: every scope must hold. Only pods are in any scope. */
export function isInScopes(quota: ResourceQuotaSpec, pod: PodSpec | undefined): boolean {
  const scopes: ScopedResourceSelectorRequirement[] = [
    ...(quota.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' })),
    ...(quota.scopeSelector?.matchExpressions ?? []),
  ];
  return scopes.length === 0 || (pod !== undefined && scopes.every((scope) => matches(pod, scope)));
}
