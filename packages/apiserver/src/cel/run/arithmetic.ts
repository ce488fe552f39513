/** Arithmetic with overflow as a failure (cel-spec, langdef: Numeric Values, Abstract Types). */
import {
  CelBytes,
  CelDuration,
  CelList,
  CelTimestamp,
  CelUint,
  type CelFailure,
  type CelValue,
  fail,
  noSuchOverload,
  typeNameOf,
} from './values.ts';

const maxInt = 2n ** 63n - 1n;
const minInt = -(2n ** 63n);
const maxUint = 2n ** 64n - 1n;
const second = 1_000_000_000n;
/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999999Z. */
const minTime = -62_135_596_800n * second;
const maxTime = 253_402_300_800n * second - 1n;

export const overflow = {
  int: fail('integer overflow'),
  uint: fail('unsigned integer overflow'),
  duration: fail('duration overflow'),
  timestamp: fail('timestamp overflow'),
} as const;

export const fitsInt = (value: bigint): boolean => value >= minInt && value <= maxInt;
export const intOf = (value: bigint): bigint | CelFailure => (fitsInt(value) ? value : overflow.int);
export const uintOf = (value: bigint): CelUint | CelFailure =>
  value < 0n || value > maxUint ? overflow.uint : new CelUint(value);
export const durationOf = (nanoseconds: bigint): CelDuration | CelFailure =>
  fitsInt(nanoseconds) ? new CelDuration(nanoseconds) : overflow.duration;
export const timestampOf = (nanoseconds: bigint, offsetSeconds = 0): CelTimestamp | CelFailure =>
  nanoseconds < minTime || nanoseconds > maxTime
    ? overflow.timestamp
    : new CelTimestamp(nanoseconds, offsetSeconds);

const adders = new Set([
  'int',
  'uint',
  'double',
  'string',
  'bytes',
  'list',
  'google.protobuf.Timestamp',
  'google.protobuf.Duration',
]);
const subtractors = new Set([
  'int',
  'uint',
  'double',
  'google.protobuf.Timestamp',
  'google.protobuf.Duration',
]);
const numbers = new Set(['int', 'uint', 'double']);
const integers = new Set(['int', 'uint']);

/** Types whose values cel-go asks for a method before it gives up. */
export const isReceiver = (value: CelValue): boolean =>
  typeof value === 'string' || value instanceof CelTimestamp || value instanceof CelDuration;

/** Operands that do not go together; the operator's name stands in the text where even the left one is wrong. */
const mismatch = (left: CelValue, known: ReadonlySet<string>, name: string): CelFailure =>
  known.has(typeNameOf(left)) || isReceiver(left) ? noSuchOverload : fail(`no such overload: ${name}`);

export function add(left: CelValue, right: CelValue): CelValue {
  if (typeof left === 'bigint') return typeof right === 'bigint' ? intOf(left + right) : noSuchOverload;
  if (typeof left === 'string') return typeof right === 'string' ? left + right : noSuchOverload;
  if (typeof left === 'number') return typeof right === 'number' ? left + right : noSuchOverload;
  if (left instanceof CelList) return right instanceof CelList ? left.concat(right) : noSuchOverload;
  if (left instanceof CelUint)
    return right instanceof CelUint ? uintOf(left.value + right.value) : noSuchOverload;
  if (left instanceof CelBytes && right instanceof CelBytes)
    return new CelBytes(Buffer.concat([left.bytes, right.bytes]));
  if (left instanceof CelDuration) {
    if (right instanceof CelDuration) return durationOf(left.nanoseconds + right.nanoseconds);
    if (right instanceof CelTimestamp)
      return timestampOf(left.nanoseconds + right.nanoseconds, right.offsetSeconds);
  }
  if (left instanceof CelTimestamp && right instanceof CelDuration)
    return timestampOf(left.nanoseconds + right.nanoseconds, left.offsetSeconds);
  return mismatch(left, adders, '_+_');
}

export function subtract(left: CelValue, right: CelValue): CelValue {
  if (typeof left === 'bigint' && typeof right === 'bigint') return intOf(left - right);
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  if (left instanceof CelUint && right instanceof CelUint) return uintOf(left.value - right.value);
  if (left instanceof CelDuration && right instanceof CelDuration)
    return durationOf(left.nanoseconds - right.nanoseconds);
  if (left instanceof CelTimestamp) {
    if (right instanceof CelDuration)
      return timestampOf(left.nanoseconds - right.nanoseconds, left.offsetSeconds);
    if (right instanceof CelTimestamp) return durationOf(left.nanoseconds - right.nanoseconds);
  }
  return mismatch(left, subtractors, '_-_');
}

export function multiply(left: CelValue, right: CelValue): CelValue {
  if (typeof left === 'bigint' && typeof right === 'bigint') return intOf(left * right);
  if (typeof left === 'number' && typeof right === 'number') return left * right;
  if (left instanceof CelUint && right instanceof CelUint) return uintOf(left.value * right.value);
  return mismatch(left, numbers, '_*_');
}

const dividedByZero = fail('division by zero');
const modulusByZero = fail('modulus by zero');

export function divide(left: CelValue, right: CelValue): CelValue {
  if (typeof left === 'bigint' && typeof right === 'bigint')
    return right === 0n ? dividedByZero : intOf(left / right);
  if (typeof left === 'number' && typeof right === 'number') return left / right;
  if (left instanceof CelUint && right instanceof CelUint)
    return right.value === 0n ? dividedByZero : uintOf(left.value / right.value);
  return mismatch(left, numbers, '_/_');
}

export function modulo(left: CelValue, right: CelValue): CelValue {
  if (typeof left === 'bigint' && typeof right === 'bigint') {
    if (right === 0n) return modulusByZero;
    return left === minInt && right === -1n ? overflow.int : left % right;
  }
  if (left instanceof CelUint && right instanceof CelUint)
    return right.value === 0n ? modulusByZero : uintOf(left.value % right.value);
  return mismatch(left, integers, '_%_');
}

export function negate(value: CelValue): CelValue {
  if (typeof value === 'bigint') return intOf(-value);
  if (typeof value === 'number') return -value;
  if (value instanceof CelDuration) return durationOf(-value.nanoseconds);
  return typeof value === 'boolean' || isReceiver(value) ? noSuchOverload : fail('no such overload: -_');
}
