import type { Pod, ResourceRequirements } from '@cloudless/kube/types/core-v1';
import { addAmounts, type Amount, type ResourceAmounts, signOf } from '../../validation/quantities.ts';

/** CPU and memory alone decide, and only amounts above zero. */
function computeAmounts(resources: ResourceAmounts | undefined): ResourceAmounts {
  const amounts: ResourceAmounts = {};
  for (const name of ['cpu', 'memory']) {
    const quantity = resources?.[name];
    if (quantity !== undefined && signOf(quantity) > 0) amounts[name] = quantity;
  }
  return amounts;
}

function sameAmounts(requests: ReadonlyMap<string, Amount>, limits: ReadonlyMap<string, Amount>): boolean {
  if (requests.size !== limits.size) return false;
  return [...requests].every(([name, amount]) => limits.get(name)?.nano === amount.nano);
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
  const requests = new Map<string, Amount>();
  const limits = new Map<string, Amount>();
  let everyoneLimitsBoth = true;
  for (const resources of all) {
    const limited = computeAmounts(resources?.limits);
    addAmounts(requests, computeAmounts(resources?.requests));
    addAmounts(limits, limited);
    if (Object.keys(limited).length < 2) everyoneLimitsBoth = false;
  }
  if (requests.size === 0 && limits.size === 0) return 'BestEffort';
  return everyoneLimitsBoth && sameAmounts(requests, limits) ? 'Guaranteed' : 'Burstable';
}
