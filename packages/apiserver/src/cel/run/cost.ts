/**
 * What calls cost when they run, in the units of cel-go (interpreter/runtimecost.go, ext/lists.go, ext/sets.go) with
 * Kubernetes' prices for its own functions (apiserver/pkg/cel/library/cost.go).
 */
import { CelBytes, CelList, CelMap, CelOpaque, CelTypeValue, type CelValue, sizeOf } from './values.ts';

/** Prices a call from its operands (receiver first; failures may be among them) and its result. */
export type CallCost = (args: readonly CelValue[], result: CelValue) => number;

const perCharacter = 0.1;
const perPatternCharacter = 0.25;
/** Of creating a list, a map, a message. */
export const creationCost = { list: 10, map: 30, message: 40 } as const;

const size = (args: readonly CelValue[], i: number): number => sizeOf(args[i] ?? null);
const one: CallCost = () => 1;
const traversal =
  (times = 1): CallCost =>
  (args) =>
    Math.ceil(size(args, 0) * times * perCharacter);

/** As the length of the text times that of the pattern. */
const pattern: CallCost = (args) =>
  Math.ceil((1 + size(args, 0)) * perCharacter) * Math.ceil(size(args, 1) * perPatternCharacter);

const smaller: CallCost = (args) => Math.ceil(Math.min(size(args, 0), size(args, 1)) * perCharacter);

/** Walks a value to its leaves. */
function deepTraversal(value: CelValue): number {
  if (typeof value === 'string') return Math.floor(Buffer.byteLength(value) * perCharacter);
  if (value instanceof CelBytes) return Math.floor(value.bytes.length * perCharacter);
  let sum = 0;
  if (value instanceof CelList) {
    for (const element of value) sum += deepTraversal(element);
    return sum;
  }
  if (!(value instanceof CelMap)) return 1;
  for (const key of value.keys()) sum += deepTraversal(key) + deepTraversal(value.find(key) ?? null);
  return sum;
}

/** A selector of labels or fields is parsed into requirements, at worst one for every two characters. */
const selector: CallCost = (args) => {
  const length = size(args, 1);
  return creationCost.list + Math.ceil(length * perCharacter) + Math.ceil(Math.ceil(length * 0.5) * 50);
};

const containsAddress: CallCost = (args) => Math.ceil(2 * size(args, 0) * perCharacter);
const containsNetwork: CallCost = (args) =>
  containsAddress(args, null) + Math.ceil(size(args, 0) * perCharacter) + 1;
const parsedToo =
  (cost: CallCost): CallCost =>
  (args, result) =>
    cost(args, result) + Math.ceil(size(args, 1) * perCharacter);

/** Values of named formats know how long a pattern they stand for. */
export interface PatternSized {
  readonly patternSize: number;
}

const validation: CallCost = (args) => {
  const { patternSize } = args[0] as unknown as Partial<PatternSized>;
  if (patternSize === undefined) return 1;
  return Math.ceil((1 + size(args, 1)) * perCharacter) * Math.ceil(patternSize * perPatternCharacter);
};

const allocated = (factor: number, elements: number): number =>
  Math.floor(elements * factor) + 1 + creationCost.list;
const newList: CallCost = (_args, result) => allocated(1, sizeOf(result));

function selfCompared(list: CelValue): number {
  if (!(list instanceof CelList) || list.size === 0) return allocated(2, 0);
  const first = list.at(0);
  const texts = typeof first === 'string' || first instanceof CelBytes;
  return allocated(texts ? 2 + perCharacter : 2, list.size * list.size);
}

const sets =
  (factor: number): CallCost =>
  (args) =>
    1 + Math.floor(size(args, 0) * size(args, 1) * factor);

const nominal = new Set(
  (
    'serviceAccount path group resource subresource namespace name allowed reason error errored ' +
    'masked prefixLength family isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast isGlobalUnicast ' +
    'format.named sign asInteger isInteger asApproximateFloat isGreaterThan isLessThan compareTo add sub major ' +
    'minor patch getScheme getHostname getHost getPort getEscapedPath getQuery'
  ).split(' '),
);
const deep: CallCost = (args) => deepTraversal(args[0] ?? null);

const byOverload: Readonly<Record<string, CallCost>> = {
  list_slice: newList,
  lists_range: newList,
  list_reverse: newList,
  list_flatten: (args) => allocated(1, size(args, 0)),
  list_flatten_int: (args) => allocated(Number(args[1]), size(args, 0)),
  list_distinct: (args) => selfCompared(args[0] ?? null),
  list_sets_contains_list: sets(1),
  list_sets_intersects_list: sets(1),
  list_sets_equivalent_list: sets(2),
  starts_with_string: traversal(),
  ends_with_string: traversal(),
  string_to_bytes: traversal(),
  bytes_to_string: traversal(),
  strings_quote: traversal(),
  string_format: traversal(),
  in_list: (args) => size(args, 1),
  add_string: (args) => Math.ceil((size(args, 0) + size(args, 1)) * perCharacter),
  add_bytes: (args) => Math.ceil((size(args, 0) + size(args, 1)) * perCharacter),
  matches_string: pattern,
  contains_string: (args) =>
    Math.ceil(size(args, 0) * perCharacter) * Math.ceil(size(args, 1) * perCharacter),
  cidr_ip: one,
  cidr_contains_ip_string: parsedToo(containsAddress),
  cidr_contains_cidr_string: parsedToo(containsNetwork),
};

const byName: Readonly<Record<string, CallCost>> = {
  check: () => 350_000,
  fieldSelector: selector,
  labelSelector: selector,
  isSorted: deep,
  sum: deep,
  max: deep,
  min: deep,
  indexOf: deep,
  lastIndexOf: deep,
  url: traversal(),
  lowerAscii: traversal(),
  upperAscii: traversal(),
  substring: traversal(),
  trim: traversal(),
  'jsonpatch.escapeKey': traversal(),
  replace: traversal(2),
  split: traversal(2),
  join: (_args, result) => Math.ceil(sizeOf(result) * 2 * perCharacter),
  find: pattern,
  findAll: pattern,
  cidr: traversal(),
  isIP: traversal(),
  isCIDR: traversal(),
  ip: traversal(),
  'ip.isCanonical': traversal(2),
  containsIP: containsAddress,
  containsCIDR: containsNetwork,
  quantity: traversal(),
  isQuantity: traversal(),
  semver: traversal(),
  isSemver: traversal(),
  validate: validation,
};

/** Equality of values of libraries is cheap, all else goes by the smaller of both sizes. */
export const equalityCost: CallCost = (args, result) =>
  args[0] instanceof CelOpaque && !(args[0] instanceof CelTypeValue) ? 1 : smaller(args, result);
export const inequalityCost: CallCost = smaller;

const compared = /^(?:less|less_equals|greater|greater_equals)_(?:string|bytes)$/;

/** The price of a function; `overload` is undefined where only values decide which one it is. */
export function callCost(name: string, overload: string | undefined): CallCost {
  if (nominal.has(name)) return one;
  if (overload !== undefined) {
    const known = Object.hasOwn(byOverload, overload) ? byOverload[overload] : undefined;
    if (known !== undefined) return known;
    if (/^list_.*_sort$/.test(overload)) return (args) => selfCompared(args[0] ?? null);
    if (overload.endsWith('_sortByAssociatedKeys')) return (args) => selfCompared(args[1] ?? null);
    if (compared.test(overload)) return smaller;
  }
  return (Object.hasOwn(byName, name) ? byName[name] : undefined) ?? one;
}
