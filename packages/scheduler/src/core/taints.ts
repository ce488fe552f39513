import type { Taint, Toleration } from '@cloudless/kube/types/core-v1';

/** Whether one toleration tolerates a taint (upstream: Toleration.ToleratesTaint). */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  const value = taint.value ?? '';
  switch (toleration.operator ?? '') {
    case '':
    case 'Equal':
      return (toleration.value ?? '') === value;
    case 'Exists':
      return true;
    case 'Lt':
    case 'Gt': {
      const [limit, actual] = [Number(toleration.value), Number(value)];
      if (!Number.isInteger(limit) || !Number.isInteger(actual)) return false;
      return toleration.operator === 'Lt' ? actual < limit : actual > limit;
    }
    default:
      return false;
  }
}

export function isTolerated(taint: Taint, tolerations: readonly Toleration[]): boolean {
  return tolerations.some((toleration) => tolerates(toleration, taint));
}

/** The first taint that keeps a pod with these tolerations away. */
export function untoleratedTaint(
  taints: readonly Taint[],
  tolerations: readonly Toleration[],
): Taint | undefined {
  return taints.find(
    (taint) =>
      (taint.effect === 'NoSchedule' || taint.effect === 'NoExecute') && !isTolerated(taint, tolerations),
  );
}
