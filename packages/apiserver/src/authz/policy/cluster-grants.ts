import type { Subject } from '@cloudless/kube/types/rbac-v1';
import { account, group, user } from './subjects.ts';

/** A ClusterRoleBinding. */
export interface ClusterGrant {
  binding: string;
  role: string;
  subjects: readonly Subject[];
}

const grant = (role: string, ...subjects: Subject[]): ClusterGrant => ({ binding: role, role, subjects });

/** Who has which of the system's ClusterRoles (upstream: rbac/bootstrappolicy/policy.go, ClusterRoleBindings). */
export const systemGrants: readonly ClusterGrant[] = [
  grant('cluster-admin', group('system:masters')),
  grant('system:basic-user', group('system:authenticated')),
  grant('system:discovery', group('system:authenticated')),
  grant('system:kube-controller-manager', user('system:kube-controller-manager')),
  grant('system:kube-dns', account('kube-dns')),
  grant('system:kube-scheduler', user('system:kube-scheduler')),
  grant('system:monitoring', group('system:monitoring')),
  // Nobody: the Node authorizer gives each node its own. Kept, as upstream keeps it.
  grant('system:node'),
  grant('system:node-proxier', user('system:kube-proxy')),
  grant('system:public-info-viewer', group('system:authenticated'), group('system:unauthenticated')),
  grant('system:service-account-issuer-discovery', group('system:serviceaccounts')),
  grant('system:volume-scheduler', user('system:kube-scheduler')),
];
