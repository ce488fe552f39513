import type { Subject } from '@cloudless/kube/types/rbac-v1';

/** The service account of the dns process. */
export const dnsAccountName = 'cloudless-dns';
export const dnsAccount: Subject = { kind: 'ServiceAccount', name: dnsAccountName, namespace: 'kube-system' };

/** Where the authoritative DNS has its configuration, its secrets, its serials and the records made by its APIs. */
export const externalDnsNamespace = 'cloudless-dns';

/** The Service through which the world asks: UDP and TCP on one virtual address; its ports are `dns` and `dns-tcp`. */
export const externalDnsService = 'dns';

/** The field manager of what is provided for it. */
export const externalDnsManager = 'cloudless-dns';
