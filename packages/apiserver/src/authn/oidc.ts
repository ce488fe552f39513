import type { PathHandler } from '../server/options.ts';
import { jsonWebKeySet, type VerificationKey } from './signing-keys.ts';

/**
 * OpenID Connect discovery of the service account issuer, so that others can verify its tokens (KEP-1393;
 * upstream: pkg/serviceaccount/openidmetadata.go).
 */
export function oidcPaths(options: {
  issuer: string;
  /** Asked per request: the port may be known only once the server listens. */
  jwksUri(): string;
  keys: readonly VerificationKey[];
}): PathHandler[] {
  const algorithms = [...new Set(options.keys.map((key) => key.algorithm))];
  const headers = { 'cache-control': 'public, max-age=3600' };
  const discovery = (): string =>
    JSON.stringify({
      issuer: options.issuer,
      jwks_uri: options.jwksUri(),
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: algorithms,
    });
  const jwks = JSON.stringify(jsonWebKeySet(options.keys));
  return [
    {
      path: '/.well-known/openid-configuration',
      handle: () => ({ contentType: 'application/json', headers, body: discovery() }),
    },
    {
      path: '/openid/v1/jwks',
      handle: () => ({ contentType: 'application/jwk-set+json', headers, body: jwks }),
    },
  ];
}
