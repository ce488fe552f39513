/**
 * Resource quantities as validation and defaulting need them: exact values in nano units, compared, added and
 * written in canonical form (upstream: apimachinery/pkg/api/resource).
 */
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type { Quantity } from '@cloudless/kube/types/meta-v1';

type Family = 'decimal' | 'exponent' | 'binary';

/** An exact amount; `nano` is the value times 10^9, rounded away from zero. */
export interface Amount {
  readonly nano: bigint;
  readonly family: Family;
}

export type ResourceAmounts = Record<string, Quantity>;

const nanoPerUnit = 1_000_000_000n;
const maxNano = (2n ** 63n - 1n) * nanoPerUnit;
const decimalSuffixes = new Map([
  ['n', -9],
  ['u', -6],
  ['m', -3],
  ['', 0],
  ['k', 3],
  ['M', 6],
  ['G', 9],
  ['T', 12],
  ['P', 15],
  ['E', 18],
]);
const suffixOfExponent = new Map([...decimalSuffixes].map(([suffix, exponent]) => [exponent, suffix]));
const binarySuffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const form = /^([+-]?)([0-9]*)(?:\.([0-9]*))?(?:([eE])([+-]?[0-9]+)|([A-Za-z]*))$/;

const divideUp = (value: bigint, by: bigint): bigint => (value % by === 0n ? value / by : value / by + 1n);

function scaled(digits: string, exponent: number): bigint {
  const value = BigInt(digits === '' ? '0' : digits);
  return exponent >= 0 ? value * 10n ** BigInt(exponent) : divideUp(value, 10n ** BigInt(-exponent));
}

/** Undefined when `quantity` is no quantity. */
export function parseAmount(quantity: Quantity | undefined): Amount | undefined {
  const match = form.exec(String(quantity ?? '').trim());
  if (!match) return undefined;
  const [, sign = '', whole = '', fraction = '', e, exponent, suffix = ''] = match;
  if (whole === '' && fraction === '') return undefined;
  const digits = whole + fraction;
  let family: Family;
  let nano: bigint;
  if (e !== undefined) {
    family = 'exponent';
    if (Math.abs(Number(exponent)) > 1000) return undefined;
    nano = scaled(digits, Number(exponent) - fraction.length + 9);
  } else if (binarySuffixes.indexOf(suffix) > 0) {
    family = 'binary';
    const factor = 1024n ** BigInt(binarySuffixes.indexOf(suffix));
    nano = divideUp(BigInt(digits) * factor * nanoPerUnit, 10n ** BigInt(fraction.length));
    if (nano > maxNano) nano = maxNano;
  } else {
    const power = decimalSuffixes.get(suffix);
    if (power === undefined) return undefined;
    family = 'decimal';
    nano = scaled(digits, power - fraction.length + 9);
  }
  return { nano: sign === '-' ? -nano : nano, family };
}

function formatBinary(nano: bigint): string | undefined {
  if (nano % nanoPerUnit !== 0n) return undefined;
  let value = nano / nanoPerUnit;
  if (value > -1024n && value < 1024n) return undefined;
  let power = 0;
  while (power < 6 && value % 1024n === 0n) {
    value /= 1024n;
    power++;
  }
  return `${value}${binarySuffixes[power]}`;
}

/** Canonical text: `1500m`, `1Gi`, `2k`, `0`. */
export function formatAmount(amount: Amount): string {
  if (amount.nano === 0n) return '0';
  if (amount.family === 'binary') {
    const text = formatBinary(amount.nano);
    if (text !== undefined) return text;
  }
  let value = amount.nano;
  let exponent = -9;
  while (exponent < 18 && value % 1000n === 0n) {
    value /= 1000n;
    exponent += 3;
  }
  if (amount.family === 'exponent') return exponent === 0 ? `${value}` : `${value}e${exponent}`;
  return `${value}${suffixOfExponent.get(exponent)}`;
}

const orZero = (quantity: Quantity | undefined): bigint => parseAmount(quantity)?.nano ?? 0n;

/** Negative, zero or positive; an absent or unreadable quantity counts as zero. */
export function compareQuantities(a: Quantity | undefined, b: Quantity | undefined): number {
  if (a === b) return 0;
  const left = orZero(a);
  const right = orZero(b);
  return left < right ? -1 : left > right ? 1 : 0;
}

/** -1, 0 or 1. */
export const signOf = (quantity: Quantity | undefined): number => compareQuantities(quantity, 0);

/** Canonical text of a quantity; as it stands when it cannot be read. */
export function formatQuantity(quantity: Quantity | undefined): string {
  const amount = parseAmount(quantity ?? 0);
  return amount ? formatAmount(amount) : String(quantity);
}

/** Adds every amount of `more` to `total`, which keeps its suffix family. */
export function addAmounts(total: Map<string, Amount>, more: ResourceAmounts | undefined): void {
  for (const name in more) {
    const amount = parseAmount(more[name]);
    if (!amount) continue;
    const sum = total.get(name);
    total.set(name, sum ? { nano: sum.nano + amount.nano, family: sum.family } : amount);
  }
}

/** Raises every amount of `total` to that of `other` where that is larger. */
export function maxAmounts(total: Map<string, Amount>, other: ReadonlyMap<string, Amount>): void {
  for (const [name, amount] of other) {
    const mine = total.get(name);
    if (!mine || amount.nano > mine.nano) total.set(name, amount);
  }
}

const nanoPerMilli = 1_000_000n;
/** Texts that are canonical for sure and no finer than milli: the usual case, told without arithmetic. */
const plainCanonical = /^(?:0|[1-9][0-9]{0,2}(?:m|Ki|Mi|Gi|Ti|k|M|G|T)?)$/;

/**
 * Rounds every amount up to whole milli-units and writes it canonically, in place (upstream:
 * SetDefaults_ResourceList, and what decoding does to every quantity).
 */
export function roundResources(resources: ResourceAmounts | undefined | null): void {
  if (!resources) return;
  for (const name in resources) {
    const quantity = resources[name] as Quantity;
    if (typeof quantity === 'string' && plainCanonical.test(quantity)) continue;
    const amount = parseAmount(quantity);
    if (!amount) continue;
    const rest = amount.nano % nanoPerMilli;
    const nano = rest > 0n ? amount.nano - rest + nanoPerMilli : amount.nano - rest;
    resources[name] = formatAmount({ nano, family: amount.family });
  }
}

const notAQuantity =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/** The quantity must be readable; decoding refuses it upstream, so no field error there has this shape. */
export function validateQuantity(quantity: Quantity | undefined, path: FieldPath): FieldError[] {
  return parseAmount(quantity) ? [] : [fieldErrors.invalid(path, quantity, notAQuantity)];
}

export function validateNonNegativeQuantity(quantity: Quantity | undefined, path: FieldPath): FieldError[] {
  const wrong = validateQuantity(quantity, path);
  if (wrong.length > 0) return wrong;
  if (signOf(quantity) >= 0) return [];
  return [fieldErrors.invalid(path, formatQuantity(quantity), 'must be greater than or equal to 0')];
}

/** Whether the amount is a whole number. */
export const isWhole = (quantity: Quantity | undefined): boolean => orZero(quantity) % nanoPerUnit === 0n;
/** Whether `quantity` is a multiple of `unit`. */
export const isMultipleOf = (quantity: Quantity, unit: Quantity): boolean => {
  const size = orZero(unit);
  return size !== 0n && orZero(quantity) % size === 0n;
};
