import { authentication } from '@cloudless/kube/resources';
import { errors, StatusError } from '@cloudless/kube/status';
import type { TokenReview, TokenReviewStatus } from '@cloudless/kube/types/authentication-v1';
import type { Authenticated } from '../authn/authenticator.ts';
import type { Endpoint } from '../registry/endpoint.ts';
import { reviewedUser } from './users.ts';

/** Judges a token for some audiences; undefined: none of its kind. Throws 401 for a bad one. */
export interface TokenReviewer {
  review(token: string, audiences: readonly string[]): Promise<Authenticated | undefined>;
}

async function judge(
  reviewers: readonly TokenReviewer[],
  token: string,
  audiences: readonly string[],
): Promise<TokenReviewStatus> {
  try {
    for (const reviewer of reviewers) {
      const found = await reviewer.review(token, audiences);
      if (!found) continue;
      const { user } = found;
      const groups = user.groups.includes('system:authenticated')
        ? user.groups
        : [...user.groups, 'system:authenticated'];
      return {
        authenticated: true,
        user: reviewedUser({ ...user, groups }),
        audiences: [...(found.audiences ?? audiences)],
      };
    }
    return { authenticated: false, error: 'the token is not known to this server' };
  } catch (error) {
    if (!(error instanceof StatusError) || error.code !== 401) throw error;
    return { authenticated: false, error: error.message.replace(/^Unauthorized: /, '') };
  }
}

/** `tokenreviews`: how kubelets and others learn who a bearer of a token is. */
export function tokenReviewEndpoint(options: {
  reviewers: readonly TokenReviewer[];
  apiAudiences: readonly string[];
}): Endpoint {
  return {
    resource: authentication.tokenreviews,
    subresource: '',
    body: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenReview' },
    async handle(_context, body): Promise<TokenReview> {
      const review = body as TokenReview;
      const token = review.spec?.token ?? '';
      if (token === '') throw errors.badRequest('token is required for TokenReview in authentication');
      const asked = review.spec.audiences ?? [];
      const audiences = asked.length > 0 ? asked : options.apiAudiences;
      // The token is answered back, as upstream does: who asks has it.
      return { ...review, status: await judge(options.reviewers, token, audiences) };
    },
  };
}
