import type { LeafSpec } from './authority.ts';

/** Where things are in a PKI folder, by kubeadm's names (kubernetes/cmd/kubeadm/app/constants). */
export const authorities = [
  { file: 'ca', commonName: 'kubernetes' },
  { file: 'front-proxy-ca', commonName: 'front-proxy-ca' },
  { file: 'etcd/ca', commonName: 'etcd-ca' },
] as const;

export type AuthorityFile = (typeof authorities)[number]['file'];

export interface PlannedLeaf extends LeafSpec {
  file: string;
  authority: AuthorityFile;
}

export interface Names {
  nodeName: string;
  /** Addresses at which this node is reached; the first is advertised. */
  nodeIps: readonly string[];
  /** First address of each service block. */
  serviceIps: readonly string[];
  dnsDomain: string;
  controlPlaneHost?: string | undefined;
  extraSans: readonly string[];
}

const unique = (list: ReadonlyArray<string | undefined>): string[] => [
  ...new Set(list.filter((item): item is string => item !== undefined && item !== '')),
];

/** Every leaf of a control plane with an etcd API beside it, as kubeadm issues them. */
export function plannedLeaves(names: Names): PlannedLeaf[] {
  const etcdNames = unique([names.nodeName, 'localhost', ...names.nodeIps, '127.0.0.1', '::1']);
  return [
    {
      file: 'apiserver',
      authority: 'ca',
      commonName: 'kube-apiserver',
      usages: ['server'],
      names: unique([
        names.nodeName,
        'kubernetes',
        'kubernetes.default',
        'kubernetes.default.svc',
        `kubernetes.default.svc.${names.dnsDomain}`,
        // Every part on the machine itself calls it by loopback.
        'localhost',
        ...names.serviceIps,
        ...names.nodeIps,
        '127.0.0.1',
        '::1',
        names.controlPlaneHost,
        ...names.extraSans,
      ]),
    },
    {
      file: 'apiserver-kubelet-client',
      authority: 'ca',
      commonName: 'kube-apiserver-kubelet-client',
      organizations: ['kubeadm:cluster-admins'],
      usages: ['client'],
    },
    {
      file: 'front-proxy-client',
      authority: 'front-proxy-ca',
      commonName: 'front-proxy-client',
      usages: ['client'],
    },
    {
      file: 'etcd/server',
      authority: 'etcd/ca',
      commonName: names.nodeName,
      usages: ['server', 'client'],
      names: etcdNames,
    },
    {
      file: 'etcd/peer',
      authority: 'etcd/ca',
      commonName: names.nodeName,
      usages: ['server', 'client'],
      names: etcdNames,
    },
    {
      file: 'etcd/healthcheck-client',
      authority: 'etcd/ca',
      commonName: 'kube-etcd-healthcheck-client',
      usages: ['client'],
    },
    {
      file: 'apiserver-etcd-client',
      authority: 'etcd/ca',
      commonName: 'kube-apiserver-etcd-client',
      usages: ['client'],
    },
  ];
}

export interface PlannedKubeconfig {
  file: string;
  user: string;
  commonName: string;
  organizations: readonly string[];
}

/** Kubeconfigs of a control plane node. */
export function plannedKubeconfigs(nodeName: string): PlannedKubeconfig[] {
  return [
    {
      file: 'admin.conf',
      user: 'kubernetes-admin',
      commonName: 'kubernetes-admin',
      organizations: ['kubeadm:cluster-admins'],
    },
    {
      file: 'super-admin.conf',
      user: 'kubernetes-super-admin',
      commonName: 'kubernetes-super-admin',
      organizations: ['system:masters'],
    },
    {
      file: 'controller-manager.conf',
      user: 'system:kube-controller-manager',
      commonName: 'system:kube-controller-manager',
      organizations: [],
    },
    {
      file: 'scheduler.conf',
      user: 'system:kube-scheduler',
      commonName: 'system:kube-scheduler',
      organizations: [],
    },
    {
      file: 'kubelet.conf',
      user: `system:node:${nodeName}`,
      commonName: `system:node:${nodeName}`,
      organizations: ['system:nodes'],
    },
  ];
}
