import { addAmounts, numbers, totalOfContainers } from '@cloudless/kube/pod-amounts';
import { Quantity } from '@cloudless/kube/quantity';
import type { Container, EphemeralContainer, Pod } from '@cloudless/kube/types/core-v1';
import type { Quantity as QuantityText } from '@cloudless/kube/types/meta-v1';

/** Amounts by resource name; cpu in cores, memory and storage in bytes. */
export type Amounts = ReadonlyMap<string, number>;

/**
 * A quantity as a number, for shares and limits where a double's 53 bits are enough. The API has validated it;
 * what is no quantity throws.
 */
export function amountOf(text: QuantityText): number {
  const quantity = Quantity.tryParse(text);
  if (!quantity) throw new TypeError(`"${text}" is not a quantity`);
  return quantity.toNumber();
}

const amountsOf = (list: Record<string, QuantityText> | undefined): Map<string, number> =>
  new Map(Object.entries(list ?? {}).map(([name, quantity]) => [name, amountOf(quantity)]));

export interface ResourceAmounts {
  requests: Map<string, number>;
  limits: Map<string, number>;
}

/** A container's requests and limits; a request that is not set is the limit. */
export function effectiveResources(spec: Container | EphemeralContainer): ResourceAmounts {
  const limits = amountsOf(spec.resources?.limits);
  const requests = new Map([...limits, ...amountsOf(spec.resources?.requests)]);
  return { requests, limits };
}

/**
 * A pod's total: regular containers and sidecars together, or what an init container needs at its turn if that
 * is more (upstream: resourcehelper.PodRequests). A limit exists only where every container has one.
 */
export function podResources(pod: Pod): ResourceAmounts {
  const spec = pod.spec;
  const total = (list: keyof ResourceAmounts): Map<string, number> => {
    const sum = totalOfContainers(spec, (container) => effectiveResources(container)[list], numbers);
    for (const [name, value] of amountsOf(spec?.resources?.[list])) sum.set(name, value);
    return sum;
  };
  const limits = total('limits');
  const running = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  for (const name of limits.keys()) {
    const everywhere = running.every((container) => effectiveResources(container).limits.has(name));
    if (!everywhere && spec?.resources?.limits?.[name] === undefined) limits.delete(name);
  }
  return { requests: addAmounts(total('requests'), amountsOf(spec?.overhead), numbers), limits };
}
