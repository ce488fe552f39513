import type { PolicyRule } from '@cloudless/kube/types/rbac-v1';

/**
 * What the authoritative DNS may do in the whole cluster: read what records are derived from, say which DNSEndpoints it
 * has read, and tell objects by Events what became of their records.
 */
export const clusterRules: readonly PolicyRule[] = [
  {
    apiGroups: [''],
    resources: ['services', 'pods', 'nodes', 'namespaces'],
    verbs: ['get', 'list', 'watch'],
  },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: ['networking.k8s.io'], resources: ['ingresses'], verbs: ['get', 'list', 'watch'] },
  {
    apiGroups: ['gateway.networking.k8s.io'],
    resources: ['gateways', 'httproutes', 'grpcroutes', 'tlsroutes', 'tcproutes', 'udproutes'],
    verbs: ['get', 'list', 'watch'],
  },
  { apiGroups: ['externaldns.k8s.io'], resources: ['dnsendpoints'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: ['externaldns.k8s.io'], resources: ['dnsendpoints/status'], verbs: ['patch', 'update'] },
  {
    apiGroups: ['apiextensions.k8s.io'],
    resources: ['customresourcedefinitions'],
    verbs: ['get', 'list', 'watch'],
  },
  { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'patch', 'update'] },
];

/**
 * What it may do in its own namespace: read the configuration and its Secrets, record serials, make keys that are missing,
 * and keep the records that are made through its APIs.
 */
export const namespaceRules: readonly PolicyRule[] = [
  {
    apiGroups: [''],
    resources: ['configmaps'],
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch'],
  },
  { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch', 'create'] },
  { apiGroups: [''], resources: ['secrets'], resourceNames: ['dnssec-keys'], verbs: ['update', 'patch'] },
  {
    apiGroups: ['externaldns.k8s.io'],
    resources: ['dnsendpoints'],
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
  },
];
