import type {
  ClusterRole,
  ClusterRoleBinding,
  PolicyRule,
  Role,
  RoleBinding,
} from '@cloudless/kube/types/rbac-v1';
import { cloudlessNamespacedGrants, cloudlessGrants, cloudlessRoles } from './cloudless-grants.ts';
import { type ClusterGrant, systemGrants } from './cluster-grants.ts';
import { controllerRoles } from './controller-roles.ts';
import { kubeadmClusterGrants, kubeadmNamespacedGrants, kubeadmRoles } from './kubeadm-grants.ts';
import { type NamespacedGrant, namespacedGrants } from './namespace-roles.ts';
import type { RoleTable } from './rules.ts';
import { account } from './subjects.ts';
import { systemRoles } from './system-roles.ts';
import { aggregatedRoles } from './user-roles.ts';

const apiVersion = 'rbac.authorization.k8s.io/v1';
const apiGroup = 'rbac.authorization.k8s.io';
const aggregateTo = (role: string): string => `rbac.authorization.k8s.io/aggregate-to-${role}`;

export const autoUpdate = 'rbac.authorization.kubernetes.io/autoupdate';

/** The policy that an API server starts with. */
export interface Policy {
  clusterRoles: ClusterRole[];
  clusterRoleBindings: ClusterRoleBinding[];
  roles: Role[];
  roleBindings: RoleBinding[];
}

/** Marks what upstream's API server keeps up to date by itself. */
const kept = (labels: Record<string, string> = {}) => ({
  annotations: { [autoUpdate]: 'true' },
  labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
});

type Marks = { annotations?: Record<string, string>; labels?: Record<string, string> };

const clusterRole = (name: string, rules: readonly PolicyRule[], marks: Marks): ClusterRole => ({
  apiVersion,
  kind: 'ClusterRole',
  metadata: { name, ...marks },
  rules: [...rules],
});

const clusterRoles = (table: RoleTable, marks: Marks, prefix = ''): ClusterRole[] =>
  Object.entries(table).map(([name, rules]) => clusterRole(`${prefix}${name}`, rules, marks));

const clusterBinding = ({ binding, role, subjects }: ClusterGrant, marks: Marks): ClusterRoleBinding => ({
  apiVersion,
  kind: 'ClusterRoleBinding',
  metadata: { name: binding, ...marks },
  roleRef: { apiGroup, kind: 'ClusterRole', name: role },
  ...(subjects.length === 0 ? {} : { subjects: [...subjects] }),
});

const unique = (rules: readonly PolicyRule[]): PolicyRule[] => [
  ...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values(),
];

/** `admin` ⊃ `edit` ⊃ `view`, each gathered by label; `rules` start as what gathering would give. */
function userRoles(): ClusterRole[] {
  const rulesOf = (name: string): readonly PolicyRule[] =>
    aggregatedRoles[`system:aggregate-to-${name}`] ?? [];
  const parts = ['admin', 'edit', 'view'].map((name) =>
    clusterRole(`system:aggregate-to-${name}`, rulesOf(name), kept({ [aggregateTo(name)]: 'true' })),
  );
  const gathered = (name: string, from: readonly string[], into: readonly string[]): ClusterRole => ({
    ...clusterRole(
      name,
      unique(from.flatMap(rulesOf)),
      kept(Object.fromEntries(into.map((role) => [aggregateTo(role), 'true']))),
    ),
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregateTo(name)]: 'true' } }] },
  });
  return [
    ...parts,
    gathered('admin', ['edit', 'view', 'admin'], []),
    gathered('edit', ['edit', 'view'], ['admin']),
    gathered('view', ['view'], ['edit']),
  ];
}

function namespaced(grant: NamespacedGrant, marks: Marks): { role: Role; binding: RoleBinding } {
  const { namespace } = grant;
  const role: Role = {
    apiVersion,
    kind: 'Role',
    metadata: { name: grant.role, namespace, ...marks },
    rules: [...grant.rules],
  };
  const binding: RoleBinding = {
    apiVersion,
    kind: 'RoleBinding',
    metadata: { name: grant.binding, namespace, ...marks },
    roleRef: { apiGroup, kind: 'Role', name: grant.role },
    subjects: [...grant.subjects],
  };
  return { role, binding };
}

/** Upstream's defaults, kubeadm's and Cloudless's own, as objects. A new copy at each call. */
export function defaultPolicy(): Policy {
  const controllers: ClusterGrant[] = Object.keys(controllerRoles).map((name) => ({
    binding: `system:controller:${name}`,
    role: `system:controller:${name}`,
    subjects: [account(name)],
  }));
  const inNamespaces = [
    ...namespacedGrants.map((grant) => namespaced(grant, kept())),
    ...kubeadmNamespacedGrants.map((grant) => namespaced(grant, {})),
    ...cloudlessNamespacedGrants.map((grant) => namespaced(grant, kept())),
  ];
  return structuredClone({
    clusterRoles: [
      ...userRoles(),
      ...clusterRoles(systemRoles, kept()),
      ...clusterRoles(controllerRoles, kept(), 'system:controller:'),
      ...clusterRoles(kubeadmRoles, {}),
      ...clusterRoles(cloudlessRoles, kept()),
    ],
    clusterRoleBindings: [
      ...[...systemGrants, ...controllers, ...cloudlessGrants].map((grant) => clusterBinding(grant, kept())),
      ...kubeadmClusterGrants.map((grant) => clusterBinding(grant, {})),
    ],
    roles: inNamespaces.map(({ role }) => role),
    roleBindings: inNamespaces.map(({ binding }) => binding),
  });
}
