import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';

export type JwtAlgorithm = 'ES256' | 'ES384' | 'ES512' | 'RS256';

export interface VerificationKey {
  /** base64url of the SHA-256 of the public key's DER, as upstream derives it (serviceaccount/jwt.go). */
  keyId: string;
  algorithm: JwtAlgorithm;
  key: KeyObject;
}

const curves: Record<string, JwtAlgorithm> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };

/** A public key of a PEM file (public key, certificate or private key); throws for kinds that sign no token. */
export function verificationKey(pem: string): VerificationKey {
  const key = createPublicKey(pem);
  const algorithm =
    key.asymmetricKeyType === 'rsa' ? 'RS256' : curves[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (!algorithm)
    throw new Error(
      `a service account key must be RSA or ECDSA on a NIST curve, not ${key.asymmetricKeyType}`,
    );
  const der = key.export({ type: 'spki', format: 'der' });
  return { keyId: createHash('sha256').update(der).digest('base64url'), algorithm, key };
}

/** The key that signs new tokens, with the matching public one. */
export interface SigningKey extends VerificationKey {
  privateKey: KeyObject;
}

/** Reads sa.key. */
export function signingKey(pem: string): SigningKey {
  return { ...verificationKey(pem), privateKey: createPrivateKey(pem) };
}

/** JSON Web Key Set of `/openid/v1/jwks` (RFC 7517). */
export function jsonWebKeySet(keys: readonly VerificationKey[]): object {
  return {
    keys: keys.map(({ keyId, algorithm, key }) => {
      const { kty, n, e, crv, x, y } = key.export({ format: 'jwk' });
      return { use: 'sig', kty, kid: keyId, alg: algorithm, ...(kty === 'RSA' ? { n, e } : { crv, x, y }) };
    }),
  };
}
