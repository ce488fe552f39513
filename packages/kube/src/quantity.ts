/**
 * Amounts of resources (`100m`, `1.5Gi`, `12e6`) exactly as upstream reads, compares and writes them
 * (apimachinery/pkg/api/resource/quantity.go). Immutable.
 *
 * ```ts
 * Quantity.parse('0.5').add(Quantity.parse('250m')).toString(); // '750m'
 * ```
 */

export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent';

/** A text that is no quantity. The message is upstream's. */
export class QuantityError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'QuantityError';
  }
}

const wrongFormat =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const wrongNumber = 'unable to parse numeric part of quantity';
const wrongSuffix = "unable to parse quantity's suffix";

const decimalSuffixes = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];
/** Power of ten of the first decimal suffix, and the finest amount there is. */
const nano = -9;
const binarySuffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const maxInt64 = 2n ** 63n - 1n;
/** Upstream computes with exponents up to 2^31; a number of so many digits would only hang whoever compares it. */
const maxExponent = 10_000;

// The language is looser than the regular expression that the error names (a sign alone is zero): upstream's scanner
// is, and what it stored must be read.
const grammar = /^([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*(?:[-+]?[0-9]*))$/;

interface Suffix {
  base: 2 | 10;
  exponent: number;
  format: QuantityFormat;
}

function suffixOf(text: string): Suffix {
  const decimal = decimalSuffixes.indexOf(text);
  if (decimal >= 0) return { base: 10, exponent: nano + 3 * decimal, format: 'DecimalSI' };
  const binary = binarySuffixes.indexOf(text);
  if (binary >= 0) return { base: 2, exponent: 10 * binary, format: 'BinarySI' };
  if (/^[eE][-+]?[0-9]+$/.test(text)) {
    const exponent = Number(text.slice(1));
    if (Math.abs(exponent) <= maxExponent) return { base: 10, exponent, format: 'DecimalExponent' };
  }
  throw new QuantityError(wrongSuffix);
}

const pow10 = (exponent: number): bigint => 10n ** BigInt(exponent);

/** `mantissa / 10^digits`, away from zero. */
function divideAway(mantissa: bigint, digits: number): bigint {
  const divisor = pow10(digits);
  const quotient = mantissa / divisor;
  if (quotient * divisor === mantissa) return quotient;
  return mantissa < 0n ? quotient - 1n : quotient + 1n;
}

/**
 * Whether upstream takes a text over as it stands instead of formatting the amount anew. Then `1.500` and `0100m` stay
 * what they are.
 */
function keepsText(suffix: Suffix, digits: string, fractionDigits: number): boolean {
  const scale = suffix.exponent - fractionDigits;
  if (suffix.format === 'BinarySI') {
    const precision = 15 - digits.length - Math.trunc((suffix.exponent * 3) / 10) - 1;
    return fractionDigits === 0 && precision >= 0 && (BigInt(digits) & 7n) !== 0n;
  }
  return (
    digits.length <= 18 && scale >= nano && scale % 3 === 0 && !digits.endsWith('000') && digits[0] !== '0'
  );
}

/** Parsed texts, most of which come again and again. */
const recent = new Map<string, Quantity>();
const recentLimit = 2_048;

export class Quantity {
  static readonly zero: Quantity = new Quantity(0n, 0, 'DecimalSI', '0');

  /** The amount is `#mantissa × 10^#scale`, `#scale` ≥ -9. */
  readonly #mantissa: bigint;
  readonly #scale: number;
  readonly format: QuantityFormat;
  #text: string | undefined;

  private constructor(mantissa: bigint, scale: number, format: QuantityFormat, text?: string) {
    this.#mantissa = mantissa;
    this.#scale = scale;
    this.format = format;
    this.#text = text;
  }

  /** Throws QuantityError. A JSON number is as good as its text; finer than nano is rounded away from zero. */
  static parse(value: string | number | bigint): Quantity {
    const text = typeof value === 'string' ? value.trim() : String(value);
    const known = recent.get(text);
    if (known) return known;
    const quantity = Quantity.#read(text);
    if (recent.size >= recentLimit) recent.clear();
    recent.set(text, quantity);
    return quantity;
  }

  /** As `parse`, or undefined for what is no quantity. */
  static tryParse(value: unknown): Quantity | undefined {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint') return undefined;
    try {
      return Quantity.parse(value);
    } catch {
      return undefined;
    }
  }

  /** `value × 10^scale`: `Quantity.of(1500, 'DecimalSI', -3)` is 1500m. */
  static of(value: number | bigint, format: QuantityFormat = 'DecimalSI', scale = 0): Quantity {
    return Quantity.#rounded(BigInt(value), scale, format);
  }

  static #read(text: string): Quantity {
    if (text === '0') return Quantity.zero;
    const match = text === '' ? null : grammar.exec(text);
    if (!match) throw new QuantityError(wrongFormat);
    const [, sign, whole, fraction = '', suffixText] = match as unknown as string[];
    const suffix = suffixOf(suffixText as string);
    const significant = (whole as string).replace(/^0+/, '') || '0';
    const digits = significant + fraction;
    if (digits.length > maxExponent) throw new QuantityError(wrongNumber);
    const magnitude = BigInt(digits);
    const mantissa = sign === '-' ? -magnitude : magnitude;
    if (keepsText(suffix, digits, fraction.length)) {
      const [value, scale] =
        suffix.base === 2
          ? [mantissa << BigInt(suffix.exponent), 0]
          : [mantissa, suffix.exponent - fraction.length];
      return new Quantity(value, scale, suffix.format, text);
    }
    if (suffix.base === 10)
      return Quantity.#rounded(mantissa, suffix.exponent - fraction.length, suffix.format);
    return Quantity.#binary(mantissa << BigInt(suffix.exponent), -fraction.length);
  }

  /** Binary amounts are capped at int64, and those under one become decimal. */
  static #binary(mantissa: bigint, scale: number): Quantity {
    const amount = Quantity.#rounded(mantissa, scale, 'BinarySI');
    const cap = new Quantity(mantissa < 0n ? -maxInt64 : maxInt64, 0, 'BinarySI');
    if (amount.abs().compare(cap.abs()) > 0) return cap;
    const small = amount.abs().compare(one) < 0 && !amount.isZero;
    return small ? new Quantity(amount.#mantissa, amount.#scale, 'DecimalSI') : amount;
  }

  static #rounded(mantissa: bigint, scale: number, format: QuantityFormat): Quantity {
    return scale >= nano
      ? new Quantity(mantissa, scale, format)
      : new Quantity(divideAway(mantissa, nano - scale), nano, format);
  }

  get isZero(): boolean {
    return this.#mantissa === 0n;
  }

  /** -1, 0 or 1. */
  get sign(): -1 | 0 | 1 {
    return this.#mantissa === 0n ? 0 : this.#mantissa < 0n ? -1 : 1;
  }

  /** Negative when this is less than `other`, 0 when equal. The format plays no part. */
  compare(other: Quantity): -1 | 0 | 1 {
    const scale = Math.min(this.#scale, other.#scale);
    const a = this.#at(scale);
    const b = other.#at(scale);
    return a < b ? -1 : a > b ? 1 : 0;
  }

  equals(other: Quantity): boolean {
    return this.compare(other) === 0;
  }

  #at(scale: number): bigint {
    return this.#scale === scale ? this.#mantissa : this.#mantissa * pow10(this.#scale - scale);
  }

  /** In the format of the first one that is not zero. */
  add(other: Quantity): Quantity {
    const scale = Math.min(this.#scale, other.#scale);
    return new Quantity(this.#at(scale) + other.#at(scale), scale, this.isZero ? other.format : this.format);
  }

  sub(other: Quantity): Quantity {
    const scale = Math.min(this.#scale, other.#scale);
    return new Quantity(this.#at(scale) - other.#at(scale), scale, this.isZero ? other.format : this.format);
  }

  mul(factor: number | bigint): Quantity {
    return new Quantity(this.#mantissa * BigInt(factor), this.#scale, this.format);
  }

  neg(): Quantity {
    return new Quantity(-this.#mantissa, this.#scale, this.format);
  }

  abs(): Quantity {
    return this.#mantissa < 0n ? this.neg() : this;
  }

  /** The amount in units of `10^scale`, rounded away from zero: `scaledValue(-3)` is thousandths. */
  scaledValue(scale: number): bigint {
    return this.#scale >= scale ? this.#at(scale) : divideAway(this.#mantissa, scale - this.#scale);
  }

  /** Whole units, rounded away from zero. */
  value(): bigint {
    return this.scaledValue(0);
  }

  /** Thousandths, rounded away from zero. */
  milliValue(): bigint {
    return this.scaledValue(-3);
  }

  /** The amount if it is whole and fits int64, else undefined. */
  asInt64(): bigint | undefined {
    const value = this.value();
    if (value > maxInt64 || value < -maxInt64 - 1n) return undefined;
    return new Quantity(value, 0, this.format).equals(this) ? value : undefined;
  }

  /** The nearest double. */
  toNumber(): number {
    return Number(`${this.#mantissa}e${this.#scale}`);
  }

  /** Canonical text: the suffix is the largest that leaves a whole number. */
  toString(): string {
    this.#text ??= this.#formatted();
    return this.#text;
  }

  toJSON(): string {
    return this.toString();
  }

  #formatted(): string {
    if (this.isZero) return '0';
    const whole = this.#scale >= 0 || this.#mantissa % pow10(-this.#scale) === 0n;
    if (this.format === 'BinarySI' && whole) {
      const value = this.value();
      if (value <= -1024n || value >= 1024n) return binaryText(value);
    }
    return decimalText(this.#mantissa, this.#scale, this.format === 'DecimalExponent');
  }
}

const one = Quantity.of(1);

function binaryText(value: bigint): string {
  let amount = value;
  let power = 0;
  // Upstream drops what has no suffix (beyond Ei); here the largest one carries it.
  while (amount % 1024n === 0n && power < binarySuffixes.length - 1) {
    amount /= 1024n;
    power++;
  }
  return `${amount}${binarySuffixes[power]}`;
}

function decimalText(mantissa: bigint, scale: number, exponential: boolean): string {
  let amount = mantissa;
  let exponent = scale;
  while (amount % 10n === 0n) {
    amount /= 10n;
    exponent++;
  }
  const highest = exponential ? Infinity : nano + 3 * (decimalSuffixes.length - 1);
  const target = Math.min(Math.floor(exponent / 3) * 3, highest);
  amount *= pow10(exponent - target);
  if (exponential) return target === 0 ? String(amount) : `${amount}e${target}`;
  return `${amount}${decimalSuffixes[(target - nano) / 3]}`;
}
