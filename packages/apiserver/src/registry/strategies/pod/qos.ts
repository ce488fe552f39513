import { addAmounts, quantities } from '@cloudless/kube/pod-amounts';
import type { Pod, ResourceRequirements } from '@cloudless/kube/types/core-v1';
import { type Amounts, amountsOf, type ResourceAmounts } from '../../validation/quantities.ts';

/** CPU and memory alone decide, and only amounts above zero. */
function computeAmounts(resources: ResourceAmounts | undefined): Amounts {
  const amounts = amountsOf(resources);
  for (const [name, quantity] of amounts) {
    if ((name !== 'cpu' && name !== 'memory') || quantity.sign <= 0) amounts.delete(name);
  }
  return amounts;
}

function sameAmounts(requests: Amounts, limits: Amounts): boolean {
  if (requests.size !== limits.size) return false;
  return [...requests].every(([name, amount]) => limits.get(name)?.equals(amount) === true);
}

/**
 * `Guaranteed` when every container limits both CPU and memory and asks for as much, `BestEffort` when none asks
 * for or limits either, else `Burstable`; resources of the pod as a whole count instead when set (upstream:
 * pkg/apis/core/helper/qos).
 */
export function qosClass(pod: Pod): 'Guaranteed' | 'Burstable' | 'BestEffort' {
  const spec = pod.spec;
  const all: Array<ResourceRequirements | undefined> = spec?.resources
    ? [spec.resources]
    : [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].map((container) => container.resources);
  const requests: Amounts = new Map();
  const limits: Amounts = new Map();
  let everyoneLimitsBoth = true;
  for (const resources of all) {
    const limited = computeAmounts(resources?.limits);
    addAmounts(requests, computeAmounts(resources?.requests), quantities);
    addAmounts(limits, limited, quantities);
    if (limited.size < 2) everyoneLimitsBoth = false;
  }
  if (requests.size === 0 && limits.size === 0) return 'BestEffort';
  return everyoneLimitsBoth && sameAmounts(requests, limits) ? 'Guaranteed' : 'Burstable';
}
