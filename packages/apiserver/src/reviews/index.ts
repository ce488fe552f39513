/**
 * Resources that are computed when asked: who a token is, what someone may do, a new token for a service account.
 *
 * ```ts
 * endpoints: (context, authorizer) => reviewEndpoints({ authorizer, issuer, reviewers, apiAudiences }),
 * ```
 */
import type { TokenIssuer } from '../authn/service-account-tokens.ts';
import type { Authorizer } from '../authz/authorizer.ts';
import type { Endpoint } from '../registry/endpoint.ts';
import { accessReviewEndpoints } from './access-reviews.ts';
import { selfSubjectReviewEndpoint, selfSubjectRulesReviewEndpoint } from './self-reviews.ts';
import { tokenRequestEndpoint } from './token-request.ts';
import { tokenReviewEndpoint, type TokenReviewer } from './token-review.ts';

export type { TokenReviewer } from './token-review.ts';

/** All of authentication.k8s.io and authorization.k8s.io, and `serviceaccounts/token`. */
export function reviewEndpoints(options: {
  authorizer: Authorizer;
  issuer: TokenIssuer;
  reviewers: readonly TokenReviewer[];
  apiAudiences: readonly string[];
}): Endpoint[] {
  return [
    ...accessReviewEndpoints(options.authorizer),
    selfSubjectRulesReviewEndpoint(options.authorizer),
    selfSubjectReviewEndpoint,
    tokenReviewEndpoint(options),
    tokenRequestEndpoint(options.issuer),
  ];
}
