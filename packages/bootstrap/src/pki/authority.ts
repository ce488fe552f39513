import 'reflect-metadata';
import { createPrivateKey, KeyObject, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import { backdateMs, caValidityMs, leafValidityMs } from './validity.ts';

x509.cryptoProvider.set(webcrypto);

/** Key algorithms, under kubeadm's names for `encryptionAlgorithm`. */
export type KeyAlgorithm = 'ECDSA-P256' | 'RSA-2048';

const parameters = {
  'ECDSA-P256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'RSA-2048': {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 2048,
  },
} as const;

/** PEM texts of a certificate and its private key. */
export interface KeyPair {
  cert: string;
  key: string;
}

export interface LeafSpec {
  commonName: string;
  organizations?: readonly string[];
  usages: ReadonlyArray<'server' | 'client'>;
  /** DNS names and IP addresses. */
  names?: readonly string[];
  validityMs?: number;
}

/** A new private key: PKCS#1 or SEC 1 PEM, the forms kubeadm writes. */
async function newKeys(algorithm: KeyAlgorithm): Promise<{ keys: webcrypto.CryptoKeyPair; pem: string }> {
  const keys = await webcrypto.subtle.generateKey(parameters[algorithm], true, ['sign', 'verify']);
  const key = KeyObject.from(keys.privateKey);
  const pem =
    algorithm === 'ECDSA-P256'
      ? key.export({ type: 'sec1', format: 'pem' })
      : key.export({ type: 'pkcs1', format: 'pem' });
  return { keys, pem };
}

/** The two halves of the key that signs service account tokens: sa.key and sa.pub. */
export async function newSigningKey(algorithm: KeyAlgorithm): Promise<{ key: string; pub: string }> {
  const { keys, pem } = await newKeys(algorithm);
  const pub = KeyObject.from(keys.publicKey).export({ type: 'spki', format: 'pem' });
  return { key: pem, pub };
}

const serial = (): string => {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x01;
  return Buffer.from(bytes).toString('hex');
};

function subject(commonName: string, organizations: readonly string[] = []): x509.JsonName {
  return [...organizations.map((organization) => ({ O: [organization] })), { CN: [commonName] }];
}

/** Makes a self-signed CA as kubeadm does: its name also stands as DNS name, path length unlimited. */
export async function createAuthority(
  commonName: string,
  algorithm: KeyAlgorithm,
  nowMs: number,
  validityMs: number = caValidityMs,
): Promise<KeyPair> {
  const { keys, pem } = await newKeys(algorithm);
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: subject(commonName),
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + validityMs),
    signingAlgorithm: parameters[algorithm],
    keys,
    extensions: [
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature |
          x509.KeyUsageFlags.keyEncipherment |
          x509.KeyUsageFlags.keyCertSign,
        true,
      ),
      new x509.BasicConstraintsExtension(true, undefined, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: commonName }]),
    ],
  });
  return { cert: `${cert.toString('pem')}\n`, key: pem };
}

/** Issues a leaf certificate with a new key of `algorithm`; it begins with the CA and ends with it at the latest. */
export async function issueLeaf(
  authority: KeyPair,
  leaf: LeafSpec,
  algorithm: KeyAlgorithm,
  nowMs: number,
): Promise<KeyPair> {
  const { keys, pem } = await newKeys(algorithm);
  const ca = new x509.X509Certificate(authority.cert);
  const usages = leaf.usages.map((usage) =>
    usage === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
  );
  const names = leaf.names ?? [];
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: subject(leaf.commonName, leaf.organizations),
    issuer: ca.subject,
    notBefore: ca.notBefore,
    notAfter: new Date(Math.min(nowMs + (leaf.validityMs ?? leafValidityMs), ca.notAfter.getTime())),
    signingAlgorithm: signingAlgorithm(authority.key),
    publicKey: keys.publicKey,
    signingKey: await importSigningKey(authority.key),
    extensions: [
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment,
        true,
      ),
      new x509.ExtendedKeyUsageExtension(usages),
      new x509.BasicConstraintsExtension(false, undefined, true),
      await x509.AuthorityKeyIdentifierExtension.create(ca),
      ...(names.length === 0
        ? []
        : [
            new x509.SubjectAlternativeNameExtension(
              names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value })),
            ),
          ]),
    ],
  });
  return { cert: `${cert.toString('pem')}\n`, key: pem };
}

function signingAlgorithm(keyPem: string): (typeof parameters)[KeyAlgorithm] {
  return parameters[createPrivateKey(keyPem).asymmetricKeyType === 'ec' ? 'ECDSA-P256' : 'RSA-2048'];
}

function importSigningKey(keyPem: string): Promise<CryptoKey> {
  const der = createPrivateKey(keyPem).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', der, signingAlgorithm(keyPem), false, ['sign']);
}
