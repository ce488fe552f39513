import type { PolicyRule } from '@cloudless/kube/types/rbac-v1';

const hasAll = (owned: readonly string[], wanted: readonly string[]): boolean =>
  owned.includes('*') || wanted.every((item) => owned.includes(item));

const resourcesCover = (owned: readonly string[], wanted: readonly string[]): boolean =>
  owned.includes('*') ||
  wanted.every((resource) => {
    if (owned.includes(resource)) return true;
    const slash = resource.indexOf('/');
    return slash >= 0 && owned.includes(`*${resource.slice(slash)}`);
  });

const pathCovered = (owned: string, wanted: string): boolean =>
  owned === wanted || (owned.endsWith('*') && wanted.startsWith(owned.replace(/\*+$/, '')));

const pathsCover = (owned: readonly string[], wanted: readonly string[]): boolean =>
  wanted.every((path) => owned.some((pattern) => pathCovered(pattern, path)));

function namesCover(owned: readonly string[], wanted: readonly string[]): boolean {
  if (owned.length === 0) return true;
  return wanted.length > 0 && wanted.every((name) => owned.includes(name));
}

/** `wanted` names one group, one resource or path, one verb, at most one name. */
const ruleCovers = (owned: PolicyRule, wanted: PolicyRule): boolean =>
  hasAll(owned.verbs, wanted.verbs) &&
  hasAll(owned.apiGroups ?? [], wanted.apiGroups ?? []) &&
  resourcesCover(owned.resources ?? [], wanted.resources ?? []) &&
  pathsCover(owned.nonResourceURLs ?? [], wanted.nonResourceURLs ?? []) &&
  namesCover(owned.resourceNames ?? [], wanted.resourceNames ?? []);

/** A rule as rules of one right each. */
export function* singleRights(rule: PolicyRule): Generator<PolicyRule> {
  const names = rule.resourceNames ?? [];
  for (const group of rule.apiGroups ?? [])
    for (const resource of rule.resources ?? [])
      for (const verb of rule.verbs)
        if (names.length === 0) yield { apiGroups: [group], resources: [resource], verbs: [verb] };
        else
          for (const name of names)
            yield { apiGroups: [group], resources: [resource], verbs: [verb], resourceNames: [name] };
  for (const path of rule.nonResourceURLs ?? [])
    for (const verb of rule.verbs) yield { nonResourceURLs: [path], verbs: [verb] };
}

/** The single rights of `wanted` that `owned` does not give (upstream: component-helpers/auth/rbac/validation). */
export function missingRights(owned: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  const missing: PolicyRule[] = [];
  for (const rule of wanted)
    for (const right of singleRights(rule))
      if (!owned.some((candidate) => ruleCovers(candidate, right))) missing.push(right);
  return missing;
}

/** Joins single rights on the same resource and name into one rule of several verbs. */
export function compactRights(rights: readonly PolicyRule[]): PolicyRule[] {
  const byResource = new Map<string, PolicyRule>();
  const rest: PolicyRule[] = [];
  for (const right of rights) {
    if (right.nonResourceURLs) {
      rest.push(right);
      continue;
    }
    const key = JSON.stringify([right.apiGroups, right.resources, right.resourceNames]);
    const known = byResource.get(key);
    if (known) known.verbs.push(...right.verbs);
    else byResource.set(key, { ...right, verbs: [...right.verbs] });
  }
  return [...rest, ...byResource.values()];
}

const quoted = (list: readonly string[]): string => `[${list.map((item) => JSON.stringify(item)).join(' ')}]`;

/** `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`, as upstream prints a rule in errors. */
export function ruleText(rule: PolicyRule): string {
  const parts: Array<[string, readonly string[] | undefined]> = [
    ['APIGroups', rule.apiGroups],
    ['Resources', rule.resources],
    ['NonResourceURLs', rule.nonResourceURLs],
    ['ResourceNames', rule.resourceNames],
    ['Verbs', rule.verbs],
  ];
  const shown = parts.filter(([, list]) => (list ?? []).length > 0);
  return `{${shown.map(([name, list]) => `${name}:${quoted(list as readonly string[])}`).join(', ')}}`;
}
