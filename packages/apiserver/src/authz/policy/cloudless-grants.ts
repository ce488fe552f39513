import type { ClusterGrant } from './cluster-grants.ts';
import { type RoleTable, rule } from './rules.ts';
import { account, group } from './subjects.ts';

/**
 * What Cloudless's own parts need beyond upstream's roles. The node agent is `system:node:NAME`: the Node authorizer
 * gives it its pods, this gives its network part what kube-proxy and a CNI agent read anywhere. No Secret, no
 * ConfigMap, no write.
 */
export const cloudlessRoles: RoleTable = {
  'cloudless:node': [
    rule('get list watch', 'core', 'namespaces nodes services'),
    rule('get list watch', 'discovery.k8s.io', 'endpointslices'),
    rule('get list watch', 'networking.k8s.io', 'networkpolicies servicecidrs'),
  ],
  'cloudless:dns': [
    rule('list watch', 'core', 'namespaces services'),
    rule('list watch', 'discovery.k8s.io', 'endpointslices'),
  ],
};

export const cloudlessGrants: readonly ClusterGrant[] = [
  { binding: 'cloudless:node', role: 'cloudless:node', subjects: [group('system:nodes')] },
  // Upstream leaves these to a person; ours are approved when they name nothing but the asking node's own addresses.
  {
    binding: 'cloudless:kubelet-serving-approver',
    role: 'system:certificates.k8s.io:kubelet-serving-approver',
    subjects: [account('certificate-controller')],
  },
  { binding: 'cloudless:dns', role: 'cloudless:dns', subjects: [account('cloudless-dns')] },
];
