// Certificates and tokens that are all but right.
import 'reflect-metadata';
import { createPrivateKey, KeyObject, sign, webcrypto } from 'node:crypto';
import { signingKey } from '@cloudless/apiserver/authn/index';
import * as x509 from '@peculiar/x509';
import type { Identity } from './send.ts';
import { issuer, type Victim } from './victim.ts';

x509.cryptoProvider.set(webcrypto);
const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** A client certificate of the victim's own CA, good between two times only. */
export async function certificateBetween(victim: Victim, fromMs: number, toMs: number): Promise<Identity> {
  const { authority } = victim.facts;
  const keys = await webcrypto.subtle.generateKey(ecdsa, true, ['sign', 'verify']);
  const der = createPrivateKey(authority.key).export({ type: 'pkcs8', format: 'der' });
  const cert = await x509.X509CertificateGenerator.create({
    subject: [{ O: ['system:masters'] }, { CN: ['admin'] }],
    issuer: new x509.X509Certificate(authority.cert).subject,
    notBefore: new Date(fromMs),
    notAfter: new Date(toMs),
    signingAlgorithm: ecdsa,
    publicKey: keys.publicKey,
    signingKey: await webcrypto.subtle.importKey('pkcs8', der, ecdsa, false, ['sign']),
    extensions: [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])],
  });
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' });
  return { cert: cert.toString('pem'), key };
}

export interface Claims {
  [name: string]: unknown;
}

/** Claims as the server itself would make them for an account. */
export function claimsFor(
  account: { namespace: string; name: string; uid: string },
  more: Claims = {},
): Claims {
  const now = Math.floor(Date.now() / 1000);
  return {
    aud: [issuer],
    exp: now + 3600,
    iat: now,
    iss: issuer,
    nbf: now,
    sub: `system:serviceaccount:${account.namespace}:${account.name}`,
    'kubernetes.io': {
      namespace: account.namespace,
      serviceaccount: { name: account.name, uid: account.uid },
    },
    ...more,
  };
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token signed by `pem`, the victim's own key when none is given; `header` overrides what it says of itself. */
export function tokenOf(victim: Victim, claims: Claims, header: object = {}, pem?: string): string {
  const key = signingKey(pem ?? victim.facts.serviceAccountKey);
  const signed = `${part({ alg: key.algorithm, kid: key.keyId, ...header })}.${part(claims)}`;
  const signature = sign('sha256', Buffer.from(signed), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${signed}.${signature.toString('base64url')}`;
}

/** uid of the service account `team/default`. */
export async function teamAccount(victim: Victim): Promise<{ namespace: string; name: string; uid: string }> {
  const { body } = await victim.ask('admin', { path: '/api/v1/namespaces/team/serviceaccounts/default' });
  const { metadata } = JSON.parse(body) as { metadata: { uid: string } };
  return { namespace: 'team', name: 'default', uid: metadata.uid };
}
