/**
 * What calls cost at least and at most, by the sizes of their operands (cel-go checker/cost.go, ext/lists.go,
 * ext/sets.go, apiserver/pkg/cel/library/cost.go).
 */
import type { CelType } from '../types.ts';
import { exactly, multiply, plus, type Range, scale, unbounded, union, unknownSize } from './sizes.ts';

/** An operand as estimates see it. */
export interface Operand {
  readonly type: CelType;
  /** As far as it is known. */
  readonly size: Range | undefined;
  /** Of the elements of a list, where the schema says. */
  readonly elementSize: () => Range | undefined;
  /** The value of an int literal. */
  readonly literal: bigint | undefined;
}

export interface CallEstimate {
  /** Without that of the operands. */
  readonly cost: Range;
  readonly result?: Range;
}

/** `target` is the receiver. Undefined: the call has the ordinary price. */
type Estimator = (target: Operand | undefined, args: readonly Operand[]) => CallEstimate | undefined;

const perCharacter = 0.1;
const perPatternCharacter = 0.25;
const newList = 10;
const one: Range = exactly(1);

const sizeOf = (operand: Operand | undefined): Range => operand?.size ?? unknownSize;
const fixed = (cost: number): CallEstimate => ({ cost: exactly(cost) });
const nominal: Estimator = () => fixed(1);

/** As one walk along an argument. */
const walks =
  (index: number, times = 1): Estimator =>
  (_target, args) =>
    args[index] && { cost: scale(sizeOf(args[index]), times * perCharacter) };

/** As one walk along the receiver, which has the size of the result. */
const maps: Estimator = (target) =>
  target && { cost: scale(sizeOf(target), perCharacter), result: sizeOf(target) };

const matching = (text: Range, pattern: Range): Range =>
  multiply(scale(plus(text, one), perCharacter), scale(pattern, perPatternCharacter));

const finds: Estimator = (target, args) =>
  target &&
  args[0] && {
    cost: matching(sizeOf(target), sizeOf(args[0])),
    result: { min: 0, max: sizeOf(target).max },
  };

/** Walks a list and compares each element; a text is walked once. */
const aggregates: Estimator = (target) => {
  if (target === undefined) return undefined;
  const element = target.type.params[0];
  if (element === undefined) return { cost: scale(sizeOf(target), perCharacter) };
  const textual = element.kind === 'string' || element.kind === 'bytes';
  const each = textual ? plus(one, scale(target.elementSize() ?? unknownSize, perCharacter)) : one;
  return { cost: multiply(sizeOf(target), each) };
};

const replaces: Estimator = (target, args) => {
  if (target === undefined || args.length < 2) return undefined;
  const text = sizeOf(target);
  const old = sizeOf(args[0]);
  const next = sizeOf(args[1]);
  const longest = replaced(text.max, old.min, next.max <= old.min);
  const shortest = replaced(text.min, old.max, old.max <= next.min);
  const result = plus(multiply({ min: shortest.count, max: longest.count }, next), {
    min: shortest.kept,
    max: longest.kept,
  });
  return { cost: scale(text, 2 * perCharacter), result };
};

/** How often something is replaced, and how much of the text stays; `keeps`: replacing does not lengthen it. */
function replaced(text: number, old: number, keeps: boolean): { count: number; kept: number } {
  if (old === 0) return { count: text + 1, kept: text };
  if (keeps) return { count: 0, kept: text };
  return { count: Math.ceil(text / old), kept: 0 };
}

const splits: Estimator = (target, args) => {
  if (target === undefined) return undefined;
  const text = sizeOf(target);
  const limit = args[1]?.literal;
  const max = limit === undefined ? text.max : limit < 0n ? unbounded : Number(limit);
  return { cost: scale(text, 2 * perCharacter), result: { min: 0, max } };
};

const joins: Estimator = (target, args) => {
  if (target === undefined) return undefined;
  const list = sizeOf(target);
  const hasElement = target.type.params[0] !== undefined;
  let result = hasElement ? multiply(list, target.elementSize() ?? unknownSize) : exactly(0);
  if (args.length > 0) {
    const separators = { min: Math.max(0, list.min - 1), max: Math.max(0, list.max - 1) };
    result = plus(result, multiply(sizeOf(args[0]), separators));
  }
  return { cost: scale(result, perCharacter), result };
};

const selector: Estimator = (_target, args) => {
  if (args.length !== 1) return undefined;
  const length = sizeOf(args[0]);
  return { cost: plus(exactly(newList), scale(length, perCharacter), scale(scale(length, 0.5), 50)) };
};

/** 4 or 16 bytes of an address, twice. */
const address: Range = { min: 4, max: 16 };
const comparesAddress = scale(plus(address, address), perCharacter);
const comparesNetwork = plus(comparesAddress, scale(address, perCharacter), one);

const parsed = (text: Operand | undefined): Range => scale(sizeOf(text), perCharacter);

const validates: Estimator = (_target, args) =>
  args[0] && { cost: scale(scale(sizeOf(args[0]), perCharacter), 128 * perPatternCharacter) };

const allocated = (factor: number, size: Range): CallEstimate => ({
  cost: plus(scale(size, factor), one, exactly(newList)),
  result: size,
});
const literalOr = (operand: Operand | undefined, otherwise: number): number =>
  operand?.literal === undefined ? otherwise : operand.literal < 0n ? 0 : Number(operand.literal);

const selfCompared = (list: Operand | undefined, element: string): CallEstimate => {
  const size = sizeOf(list);
  const textual = element === 'string' || element === 'bytes';
  return allocated(textual ? 2 + perCharacter : 2, multiply(size, size));
};

const sets =
  (factor: number): Estimator =>
  (_target, args) => ({
    cost: plus(scale(multiply(sizeOf(args[0]), sizeOf(args[1])), factor), one),
  });

const byOverload: Readonly<Record<string, Estimator>> = {
  list_slice: (target, args) => {
    const start = literalOr(args[0], 0);
    const length = literalOr(args[1], sizeOf(target).max) - start;
    return allocated(1, exactly(length < 0 ? unbounded : length));
  },
  lists_range: (_target, args) => allocated(1, exactly(literalOr(args[0], unbounded))),
  list_reverse: (target) => allocated(1, sizeOf(target)),
  list_flatten: (target) => allocated(1, sizeOf(target)),
  list_flatten_int: (target, args) => allocated(literalOr(args[0], unbounded), sizeOf(target)),
  list_distinct: (target) => {
    const size = sizeOf(target);
    return allocated(2, multiply(size, size));
  },
  list_sets_contains_list: sets(1),
  list_sets_intersects_list: sets(1),
  list_sets_equivalent_list: sets(2),
  cidr_ip: nominal,
  string_format: (target) => target && { cost: parsed(target) },
  string_to_bytes: (_target, [text]) => ({
    cost: parsed(text),
    result: { min: sizeOf(text).min, max: sizeOf(text).max * 4 },
  }),
  bytes_to_string: (_target, [bytes]) => ({
    cost: parsed(bytes),
    result: { min: Math.floor(sizeOf(bytes).min / 4), max: sizeOf(bytes).max },
  }),
  strings_quote: (_target, [text]) => ({
    cost: parsed(text),
    result: { min: sizeOf(text).min + 2, max: sizeOf(text).max * 2 + 2 },
  }),
  starts_with_string: walks(0),
  ends_with_string: walks(0),
  in_list: (_target, args) => ({ cost: sizeOf(args[1]) }),
  matches_string: (target, args) => target && args[0] && { cost: matching(sizeOf(target), sizeOf(args[0])) },
  contains_string: (target, args) =>
    target && { cost: multiply(scale(sizeOf(target), perCharacter), scale(sizeOf(args[0]), perCharacter)) },
  add_string: (_target, args) => concatenates(args, perCharacter),
  add_bytes: (_target, args) => concatenates(args, perCharacter),
  add_list: (_target, args) => concatenates(args, 0),
};

/** Lists are joined at a fixed price. */
function concatenates([left, right]: readonly Operand[], factor: number): CallEstimate {
  const result = plus(sizeOf(left), sizeOf(right));
  return { cost: factor === 0 ? one : scale(result, factor), result };
}

const compares: Estimator = (_target, [left, right]) => {
  const max = Math.min(sizeOf(left).max, sizeOf(right).max);
  return { cost: scale({ min: max > 0 ? 1 : 0, max }, perCharacter) };
};

const simplyEqual = new Set([
  'net.IP',
  'net.CIDR',
  'kubernetes.Quantity',
  'kubernetes.Semver',
  'kubernetes.authorization.Authorizer',
  'kubernetes.authorization.PathCheck',
  'kubernetes.authorization.GroupCheck',
  'kubernetes.authorization.ResourceCheck',
  'kubernetes.authorization.Decision',
]);

const equals: Estimator = (target, args) => {
  const [left, right] = args as [Operand, Operand];
  if (left.type.name !== right.type.name) return compares(target, args);
  if (simplyEqual.has(left.type.name)) return fixed(1);
  if (left.type.name === 'kubernetes.NamedFormat') return { cost: scale({ min: 1, max: 64 }, perCharacter) };
  if (left.type.name !== 'kubernetes.URL') return compares(target, args);
  const size = right.size ?? one;
  return { cost: scale({ min: 1, max: union(size, size).max }, perCharacter) };
};

const containsIp =
  (overload: string): Estimator =>
  (_target, [text]) => ({
    cost: overload === 'cidr_contains_ip_string' ? plus(comparesAddress, parsed(text)) : comparesAddress,
  });
const containsCidr =
  (overload: string): Estimator =>
  (_target, [text]) => ({
    cost: overload === 'cidr_contains_cidr_string' ? plus(comparesNetwork, parsed(text)) : comparesNetwork,
  });

const cheap =
  'serviceAccount path group resource subresource namespace name allowed reason error errored masked prefixLength family isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast isGlobalUnicast format.named sign asInteger isInteger asApproximateFloat isGreaterThan isLessThan compareTo add sub major minor patch getScheme getHostname getHost getPort getEscapedPath getQuery'.split(
    ' ',
  );

const url: Estimator = (_target, [text]) => text && { cost: parsed(text), result: sizeOf(text) };

const byName: Readonly<Record<string, Estimator>> = {
  ...Object.fromEntries(cheap.map((name) => [name, nominal])),
  check: () => fixed(350_000),
  fieldSelector: selector,
  labelSelector: selector,
  ...Object.fromEntries(
    ['isSorted', 'sum', 'max', 'min', 'indexOf', 'lastIndexOf'].map((name) => [name, aggregates]),
  ),
  ...Object.fromEntries(['lowerAscii', 'upperAscii', 'substring', 'trim'].map((name) => [name, maps])),
  ...Object.fromEntries(
    ['cidr', 'isIP', 'isCIDR', 'ip', 'quantity', 'isQuantity', 'semver', 'isSemver'].map((name) => [
      name,
      walks(0),
    ]),
  ),
  url,
  'jsonpatch.escapeKey': url,
  replace: replaces,
  split: splits,
  join: joins,
  find: finds,
  findAll: finds,
  'ip.isCanonical': walks(0, 2),
  validate: validates,
  '_==_': equals,
  '_!=_': compares,
};

const compared = /^(?:less|less_equals|greater|greater_equals)_(?:string|bytes)$/;
const sorted = /^list_(.*)_(sort|sortByAssociatedKeys)$/;

/** The estimate of one overload; its price without that of the operands. */
export function estimateCall(
  name: string,
  overload: string,
  target: Operand | undefined,
  args: readonly Operand[],
): CallEstimate {
  return specialEstimate(name, overload, target, args) ?? fixed(1);
}

function specialEstimate(
  name: string,
  overload: string,
  target: Operand | undefined,
  args: readonly Operand[],
): CallEstimate | undefined {
  const own = Object.hasOwn(byOverload, overload) ? byOverload[overload] : undefined;
  if (own !== undefined) return own(target, args);
  const sort = sorted.exec(overload);
  if (sort) return selfCompared(sort[2] === 'sort' ? target : args[0], sort[1] as string);
  if (compared.test(overload)) return compares(target, args);
  if (name === 'containsIP') return containsIp(overload)(target, args);
  if (name === 'containsCIDR') return containsCidr(overload)(target, args);
  return (Object.hasOwn(byName, name) ? byName[name] : undefined)?.(target, args);
}
