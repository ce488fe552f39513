import type { PodSpec } from '@cloudless/kube/types/core-v1';
import { aggregateResources } from '../registry/strategies/pod/aggregate-resources.ts';
import { type Amounts, amountsOf } from '../registry/validation/quantities.ts';

type Side = 'requests' | 'limits';

/** What a pod takes in all: resources of the pod itself come before its containers' (upstream: component-helpers/resource). */
export function podAmounts(spec: PodSpec, side: Side): Amounts {
  const total = aggregateResources(spec, side);
  for (const [name, quantity] of amountsOf(spec.resources?.[side])) total.set(name, quantity);
  return total;
}

/** The same with the RuntimeClass's overhead; for limits only where a limit is set. */
export function podAmountsWithOverhead(spec: PodSpec, side: Side): Amounts {
  const total = podAmounts(spec, side);
  for (const [name, quantity] of amountsOf(spec.overhead)) {
    const own = total.get(name);
    if (own) total.set(name, own.add(quantity));
    else if (side === 'requests') total.set(name, quantity);
  }
  return total;
}
