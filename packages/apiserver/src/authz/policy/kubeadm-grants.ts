import type { ClusterGrant } from './cluster-grants.ts';
import type { NamespacedGrant } from './namespace-roles.ts';
import { type RoleTable, rule } from './rules.ts';
import { group, user } from './subjects.ts';

const bootstrappers = group('system:bootstrappers:kubeadm:default-node-token');

/** What kubeadm's certificates and tokens can do (upstream: cmd/kubeadm/app/phases/{kubeconfig,bootstraptoken}). */
export const kubeadmRoles: RoleTable = {
  'kubeadm:get-nodes': [rule('get', 'core', 'nodes')],
};

export const kubeadmClusterGrants: readonly ClusterGrant[] = [
  {
    binding: 'kubeadm:cluster-admins',
    role: 'cluster-admin',
    subjects: [group('kubeadm:cluster-admins')],
  },
  { binding: 'kubeadm:get-nodes', role: 'kubeadm:get-nodes', subjects: [bootstrappers] },
  { binding: 'kubeadm:kubelet-bootstrap', role: 'system:node-bootstrapper', subjects: [bootstrappers] },
  {
    binding: 'kubeadm:node-autoapprove-bootstrap',
    role: 'system:certificates.k8s.io:certificatesigningrequests:nodeclient',
    subjects: [bootstrappers],
  },
  {
    binding: 'kubeadm:node-autoapprove-certificate-rotation',
    role: 'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient',
    subjects: [group('system:nodes')],
  },
];

/** `kubeadm join` reads cluster-info before it has any credential. */
export const kubeadmNamespacedGrants: readonly NamespacedGrant[] = [
  {
    namespace: 'kube-public',
    role: 'kubeadm:bootstrap-signer-clusterinfo',
    rules: [rule('get', 'core', 'configmaps', 'cluster-info')],
    binding: 'kubeadm:bootstrap-signer-clusterinfo',
    subjects: [user('system:anonymous')],
  },
];
