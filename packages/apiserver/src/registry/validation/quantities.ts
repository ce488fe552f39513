/**
 * Resource quantities as validation and defaulting need them: what the schema did not decode (a text of a
 * configuration, a part of a name) counts as zero instead of throwing.
 */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import { Quantity } from '@cloudless/kube/quantity';
import type { Quantity as QuantityText } from '@cloudless/kube/types/meta-v1';

export { type Amounts, amountsOf } from '@cloudless/kube/pod-amounts';

/** A resource list as an object writes it. */
export type ResourceAmounts = Record<string, QuantityText>;

const orZero = (quantity: QuantityText | undefined): Quantity => Quantity.tryParse(quantity) ?? Quantity.zero;

/** Negative, zero or positive; an absent or unreadable quantity counts as zero. */
export function compareQuantities(a: QuantityText | undefined, b: QuantityText | undefined): number {
  return a === b ? 0 : orZero(a).compare(orZero(b));
}

/** -1, 0 or 1. */
export const signOf = (quantity: QuantityText | undefined): number => orZero(quantity).sign;

/** Canonical text of a quantity; as it stands when it cannot be read. */
export const formatQuantity = (quantity: QuantityText | undefined): string =>
  Quantity.tryParse(quantity ?? 0)?.toString() ?? String(quantity);

const milli = -3;
/** Texts that are canonical for sure and no finer than milli: the usual case, told without arithmetic. */
const plainCanonical = /^(?:0|[1-9][0-9]{0,2}(?:m|Ki|Mi|Gi|Ti|k|M|G|T)?)$/;

/**
 * Rounds every amount up to whole milli-units and writes it canonically, in place (upstream:
 * SetDefaults_ResourceList, and what decoding does to every quantity).
 */
export function roundResources(resources: ResourceAmounts | undefined | null): void {
  if (!resources) return;
  for (const name in resources) {
    const text = resources[name] as QuantityText;
    if (typeof text === 'string' && plainCanonical.test(text)) continue;
    const quantity = Quantity.tryParse(text);
    if (!quantity) continue;
    const rounded = Quantity.of(quantity.milliValue(), quantity.format, milli);
    resources[name] = (rounded.equals(quantity) ? quantity : rounded).toString();
  }
}

const notAQuantity =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/** The quantity must be readable; decoding refuses it upstream, so no field error there has this shape. */
export function validateQuantity(quantity: QuantityText | undefined, path: FieldPath): FieldError[] {
  return Quantity.tryParse(quantity) ? [] : [fieldErrors.invalid(path, quantity, notAQuantity)];
}

/** As upstream's validateBasicResource: it shows the amount as a whole number. */
export function basicResource(quantity: QuantityText | undefined, path: FieldPath): FieldError[] {
  const value = orZero(quantity).value();
  return value < 0n ? [fieldErrors.invalid(path, value, 'must be a valid resource quantity')] : [];
}

export function validateNonNegativeQuantity(
  quantity: QuantityText | undefined,
  path: FieldPath,
): FieldError[] {
  const wrong = validateQuantity(quantity, path);
  if (wrong.length > 0) return wrong;
  if (signOf(quantity) >= 0) return [];
  return [fieldErrors.invalid(path, formatQuantity(quantity), 'must be greater than or equal to 0')];
}

/** Whether the amount is a whole number. */
export function isWhole(quantity: QuantityText | undefined): boolean {
  const amount = orZero(quantity);
  return Quantity.of(amount.value()).equals(amount);
}

/** The finest amount there is; in it every amount is whole. */
const nano = -9;

/** Whether `quantity` is a multiple of `unit`. */
export function isMultipleOf(quantity: QuantityText, unit: QuantityText): boolean {
  const size = orZero(unit).scaledValue(nano);
  return size !== 0n && orZero(quantity).scaledValue(nano) % size === 0n;
}
