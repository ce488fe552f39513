/** FlowSchema (upstream: pkg/apis/flowcontrol/validation, pkg/registry/flowcontrol/flowschema). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  FlowSchema,
  NonResourcePolicyRule,
  PolicyRulesWithSubjects,
  ResourcePolicyRule,
  Subject,
} from '@cloudless/kube/types/flowcontrol-v1';
import { compareSchemas } from '../../../flowcontrol/matching.ts';
import type { Strategy } from '../../strategy.ts';
import { invalidEach } from '../../validation/fields.ts';
import { nameIsDnsLabel, nameIsDnsSubdomain } from '../../validation/names.ts';
import { ageColumn, ageOf, table, text } from '../table/table.ts';
import { validateConditions } from './conditions.ts';

const specPath = FieldPath.of('spec');
const maxPrecedence = 10_000;
const distinguishers = ['ByNamespace', 'ByUser'];
const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'proxy', 'update', 'watch'];
const subjectKinds = ['Group', 'ServiceAccount', 'User'];
const hasWildcard = (list: readonly string[] | undefined): boolean => list?.includes('*') ?? false;

function validateServiceAccount(subject: Subject['serviceAccount'], path: FieldPath): FieldError[] {
  if (!subject) {
    return [fieldErrors.required(path, "serviceAccount is required when subject kind is 'ServiceAccount'")];
  }
  const { name, namespace } = subject;
  const wrong: FieldError[] = [];
  if (name === '') wrong.push(fieldErrors.required(path.child('name')));
  else if (name !== '*') wrong.push(...invalidEach(path.child('name'), name, nameIsDnsSubdomain(name)));
  const at = path.child('namespace');
  if (namespace === '') wrong.push(fieldErrors.required(at, 'must specify namespace for service account'));
  else wrong.push(...invalidEach(at, namespace, nameIsDnsLabel(namespace)));
  return wrong;
}

/** The member of a subject that belongs to each kind. */
const members = { ServiceAccount: 'serviceAccount', User: 'user', Group: 'group' } as const;
type SubjectKind = keyof typeof members;

function validateNamed(subject: Subject, kind: 'User' | 'Group', path: FieldPath): FieldError[] {
  const member = members[kind];
  const value = subject[member];
  if (!value)
    return [fieldErrors.required(path.child(member), `${member} is required when subject kind is '${kind}'`)];
  return value.name ? [] : [fieldErrors.required(path.child(member, 'name'))];
}

function validateSubject(subject: Subject, path: FieldPath): FieldError[] {
  const kind = subject.kind as SubjectKind;
  if (!Object.hasOwn(members, kind)) {
    return [fieldErrors.notSupported(path.child('kind'), subject.kind ?? '', subjectKinds)];
  }
  const wrong =
    kind === 'ServiceAccount'
      ? validateServiceAccount(subject.serviceAccount, path.child('serviceAccount'))
      : validateNamed(subject, kind, path);
  for (const other of ['ServiceAccount', 'User', 'Group'] as const) {
    const member = members[other];
    if (other === kind || subject[member] == null) continue;
    const why = `${member} is forbidden when subject kind is not '${other}'`;
    wrong.push(fieldErrors.forbidden(path.child(member), why));
  }
  return wrong;
}

/** A list that must hold something, and nothing beside `*`. */
function validateWildcardList(
  list: readonly string[] | undefined,
  path: FieldPath,
  words: { missing: string; others: string },
): FieldError[] {
  if (!list?.length) return [fieldErrors.required(path, words.missing)];
  if (list.length === 1 || !hasWildcard(list)) return [];
  return [fieldErrors.invalid(path, list, `if '*' is present, must not specify other ${words.others}`)];
}

function validateVerbs(list: readonly string[] | undefined, path: FieldPath): FieldError[] {
  const words = { missing: 'verbs must contain at least one value', others: 'verbs' };
  const wrong = validateWildcardList(list, path, words);
  if (wrong.length > 0 || hasWildcard(list) || (list ?? []).every((verb) => verbs.includes(verb)))
    return wrong;
  return [fieldErrors.notSupported(path, list, verbs)];
}

function validateUrl(url: string, path: FieldPath): FieldError[] {
  const invalid = (why: string): FieldError[] => [fieldErrors.invalid(path, url, why)];
  if (url === '') return invalid('must not be empty');
  if (url === '/') return [];
  if (!url.startsWith('/')) return invalid('must start with slash');
  if (url.includes(' ')) return invalid('must not contain white-space');
  if (url.includes('//')) return invalid('must not contain double slash');
  const wildcards = url.split('*').length - 1;
  const isSuffix = wildcards === 0 || (wildcards === 1 && url.endsWith('/*'));
  return isSuffix ? [] : invalid('wildcard can only do suffix matching');
}

function validateNonResourceRule(rule: NonResourcePolicyRule, path: FieldPath): FieldError[] {
  const at = path.child('nonResourceURLs');
  const words = { missing: 'nonResourceURLs must contain at least one value', others: 'non-resource URLs' };
  const wrong = [
    ...validateVerbs(rule.verbs, path.child('verbs')),
    ...validateWildcardList(rule.nonResourceURLs, at, words),
  ];
  if (hasWildcard(rule.nonResourceURLs)) return wrong;
  return [...wrong, ...(rule.nonResourceURLs ?? []).flatMap((url, i) => validateUrl(url, at.index(i)))];
}

function validateResourceRule(rule: ResourcePolicyRule, path: FieldPath): FieldError[] {
  const wrong = [
    ...validateVerbs(rule.verbs, path.child('verbs')),
    ...validateWildcardList(rule.apiGroups, path.child('apiGroups'), {
      missing: 'resource rules must supply at least one api group',
      others: 'api groups',
    }),
    ...validateWildcardList(rule.resources, path.child('resources'), {
      missing: 'resource rules must supply at least one resource',
      others: 'resources',
    }),
  ];
  const at = path.child('namespaces');
  const namespaces = rule.namespaces ?? [];
  if (namespaces.length === 0) {
    const why = 'resource rules that are not cluster scoped must supply at least one namespace';
    return rule.clusterScope ? wrong : [...wrong, fieldErrors.required(at, why)];
  }
  if (hasWildcard(namespaces))
    return [...wrong, ...validateWildcardList(namespaces, at, { missing: '', others: 'namespaces' })];
  const intro = "each member of this list must be '*' or a DNS-1123 label; ";
  return [
    ...wrong,
    ...namespaces.flatMap((name, i) =>
      invalidEach(
        at.index(i),
        name,
        nameIsDnsLabel(name).map((text) => intro + text),
      ),
    ),
  ];
}

function validateRules(rules: PolicyRulesWithSubjects, path: FieldPath): FieldError[] {
  const { subjects, resourceRules = [], nonResourceRules = [] } = rules;
  const wrong = subjects.flatMap((subject, i) => validateSubject(subject, path.child('subjects').index(i)));
  if (subjects.length === 0)
    wrong.push(fieldErrors.required(path.child('subjects'), 'subjects must contain at least one value'));
  if (resourceRules.length === 0 && nonResourceRules.length === 0) {
    const why = 'at least one of resourceRules and nonResourceRules has to be non-empty';
    wrong.push(fieldErrors.required(path, why));
  }
  return [
    ...wrong,
    ...resourceRules.flatMap((rule, i) => validateResourceRule(rule, path.child('resourceRules').index(i))),
    ...nonResourceRules.flatMap((rule, i) =>
      validateNonResourceRule(rule, path.child('nonResourceRules').index(i)),
    ),
  ];
}

function validatePrecedence(value: number, name: string | undefined): FieldError[] {
  const at = specPath.child('matchingPrecedence');
  const invalid = (why: string): FieldError[] => [fieldErrors.invalid(at, value, why)];
  if (value <= 0) return invalid('must be a positive value');
  if (value > maxPrecedence) return invalid(`must not be greater than ${maxPrecedence}`);
  if (value === 1 && name !== 'exempt')
    return invalid("only the schema named 'exempt' may have matchingPrecedence 1");
  return [];
}

function validateFlowSchema({ metadata, spec, status }: FlowSchema): FieldError[] {
  const wrong = validatePrecedence(spec?.matchingPrecedence ?? 0, metadata.name);
  const method = spec?.distinguisherMethod;
  if (method && !distinguishers.includes(method.type ?? '')) {
    const at = specPath.child('distinguisherMethod', 'type');
    wrong.push(fieldErrors.notSupported(at, { Type: method.type ?? '' }, distinguishers));
  }
  const level = spec?.priorityLevelConfiguration?.name ?? '';
  const at = specPath.child('priorityLevelConfiguration', 'name');
  if (level === '') wrong.push(fieldErrors.required(at, 'must reference a priority level'));
  else wrong.push(...invalidEach(at, level, nameIsDnsSubdomain(level)));
  return [
    ...wrong,
    ...(spec?.rules ?? []).flatMap((rules, i) => validateRules(rules, specPath.child('rules').index(i))),
    ...validateConditions(status?.conditions),
  ];
}

export const flowSchema: Strategy<FlowSchema> = {
  defaults: (object) => void ((object.spec ??= {} as FlowSchema['spec'])!.matchingPrecedence ||= 1000),
  validate: (_context, object) => validateFlowSchema(object),
  validateUpdate: (_context, object) => validateFlowSchema(object),
  validateStatusUpdate: (_context, object) => validateConditions(object.status?.conditions),
  table: {
    // In the order in which requests are matched.
    compare: compareSchemas,
    ...table<FlowSchema>(
      [
        text('PriorityLevel', 'The level its requests get.'),
        text('MatchingPrecedence', 'Lower is asked first.'),
        text('DistinguisherMethod', 'How flows are told apart.'),
        ageColumn,
        text('MissingPL', 'Whether that level is missing.'),
      ],
      (object, nowMs) => [
        object.spec?.priorityLevelConfiguration?.name ?? '',
        object.spec?.matchingPrecedence ?? 0,
        object.spec?.distinguisherMethod?.type ?? '<none>',
        ageOf(object, nowMs),
        object.status?.conditions?.find((condition) => condition.type === 'Dangling')?.status ?? '?',
      ],
    ),
  },
};
