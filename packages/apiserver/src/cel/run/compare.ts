/** Equality and order of values across types (cel-spec, langdef: Equality, Ordering). */
import {
  CelBytes,
  CelDuration,
  CelFailure,
  CelList,
  CelMap,
  CelMessage,
  CelOpaque,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
  fail,
  noSuchOverload,
} from './values.ts';
import { work } from './work.ts';

type Number3 = bigint | number | CelUint;
const isNumeric = (value: CelValue): value is Number3 =>
  typeof value === 'bigint' || typeof value === 'number' || value instanceof CelUint;
const numberOf = (value: Number3): bigint | number => (value instanceof CelUint ? value.value : value);

/** Whether two values are equal; values of unrelated types are not. A failure inside a value comes out. */
export function equal(left: CelValue, right: CelValue): boolean | CelFailure {
  if (left === right) return typeof left !== 'number' || !Number.isNaN(left);
  if (left instanceof CelFailure) return left;
  if (right instanceof CelFailure) return right;
  if (left === null || right === null) return false;
  // JavaScript compares bigint and number by their mathematical values.
  if (isNumeric(left)) return isNumeric(right) && numberOf(left) == numberOf(right);
  if (typeof left !== 'object') return false;
  if (typeof right !== 'object') return left instanceof CelOpaque ? noSuchOverload : false;
  if (left instanceof CelList) return right instanceof CelList && equalLists(left, right);
  if (left instanceof CelMap) return right instanceof CelMap && equalMaps(left, right);
  return equalScalars(left, right);
}

function equalScalars(left: object, right: object): boolean | CelFailure {
  if (left instanceof CelBytes) return right instanceof CelBytes && compareBytes(left, right) === 0;
  if (left instanceof CelTimestamp)
    return right instanceof CelTimestamp && left.nanoseconds === right.nanoseconds;
  if (left instanceof CelDuration)
    return right instanceof CelDuration && left.nanoseconds === right.nanoseconds;
  if (left instanceof CelTypeValue) return right instanceof CelTypeValue && left.name === right.name;
  if (left instanceof CelOptional) {
    if (!(right instanceof CelOptional)) return false;
    if (left.value === undefined || right.value === undefined) return left.value === right.value;
    return equal(left.value, right.value);
  }
  if (left instanceof CelMessage) return right instanceof CelMessage && left.equals(right);
  if (left instanceof CelOpaque)
    return right instanceof CelOpaque && left.typeName === right.typeName
      ? left.equals(right)
      : noSuchOverload;
  return false;
}

function equalLists(left: CelList, right: CelList): boolean | CelFailure {
  const decided = left.equals(right);
  if (decided !== undefined) return decided;
  if (left.size !== right.size) return false;
  const others = right[Symbol.iterator]();
  for (const element of left) {
    work(1);
    const same = equal(element, others.next().value as CelValue);
    if (same !== true) return same;
  }
  return true;
}

function equalMaps(left: CelMap, right: CelMap): boolean | CelFailure {
  const decided = left.equals(right);
  if (decided !== undefined) return decided;
  if (left.size !== right.size) return false;
  for (const key of left.keys()) {
    work(1);
    const other = right.find(key);
    if (other === undefined) return false;
    const same = equal(left.find(key) as CelValue, other);
    if (same !== true) return same;
  }
  return true;
}

/** -1, 0, 1, or a failure for values that have no order. */
export function compare(left: CelValue, right: CelValue): -1 | 0 | 1 | CelFailure {
  if (left instanceof CelFailure) return left;
  if (right instanceof CelFailure) return right;
  if (isNumeric(left) && isNumeric(right)) return compareNumbers(numberOf(left), numberOf(right));
  if (typeof left === 'string' && typeof right === 'string') return compareTexts(left, right);
  if (typeof left === 'boolean' && typeof right === 'boolean') return order(Number(left), Number(right));
  if (left instanceof CelBytes && right instanceof CelBytes) return compareBytes(left, right);
  if (left instanceof CelTimestamp && right instanceof CelTimestamp)
    return order(left.nanoseconds, right.nanoseconds);
  if (left instanceof CelDuration && right instanceof CelDuration)
    return order(left.nanoseconds, right.nanoseconds);
  return noSuchOverload;
}

const order = <T extends bigint | number | string>(a: T, b: T): -1 | 0 | 1 => (a < b ? -1 : a > b ? 1 : 0);

function compareNumbers(left: bigint | number, right: bigint | number): -1 | 0 | 1 | CelFailure {
  if (Number.isNaN(left) || Number.isNaN(right)) return fail('NaN values cannot be ordered');
  return left < right ? -1 : left > right ? 1 : 0;
}

const surrogates = /[\ud800-\udfff]/;

/** By code point, as UTF-8 sorts; UTF-16 sorts astral characters before U+E000. */
function compareTexts(left: string, right: string): -1 | 0 | 1 {
  if (!surrogates.test(left) && !surrogates.test(right)) return order(left, right);
  const a = left[Symbol.iterator]();
  const b = right[Symbol.iterator]();
  for (;;) {
    const x = a.next();
    const y = b.next();
    if (x.done || y.done) return order(Number(!x.done), Number(!y.done));
    const difference = order(x.value.codePointAt(0) ?? 0, y.value.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
}

function compareBytes(left: CelBytes, right: CelBytes): -1 | 0 | 1 {
  return Math.sign(Buffer.compare(left.bytes, right.bytes)) as -1 | 0 | 1;
}

/** Whether a list holds a value; a failure only if no element is equal and one could not be compared. */
export function contains(list: CelList, value: CelValue): boolean | CelFailure {
  let failure: CelFailure | undefined;
  for (const element of list) {
    work(1);
    const same = equal(element, value);
    if (same === true) return true;
    if (same instanceof CelFailure) failure ??= same;
  }
  return failure ?? false;
}
