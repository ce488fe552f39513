import { createPrivateKey, randomBytes } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { CertificateSigningRequest } from '@cloudless/kube/types/certificates-v1';
import { type ParsedRequest, alternativeNames, crypto } from './request.ts';

/** Clocks of others may be behind (upstream: signer backdate). */
const backdateMs = 5 * 60_000;
/** Upstream: --cluster-signing-duration. */
const defaultDurationMs = 365 * 24 * 3600_000;
const minDurationMs = 600_000;

const keyUsages: Record<string, number> = {
  signing: x509.KeyUsageFlags.digitalSignature,
  'digital signature': x509.KeyUsageFlags.digitalSignature,
  'content commitment': x509.KeyUsageFlags.nonRepudiation,
  'key encipherment': x509.KeyUsageFlags.keyEncipherment,
  'key agreement': x509.KeyUsageFlags.keyAgreement,
  'data encipherment': x509.KeyUsageFlags.dataEncipherment,
};
const extendedUsages: Record<string, string> = {
  any: '2.5.29.37.0',
  'server auth': '1.3.6.1.5.5.7.3.1',
  'client auth': '1.3.6.1.5.5.7.3.2',
  'code signing': '1.3.6.1.5.5.7.3.3',
  'email protection': '1.3.6.1.5.5.7.3.4',
  timestamping: '1.3.6.1.5.5.7.3.8',
  'ocsp signing': '1.3.6.1.5.5.7.3.9',
};

/** A usage that this authority does not certify. */
export class UsageError extends Error {
  constructor(usage: string) {
    super(`unrecognized usage ${JSON.stringify(usage)}`);
    this.name = 'UsageError';
  }
}

/** The cluster's CA at work. */
export class CertificateAuthority {
  readonly #certificate: x509.X509Certificate;
  readonly #key: CryptoKey;
  readonly #algorithm: { name: string; hash: string };

  private constructor(
    certificate: x509.X509Certificate,
    key: CryptoKey,
    algorithm: { name: string; hash: string },
  ) {
    this.#certificate = certificate;
    this.#key = key;
    this.#algorithm = algorithm;
  }

  /** From PEM: RSA or EC, PKCS #1, SEC 1 or PKCS #8. Throws when the key is not the certificate's. */
  static async load(certificate: string, key: string): Promise<CertificateAuthority> {
    const parsed = new x509.X509Certificate(certificate);
    const privateKey = createPrivateKey(key);
    const curves: Record<string, string> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };
    const isRsa = privateKey.asymmetricKeyType === 'rsa';
    const namedCurve = curves[privateKey.asymmetricKeyDetails?.namedCurve ?? ''];
    if (!isRsa && namedCurve === undefined) {
      throw new Error('the CA key is of a kind that cannot sign here: use RSA or ECDSA P-256, P-384, P-521');
    }
    const hash = 'SHA-256';
    const algorithm = isRsa ? { name: 'RSASSA-PKCS1-v1_5', hash } : { name: 'ECDSA', hash };
    const der = privateKey.export({ type: 'pkcs8', format: 'der' });
    const imported = await crypto.subtle.importKey(
      'pkcs8',
      new Uint8Array(der),
      { ...algorithm, ...(namedCurve ? { namedCurve } : {}) },
      false,
      ['sign'],
    );
    const authority = new CertificateAuthority(parsed, imported, algorithm);
    await authority.#prove();
    return authority;
  }

  /** One signature, checked with the certificate: a wrong pair is found at the start, not by the first node. */
  async #prove(): Promise<void> {
    const text = new Uint8Array(randomBytes(32));
    const publicKey = await this.#certificate.publicKey.export(crypto);
    const signature = await crypto.subtle.sign(this.#algorithm, this.#key, text);
    const { algorithm } = publicKey;
    const fits =
      algorithm.name === this.#algorithm.name &&
      (await crypto.subtle.verify(this.#algorithm, publicKey, signature, text));
    if (!fits) throw new Error('the CA key does not belong to the CA certificate');
  }

  /** PEM of a certificate for what the request asks, for at most as long as the CA itself lasts. */
  async sign(csr: CertificateSigningRequest, parsed: ParsedRequest, nowMs: number): Promise<string> {
    let usageBits = 0;
    const extended: string[] = [];
    for (const usage of csr.spec.usages ?? []) {
      if (keyUsages[usage] !== undefined) usageBits |= keyUsages[usage];
      else if (extendedUsages[usage] !== undefined) extended.push(extendedUsages[usage]);
      else throw new UsageError(usage);
    }
    const asked = csr.spec.expirationSeconds;
    const durationMs =
      asked === undefined
        ? defaultDurationMs
        : Math.min(defaultDurationMs, Math.max(minDurationMs, asked * 1000));
    // A very short one is backdated by less than its own half, so that it lasts as long as was asked.
    const notBefore = new Date(nowMs - Math.min(backdateMs, durationMs / 2));
    const notAfter = new Date(Math.min(nowMs + durationMs, this.#certificate.notAfter.getTime()));
    const names = alternativeNames(parsed.request);
    const certificate = await x509.X509CertificateGenerator.create(
      {
        serialNumber: serial(),
        subject: parsed.request.subject,
        issuer: this.#certificate.subject,
        notBefore,
        notAfter,
        publicKey: parsed.request.publicKey,
        signingKey: this.#key,
        signingAlgorithm: this.#algorithm,
        extensions: [
          ...(usageBits === 0 ? [] : [new x509.KeyUsagesExtension(usageBits, true)]),
          ...(extended.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension(extended)]),
          new x509.BasicConstraintsExtension(false, undefined, true),
          await x509.AuthorityKeyIdentifierExtension.create(this.#certificate, false, crypto),
          ...(names ? [new x509.SubjectAlternativeNameExtension(names.names.toJSON(), false)] : []),
        ],
      },
      crypto,
    );
    return `${certificate.toString('pem').trimEnd()}\n`;
  }
}

/** 127 random bits: positive, and of a fixed length. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}
