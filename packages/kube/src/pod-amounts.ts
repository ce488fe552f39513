/**
 * What a pod asks for as a whole, for every part that counts it: admission and quota in exact quantities, the
 * scheduler and the kubelet in numbers.
 *
 * ```ts
 * totalOfContainers(pod.spec, (container) => requestsOf(container), numbers); // Map { 'cpu' => 1.1 }
 * ```
 */
import { Quantity } from './quantity.ts';
import type { Container, PodSpec } from './generated/types/core-v1.ts';

/** How amounts of one form are added and compared. */
export interface Arithmetic<A> {
  add(a: A, b: A): A;
  larger(a: A, b: A): A;
}

export const numbers: Arithmetic<number> = {
  add: (a, b) => a + b,
  larger: (a, b) => (b > a ? b : a),
};

export const quantities: Arithmetic<Quantity> = {
  add: (a, b) => a.add(b),
  larger: (a, b) => (a.compare(b) < 0 ? b : a),
};

/** Adds `more` to `total`, by name and in place. */
export function addAmounts<A>(
  total: Map<string, A>,
  more: ReadonlyMap<string, A>,
  arithmetic: Arithmetic<A>,
): Map<string, A> {
  for (const [name, amount] of more) {
    const sum = total.get(name);
    total.set(name, sum === undefined ? amount : arithmetic.add(sum, amount));
  }
  return total;
}

/** Raises `total` to at least `floor`, by name and in place. */
export function raiseAmounts<A>(
  total: Map<string, A>,
  floor: ReadonlyMap<string, A>,
  arithmetic: Arithmetic<A>,
): Map<string, A> {
  for (const [name, amount] of floor) {
    const own = total.get(name);
    total.set(name, own === undefined ? amount : arithmetic.larger(own, amount));
  }
  return total;
}

/** An init container that stays: the pod's own containers run beside it. */
const isSidecar = (container: Container): boolean => container.restartPolicy === 'Always';

/**
 * Containers and sidecars together, or what an init container takes at its turn beside the sidecars started before
 * it, whichever is more (upstream: component-helpers/resource/helpers.go, AggregateContainerRequests). Overhead and
 * the pod's own `resources` are the caller's.
 */
export function totalOfContainers<A>(
  spec: Pick<PodSpec, 'containers' | 'initContainers'> | undefined,
  amountsOf: (container: Container) => ReadonlyMap<string, A>,
  arithmetic: Arithmetic<A>,
): Map<string, A> {
  const total = new Map<string, A>();
  for (const container of spec?.containers ?? []) addAmounts(total, amountsOf(container), arithmetic);
  const initContainers = spec?.initContainers ?? [];
  if (initContainers.length === 0) return total;
  const sidecars = new Map<string, A>();
  const atStart = new Map<string, A>();
  for (const container of initContainers) {
    const own = amountsOf(container);
    if (isSidecar(container)) {
      addAmounts(total, own, arithmetic);
      addAmounts(sidecars, own, arithmetic);
      raiseAmounts(atStart, sidecars, arithmetic);
    } else raiseAmounts(atStart, addAmounts(new Map(sidecars), own, arithmetic), arithmetic);
  }
  return raiseAmounts(total, atStart, arithmetic);
}

/** Amounts by resource name, in exact quantities. */
export type Amounts = Map<string, Quantity>;

/** Reads a resource list; what is no quantity is left to validation. */
export function amountsOf(list: Readonly<Record<string, unknown>> | undefined): Amounts {
  const amounts: Amounts = new Map();
  for (const [name, value] of Object.entries(list ?? {})) {
    const quantity = Quantity.tryParse(value);
    if (quantity) amounts.set(name, quantity);
  }
  return amounts;
}

type Side = 'requests' | 'limits';

/** What a pod takes in all: resources of the pod itself come before its containers' (upstream: component-helpers/resource). */
export function podAmounts(spec: PodSpec, side: Side): Amounts {
  const total = totalOfContainers(spec, ({ resources }) => amountsOf(resources?.[side]), quantities);
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
