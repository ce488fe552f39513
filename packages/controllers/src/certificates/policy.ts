import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import type { ParsedRequest } from './request.ts';

export const signers = {
  client: 'kubernetes.io/kube-apiserver-client',
  kubeletClient: 'kubernetes.io/kube-apiserver-client-kubelet',
  kubeletServing: 'kubernetes.io/kubelet-serving',
  legacy: 'kubernetes.io/legacy-unknown',
} as const;

/** What a request may ask of a signer: the reason against it, or undefined (upstream: pkg/apis/certificates/helpers.go). */
type Rule = (csr: CertificateSigningRequest, parsed: ParsedRequest) => string | undefined;

const sorted = (list: readonly string[]): string => [...list].sort().join();

function usagesAre(csr: CertificateSigningRequest, purpose: 'client auth' | 'server auth'): boolean {
  const usages = sorted(csr.spec.usages ?? []);
  return (
    usages === sorted(['digital signature', purpose]) ||
    usages === sorted(['digital signature', 'key encipherment', purpose])
  );
}

function nodeSubject(parsed: ParsedRequest): string | undefined {
  if (parsed.organizations.length !== 1 || parsed.organizations[0] !== 'system:nodes') {
    return 'subject organization is not system:nodes';
  }
  if (!parsed.commonName.startsWith('system:node:'))
    return 'subject common name does not begin with system:node: ';
  return undefined;
}

export const kubeletClientRule: Rule = (csr, parsed) => {
  const subject = nodeSubject(parsed);
  if (subject) return subject;
  if (parsed.dnsNames.length > 0) return 'DNS subjectAltNames are not allowed';
  if (parsed.emails.length > 0) return 'Email subjectAltNames are not allowed';
  if (parsed.ipAddresses.length > 0) return 'IP subjectAltNames are not allowed';
  if (parsed.uris.length > 0) return 'URI subjectAltNames are not allowed';
  return usagesAre(csr, 'client auth') ? undefined : 'usages did not match [digital signature client auth]';
};

export const kubeletServingRule: Rule = (csr, parsed) => {
  const subject = nodeSubject(parsed);
  if (subject) return subject;
  if (parsed.dnsNames.length + parsed.ipAddresses.length === 0)
    return 'at least one DNS or IP subjectAltName is required';
  if (parsed.emails.length > 0) return 'Email subjectAltNames are not allowed';
  if (parsed.uris.length > 0) return 'URI subjectAltNames are not allowed';
  return usagesAre(csr, 'server auth') ? undefined : 'usages did not match [digital signature server auth]';
};

const clientUsages = new Set(['digital signature', 'key encipherment', 'client auth']);

const clientRule: Rule = (csr, parsed) => {
  if (parsed.organizations.includes('system:masters')) return 'use of system:masters is not allowed';
  const usages = csr.spec.usages ?? [];
  return usages.includes('client auth') && usages.every((usage) => clientUsages.has(usage))
    ? undefined
    : 'usages did not match [digital signature client auth]';
};

/** By signer; what is not here is somebody else's to sign. */
export const signingRules: Readonly<Record<string, Rule>> = {
  [signers.client]: clientRule,
  [signers.kubeletClient]: kubeletClientRule,
  [signers.kubeletServing]: kubeletServingRule,
  [signers.legacy]: () => undefined,
};

/** What is known of the nodes when a serving certificate is asked for. */
export interface NodeAddresses {
  /** Addresses of the node that asks; undefined while it has not registered. */
  own: readonly string[] | undefined;
  /** Addresses that belong to anything else: other nodes, Services. */
  taken: (address: string) => boolean;
}

/**
 * Whether a kubelet's serving certificate may be approved without an administrator: 'yes'; 'wait' while the node has
 * not told its addresses; or why not. A kubelet tells its addresses itself, so that addresses of others and any DNS
 * name but its own node's are refused: with such a certificate it could pass for them.
 */
export function servingVerdict(
  csr: CertificateSigningRequest,
  parsed: ParsedRequest,
  nodes: NodeAddresses,
): 'yes' | 'wait' | { refused: string } {
  const problem = kubeletServingRule(csr, parsed);
  if (problem) return { refused: problem };
  const { username = '', groups = [] } = csr.spec;
  if (username !== parsed.commonName || !groups.includes('system:nodes')) {
    return { refused: `requested for ${parsed.commonName} by ${username}` };
  }
  const nodeName = parsed.commonName.slice('system:node:'.length);
  const foreignName = parsed.dnsNames.find((name) => name !== nodeName);
  if (foreignName !== undefined) return { refused: `DNS name ${foreignName} is not the node's name` };
  const taken = parsed.ipAddresses.find((address) => nodes.taken(address));
  if (taken !== undefined) return { refused: `address ${taken} belongs to somebody else` };
  if (!nodes.own) return 'wait';
  return parsed.ipAddresses.every((address) => nodes.own?.includes(address)) ? 'yes' : 'wait';
}
