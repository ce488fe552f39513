import type { Resource } from '@cloudless/kube/object';

/** Which requests a webhook or policy asks for; absent lists match nothing, an absent scope everything. */
export interface Rule {
  readonly operations?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly apiVersions?: readonly string[];
  /** `pods`, `pods/status`, `*`, every `scale`, everything with `*` and a slash between. */
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly scope?: string;
}

/** A request as rules see it. */
export interface RuleTarget {
  readonly operation: string;
  readonly resource: Resource;
  readonly subresource: string;
  readonly name: string;
}

const has = (items: readonly string[] | undefined, wanted: string): boolean =>
  items?.some((item) => item === '*' || item === wanted) ?? false;

function hasResource(
  resources: readonly string[] | undefined,
  { resource, subresource }: RuleTarget,
): boolean {
  return (
    resources?.some((text) => {
      const slash = text.indexOf('/');
      const plural = slash < 0 ? text : text.slice(0, slash);
      const below = slash < 0 ? '' : text.slice(slash + 1);
      return (plural === '*' || plural === resource.plural) && (below === '*' || below === subresource);
    }) ?? false
  );
}

/** Namespaces count as cluster-scoped, whatever their requests carry. */
function inScope(scope: string | undefined, { namespaced }: Resource): boolean {
  if (scope === undefined || scope === '*') return true;
  return scope === (namespaced ? 'Namespaced' : 'Cluster');
}

/** Whether a rule asks for a request (upstream: admission/plugin/webhook/predicates/rules). */
export function ruleMatches(rule: Rule, target: RuleTarget): boolean {
  const { resource, operation, name } = target;
  return (
    inScope(rule.scope, resource) &&
    has(rule.operations, operation) &&
    has(rule.apiGroups, resource.group) &&
    has(rule.apiVersions, resource.version) &&
    hasResource(rule.resources, target) &&
    ((rule.resourceNames?.length ?? 0) === 0 || (rule.resourceNames?.includes(name) ?? false))
  );
}

/**
 * The resource under which one of the rules asks for the request: its own, or, where the policy is `Equivalent`, that
 * of another version or group of the same objects. Undefined: none does.
 */
export function matchingResource(
  rules: readonly Rule[],
  target: RuleTarget,
  equivalents: readonly Resource[],
): Resource | undefined {
  if (rules.some((rule) => ruleMatches(rule, target))) return target.resource;
  for (const rule of rules)
    for (const resource of equivalents)
      if (resource !== target.resource && ruleMatches(rule, { ...target, resource })) return resource;
  return undefined;
}
