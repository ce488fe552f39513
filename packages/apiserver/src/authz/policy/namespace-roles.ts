import type { PolicyRule, Subject } from '@cloudless/kube/types/rbac-v1';
import { rule } from './rules.ts';
import { account, user } from './subjects.ts';

/** A Role and the RoleBinding of the same name, unless `binding` says otherwise. */
export interface NamespacedGrant {
  namespace: string;
  role: string;
  rules: readonly PolicyRule[];
  binding: string;
  subjects: readonly Subject[];
}

const events = rule('create patch update', 'core events.k8s.io', 'events');
const leaderLocking = [
  rule('create get list update watch', 'coordination.k8s.io', 'leases'),
  rule('create get list update watch', 'coordination.k8s.io', 'leasecandidates'),
];

/** Upstream's roles inside kube-system and kube-public (upstream: rbac/bootstrappolicy/namespace_policy.go). */
export const namespacedGrants: readonly NamespacedGrant[] = [
  {
    namespace: 'kube-public',
    role: 'system:controller:bootstrap-signer',
    rules: [
      rule('get list watch', 'core', 'configmaps'),
      rule('update', 'core', 'configmaps', 'cluster-info'),
      events,
    ],
    binding: 'system:controller:bootstrap-signer',
    subjects: [account('bootstrap-signer')],
  },
  {
    namespace: 'kube-system',
    role: 'extension-apiserver-authentication-reader',
    rules: [rule('get list watch', 'core', 'configmaps', 'extension-apiserver-authentication')],
    binding: 'system::extension-apiserver-authentication-reader',
    subjects: [user('system:kube-controller-manager'), user('system:kube-scheduler')],
  },
  {
    namespace: 'kube-system',
    role: 'system::leader-locking-kube-controller-manager',
    rules: leaderLocking,
    binding: 'system::leader-locking-kube-controller-manager',
    subjects: [
      user('system:kube-controller-manager'),
      account('kube-controller-manager'),
      account('leader-election-controller'),
    ],
  },
  {
    namespace: 'kube-system',
    role: 'system::leader-locking-kube-scheduler',
    rules: leaderLocking,
    binding: 'system::leader-locking-kube-scheduler',
    subjects: [user('system:kube-scheduler'), account('kube-scheduler')],
  },
  {
    namespace: 'kube-system',
    role: 'system:controller:bootstrap-signer',
    rules: [rule('get list watch', 'core', 'secrets')],
    binding: 'system:controller:bootstrap-signer',
    subjects: [account('bootstrap-signer')],
  },
  {
    namespace: 'kube-system',
    role: 'system:controller:cloud-provider',
    rules: [rule('create get list watch', 'core', 'configmaps')],
    binding: 'system:controller:cloud-provider',
    subjects: [account('cloud-provider')],
  },
  {
    namespace: 'kube-system',
    role: 'system:controller:token-cleaner',
    rules: [rule('delete get list watch', 'core', 'secrets'), events],
    binding: 'system:controller:token-cleaner',
    subjects: [account('token-cleaner')],
  },
];
