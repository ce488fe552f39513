import { sign, verify } from 'node:crypto';
import type { JwtAlgorithm, SigningKey, VerificationKey } from './signing-keys.ts';

const hashes: Record<JwtAlgorithm, string> = {
  ES256: 'sha256',
  ES384: 'sha384',
  ES512: 'sha512',
  RS256: 'sha256',
};

/** Signs claims (RFC 7519, RFC 7515 compact form). */
export function signJwt(claims: object, key: SigningKey): string {
  const header = Buffer.from(JSON.stringify({ alg: key.algorithm, kid: key.keyId })).toString('base64url');
  const payload = Buffer.from(JSON.stringify(claims)).toString('base64url');
  const signed = `${header}.${payload}`;
  const signature = sign(hashes[key.algorithm], Buffer.from(signed), {
    key: key.privateKey,
    dsaEncoding: 'ieee-p1363',
  });
  return `${signed}.${signature.toString('base64url')}`;
}

/** The claims, without a check of the signature; undefined when it is no JWT at all. */
export function peekClaims(token: string): Record<string, unknown> | undefined {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1] as string, 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Checks the signature against the known keys and returns the claims; undefined when none fits. The algorithm is the
 * key's, never the header's word: `none` and key confusion have no way in.
 */
export function verifyJwt(
  token: string,
  keys: readonly VerificationKey[],
): Record<string, unknown> | undefined {
  const [header, payload, signature, ...rest] = token.split('.');
  if (!header || !payload || !signature || rest.length > 0) return undefined;
  let kid: unknown;
  let alg: unknown;
  try {
    ({ kid, alg } = JSON.parse(Buffer.from(header, 'base64url').toString('utf8')) as {
      kid?: unknown;
      alg?: unknown;
    });
  } catch {
    return undefined;
  }
  for (const key of keys) {
    if (alg !== key.algorithm || (kid !== undefined && kid !== key.keyId)) continue;
    const good = verify(
      hashes[key.algorithm],
      Buffer.from(`${header}.${payload}`),
      { key: key.key, dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    );
    if (good) return peekClaims(token);
  }
  return undefined;
}
