import type { UserInfo } from '@cloudless/kube/user';
import type {
  FlowSchema,
  NonResourcePolicyRule,
  PolicyRulesWithSubjects,
  ResourcePolicyRule,
  Subject,
} from '@cloudless/kube/types/flowcontrol-v1';
import type { RequestInfo } from '../request/info.ts';

/** The member, or a list of nothing but `*`. */
const includes = (list: readonly string[] | undefined, member: string): boolean =>
  list !== undefined && ((list.length === 1 && list[0] === '*') || list.includes(member));

/** Whether a user is one of the subjects that a rule speaks of. */
export function isSubject(subjects: readonly Subject[], user: UserInfo): boolean {
  return subjects.some(({ kind, user: one, group, serviceAccount }) => {
    switch (kind) {
      case 'User':
        return one !== undefined && (one.name === '*' || one.name === user.name);
      case 'Group':
        return group !== undefined && (group.name === '*' || user.groups.includes(group.name));
      case 'ServiceAccount': {
        if (!serviceAccount) return false;
        const prefix = `system:serviceaccount:${serviceAccount.namespace}:`;
        if (serviceAccount.name === '*') return user.name.startsWith(prefix);
        return user.name === prefix + serviceAccount.name;
      }
      default:
        return false;
    }
  });
}

function matchesResource(rule: ResourcePolicyRule, info: RequestInfo): boolean {
  const resource = info.subresource === '' ? info.resource : `${info.resource}/${info.subresource}`;
  if (!includes(rule.verbs, info.verb) || !includes(rule.resources, resource)) return false;
  if (!includes(rule.apiGroups, info.group)) return false;
  return info.namespace === '' ? rule.clusterScope === true : includes(rule.namespaces, info.namespace);
}

function matchesPath(rule: NonResourcePolicyRule, { verb, path }: RequestInfo): boolean {
  if (!includes(rule.verbs, verb)) return false;
  return rule.nonResourceURLs.some((url) => {
    if (url === '*' || url === path) return true;
    const prefix = url.endsWith('*') ? url.slice(0, -1) : url;
    return path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`);
  });
}

/** Whether the rules, their subjects aside, cover a request. */
export function matchesRequest(rules: PolicyRulesWithSubjects, info: RequestInfo): boolean {
  return info.isResource
    ? (rules.resourceRules ?? []).some((rule) => matchesResource(rule, info))
    : (rules.nonResourceRules ?? []).some((rule) => matchesPath(rule, info));
}

/** Whether any rule of a schema names single namespaces, so that they tell requests apart. */
export const namesNamespaces = ({ spec }: FlowSchema): boolean =>
  (spec?.rules ?? []).some(({ resourceRules }) =>
    (resourceRules ?? []).some(({ namespaces = [] }) => namespaces.some((name) => name !== '*')),
  );

/** By precedence, then by name (upstream: apihelpers.FlowSchemaSequence). */
export function compareSchemas(a: FlowSchema, b: FlowSchema): number {
  const difference = (a.spec?.matchingPrecedence ?? 0) - (b.spec?.matchingPrecedence ?? 0);
  if (difference !== 0) return difference;
  const [left = '', right = ''] = [a.metadata.name, b.metadata.name];
  return left < right ? -1 : left > right ? 1 : 0;
}
