import type { KubeClient } from '@cloudless/kube/client/client';
import { rbac } from '@cloudless/kube/resources';
import type { PolicyRule, Subject } from '@cloudless/kube/types/rbac-v1';

/** A role and the binding of the same name. */
export interface ClusterRoleGrant {
  name: string;
  rules: readonly PolicyRule[];
  subject: Subject;
}

/** The same in one namespace. */
export interface RoleGrant extends ClusterRoleGrant {
  namespace: string;
}

interface How {
  fieldManager: string;
  signal: AbortSignal;
}

const apiGroup = 'rbac.authorization.k8s.io';
const apiVersion = `${apiGroup}/v1`;

/** Applies a Role and its RoleBinding; somebody else's changes to their fields are undone. */
export async function applyRoleGrant(client: KubeClient, grant: RoleGrant, how: How): Promise<void> {
  const { name, namespace, rules, subject } = grant;
  const apply = { ...how, namespace, force: true };
  const metadata = { name, namespace };
  const role = { apiVersion, kind: 'Role', metadata, rules };
  const roleRef = { apiGroup, kind: 'Role', name };
  const binding = { apiVersion, kind: 'RoleBinding', metadata, roleRef, subjects: [subject] };
  await client.patch(rbac.roles, name, 'apply', role, apply);
  await client.patch(rbac.rolebindings, name, 'apply', binding, apply);
}

/** As {@link applyRoleGrant}, for the whole cluster. */
export async function applyClusterRoleGrant(
  client: KubeClient,
  { name, rules, subject }: ClusterRoleGrant,
  how: How,
): Promise<void> {
  const apply = { ...how, force: true };
  const metadata = { name };
  const role = { apiVersion, kind: 'ClusterRole', metadata, rules };
  const roleRef = { apiGroup, kind: 'ClusterRole', name };
  const binding = { apiVersion, kind: 'ClusterRoleBinding', metadata, roleRef, subjects: [subject] };
  await client.patch(rbac.clusterroles, name, 'apply', role, apply);
  await client.patch(rbac.clusterrolebindings, name, 'apply', binding, apply);
}
