import type { PolicyRule } from '@cloudless/kube/types/rbac-v1';

/** Rules of roles by name. */
export type RoleTable = Readonly<Record<string, readonly PolicyRule[]>>;

const words = (text: string): string[] => text.split(' ').map((word) => (word === 'core' ? '' : word));

/** A rule on resources; each list is words with spaces between, `core` stands for the core group. */
export function rule(
  verbs: string,
  apiGroups: string,
  resources: string,
  resourceNames?: string,
): PolicyRule {
  return {
    apiGroups: words(apiGroups),
    ...(resourceNames === undefined ? {} : { resourceNames: words(resourceNames) }),
    resources: words(resources),
    verbs: words(verbs),
  };
}

/** A rule on paths that are no resources. */
export const paths = (verbs: string, nonResourceURLs: string): PolicyRule => ({
  nonResourceURLs: words(nonResourceURLs),
  verbs: words(verbs),
});
