import { addAmounts, numbers, totalOfContainers } from '@cloudless/kube/pod-amounts';
import { Quantity } from '@cloudless/kube/quantity';
import type { Container, Pod } from '@cloudless/kube/types/core-v1';

/** Amounts by resource name: `cpu` in thousandths, everything else in whole units (bytes, pieces). */
export type Amounts = ReadonlyMap<string, number>;

type QuantityMap = Readonly<Record<string, string | number>> | undefined;

/** What upstream assumes for scoring when a container asks for nothing (scheduler/util/pod_resources.go). */
const defaultMilliCpu = 100;
const defaultMemoryBytes = 200 * 1024 * 1024;

function amountOf(resource: string, text: string | number): number {
  const quantity = Quantity.tryParse(text) ?? Quantity.zero;
  return Number(resource === 'cpu' ? quantity.milliValue() : quantity.value());
}

/** A map of quantities as numbers. */
export function amountsOf(quantities: QuantityMap): Map<string, number> {
  const amounts = new Map<string, number>();
  for (const [name, text] of Object.entries(quantities ?? {})) amounts.set(name, amountOf(name, text));
  return amounts;
}

/** Resources a pod may ask for as a whole (`spec.resources`), instead of through its containers. */
const isPodLevel = (name: string): boolean =>
  name === 'cpu' || name === 'memory' || name.startsWith('hugepages-');

/**
 * What a pod takes from its node: what its containers take, what it asks for as a whole instead, and its overhead
 * (upstream: component-helpers/resource/helpers.go, PodRequests).
 */
function total(pod: Pod, requestsOf: (container: Container) => Amounts): Map<string, number> {
  const sum = totalOfContainers(pod.spec, requestsOf, numbers);
  for (const [name, amount] of amountsOf(pod.spec?.resources?.requests)) {
    if (isPodLevel(name)) sum.set(name, amount);
  }
  return addAmounts(sum, amountsOf(pod.spec?.overhead), numbers);
}

/** Requests of a pod for the filter. */
export function requestsOf(pod: Pod): Amounts {
  return total(pod, (container) => amountsOf(container.resources?.requests));
}

/** Requests of a pod for scoring: containers that ask for nothing count with a default. */
export function scoringRequestsOf(pod: Pod): { milliCpu: number; memoryBytes: number } {
  const amounts = total(pod, (container) => {
    const requests = amountsOf(container.resources?.requests);
    if (!requests.has('cpu')) requests.set('cpu', defaultMilliCpu);
    if (!requests.has('memory')) requests.set('memory', defaultMemoryBytes);
    return requests;
  });
  return { milliCpu: amounts.get('cpu') ?? 0, memoryBytes: amounts.get('memory') ?? 0 };
}
