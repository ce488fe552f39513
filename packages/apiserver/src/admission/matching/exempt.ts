import type { Resource } from '@cloudless/kube/object';

const exemptKind = /^(Validating|Mutating)(WebhookConfiguration|AdmissionPolicy(Binding)?)$/;

/** Configurations of admission are never themselves subject to what they configure (predicates/rules/rules.go). */
export const isExempt = ({ group, kind }: Resource): boolean =>
  group === 'admissionregistration.k8s.io' && exemptKind.test(kind);
