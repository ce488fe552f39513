import type { Container, PodSpec } from '@cloudless/kube/types/core-v1';
import { addAmounts, type Amounts, amountsOf, raiseAmounts } from './amounts.ts';

type Side = 'requests' | 'limits';

const ofContainer = (container: Pick<Container, 'resources'>, side: Side): Amounts =>
  amountsOf(container.resources?.[side]);

/**
 * What a pod takes in all: its containers and sidecars together, but at least what each init container takes beside
 * the sidecars started before it; resources of the pod itself come first (upstream: component-helpers/resource).
 */
export function podAmounts(spec: PodSpec, side: Side): Amounts {
  const total: Amounts = new Map();
  for (const container of spec.containers) addAmounts(total, ofContainer(container, side));
  const sidecars: Amounts = new Map();
  const atStart: Amounts = new Map();
  for (const container of spec.initContainers ?? []) {
    const own = ofContainer(container, side);
    if (container.restartPolicy === 'Always') {
      addAmounts(total, own);
      addAmounts(sidecars, own);
      raiseAmounts(atStart, sidecars);
    } else raiseAmounts(atStart, addAmounts(addAmounts(new Map(), sidecars), own));
  }
  raiseAmounts(total, atStart);
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
