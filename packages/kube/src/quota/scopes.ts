import type {
  PersistentVolumeClaim,
  Pod,
  PodSpec,
  ResourceQuotaSpec,
  ScopedResourceSelectorRequirement,
} from '../generated/types/core-v1.ts';
import type { KubeObject } from '../object.ts';
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

type Scope = ScopedResourceSelectorRequirement;

/** Whether one of the names, or none, meets a requirement on the name of the scope's class. */
function named({ scopeName, operator, values = [] }: Scope, names: readonly string[]): boolean {
  const known = operators[operator as keyof typeof operators];
  if (known === undefined) return false;
  const selector = new Selector([requirement(scopeName, known, values)]);
  if (names.length === 0) return selector.matches({});
  return names.some((name) => selector.matches({ [scopeName]: name }));
}

function podMatches(spec: PodSpec, scope: Scope): boolean {
  const terminating = (spec.activeDeadlineSeconds ?? -1) >= 0;
  switch (scope.scopeName) {
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
    case 'PriorityClass':
      return named(scope, spec.priorityClassName ? [spec.priorityClassName] : []);
    default:
      return false;
  }
}

/** A claim is of the classes that it asks for, that it has, and that it is on its way to. */
function claimMatches({ spec, status }: PersistentVolumeClaim, scope: Scope): boolean {
  if (scope.scopeName !== 'VolumeAttributesClass') return false;
  const names = [
    spec?.volumeAttributesClassName,
    status?.currentVolumeAttributesClassName,
    status?.modifyVolumeStatus?.targetVolumeAttributesClassName,
  ].filter((name) => name !== undefined && name !== '');
  return named(scope, names as string[]);
}

/**
 * Whether a quota means this object: every scope must hold. Pods and claims are in scopes, nothing else is
 * (pkg/quota/v1/evaluator/core).
 */
export function isInScopes(quota: ResourceQuotaSpec, resource: string, object: KubeObject): boolean {
  const scopes: Scope[] = [
    ...(quota.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' })),
    ...(quota.scopeSelector?.matchExpressions ?? []),
  ];
  if (scopes.length === 0) return true;
  if (resource === 'pods') {
    const { spec } = object as Pod;
    return spec !== undefined && scopes.every((scope) => podMatches(spec, scope));
  }
  return resource === 'persistentvolumeclaims' && scopes.every((scope) => claimMatches(object, scope));
}
