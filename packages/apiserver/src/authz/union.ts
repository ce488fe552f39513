import type { UserInfo } from '@cloudless/kube/user';
import type { Attributes } from '../request/info.ts';
import type { Authorizer, Decision, NonResourceRule, ResourceRule } from './authorizer.ts';

/** `system:masters` may do everything, whatever any object says (upstream: the privileged group authorizer). */
export const mastersAuthorizer: Authorizer = {
  authorize: ({ user }) =>
    user.groups.includes('system:masters')
      ? { verdict: 'allow', reason: '' }
      : { verdict: 'no-opinion', reason: '' },
  rulesFor: (user) =>
    user.groups.includes('system:masters')
      ? {
          resource: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], resourceNames: [] }],
          nonResource: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
        }
      : { resource: [], nonResource: [] },
};

/** Asks in order; the first that allows or denies decides. Nobody did: no opinion, with everyone's reasons. */
export function unionAuthorizer(authorizers: readonly Authorizer[]): Authorizer {
  return {
    authorize(attributes: Attributes): Decision {
      const reasons: string[] = [];
      for (const authorizer of authorizers) {
        const decision = authorizer.authorize(attributes);
        if (decision.verdict !== 'no-opinion') return decision;
        if (decision.reason !== '') reasons.push(decision.reason);
      }
      return { verdict: 'no-opinion', reason: reasons.join('\n') };
    },
    rulesFor(user: UserInfo, namespace: string) {
      const resource: ResourceRule[] = [];
      const nonResource: NonResourceRule[] = [];
      for (const authorizer of authorizers) {
        const rules = authorizer.rulesFor?.(user, namespace);
        resource.push(...(rules?.resource ?? []));
        nonResource.push(...(rules?.nonResource ?? []));
      }
      return { resource, nonResource };
    },
  };
}
