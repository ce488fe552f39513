import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';

/** What a certificate request asks for. */
export interface ParsedRequest {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly emails: readonly string[];
  readonly uris: readonly string[];
  readonly request: x509.Pkcs10CertificateRequest;
}

export const crypto = webcrypto;

const subjectAlternativeNameOid = '2.5.29.17';

/** The names that a request asks for besides its subject. */
export function alternativeNames(
  request: x509.Pkcs10CertificateRequest,
): x509.SubjectAlternativeNameExtension | undefined {
  const extension = request.getExtension(subjectAlternativeNameOid);
  return extension instanceof x509.SubjectAlternativeNameExtension ? extension : undefined;
}

/** The request that cannot be read, or is not signed by the key it is for. */
export class RequestError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RequestError';
  }
}

/** Reads `spec.request` (PEM in base64) and proves that the requester holds the key. Throws {@link RequestError}. */
export async function parseRequest(csr: CertificateSigningRequest): Promise<ParsedRequest> {
  let request: x509.Pkcs10CertificateRequest;
  try {
    request = new x509.Pkcs10CertificateRequest(Buffer.from(csr.spec.request, 'base64').toString('utf8'));
  } catch (error) {
    throw new RequestError(`unable to parse csr ${JSON.stringify(csr.metadata.name)}`, error);
  }
  if (!(await request.verify(crypto).catch(() => false))) {
    throw new RequestError(`unable to verify the signature of csr ${JSON.stringify(csr.metadata.name)}`);
  }
  const names = alternativeNames(request)?.names.items ?? [];
  const of = (type: string): string[] => names.filter((name) => name.type === type).map((name) => name.value);
  return {
    commonName: request.subjectName.getField('CN')[0] ?? '',
    organizations: request.subjectName.getField('O'),
    dnsNames: of('dns'),
    ipAddresses: of('ip'),
    emails: of('email'),
    uris: of('url'),
    request,
  };
}

export function conditionOf(csr: CertificateSigningRequest, type: string): boolean {
  return (
    csr.status?.conditions?.some((condition) => condition.type === type && condition.status !== 'False') ??
    false
  );
}

/** Approved, denied or failed: no longer for an approver. */
export const isDecided = (csr: CertificateSigningRequest): boolean =>
  ['Approved', 'Denied', 'Failed'].some((type) => conditionOf(csr, type));
