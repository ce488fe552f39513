import { isJsonObject, type JsonObject } from '@cloudless/kube/codec/json-value';
import { FieldPath, fieldErrors, type FieldError } from '@cloudless/kube/field';
import type { Attributes } from '../request/info.ts';
import { dns1123Subdomain } from '../registry/validation/fields.ts';

/** How much of a request is written down, each level more than the one before. */
export const levels = ['None', 'Metadata', 'Request', 'RequestResponse'] as const;
export type Level = (typeof levels)[number];

export const stages = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'] as const;
export type Stage = (typeof stages)[number];

export interface GroupResources {
  group?: string;
  resources?: string[];
  resourceNames?: string[];
}

export interface PolicyRule {
  level: Level;
  users?: string[];
  userGroups?: string[];
  verbs?: string[];
  resources?: GroupResources[];
  namespaces?: string[];
  nonResourceURLs?: string[];
  omitStages?: Stage[];
  omitManagedFields?: boolean;
}

/** `audit.k8s.io/v1` Policy. */
export interface Policy {
  apiVersion: string;
  kind: string;
  rules: PolicyRule[];
  omitStages?: Stage[];
  omitManagedFields?: boolean;
}

/** What is written down about one request. */
export interface Extent {
  readonly level: Level;
  readonly omitStages: ReadonlySet<Stage>;
  readonly omitManagedFields: boolean;
}

/** A policy that cannot be used. The message names every place and what is wrong there. */
export class AuditPolicyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AuditPolicyError';
  }
}

const policyFields: ReadonlySet<string> = new Set([
  'apiVersion',
  'kind',
  'metadata',
  'rules',
  'omitStages',
  'omitManagedFields',
]);
const lists = ['users', 'userGroups', 'verbs', 'resources', 'namespaces', 'nonResourceURLs', 'omitStages'];
const ruleFields: ReadonlySet<string> = new Set(['level', 'omitManagedFields', ...lists]);
const resourceFields: ReadonlySet<string> = new Set(['group', 'resources', 'resourceNames']);

function unknownFields(value: JsonObject, known: ReadonlySet<string>, path: FieldPath): string[] {
  return Object.keys(value)
    .filter((key) => !known.has(key))
    .map((key) => `unknown field ${JSON.stringify(path.child(key).toString())}`);
}

function mustBeStrings(value: unknown, path: FieldPath, wrong: FieldError[]): void {
  if (value === undefined || value === null) return;
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string'))
    wrong.push(fieldErrors.typeInvalid(path, value, 'must be a list of strings'));
}

function checkTypes(policy: JsonObject): { wrong: FieldError[]; unknown: string[] } {
  const root = FieldPath.of('');
  const wrong: FieldError[] = [];
  const unknown = unknownFields(policy, policyFields, root);
  mustBeStrings(policy['omitStages'], root.child('omitStages'), wrong);
  const { rules } = policy;
  if (rules !== undefined && rules !== null && !Array.isArray(rules))
    wrong.push(fieldErrors.typeInvalid(root.child('rules'), rules, 'must be a list'));
  for (const [i, rule] of (Array.isArray(rules) ? (rules as unknown[]) : []).entries()) {
    const at = FieldPath.of('rules').index(i);
    if (!isJsonObject(rule)) {
      wrong.push(fieldErrors.typeInvalid(at, rule, 'must be an object'));
      continue;
    }
    unknown.push(...unknownFields(rule, ruleFields, at));
    for (const name of lists) if (name !== 'resources') mustBeStrings(rule[name], at.child(name), wrong);
    const resources = rule['resources'];
    if (resources === undefined || resources === null) continue;
    if (!Array.isArray(resources)) {
      wrong.push(fieldErrors.typeInvalid(at.child('resources'), resources, 'must be a list'));
      continue;
    }
    for (const [j, resource] of (resources as unknown[]).entries()) {
      const place = at.child('resources').index(j);
      if (!isJsonObject(resource)) {
        wrong.push(fieldErrors.typeInvalid(place, resource, 'must be an object with group and resources'));
        continue;
      }
      unknown.push(...unknownFields(resource, resourceFields, place));
      mustBeStrings(resource['resources'], place.child('resources'), wrong);
      mustBeStrings(resource['resourceNames'], place.child('resourceNames'), wrong);
    }
  }
  return { wrong, unknown };
}

function validateStages(given: readonly string[] | undefined, path: FieldPath): FieldError[] {
  const allowed = `allowed stages are ${stages.join(',')}`;
  return (given ?? []).flatMap((stage, i) =>
    (stages as readonly string[]).includes(stage) ? [] : [fieldErrors.invalid(path.index(i), stage, allowed)],
  );
}

function validateUrls(urls: readonly string[] | undefined, path: FieldPath): FieldError[] {
  return (urls ?? []).flatMap((url, i) => {
    if (url === '*') return [];
    const wrong: FieldError[] = [];
    if (!url.startsWith('/'))
      wrong.push(
        fieldErrors.invalid(path.index(i), url, "non-resource URL rules must begin with a '/' character"),
      );
    if (url.slice(0, -1).includes('*')) {
      const why = "non-resource URL wildcards '*' must be the final character of the rule";
      wrong.push(fieldErrors.invalid(path.index(i), url, why));
    }
    return wrong;
  });
}

function validateRule(rule: PolicyRule, path: FieldPath): FieldError[] {
  const at = path.child('level');
  const wrong: FieldError[] = [];
  if (!rule.level) wrong.push(fieldErrors.required(at));
  else if (!levels.includes(rule.level)) wrong.push(fieldErrors.notSupported(at, rule.level, levels));
  wrong.push(...validateUrls(rule.nonResourceURLs, path.child('nonResourceURLs')));
  const resources = path.child('resources');
  for (const { group = '', resources: names = [], resourceNames = [] } of rule.resources ?? []) {
    if (group !== '' && group !== '*') wrong.push(...dns1123Subdomain(group, resources.child('group')));
    if (resourceNames.length > 0 && names.length === 0) {
      const why = 'using resourceNames requires at least one resource';
      wrong.push(fieldErrors.invalid(resources.child('resourceNames'), resourceNames, why));
    }
  }
  wrong.push(...validateStages(rule.omitStages, path.child('omitStages')));
  if ((rule.nonResourceURLs?.length ?? 0) > 0 && (rule.resources?.length || rule.namespaces?.length)) {
    const why = 'rules cannot apply to both regular resources and non-resource URLs';
    wrong.push(fieldErrors.invalid(path.child('nonResourceURLs'), rule.nonResourceURLs, why));
  }
  return wrong;
}

/**
 * A policy from a parsed document (upstream: audit/policy/reader.go). Unknown fields only give warnings; anything else
 * that is wrong throws `AuditPolicyError` with all of it.
 */
export function readPolicy(document: unknown, warn: (text: string) => void): Policy {
  if (!isJsonObject(document)) throw new AuditPolicyError('expected an object of kind Policy');
  const { apiVersion, kind } = document;
  if (apiVersion !== 'audit.k8s.io/v1' || kind !== 'Policy') {
    const shown = (value: unknown): string => (typeof value === 'string' ? value : '');
    const got = `${shown(apiVersion)}, Kind=${shown(kind)}`;
    throw new AuditPolicyError(
      `unknown group version field ${got} in policy; expected audit.k8s.io/v1, Kind=Policy`,
    );
  }
  const { wrong, unknown } = checkTypes(document);
  const policy = document as unknown as Policy;
  if (wrong.length === 0) {
    wrong.push(...validateStages(policy.omitStages, FieldPath.of('omitStages')));
    for (const [i, rule] of (policy.rules ?? []).entries())
      wrong.push(...validateRule(rule, FieldPath.of('rules').index(i)));
  }
  if (wrong.length > 0)
    throw new AuditPolicyError(wrong.map(({ field, message }) => `${field}: ${message}`).join('; '));
  if ((policy.rules ?? []).length === 0) throw new AuditPolicyError('loaded illegal policy with 0 rules');
  for (const text of unknown) warn(text);
  return policy;
}

const has = (list: readonly string[] | undefined, value: string): boolean => list?.includes(value) ?? false;

function pathMatches(path: string, spec: string): boolean {
  return spec === '*' || spec === path || (spec.endsWith('*') && path.startsWith(spec.replace(/\*+$/, '')));
}

function resourceMatches(entry: GroupResources, { group, resource, subresource, name }: Attributes): boolean {
  const { group: wanted = '', resources = [], resourceNames = [] } = entry;
  if (wanted !== group && wanted !== '*') return false;
  if (resources.length === 0) return true;
  if (resourceNames.length > 0 && !resourceNames.includes(name)) return false;
  const full = subresource === '' ? resource : `${resource}/${subresource}`;
  return resources.some(
    (each) =>
      each === '*' ||
      each === full ||
      each === `${resource}/*` ||
      (subresource !== '' && each === `*/${subresource}`),
  );
}

function ruleMatches(rule: PolicyRule, attributes: Attributes): boolean {
  const { user, verb } = attributes;
  if (rule.users?.length && !rule.users.includes(user.name)) return false;
  if (rule.userGroups?.length && !user.groups.some((group) => has(rule.userGroups, group))) return false;
  if (rule.verbs?.length && !rule.verbs.includes(verb)) return false;
  if (rule.namespaces?.length || rule.resources?.length) {
    if (!attributes.isResource) return false;
    if (rule.namespaces?.length && !rule.namespaces.includes(attributes.namespace)) return false;
    return !rule.resources?.length || rule.resources.some((each) => resourceMatches(each, attributes));
  }
  if (!rule.nonResourceURLs?.length) return true;
  return !attributes.isResource && rule.nonResourceURLs.some((spec) => pathMatches(attributes.path, spec));
}

/** What a policy says of each request; the first rule that matches decides, and none means nothing is written. */
export function extentBy(policy: Policy): (attributes: Attributes) => Extent {
  const extents = policy.rules.map((rule) => ({
    rule,
    extent: {
      level: rule.level,
      omitStages: new Set([...(policy.omitStages ?? []), ...(rule.omitStages ?? [])]),
      omitManagedFields: rule.omitManagedFields ?? policy.omitManagedFields ?? false,
    },
  }));
  const none: Extent = { level: 'None', omitStages: new Set(), omitManagedFields: false };
  return (attributes) => extents.find(({ rule }) => ruleMatches(rule, attributes))?.extent ?? none;
}
