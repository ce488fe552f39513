import { type Selector, selectorFromObject } from '@cloudless/kube/selector/selector';
import type { ClusterRole, PolicyRule } from '@cloudless/kube/types/rbac-v1';
import type { ResourceCache } from '../cache/cache.ts';

const nameOf = (role: ClusterRole): string => role.metadata.name ?? '';

/** Validation keeps broken selectors out; one that came in by the store selects nothing. */
function selectorsOf(role: ClusterRole): Selector[] {
  return (role.aggregationRule?.clusterRoleSelectors ?? []).flatMap((selector) => {
    try {
      return [selectorFromObject(selector)];
    } catch {
      return [];
    }
  });
}

/** ClusterRoles that an aggregated one selects by label, itself left out, by name. */
function selected(roles: ResourceCache<ClusterRole>, role: ClusterRole): ClusterRole[] {
  const selectors = selectorsOf(role);
  return [...roles.list()]
    .filter((other) => nameOf(other) !== nameOf(role))
    .filter(({ metadata }) => selectors.some((selector) => selector.matches(metadata.labels)))
    .sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

/**
 * The rules that an aggregated ClusterRole gathers, each once. What it gathers may itself be aggregated; roles that
 * gather each other are followed once.
 */
export function gatheredRules(roles: ResourceCache<ClusterRole>, role: ClusterRole): PolicyRule[] {
  const rules = new Map<string, PolicyRule>();
  const seen = new Set<string>();
  const visit = (current: ClusterRole): void => {
    if (seen.has(nameOf(current))) return;
    seen.add(nameOf(current));
    if (current.aggregationRule) for (const other of selected(roles, current)) visit(other);
    else for (const rule of current.rules ?? []) rules.set(JSON.stringify(rule), rule);
  };
  visit(role);
  return [...rules.values()];
}
