import { Quantity } from '@cloudless/kube/quantity';

/** Amounts by resource name. */
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

/** Adds `more` to `amounts` in place. */
export function addAmounts(amounts: Amounts, more: Amounts): Amounts {
  for (const [name, quantity] of more) amounts.set(name, (amounts.get(name) ?? Quantity.zero).add(quantity));
  return amounts;
}

/** Raises `amounts` in place to at least `floor`. */
export function raiseAmounts(amounts: Amounts, floor: Amounts): Amounts {
  for (const [name, quantity] of floor) {
    const own = amounts.get(name);
    if (!own || own.compare(quantity) < 0) amounts.set(name, quantity);
  }
  return amounts;
}

/** `cpu=1,memory=1Gi`, by name. */
export const amountsText = (amounts: Amounts): string =>
  [...amounts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, quantity]) => `${name}=${quantity.toString()}`)
    .join(',');
