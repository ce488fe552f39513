/**
 * Who someone is: client certificates, service account tokens, bootstrap tokens; then impersonation.
 *
 * ```ts
 * const authn = defaultAuthentication({ caches, nowMs, serviceAccountKey, issuer });
 * // authn.authenticators for the server, authn.reviewers and authn.issuer for the reviews
 * ```
 */
import type { Caches } from '../cache/cache.ts';
import type { Authenticator } from './authenticator.ts';
import { unknownTokenRefusal } from './bearer.ts';
import { BootstrapTokenAuthenticator } from './bootstrap-tokens.ts';
import { ServiceAccountAuthenticator, type TokenIssuer } from './service-account-tokens.ts';
import type { SigningKey } from './signing-keys.ts';
import { x509Authenticator } from './x509.ts';

export { impersonate } from './impersonation.ts';
export { oidcPaths } from './oidc.ts';
export { signingKey, type SigningKey, verificationKey, type VerificationKey } from './signing-keys.ts';
export { issueServiceAccountToken, type TokenIssuer } from './service-account-tokens.ts';

export interface Authentication {
  authenticators: Authenticator[];
  /** Those that judge bare tokens, for TokenReview. */
  reviewers: Array<ServiceAccountAuthenticator | BootstrapTokenAuthenticator>;
  issuer: TokenIssuer;
  apiAudiences: readonly string[];
}

/** Upstream's authenticators in upstream's order; anonymous is what nobody answers for. */
export function defaultAuthentication(options: {
  caches: Caches;
  nowMs: () => number;
  key: SigningKey;
  /** `https://kubernetes.default.svc.cluster.local`; also the audience of the API. */
  issuer: string;
}): Authentication {
  const { caches, nowMs, key, issuer } = options;
  const apiAudiences = [issuer];
  const accounts = new ServiceAccountAuthenticator({ issuer, keys: [key], apiAudiences, caches, nowMs });
  const bootstrap = new BootstrapTokenAuthenticator({ caches, nowMs });
  return {
    authenticators: [x509Authenticator(nowMs), accounts, bootstrap, unknownTokenRefusal],
    reviewers: [accounts, bootstrap],
    issuer: { issuer, key, defaultAudiences: apiAudiences },
    apiAudiences,
  };
}
