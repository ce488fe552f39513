import { X509Certificate } from 'node:crypto';

/** What is wrong with a CA bundle, base64 of PEM. */
export function caBundleError(caBundle: string): string | undefined {
  const pem = Buffer.from(caBundle, 'base64').toString('latin1');
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  try {
    const certificates = blocks.map((block) => new X509Certificate(block));
    if (certificates.length > 0) return undefined;
  } catch {
    // The same words for all that is no certificate.
  }
  return 'unable to load root certificates: unable to parse bytes as PEM block';
}
