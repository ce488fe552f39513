/** Lists: Kubernetes' functions (library/lists.go), version 3 of cel-go's (ext/lists.go), and sets (ext/sets.go). */
import { fn, method, type Overload } from '../check/functions.ts';
import { CelCostError } from '../errors.ts';
import { add } from '../run/arithmetic.ts';
import { compare, contains, equal } from '../run/compare.ts';
import {
  ArrayList,
  CelDuration,
  CelFailure,
  CelList,
  CelUint,
  type CelValue,
  fail,
  noSuchOverload,
  typeNameOf,
} from '../run/values.ts';
import { work } from '../run/work.ts';
import {
  boolType,
  bytesType,
  type CelType,
  doubleType,
  durationType,
  dynType,
  intType,
  listType,
  paramType,
  stringType,
  timestampType,
  uintType,
} from '../types.ts';

const t = paramType('T');
const listT = listType(t);

const comparable: ReadonlyArray<readonly [string, CelType]> = [
  ['int', intType],
  ['uint', uintType],
  ['double', doubleType],
  ['bool', boolType],
  ['duration', durationType],
  ['timestamp', timestampType],
  ['string', stringType],
  ['bytes', bytesType],
];
const zeros: Readonly<Record<string, CelValue>> = {
  int: 0n,
  uint: new CelUint(0n),
  double: 0,
  duration: new CelDuration(0n),
};

function isSorted(list: CelList): CelValue {
  let previous: CelValue | undefined;
  for (const value of list) {
    if (value instanceof CelFailure) return value;
    if (previous !== undefined && compare(previous, value) === 1) return false;
    previous = value;
  }
  return true;
}

const sum =
  (zero: CelValue) =>
  (list: CelList): CelValue => {
    let total = zero;
    for (const value of list) {
      if (value instanceof CelFailure) return value;
      total = add(total, value);
      if (total instanceof CelFailure) return total;
    }
    return total;
  };

const extreme =
  (name: string, better: -1 | 1) =>
  (list: CelList): CelValue => {
    let best: CelValue | undefined;
    for (const value of list) {
      if (value instanceof CelFailure) return value;
      if (best === undefined || compare(value, best) === better) best = value;
    }
    return best ?? fail(`${name} called on empty list`);
  };

function indexOf(list: CelList, wanted: CelValue): CelValue {
  let index = 0n;
  for (const value of list) {
    if (equal(value, wanted) === true) return index;
    index++;
  }
  return -1n;
}

function lastIndexOf(list: CelList, wanted: CelValue): CelValue {
  let index = 0n;
  let last = -1n;
  for (const value of list) {
    if (equal(value, wanted) === true) last = index;
    index++;
  }
  return last;
}

/** The longest list that any limit on costs leaves room for; making a longer one first would only take memory. */
const longest = 2_000_000;

function bounded(length: number | bigint): void {
  if (length > longest) throw new CelCostError('call');
}

function slice(list: CelList, start: bigint, end: bigint): CelValue {
  const call = `cannot slice(${start}, ${end})`;
  if (start < 0n || end < 0n) return fail(`${call}, negative indexes not supported`);
  if (start > end) return fail(`${call}, start index must be less than or equal to end index`);
  if (end > list.size) return fail(`${call}, list is length ${list.size}`);
  bounded(end - start);
  const values: CelValue[] = [];
  for (let i = Number(start); i < end; i++) values.push(list.at(i));
  return new ArrayList(values);
}

function flattenInto(list: CelList, depth: number, into: CelValue[]): void {
  for (const value of list) {
    if (value instanceof CelList && depth > 0) flattenInto(value, depth - 1, into);
    else {
      into.push(value);
      bounded(into.length);
    }
  }
}

function flatten(list: CelList, depth = 1n): CelValue {
  if (depth < 0n) return fail('level must be non-negative');
  const values: CelValue[] = [];
  flattenInto(list, Math.min(Number(depth), 1_000), values);
  return new ArrayList(values);
}

function sortByKeys(list: CelList, keys: CelList): CelValue {
  if (list.size !== keys.size)
    return fail(
      `@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got ${list.size} and ${keys.size} elements respectively`,
    );
  if (list.size === 0) return list;
  bounded(list.size);
  const values = [...list];
  const by = [...keys];
  const failure = by.find((key) => key instanceof CelFailure);
  if (failure !== undefined) return failure;
  const first = by[0] as CelValue;
  if (compare(first, first) === noSuchOverload) return fail('list elements must be comparable');
  const type = typeNameOf(first);
  if (by.some((key) => typeNameOf(key) !== type)) return fail('list elements must have the same type');
  const order = values.map((_value, i) => i);
  order.sort((i, j) => {
    work(1);
    const result = compare(by[i] as CelValue, by[j] as CelValue);
    return typeof result === 'number' ? result : 0;
  });
  return new ArrayList(order.map((i) => values[i] as CelValue));
}

function distinct(list: CelList): CelValue {
  const found: CelValue[] = [];
  for (const value of list) {
    work(4 * found.length);
    if (!found.some((known) => equal(value, known) === true)) found.push(value);
  }
  return new ArrayList(found);
}

function range(length: bigint): CelValue {
  bounded(length);
  return new ArrayList(Array.from({ length: Math.max(0, Number(length)) }, (_, i) => BigInt(i)));
}

function reverse(list: CelList): CelValue {
  bounded(list.size);
  return new ArrayList([...list].reverse());
}

function containsAll(list: CelList, wanted: CelList): CelValue {
  for (const value of wanted) {
    const found = contains(list, value);
    if (found !== true) return found;
  }
  return true;
}

function intersects(left: CelList, right: CelList): CelValue {
  for (const value of left) if (contains(right, value) === true) return true;
  return false;
}

function equivalent(left: CelList, right: CelList): CelValue {
  const first = containsAll(left, right);
  return first === true ? containsAll(right, left) : first;
}

function* typed(): Generator<Overload> {
  for (const [name, type] of comparable) {
    const list = [listType(type)];
    yield method('isSorted', `list_${name}_is_sorted_bool`, list, boolType, isSorted);
    if (zeros[name] !== undefined)
      yield method('sum', `list_${name}_sum_${name}`, list, type, sum(zeros[name]));
    yield method('max', `list_${name}_max_${name}`, list, type, extreme('max', 1));
    yield method('min', `list_${name}_min_${name}`, list, type, extreme('min', -1));
  }
}

function* sorts(): Generator<Overload> {
  for (const [, type] of comparable)
    yield method('sort', `list_${type.name}_sort`, [listType(type)], listType(type), (list: CelList) =>
      sortByKeys(list, list),
    );
  for (const [, type] of comparable)
    yield method(
      '@sortByAssociatedKeys',
      `list_${type.name}_sortByAssociatedKeys`,
      [listT, listType(type)],
      listT,
      sortByKeys,
    );
}

const listDyn = listType(dynType);

export const listsLibrary: readonly Overload[] = [
  ...typed(),
  method('indexOf', 'list_a_index_of_int', [listT, t], intType, indexOf),
  method('lastIndexOf', 'list_a_last_index_of_int', [listT, t], intType, lastIndexOf),
  method('slice', 'list_slice', [listT, intType, intType], listT, slice),
  method('flatten', 'list_flatten', [listType(listT)], listT, (list: CelList) => flatten(list)),
  method('flatten', 'list_flatten_int', [listDyn, intType], listDyn, flatten),
  ...sorts(),
  fn('lists.range', 'lists_range', [intType], listType(intType), range),
  method('reverse', 'list_reverse', [listT], listT, reverse),
  method('distinct', 'list_distinct', [listT], listT, distinct),
  fn('sets.contains', 'list_sets_contains_list', [listT, listT], boolType, containsAll),
  fn('sets.equivalent', 'list_sets_equivalent_list', [listT, listT], boolType, equivalent),
  fn('sets.intersects', 'list_sets_intersects_list', [listT, listT], boolType, intersects),
];
