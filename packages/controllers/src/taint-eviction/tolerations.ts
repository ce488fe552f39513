import type { Taint, Toleration } from '@cloudless/kube/types/core-v1';

/** Whether a toleration covers a taint (upstream: Toleration.ToleratesTaint). */
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  switch (toleration.operator ?? 'Equal') {
    case '':
    case 'Equal':
      return (toleration.value ?? '') === (taint.value ?? '');
    case 'Exists':
      return true;
    default:
      return false;
  }
}

/**
 * How long a pod may stay on a node with these NoExecute taints, in seconds: 0 not at all, infinity for ever. The
 * shortest of the tolerations that cover them counts (upstream: tainteviction.getMinTolerationTime).
 */
export function stayableSeconds(taints: readonly Taint[], tolerations: readonly Toleration[]): number {
  let shortest = Number.POSITIVE_INFINITY;
  for (const taint of taints) {
    const covering = tolerations.filter((toleration) => tolerates(toleration, taint));
    if (covering.length === 0) return 0;
    for (const { tolerationSeconds } of covering) {
      if (tolerationSeconds !== undefined) shortest = Math.min(shortest, Math.max(0, tolerationSeconds));
    }
  }
  return shortest;
}
