/** RBAC kinds (upstream: pkg/apis/rbac/validation, pkg/apis/rbac/v1/defaults.go). */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
  RoleRef,
  Subject,
} from '@cloudless/kube/types/rbac-v1';
import type { Strategy } from '../../strategy.ts';
import { invalidEach, required, selectorOf } from '../../validation/fields.ts';
import { validateLabelSelector } from '../../validation/metadata.ts';
import { nameIsDnsSubdomain, nameIsPathSegment } from '../../validation/names.ts';
import { ageColumn, ageOf, createdAtTable, table, text, wideText } from '../table/table.ts';

const group = 'rbac.authorization.k8s.io';
const rulesPath = FieldPath.of('rules');

function validateRule(rule: PolicyRule, isNamespaced: boolean, path: FieldPath): FieldError[] {
  const wrong: FieldError[] = [];
  if (!rule.verbs?.length) {
    wrong.push(fieldErrors.required(path.child('verbs'), 'verbs must contain at least one value'));
  }
  const urls = rule.nonResourceURLs ?? [];
  if (urls.length > 0) {
    const at = path.child('nonResourceURLs');
    if (isNamespaced) {
      wrong.push(fieldErrors.invalid(at, urls, 'namespaced rules cannot apply to non-resource URLs'));
    }
    if (rule.apiGroups?.length || rule.resources?.length || rule.resourceNames?.length) {
      const why = 'rules cannot apply to both regular resources and non-resource URLs';
      wrong.push(fieldErrors.invalid(at, urls, why));
    }
    return wrong;
  }
  if (!rule.apiGroups?.length) {
    const why = 'resource rules must supply at least one api group';
    wrong.push(fieldErrors.required(path.child('apiGroups'), why));
  }
  if (!rule.resources?.length) {
    const why = 'resource rules must supply at least one resource';
    wrong.push(fieldErrors.required(path.child('resources'), why));
  }
  return wrong;
}

const validateRules = (
  rules: readonly PolicyRule[] | undefined | null,
  isNamespaced: boolean,
): FieldError[] => (rules ?? []).flatMap((rule, i) => validateRule(rule, isNamespaced, rulesPath.index(i)));

function validateClusterRole(role: ClusterRole): FieldError[] {
  const wrong = validateRules(role.rules, false);
  if (!role.aggregationRule) return wrong;
  const path = FieldPath.of('aggregationRule', 'clusterRoleSelectors');
  const selectors = role.aggregationRule.clusterRoleSelectors ?? [];
  if (selectors.length === 0) {
    const why = 'at least one clusterRoleSelector required if aggregationRule is non-nil';
    wrong.push(fieldErrors.required(path, why));
  }
  for (const [i, selector] of selectors.entries()) {
    wrong.push(...validateLabelSelector(selector, path.index(i)));
    if (!selectorOf(selector))
      wrong.push(fieldErrors.invalid(path.index(i), null, 'invalid label selector.'));
  }
  return wrong;
}

function validateSubject(subject: Subject, isNamespaced: boolean, path: FieldPath): FieldError[] {
  const wrong = required(subject.name, path.child('name'));
  const apiGroup = subject.apiGroup ?? '';
  switch (subject.kind) {
    case 'ServiceAccount':
      if (subject.name)
        wrong.push(...invalidEach(path.child('name'), subject.name, nameIsDnsSubdomain(subject.name)));
      if (apiGroup !== '') wrong.push(fieldErrors.notSupported(path.child('apiGroup'), apiGroup, ['']));
      if (!isNamespaced && !subject.namespace) wrong.push(fieldErrors.required(path.child('namespace')));
      break;
    case 'User':
    case 'Group':
      if (apiGroup !== group) wrong.push(fieldErrors.notSupported(path.child('apiGroup'), apiGroup, [group]));
      break;
    default:
      wrong.push(
        fieldErrors.notSupportedAsListed(path.child('kind'), subject.kind ?? '', [
          'ServiceAccount',
          'User',
          'Group',
        ]),
      );
  }
  return wrong;
}

type Binding = RoleBinding | ClusterRoleBinding;

function validateBinding(binding: Binding, isNamespaced: boolean): FieldError[] {
  const path = FieldPath.of('roleRef');
  const ref: Partial<RoleRef> = binding.roleRef ?? {};
  const wrong: FieldError[] = [];
  if (ref.apiGroup !== group) {
    wrong.push(fieldErrors.notSupported(path.child('apiGroup'), ref.apiGroup ?? '', [group]));
  }
  const kinds = isNamespaced ? ['Role', 'ClusterRole'] : ['ClusterRole'];
  if (!kinds.includes(ref.kind ?? '')) {
    wrong.push(fieldErrors.notSupportedAsListed(path.child('kind'), ref.kind ?? '', kinds));
  }
  if (!ref.name) wrong.push(fieldErrors.required(path.child('name')));
  else wrong.push(...invalidEach(path.child('name'), ref.name, nameIsPathSegment(ref.name)));
  const subjects = FieldPath.of('subjects');
  return [
    ...wrong,
    ...(binding.subjects ?? []).flatMap((one, i) => validateSubject(one, isNamespaced, subjects.index(i))),
  ];
}

function validateBindingUpdate(now: Binding, before: Binding, isNamespaced: boolean): FieldError[] {
  const wrong = validateBinding(now, isNamespaced);
  const same = (['apiGroup', 'kind', 'name'] as const).every(
    (key) => now.roleRef?.[key] === before.roleRef?.[key],
  );
  if (!same) wrong.push(fieldErrors.invalid(FieldPath.of('roleRef'), now.roleRef, 'cannot change roleRef'));
  return wrong;
}

function defaultBinding(binding: Binding): void {
  if (binding.roleRef) binding.roleRef.apiGroup ||= group;
  for (const subject of binding.subjects ?? []) {
    if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup ||= group;
  }
}

function subjectCells(subjects: readonly Subject[] | undefined): string[] {
  const names = (kind: string, show: (subject: Subject) => string): string =>
    (subjects ?? [])
      .filter((subject) => subject.kind === kind)
      .map(show)
      .join(', ');
  return [
    names('User', (subject) => subject.name),
    names('Group', (subject) => subject.name),
    names('ServiceAccount', (subject) =>
      subject.namespace ? `${subject.namespace}/${subject.name}` : subject.name,
    ),
  ];
}

const bindingTable = table<Binding>(
  [
    text('Role', 'The role that is granted.'),
    ageColumn,
    wideText('Users', 'Users who get the role.'),
    wideText('Groups', 'Groups that get the role.'),
    wideText('ServiceAccounts', 'Service accounts that get the role.'),
  ],
  (object, nowMs) => [
    `${object.roleRef?.kind}/${object.roleRef?.name}`,
    ageOf(object, nowMs),
    ...subjectCells(object.subjects),
  ],
);

export const role: Strategy<Role> = {
  validate: (_context, object) => validateRules(object.rules, true),
  validateUpdate: (_context, object) => validateRules(object.rules, true),
  table: createdAtTable,
};

export const clusterRole: Strategy<ClusterRole> = {
  validate: (_context, object) => validateClusterRole(object),
  validateUpdate: (_context, object) => validateClusterRole(object),
  table: createdAtTable,
};

export const roleBinding: Strategy<RoleBinding> = {
  defaults: defaultBinding,
  validate: (_context, object) => validateBinding(object, true),
  validateUpdate: (_context, object, old) => validateBindingUpdate(object, old, true),
  table: bindingTable,
};

export const clusterRoleBinding: Strategy<ClusterRoleBinding> = {
  defaults: defaultBinding,
  validate: (_context, object) => validateBinding(object, false),
  validateUpdate: (_context, object, old) => validateBindingUpdate(object, old, false),
  table: bindingTable,
};
