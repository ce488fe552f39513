import type { X509Certificate } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { dayMs, leafValidityMs } from './validity.ts';
import { BootstrapError } from './files.ts';

/** A CA that ends within this time is worth a warning at each start: replacing it takes planning. */
const authorityWarningMs = 180 * dayMs;

/** Throws unless the certificate is a CA's and valid now; returns a warning when its end is near. */
export function checkAuthority(ca: X509Certificate, path: string, nowMs: number): string | undefined {
  if (!ca.ca) throw new BootstrapError(`${path} is no CA certificate: restore the CA from a backup`);
  if (nowMs > ca.validToDate.getTime())
    throw new BootstrapError(
      `${path} expired on ${ca.validTo}: a CA is never renewed by itself; restore or replace it, then remove the leaves beside it`,
    );
  if (nowMs < ca.validFromDate.getTime())
    throw new BootstrapError(`${path} is valid from ${ca.validFrom} on: is this machine's clock right?`);
  const leftMs = ca.validToDate.getTime() - nowMs;
  return leftMs < authorityWarningMs
    ? `${path} ends on ${ca.validTo}, in ${Math.floor(leftMs / dayMs)} days: nothing that it signs lives longer; plan its replacement`
    : undefined;
}

/**
 * True when a leaf has more than a third of its life left, or when one issued now would end no later. Leaves begin with
 * their CA (as kubeadm's do), so a year is taken for the life of one that seems to be older.
 */
export function isFresh(cert: X509Certificate, ca: X509Certificate, nowMs: number): boolean {
  const [fromMs, toMs] = [cert.validFromDate.getTime(), cert.validToDate.getTime()];
  if (nowMs >= toMs) return false;
  if (toMs >= ca.validToDate.getTime()) return true;
  return toMs - nowMs > Math.min(toMs - fromMs, leafValidityMs) / 3;
}

/** One text for equal names: lower case, IPv6 shortened (`0:0:0:0:0:0:0:1`, as Node prints it, becomes `::1`). */
function canonical(name: string): string {
  return isIPv6(name) ? new URL(`http://[${name}]`).hostname.slice(1, -1) : name.toLowerCase();
}

/** The DNS names and addresses of a certificate. */
export function namesOf(cert: X509Certificate): string[] {
  return (cert.subjectAltName ?? '').split(', ').flatMap((entry) => {
    const name = /^(?:DNS|IP Address):([^"]+)$/.exec(entry)?.[1];
    return name === undefined ? [] : [canonical(name)];
  });
}

/** Whether a certificate has all these names. */
export function covers(cert: X509Certificate, wanted: readonly string[]): boolean {
  const have = new Set(namesOf(cert));
  return wanted.every((name) => have.has(canonical(name)));
}

/** Both lists, each name once. */
export function unionOfNames(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b].map(canonical))];
}

/** Whether the CA signed the certificate. */
export function isIssuedBy(cert: X509Certificate, ca: X509Certificate): boolean {
  return cert.checkIssued(ca) && cert.verify(ca.publicKey);
}

/** Whether the certificate's subject has this common name. */
export function hasCommonName(cert: X509Certificate, commonName: string): boolean {
  return cert.subject.split('\n').includes(`CN=${commonName}`);
}
