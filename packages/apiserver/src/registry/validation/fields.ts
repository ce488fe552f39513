/** Checks that many kinds share, in upstream's words. Each answers with what is wrong, as field errors at `path`. */
import { isDeepStrictEqual } from 'node:util';
import { fieldErrors, type FieldError, type FieldPath } from '@cloudless/kube/field';
import type { IntOrString, LabelSelector } from '@cloudless/kube/types/meta-v1';
import { type Selector, selectorFromObject } from '@cloudless/kube/selector/selector';
import { immutableText } from './metadata.ts';
import {
  httpPathError,
  isDns1123Label,
  isDns1123Subdomain,
  isHttpPath,
  isPercent,
  isPortName,
  isPortNumber,
  isQualifiedName,
} from './names.ts';

/** int32 and int64 fields; the latter are `bigint` beyond 2^53. */
export type Integer = number | bigint;

/** Every text of a name rule as an error at `path`. */
export const invalidEach = (path: FieldPath, value: unknown, texts: readonly string[]): FieldError[] =>
  texts.map((text) => fieldErrors.invalid(path, value, text));

/** An absent value counts as zero. */
export function nonNegative(value: Integer | undefined | null, path: FieldPath): FieldError[] {
  if (value == null || value >= 0) return [];
  return [fieldErrors.invalid(path, value, 'must be greater than or equal to 0')];
}

export function positive(value: Integer | undefined | null, path: FieldPath): FieldError[] {
  if (value != null && value > 0) return [];
  return [fieldErrors.invalid(path, value ?? 0, 'must be greater than zero')];
}

export function required(value: unknown, path: FieldPath, detail = ''): FieldError[] {
  const isMissing =
    value == null || value === '' || value === 0 || (Array.isArray(value) && value.length === 0);
  return isMissing ? [fieldErrors.required(path, detail)] : [];
}

/** An enumeration: missing is `Required`, unknown is `Unsupported`. */
export function oneOf(
  value: string | undefined | null,
  supported: readonly string[],
  path: FieldPath,
): FieldError[] {
  if (!value) return [fieldErrors.required(path)];
  return supported.includes(value) ? [] : [fieldErrors.notSupported(path, value, supported)];
}

/** As {@link oneOf}, where upstream names the values in an order of its own. */
export function oneOfAsListed(
  value: string | undefined | null,
  supported: readonly string[],
  path: FieldPath,
): FieldError[] {
  if (!value) return [fieldErrors.required(path)];
  return supported.includes(value) ? [] : [fieldErrors.notSupportedAsListed(path, value, supported)];
}

/** As {@link oneOf}, but an empty text is a value that is not known: pointers of Go's types tell it from none. */
export const setOneOf = (
  value: string | undefined | null,
  supported: readonly string[],
  path: FieldPath,
): FieldError[] => (value == null ? [fieldErrors.required(path)] : optionalOneOf(value, supported, path));

/** As {@link oneOf}, but the field may be absent. */
export const optionalOneOf = (
  value: string | undefined | null,
  supported: readonly string[],
  path: FieldPath,
): FieldError[] =>
  value == null || supported.includes(value) ? [] : [fieldErrors.notSupported(path, value, supported)];

/** As {@link optionalOneOf}, for messages that name the values in an order of upstream's own. */
export const oneOfListed = (
  value: string | undefined | null,
  supported: readonly string[],
  path: FieldPath,
): FieldError[] =>
  value == null || supported.includes(value)
    ? []
    : [fieldErrors.notSupportedAsListed(path, value, supported)];

export const dns1123Label = (value: string, path: FieldPath): FieldError[] =>
  invalidEach(path, value, isDns1123Label(value));
export const dns1123Subdomain = (value: string, path: FieldPath): FieldError[] =>
  invalidEach(path, value, isDns1123Subdomain(value));
export const qualifiedName = (value: string, path: FieldPath): FieldError[] =>
  invalidEach(path, value, isQualifiedName(value));

/** `acme.io/foo` (upstream: IsDomainPrefixedPath). */
export function domainPrefixedPath(value: string, path: FieldPath): FieldError[] {
  if (value === '') return [fieldErrors.required(path)];
  const slash = value.indexOf('/');
  const host = value.slice(0, Math.max(slash, 0));
  const rest = slash === -1 ? '' : value.slice(slash + 1);
  if (host === '' || rest === '') {
    const why = 'must be a domain-prefixed path (such as "acme.io/foo")';
    return [fieldErrors.invalid(path, value, why)];
  }
  const wrong = dns1123Subdomain(host, path);
  if (!isHttpPath(rest)) wrong.push(fieldErrors.invalid(path, rest, httpPathError()));
  return wrong;
}

/** A port by number or by IANA name. */
export function portNumberOrName(port: IntOrString | undefined | null, path: FieldPath): FieldError[] {
  const value = port ?? 0;
  return typeof value === 'string'
    ? invalidEach(path, value, isPortName(value))
    : invalidEach(path, value, isPortNumber(value));
}

/** Field equality as upstream has it: absent, null, empty text and empty lists are alike. */
export function semanticallyEqual(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(withoutEmpty(a), withoutEmpty(b));
}

function withoutEmpty(value: unknown): unknown {
  if (value === null || value === undefined || value === '') return undefined;
  if (Array.isArray(value)) return value.length === 0 ? undefined : value.map(withoutEmpty);
  if (typeof value !== 'object') return value;
  const kept: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    const inner = withoutEmpty(member);
    if (inner !== undefined) kept[key] = inner;
  }
  // A struct without any field set stays distinct from none: `emptyDir: {}` is a volume source.
  return kept;
}

export function immutable(now: unknown, before: unknown, path: FieldPath): FieldError[] {
  return semanticallyEqual(now, before) ? [] : [fieldErrors.invalid(path, now, immutableText)];
}

const percentOf = (value: IntOrString): number | undefined =>
  typeof value === 'string' && isPercent(value).length === 0 ? Number(value.slice(0, -1)) : undefined;

/** The number in `3` or `30%`; zero for anything else. */
export const intOrPercent = (value: IntOrString | undefined): number =>
  typeof value === 'number' ? value : (percentOf(value ?? '') ?? (Number.parseInt(value ?? '', 10) || 0));

export function positiveIntOrPercent(value: IntOrString | undefined, path: FieldPath): FieldError[] {
  if (typeof value === 'string') return invalidEach(path, value, isPercent(value));
  return nonNegative(value, path);
}

export function notMoreThan100Percent(value: IntOrString | undefined, path: FieldPath): FieldError[] {
  const percent = value === undefined ? undefined : percentOf(value);
  if (percent === undefined || percent <= 100) return [];
  return [fieldErrors.invalid(path, value, 'must not be greater than 100%')];
}

/** A counter that may only grow (`collisionCount`). */
export function notDecremented(
  now: Integer | undefined,
  before: Integer | undefined,
  path: FieldPath,
): FieldError[] {
  if (before === undefined || (now !== undefined && now >= before)) return [];
  return [fieldErrors.invalid(path, now ?? 0, 'cannot be decremented')];
}

/** The selector, or undefined when it cannot be read. */
export function selectorOf(selector: LabelSelector | undefined): Selector | undefined {
  try {
    return selectorFromObject(selector);
  } catch {
    return undefined;
  }
}

/** Every one of `names` in `status` must not be negative. */
export function nonNegativeEach(
  status: object | undefined,
  names: readonly string[],
  path: FieldPath,
): FieldError[] {
  const values = (status ?? {}) as Record<string, Integer | undefined>;
  return names.flatMap((name) => nonNegative(values[name], path.child(name)));
}

/** No counter among `names` exceeds the counter `limit` of the same status. */
export function noneExceeds(
  status: object | undefined,
  names: readonly string[],
  limit: string,
  text: string,
  path: FieldPath,
): FieldError[] {
  const values = (status ?? {}) as Record<string, number | undefined>;
  return names
    .filter((name) => (values[name] ?? 0) > (values[limit] ?? 0))
    .map((name) => fieldErrors.invalid(path.child(name), values[name] ?? 0, text));
}
