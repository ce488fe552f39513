import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type {
  MatchResources,
  NamedRuleWithOperations,
  RuleWithOperations,
} from '@cloudless/kube/types/admissionregistration-v1';
import { setOneOf } from '../../validation/fields.ts';
import { validateLabelSelector } from '../../validation/metadata.ts';
import { nameIsPathSegment } from '../../validation/names.ts';

const scopes = ['*', 'Cluster', 'Namespaced'];
const operations = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE'];

/** `*` stands alone. */
function validateWildcard(list: readonly string[] | undefined, what: string, path: FieldPath): FieldError[] {
  if (!list || list.length < 2 || !list.includes('*')) return [];
  return [fieldErrors.invalid(path, list, `if '*' is present, must not specify other ${what}`)];
}

function validateResources(resources: readonly string[], path: FieldPath): FieldError[] {
  if (resources.length === 0) return [fieldErrors.required(path)];
  const wrong: FieldError[] = [];
  const wildSubresources = new Set<string>();
  const wildResources = new Set<string>();
  let lastIsPlain = false;
  for (const [i, text] of resources.entries()) {
    const at = path.index(i);
    if (text === '') {
      wrong.push(fieldErrors.required(at));
      continue;
    }
    const slash = text.indexOf('/');
    if (slash < 0) {
      lastIsPlain = text !== '*';
      continue;
    }
    const resource = text.slice(0, slash);
    const sub = text.slice(slash + 1);
    if (wildSubresources.has(resource))
      wrong.push(fieldErrors.invalid(at, text, `if '${resource}/*' is present, must not specify ${text}`));
    if (wildResources.has(sub))
      wrong.push(fieldErrors.invalid(at, text, `if '*/${sub}' is present, must not specify ${text}`));
    if (sub === '*') wildSubresources.add(resource);
    if (resource === '*') wildResources.add(sub);
  }
  if (resources.length > 1 && resources.includes('*/*'))
    wrong.push(fieldErrors.invalid(path, resources, "if '*/*' is present, must not specify other resources"));
  if (resources.includes('*') && lastIsPlain) {
    const why = "if '*' is present, must not specify other resources without subresources";
    wrong.push(fieldErrors.invalid(path, resources, why));
  }
  return wrong;
}

/** One rule of a webhook or policy. */
export function validateRule(rule: RuleWithOperations, path: FieldPath): FieldError[] {
  const { apiGroups = [], apiVersions = [], resources = [], scope } = rule;
  const at = path.child('operations');
  const asked = rule.operations ?? [];
  const wrong = asked.length === 0 ? [fieldErrors.required(at)] : validateWildcard(asked, 'operations', at);
  for (const [i, operation] of asked.entries())
    if (!operations.includes(operation))
      wrong.push(fieldErrors.notSupported(at.index(i), operation, operations));
  if (apiGroups.length === 0) wrong.push(fieldErrors.required(path.child('apiGroups')));
  wrong.push(...validateWildcard(apiGroups, 'API groups', path.child('apiGroups')));
  if (apiVersions.length === 0) wrong.push(fieldErrors.required(path.child('apiVersions')));
  wrong.push(...validateWildcard(apiVersions, 'API versions', path.child('apiVersions')));
  for (const [i, version] of apiVersions.entries())
    if (version === '') wrong.push(fieldErrors.required(path.child('apiVersions').index(i)));
  wrong.push(...validateResources(resources, path.child('resources')));
  if (scope !== undefined && !scopes.includes(scope))
    wrong.push(fieldErrors.notSupported(path.child('scope'), scope, scopes));
  return wrong;
}

function validateNamedRule(rule: NamedRuleWithOperations, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  const seen = new Set<string>();
  for (const [i, name] of (rule.resourceNames ?? []).entries()) {
    const at = path.child('resourceNames').index(i);
    for (const why of nameIsPathSegment(name)) wrong.push(fieldErrors.invalid(at, name, why));
    if (seen.has(name)) wrong.push(fieldErrors.duplicate(at, name));
    seen.add(name);
  }
  return [...wrong, ...validateRule(rule, path)];
}

/** `matchConstraints` of a policy, `matchResources` of a binding. */
export function validateMatchResources(match: MatchResources | undefined, path: FieldPath): FieldError[] {
  if (!match) return [];
  const named = (field: 'resourceRules' | 'excludeResourceRules'): FieldError[] =>
    (match[field] ?? []).flatMap((rule, i) => validateNamedRule(rule, path.child(field).index(i)));
  return [
    ...setOneOf(match.matchPolicy, ['Equivalent', 'Exact'], path.child('matchPolicy')),
    ...(match.namespaceSelector
      ? validateLabelSelector(match.namespaceSelector, path.child('namespaceSelector'))
      : [fieldErrors.required(path.child('namespaceSelector'))]),
    ...(match.objectSelector
      ? validateLabelSelector(match.objectSelector, path.child('objectSelector'))
      : [fieldErrors.required(path.child('objectSelector'))]),
    ...named('resourceRules'),
    ...named('excludeResourceRules'),
  ];
}
