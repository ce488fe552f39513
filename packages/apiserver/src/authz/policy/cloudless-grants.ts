import type { ClusterGrant } from './cluster-grants.ts';
import type { NamespacedGrant } from './namespace-roles.ts';
import { type RoleTable, rule } from './rules.ts';
import { account, group } from './subjects.ts';

const loadBalancerKinds =
  'bfdprofiles bgpadvertisements bgppeers communities ipaddresspools l2advertisements';

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
    // Whether there is anything to announce: peers, which may hold passwords, are the speaker's alone.
    rule('list watch', 'metallb.io', 'ipaddresspools'),
  ],
  'cloudless:loadbalancer-controller': [
    rule('get list watch', 'core', 'namespaces services'),
    rule('update', 'core', 'services/status'),
    rule('create patch', 'core', 'events'),
    rule('get list watch', 'metallb.io', loadBalancerKinds),
    rule('update', 'metallb.io', 'ipaddresspools/status'),
    // To see that all kinds are served.
    rule('list', 'metallb.io', 'servicel2statuses'),
  ],
  'cloudless:speaker': [
    rule('get list watch', 'core', 'namespaces nodes services'),
    rule('get list watch', 'discovery.k8s.io', 'endpointslices'),
    rule('create patch', 'core', 'events'),
    rule('get list watch', 'metallb.io', loadBalancerKinds),
  ],
  'cloudless:speaker-signer': [
    rule('get list watch', 'certificates.k8s.io', 'certificatesigningrequests'),
    rule(
      'update',
      'certificates.k8s.io',
      'certificatesigningrequests/approval certificatesigningrequests/status',
    ),
    rule('approve sign', 'certificates.k8s.io', 'signers', 'cloudless.io/speaker'),
  ],
  'cloudless:dns': [
    // Nodes and the ranges of their pods are who may ask. Pods are read where a Corefile says `pods verified`, as upstream's
    // system:coredns.
    rule('list watch', 'core', 'namespaces nodes pods services'),
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
  {
    binding: 'cloudless:loadbalancer-controller',
    role: 'cloudless:loadbalancer-controller',
    subjects: [account('loadbalancer-controller')],
  },
  // The identity of each node's speaker; the certificates come from the signer below.
  { binding: 'cloudless:speaker', role: 'cloudless:speaker', subjects: [group('cloudless:speakers')] },
  {
    binding: 'cloudless:speaker-signer',
    role: 'cloudless:speaker-signer',
    subjects: [account('speaker-signer')],
  },
];

/** In single namespaces. */
export const cloudlessNamespacedGrants: readonly NamespacedGrant[] = [
  {
    namespace: 'kube-system',
    role: 'cloudless:dns',
    rules: [
      rule('get list watch', 'core', 'configmaps', 'coredns'),
      rule('create patch', 'core events.k8s.io', 'events'),
    ],
    binding: 'cloudless:dns',
    subjects: [account('cloudless-dns')],
  },
];
