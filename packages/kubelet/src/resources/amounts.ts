import type { Container, EphemeralContainer, Pod } from '@cloudless/kube/types/core-v1';
import type { Quantity } from '@cloudless/kube/types/meta-v1';
import { isSidecar } from '../naming/pod.ts';

/** Amounts by resource name; cpu in cores, memory and storage in bytes. */
export type Amounts = ReadonlyMap<string, number>;

const suffixes: Record<string, number> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/**
 * A quantity as a number, for shares and limits where a double's 53 bits are enough. The API has validated it;
 * what is no quantity throws.
 */
export function amountOf(quantity: Quantity): number {
  const text = String(quantity).trim();
  const parts = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)$/.exec(
    text,
  );
  if (!parts) throw new TypeError(`"${text}" is not a quantity`);
  return Number(parts[1]! + (parts[2] ?? '')) * suffixes[parts[3] ?? '']!;
}

const amountsOf = (list: Record<string, Quantity> | undefined): Map<string, number> =>
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
  const total: ResourceAmounts = { requests: new Map(), limits: new Map() };
  const lists = ['requests', 'limits'] as const;
  const sidecars: ResourceAmounts = { requests: new Map(), limits: new Map() };
  const initPeak: ResourceAmounts = { requests: new Map(), limits: new Map() };
  for (const container of spec?.initContainers ?? []) {
    const own = effectiveResources(container);
    for (const list of lists) {
      if (isSidecar(container)) add(sidecars[list], own[list]);
      const together = new Map(sidecars[list]);
      if (!isSidecar(container)) add(together, own[list]);
      raise(initPeak[list], together);
    }
  }
  for (const container of spec?.containers ?? []) {
    const own = effectiveResources(container);
    for (const list of lists) add(total[list], own[list]);
  }
  for (const list of lists) {
    add(total[list], sidecars[list]);
    raise(total[list], initPeak[list]);
  }
  for (const list of lists) {
    for (const [name, value] of amountsOf(spec?.resources?.[list])) total[list].set(name, value);
  }
  add(total.requests, amountsOf(spec?.overhead));
  const running = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  for (const name of total.limits.keys()) {
    const everywhere = running.every((container) => effectiveResources(container).limits.has(name));
    if (!everywhere && spec?.resources?.limits?.[name] === undefined) total.limits.delete(name);
  }
  return total;
}

function add(to: Map<string, number>, from: Amounts): void {
  for (const [name, value] of from) to.set(name, (to.get(name) ?? 0) + value);
}

function raise(to: Map<string, number>, from: Amounts): void {
  for (const [name, value] of from) to.set(name, Math.max(to.get(name) ?? 0, value));
}
