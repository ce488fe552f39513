/** Small questions about CustomResourceDefinitions (apiextensions-apiserver/pkg/apihelpers). */
import type {
  CustomResourceDefinition,
  CustomResourceDefinitionCondition,
  CustomResourceDefinitionVersion,
} from '@cloudless/kube/types/apiextensions-v1';

export type ConditionType =
  | 'Established'
  | 'NamesAccepted'
  | 'NonStructuralSchema'
  | 'Terminating'
  | 'KubernetesAPIApprovalPolicyConformant';

export const cleanupFinalizer = 'customresourcecleanup.apiextensions.k8s.io';
export const approvalAnnotation = 'api-approved.kubernetes.io';

export const conditionOf = (
  definition: CustomResourceDefinition,
  type: ConditionType,
): CustomResourceDefinitionCondition | undefined =>
  definition.status?.conditions?.find((condition) => condition.type === type);

export const isTrue = (definition: CustomResourceDefinition, type: ConditionType): boolean =>
  conditionOf(definition, type)?.status === 'True';

export const storageVersionOf = (
  definition: CustomResourceDefinition,
): CustomResourceDefinitionVersion | undefined => definition.spec.versions?.find(({ storage }) => storage);

/** Groups of the Kubernetes project, whose kinds need its approval. */
export const isProtectedGroup = (group: string): boolean => /(^|\.)(k8s|kubernetes)\.io$/.test(group);

const kubeVersion = /^v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?$/;
const stages: Readonly<Record<string, number>> = { alpha: 0, beta: 1 };

/**
 * Order of preference of versions: v10, v2, v1, v11beta2, v10beta3, v3beta1, v12alpha1, v11alpha2, foo1, foo10
 * (apimachinery/pkg/version). Negative: `a` comes first.
 */
export function compareVersions(a: string, b: string): number {
  const left = kubeVersion.exec(a);
  const right = kubeVersion.exec(b);
  if (!left || !right) {
    if (left || right) return left ? -1 : 1;
    return a < b ? -1 : a > b ? 1 : 0;
  }
  const stage = (parts: RegExpExecArray): number => stages[parts[2] ?? ''] ?? 2;
  return (
    stage(right) - stage(left) ||
    Number(right[1]) - Number(left[1]) ||
    Number(right[3] ?? 0) - Number(left[3] ?? 0)
  );
}
