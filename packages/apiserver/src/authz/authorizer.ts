import type { UserInfo } from '@cloudless/kube/user';
import type { Attributes } from '../request/info.ts';

export interface Decision {
  verdict: 'allow' | 'deny' | 'no-opinion';
  /** Shown to the user when forbidden, and in the audit log. */
  reason: string;
}

export interface ResourceRule {
  verbs: string[];
  apiGroups: string[];
  resources: string[];
  resourceNames: string[];
}

export interface NonResourceRule {
  verbs: string[];
  nonResourceURLs: string[];
}

/** Synchronous on purpose: every authorizer decides from objects held in memory. */
export interface Authorizer {
  authorize(attributes: Attributes): Decision;
  /** For SelfSubjectRulesReview. */
  rulesFor?(user: UserInfo, namespace: string): { resource: ResourceRule[]; nonResource: NonResourceRule[] };
}
