/** Optional values (cel-go cel/library.go), and what two-variable macros need. */
import { fn, method, type Overload } from '../check/functions.ts';
import { formatValue } from '../run/format.ts';
import {
  ArrayList,
  CelBytes,
  CelDuration,
  CelList,
  CelMap,
  CelOptional,
  CelTimestamp,
  CelUint,
  type CelValue,
  fail,
} from '../run/values.ts';
import { operators } from '../syntax/ast.ts';
import {
  boolType,
  dynType,
  intType,
  listType,
  mapType,
  optionalType,
  paramType,
  stringType,
} from '../types.ts';

const k = paramType('K');
const v = paramType('V');
const optionalV = optionalType(v);
const listV = listType(v);
const mapKV = mapType(k, v);
const listOptional = listType(optionalV);

/** Year 1, what Go's zero time is. */
const zeroTime = -62_135_596_800_000_000_000n;

function isZero(value: CelValue): boolean {
  if (value === null || value === false || value === '' || value === 0n || value === 0) return true;
  if (value instanceof CelUint) return value.value === 0n;
  if (value instanceof CelBytes) return value.bytes.length === 0;
  if (value instanceof CelDuration) return value.nanoseconds === 0n;
  if (value instanceof CelTimestamp) return value.nanoseconds === zeroTime;
  if (value instanceof CelList || value instanceof CelMap) return value.size === 0;
  return value instanceof CelOptional && value.value === undefined;
}

function unwrap(list: CelList): CelValue {
  const values: CelValue[] = [];
  for (const value of list) {
    if (!(value instanceof CelOptional)) return fail(`value ${formatValue(value)} is not optional`);
    if (value.value !== undefined) values.push(value.value);
  }
  return new ArrayList(values);
}

export const optionalLibrary: readonly Overload[] = [
  fn('optional.of', 'optional_of', [v], optionalV, (value: CelValue) => CelOptional.of(value)),
  fn('optional.ofNonZeroValue', 'optional_ofNonZeroValue', [v], optionalV, (value: CelValue) =>
    isZero(value) ? CelOptional.none : CelOptional.of(value),
  ),
  fn('optional.none', 'optional_none', [], optionalV, () => CelOptional.none),
  method(
    'value',
    'optional_value',
    [optionalV],
    v,
    (optional: CelOptional) => optional.value ?? fail('optional.none() dereference'),
  ),
  method(
    'hasValue',
    'optional_hasValue',
    [optionalV],
    boolType,
    (optional: CelOptional) => optional.value !== undefined,
  ),
  method('or', 'optional_or_optional', [optionalV, optionalV], optionalV),
  method('orValue', 'optional_orValue_value', [optionalV, v], v),
  fn(operators.optionalSelect, 'select_optional_field', [dynType, stringType], optionalV),
  fn(operators.optionalIndex, 'list_optindex_optional_int', [listV, intType], optionalV),
  fn(
    operators.optionalIndex,
    'optional_list_optindex_optional_int',
    [optionalType(listV), intType],
    optionalV,
  ),
  fn(operators.optionalIndex, 'map_optindex_optional_value', [mapKV, k], optionalV),
  fn(operators.optionalIndex, 'optional_map_optindex_optional_value', [optionalType(mapKV), k], optionalV),
  fn(operators.index, 'optional_list_index_int', [optionalType(listV), intType], optionalV),
  fn(operators.index, 'optional_map_index_value', [optionalType(mapKV), k], optionalV),
  method('last', 'list_last', [listV], optionalV, (list: CelList) =>
    list.size === 0 ? CelOptional.none : CelOptional.of(list.at(list.size - 1)),
  ),
  method('first', 'list_first', [listV], optionalV, (list: CelList) =>
    list.size === 0 ? CelOptional.none : CelOptional.of(list.at(0)),
  ),
  fn('optional.unwrap', 'optional_unwrap', [listOptional], listV, unwrap),
  method('unwrapOpt', 'optional_unwrapOpt', [listOptional], listV, unwrap),
  fn('cel.@mapInsert', '@mapInsert_map_key_value', [mapKV, k, v], mapKV),
  fn('cel.@mapInsert', '@mapInsert_map_map', [mapKV, mapKV], mapKV),
];
