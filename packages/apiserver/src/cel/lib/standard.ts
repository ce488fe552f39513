/** The standard library (cel-go common/stdlib). */
import { fn, method, type Overload } from '../check/functions.ts';
import { fitsInt, intOf, overflow, timestampOf, uintOf } from '../run/arithmetic.ts';
import { formatDouble, formatDuration, formatTimestamp } from '../run/format.ts';
import { matches, patternOf } from '../run/patterns.ts';
import {
  CelBytes,
  CelDuration,
  type CelList,
  type CelMap,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  CelFailure,
  type CelValue,
  fail,
  textSize,
  typeNameOf,
} from '../run/values.ts';
import { operators } from '../syntax/ast.ts';
import {
  boolType,
  bytesType,
  type CelType,
  doubleType,
  durationType,
  dynType,
  intType,
  listType,
  mapType,
  paramType,
  stringType,
  timestampType,
  typeType,
  uintType,
} from '../types.ts';
import { timeLibrary } from './time.ts';
import { parseDuration, parseTimestamp } from './time-text.ts';

const a = paramType('A');
const listA = listType(a);
const mapAB = mapType(a, paramType('B'));

const logic: Overload[] = [
  fn(operators.conditional, 'conditional', [boolType, a, a], a),
  fn(operators.and, 'logical_and', [boolType, boolType], boolType),
  fn(operators.or, 'logical_or', [boolType, boolType], boolType),
  fn(operators.not, 'logical_not', [boolType], boolType),
  fn(operators.notStrictlyFalse, 'not_strictly_false', [boolType], boolType),
  fn(operators.equals, 'equals', [a, a], boolType),
  fn(operators.notEquals, 'not_equals', [a, a], boolType),
  fn(operators.in, 'in_list', [a, listA], boolType),
  fn(operators.in, 'in_map', [a, mapAB], boolType),
  fn(operators.index, 'index_list', [listA, intType], a),
  fn(operators.index, 'index_map', [mapAB, a], paramType('B')),
];

const same = (name: string, id: string, type: CelType): Overload => fn(name, id, [type, type], type);

const arithmetic: Overload[] = [
  same(operators.add, 'add_bytes', bytesType),
  same(operators.add, 'add_double', doubleType),
  same(operators.add, 'add_duration_duration', durationType),
  fn(operators.add, 'add_duration_timestamp', [durationType, timestampType], timestampType),
  fn(operators.add, 'add_timestamp_duration', [timestampType, durationType], timestampType),
  same(operators.add, 'add_int64', intType),
  fn(operators.add, 'add_list', [listA, listA], listA),
  same(operators.add, 'add_string', stringType),
  same(operators.add, 'add_uint64', uintType),
  same(operators.divide, 'divide_double', doubleType),
  same(operators.divide, 'divide_int64', intType),
  same(operators.divide, 'divide_uint64', uintType),
  same(operators.modulo, 'modulo_int64', intType),
  same(operators.modulo, 'modulo_uint64', uintType),
  same(operators.multiply, 'multiply_double', doubleType),
  same(operators.multiply, 'multiply_int64', intType),
  same(operators.multiply, 'multiply_uint64', uintType),
  fn(operators.negate, 'negate_double', [doubleType], doubleType),
  fn(operators.negate, 'negate_int64', [intType], intType),
  same(operators.subtract, 'subtract_double', doubleType),
  same(operators.subtract, 'subtract_duration_duration', durationType),
  same(operators.subtract, 'subtract_int64', intType),
  fn(operators.subtract, 'subtract_timestamp_duration', [timestampType, durationType], timestampType),
  fn(operators.subtract, 'subtract_timestamp_timestamp', [timestampType, timestampType], durationType),
  same(operators.subtract, 'subtract_uint64', uintType),
];

const numeric = { int64: intType, uint64: uintType, double: doubleType };
const orders: ReadonlyArray<readonly [string, string]> = [
  [operators.less, 'less'],
  [operators.lessEquals, 'less_equals'],
  [operators.greater, 'greater'],
  [operators.greaterEquals, 'greater_equals'],
];

function* comparisons(): Generator<Overload> {
  for (const [name, id] of orders) {
    for (const [suffix, type] of Object.entries({
      bool: boolType,
      string: stringType,
      bytes: bytesType,
      timestamp: timestampType,
      duration: durationType,
    }))
      yield fn(name, `${id}_${suffix}`, [type, type], boolType);
    for (const [left, leftType] of Object.entries(numeric))
      for (const [right, rightType] of Object.entries(numeric))
        yield fn(
          name,
          left === right ? `${id}_${left}` : `${id}_${left}_${right}`,
          [leftType, rightType],
          boolType,
        );
  }
}

const sizes: Readonly<Record<string, readonly [CelType, (value: never) => CelValue]>> = {
  bytes: [bytesType, (value: CelBytes) => BigInt(value.bytes.length)],
  list: [listA, (value: CelList) => BigInt(value.size)],
  map: [mapAB, (value: CelMap) => BigInt(value.size)],
  string: [stringType, (value: string) => BigInt(textSize(value))],
};

function* sizeFunctions(): Generator<Overload> {
  for (const [name, [type, size]] of Object.entries(sizes)) {
    yield fn('size', `size_${name}`, [type], intType, size);
    yield method('size', `${name}_size`, [type], intType, size);
  }
}

const cannot = (from: string, to: string): CelValue =>
  fail(`type conversion error from '${from}' to '${to}'`);

/** Beyond the last double that is below 2^63 a cast would overflow. */
function doubleToInt(value: number): CelValue {
  if (Number.isNaN(value) || !Number.isFinite(value) || value <= -(2 ** 63) || value >= 2 ** 63)
    return overflow.int;
  return BigInt(Math.trunc(value));
}

const doubleToUint = (value: number): CelValue =>
  Number.isNaN(value) || value < 0 || value >= 2 ** 64 ? overflow.uint : uintOf(BigInt(Math.trunc(value)));

function textToInt(text: string): CelValue {
  if (!/^[+-]?\d+$/.test(text)) return cannot('string', 'int');
  const value = BigInt(text.replace(/^\+/, ''));
  return fitsInt(value) ? value : cannot('string', 'int');
}

function textToUint(text: string): CelValue {
  if (!/^\d+$/.test(text)) return cannot('string', 'uint');
  const value = uintOf(BigInt(text));
  return value instanceof CelFailure ? cannot('string', 'uint') : value;
}

const goDouble =
  /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?\d+)$/;

function textToDouble(text: string): CelValue {
  if (/^[+-]?(?:inf|infinity)$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  if (/^nan$/i.test(text)) return NaN;
  if (!goDouble.test(text) || /[xX]/.test(text)) return cannot('string', 'double');
  const value = Number(text);
  return Number.isFinite(value) ? value : cannot('string', 'double');
}

function textToBool(text: string): CelValue {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  return cannot('string', 'bool');
}

function bytesToText(value: CelBytes): CelValue {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value.bytes);
  } catch {
    return fail('invalid UTF-8 in bytes, cannot convert to string');
  }
}

const identity = (value: CelValue): CelValue => value;
const floorSeconds = (nanoseconds: bigint): bigint => {
  const second = 1_000_000_000n;
  return (nanoseconds - (((nanoseconds % second) + second) % second)) / second;
};

const conversions: Overload[] = [
  fn('type', 'type', [a], typeType(a), (value: CelValue) => new CelTypeValue(typeNameOf(value))),
  fn('bool', 'bool_to_bool', [boolType], boolType, identity),
  fn('bool', 'string_to_bool', [stringType], boolType, textToBool),
  fn('bytes', 'bytes_to_bytes', [bytesType], bytesType, identity),
  fn('bytes', 'string_to_bytes', [stringType], bytesType, (text: string) => new CelBytes(Buffer.from(text))),
  fn('double', 'double_to_double', [doubleType], doubleType, identity),
  fn('double', 'int64_to_double', [intType], doubleType, (value: bigint) => Number(value)),
  fn('double', 'string_to_double', [stringType], doubleType, textToDouble),
  fn('double', 'uint64_to_double', [uintType], doubleType, (value: CelUint) => Number(value.value)),
  fn('duration', 'duration_to_duration', [durationType], durationType, identity),
  fn('duration', 'int64_to_duration', [intType], durationType, (value: bigint) => new CelDuration(value)),
  fn('duration', 'string_to_duration', [stringType], durationType, (text: string) => {
    const nanoseconds = parseDuration(text);
    return nanoseconds === undefined
      ? cannot('string', 'google.protobuf.Duration')
      : new CelDuration(nanoseconds);
  }),
  fn('dyn', 'to_dyn', [a], dynType, identity),
  fn('int', 'int64_to_int64', [intType], intType, identity),
  fn('int', 'double_to_int64', [doubleType], intType, doubleToInt),
  fn('int', 'duration_to_int64', [durationType], intType, (value: CelDuration) => value.nanoseconds),
  fn('int', 'string_to_int64', [stringType], intType, textToInt),
  fn('int', 'timestamp_to_int64', [timestampType], intType, (value: CelTimestamp) =>
    floorSeconds(value.nanoseconds),
  ),
  fn('int', 'uint64_to_int64', [uintType], intType, (value: CelUint) => intOf(value.value)),
  fn('string', 'string_to_string', [stringType], stringType, identity),
  fn('string', 'bool_to_string', [boolType], stringType, String),
  fn('string', 'bytes_to_string', [bytesType], stringType, bytesToText),
  fn('string', 'double_to_string', [doubleType], stringType, formatDouble),
  fn('string', 'duration_to_string', [durationType], stringType, formatDuration),
  fn('string', 'int64_to_string', [intType], stringType, String),
  fn('string', 'timestamp_to_string', [timestampType], stringType, formatTimestamp),
  fn('string', 'uint64_to_string', [uintType], stringType, (value: CelUint) => String(value.value)),
  fn('timestamp', 'timestamp_to_timestamp', [timestampType], timestampType, identity),
  fn('timestamp', 'int64_to_timestamp', [intType], timestampType, (seconds: bigint) =>
    timestampOf(seconds * 1_000_000_000n),
  ),
  fn('timestamp', 'string_to_timestamp', [stringType], timestampType, (text: string) => {
    const time = parseTimestamp(text);
    return time === undefined
      ? cannot('string', 'google.protobuf.Timestamp')
      : timestampOf(time.nanoseconds, time.offsetSeconds);
  }),
  fn('uint', 'uint64_to_uint64', [uintType], uintType, identity),
  fn('uint', 'double_to_uint64', [doubleType], uintType, doubleToUint),
  fn('uint', 'int64_to_uint64', [intType], uintType, (value: bigint) => uintOf(value)),
  fn('uint', 'string_to_uint64', [stringType], uintType, textToUint),
];

const matched = (text: string, pattern: string): CelValue => {
  const compiled = patternOf(pattern);
  return compiled instanceof CelFailure ? compiled : matches(text, compiled);
};

const strings: Overload[] = [
  method('contains', 'contains_string', [stringType, stringType], boolType, (text: string, part: string) =>
    text.includes(part),
  ),
  method('endsWith', 'ends_with_string', [stringType, stringType], boolType, (text: string, end: string) =>
    text.endsWith(end),
  ),
  method(
    'startsWith',
    'starts_with_string',
    [stringType, stringType],
    boolType,
    (text: string, start: string) => text.startsWith(start),
  ),
  fn('matches', 'matches', [stringType, stringType], boolType, matched),
  method('matches', 'matches_string', [stringType, stringType], boolType, matched),
];

export const standardLibrary: readonly Overload[] = [
  ...logic,
  ...arithmetic,
  ...comparisons(),
  ...sizeFunctions(),
  ...conversions,
  ...strings,
  ...timeLibrary,
];
