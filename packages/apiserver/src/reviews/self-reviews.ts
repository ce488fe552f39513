import { authentication, authorization } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import { formatTime } from '@cloudless/kube/time';
import type { SelfSubjectReview } from '@cloudless/kube/types/authentication-v1';
import type { SelfSubjectRulesReview } from '@cloudless/kube/types/authorization-v1';
import type { Authorizer } from '../authz/authorizer.ts';
import { nodeNameOf } from '../authz/node/authorizer.ts';
import type { Endpoint } from '../registry/endpoint.ts';
import { reviewedUser } from './users.ts';

/** `kubectl auth whoami`. */
export const selfSubjectReviewEndpoint: Endpoint = {
  resource: authentication.selfsubjectreviews,
  subresource: '',
  body: { group: 'authentication.k8s.io', version: 'v1', kind: 'SelfSubjectReview' },
  handle: ({ user, nowMs }): SelfSubjectReview => ({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'SelfSubjectReview',
    metadata: { creationTimestamp: formatTime(nowMs) },
    status: { userInfo: reviewedUser(user) },
  }),
};

/** `kubectl auth can-i --list`. */
export function selfSubjectRulesReviewEndpoint(authorizer: Authorizer): Endpoint {
  return {
    resource: authorization.selfsubjectrulesreviews,
    subresource: '',
    body: { group: 'authorization.k8s.io', version: 'v1', kind: 'SelfSubjectRulesReview' },
    handle({ user }, body): SelfSubjectRulesReview {
      const review = body as SelfSubjectRulesReview;
      const namespace = review.spec?.namespace ?? '';
      if (namespace === '') throw errors.badRequest('no namespace on request');
      const rules = authorizer.rulesFor?.(user, namespace) ?? { resource: [], nonResource: [] };
      // What the Node authorizer allows depends on pods and is no list of rules.
      const incomplete = nodeNameOf(user) !== undefined;
      const resourceRules = rules.resource.map(({ resourceNames, ...rule }) => ({
        ...rule,
        ...(resourceNames.length === 0 ? {} : { resourceNames }),
      }));
      return {
        ...review,
        // As upstream: the answer does not repeat the question.
        spec: {},
        status: {
          resourceRules,
          nonResourceRules: rules.nonResource,
          incomplete,
          ...(incomplete ? { evaluationError: 'node authorizer does not support user rule resolution' } : {}),
        },
      };
    },
  };
}
