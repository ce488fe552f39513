import type { LabelSelector } from '../generated/types/meta-v1.ts';
import { labelKeyErrors, labelValueErrors } from './validation.ts';

export type Operator = 'in' | 'notin' | '=' | '==' | '!=' | 'exists' | '!' | 'gt' | 'lt';

/** One condition on one label. Build with {@link requirement}, which validates. */
export interface Requirement {
  readonly key: string;
  readonly operator: Operator;
  readonly values: readonly string[];
}

export type Labels = Readonly<Record<string, string>> | undefined;

/** A selector that cannot be understood; the message is upstream's. */
export class SelectorError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SelectorError';
  }
}

/** Upstream's order (binary, then unary), as its errors list them. */
export const binaryOperators: readonly Operator[] = ['in', 'notin', '=', '==', '!=', 'gt', 'lt'];

const goStrings = (values: readonly string[]): string =>
  `[]string{${values.map((value) => JSON.stringify(value)).join(', ')}}`;

/** `text` as an int64, or undefined (Go: strconv.ParseInt base 10). */
function int64(text: string): bigint | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  return BigInt.asIntN(64, value) === value ? value : undefined;
}

function countProblem(operator: Operator, values: readonly string[]): string | undefined {
  const bad = (detail: string): string => `values: Invalid value: ${goStrings(values)}: ${detail}`;
  switch (operator) {
    case 'in':
    case 'notin':
      return values.length === 0 ? bad("for 'in', 'notin' operators, values set can't be empty") : undefined;
    case '=':
    case '==':
    case '!=':
      return values.length === 1 ? undefined : bad('exact-match compatibility requires one single value');
    case 'exists':
    case '!':
      return values.length === 0 ? undefined : bad('values set must be empty for exists and does not exist');
    case 'gt':
    case 'lt':
    default:
      return values.length === 1 ? undefined : bad("for 'Gt', 'Lt' operators, exactly one value is required");
  }
}

/** A validated requirement (upstream: labels.NewRequirement). Throws {@link SelectorError}. */
export function requirement(key: string, operator: Operator, values: readonly string[]): Requirement {
  const problems: string[] = [];
  const keyErrors = labelKeyErrors(key);
  if (keyErrors.length > 0)
    problems.push(`key: Invalid value: ${JSON.stringify(key)}: ${keyErrors.join('; ')}`);
  const count = countProblem(operator, values);
  if (count !== undefined) problems.push(count);
  values.forEach((value, i) => {
    if ((operator === 'gt' || operator === 'lt') && int64(value) === undefined) {
      problems.push(
        `values[${i}]: Invalid value: ${JSON.stringify(value)}: for 'Gt', 'Lt' operators, the value must be an integer`,
      );
    }
  });
  values.forEach((value, i) => {
    const errors = labelValueErrors(value);
    if (errors.length > 0) {
      problems.push(`values[${i}][${key}]: Invalid value: ${JSON.stringify(value)}: ${errors.join('; ')}`);
    }
  });
  if (problems.length === 1) throw new SelectorError(problems[0] as string);
  if (problems.length > 1) throw new SelectorError(`[${problems.join(', ')}]`);
  return { key, operator, values };
}

function requirementMatches(rule: Requirement, labels: Labels): boolean {
  const value = labels !== undefined && Object.hasOwn(labels, rule.key) ? labels[rule.key] : undefined;
  switch (rule.operator) {
    case 'in':
    case '=':
    case '==':
      return value !== undefined && rule.values.includes(value);
    case 'notin':
    case '!=':
      return value === undefined || !rule.values.includes(value);
    case 'exists':
      return value !== undefined;
    case '!':
      return value === undefined;
    case 'gt':
    case 'lt':
    default: {
      const left = value === undefined ? undefined : int64(value);
      const right = int64(rule.values[0] ?? '');
      if (left === undefined || right === undefined) return false;
      return rule.operator === 'gt' ? left > right : left < right;
    }
  }
}

const signs: Record<Operator, string> = {
  in: ' in ',
  notin: ' notin ',
  '=': '=',
  '==': '==',
  '!=': '!=',
  gt: '>',
  lt: '<',
  exists: '',
  '!': '',
};

function formatRequirement(rule: Requirement): string {
  if (rule.operator === 'exists') return rule.key;
  if (rule.operator === '!') return `!${rule.key}`;
  const values = [...rule.values].sort().join(',');
  const listed = rule.operator === 'in' || rule.operator === 'notin';
  return `${rule.key}${signs[rule.operator]}${listed ? `(${values})` : values}`;
}

/** A label selector: every requirement must hold. Immutable. */
export class Selector {
  /** Ordered by key. */
  readonly requirements: readonly Requirement[];
  /** Selects nothing at all (upstream: labels.Nothing), as an absent LabelSelector does. */
  readonly matchesNothing: boolean;

  constructor(requirements: readonly Requirement[], matchesNothing = false) {
    this.requirements = [...requirements].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    this.matchesNothing = matchesNothing;
  }

  /** Selects everything. */
  get isEmpty(): boolean {
    return !this.matchesNothing && this.requirements.length === 0;
  }

  matches(labels: Labels): boolean {
    if (this.matchesNothing) return false;
    for (const rule of this.requirements) if (!requirementMatches(rule, labels)) return false;
    return true;
  }

  /** A selector that also asks for `more`. */
  and(...more: Requirement[]): Selector {
    return this.matchesNothing ? this : new Selector([...this.requirements, ...more]);
  }

  /** The one value this selector demands of a label, if it demands one. */
  exactMatch(label: string): string | undefined {
    for (const rule of this.requirements) {
      if (rule.key !== label || !['=', '==', 'in'].includes(rule.operator)) continue;
      if (rule.values.length === 1) return rule.values[0];
    }
    return undefined;
  }

  /** The string grammar; `parseLabelSelector` reads it back. */
  toString(): string {
    return this.requirements.map(formatRequirement).join(',');
  }
}

export const everything: Selector = new Selector([]);
export const nothing: Selector = new Selector([], true);

/** Selects exactly these labels, unvalidated; an absent or empty set selects everything. */
export function selectorFromSet(set: Labels): Selector {
  return new Selector(
    Object.entries(set ?? {}).map(([key, value]) => ({ key, operator: '=' as const, values: [value] })),
  );
}

const objectOperators: Record<string, Operator> = {
  In: 'in',
  NotIn: 'notin',
  Exists: 'exists',
  DoesNotExist: '!',
};

/**
 * A `LabelSelector` object as a {@link Selector}: absent selects nothing, empty everything (upstream:
 * metav1.LabelSelectorAsSelector). Throws {@link SelectorError}.
 */
export function selectorFromObject(object: LabelSelector | undefined | null): Selector {
  if (object === undefined || object === null) return nothing;
  const rules: Requirement[] = [];
  for (const [key, value] of Object.entries(object.matchLabels ?? {}))
    rules.push(requirement(key, '=', [value]));
  for (const expression of object.matchExpressions ?? []) {
    const operator = Object.hasOwn(objectOperators, expression.operator)
      ? objectOperators[expression.operator]
      : undefined;
    if (operator === undefined) {
      throw new SelectorError(
        `${JSON.stringify(expression.operator)} is not a valid label selector operator`,
      );
    }
    rules.push(requirement(expression.key, operator, expression.values ?? []));
  }
  return rules.length === 0 ? everything : new Selector(rules);
}

/** As columns show a selector: `<none>` when it selects everything or is absent (metav1.FormatLabelSelector). */
export function formatLabelSelector(object: LabelSelector | undefined): string {
  try {
    const text = selectorFromObject(object).toString();
    return text === '' ? '<none>' : text;
  } catch {
    return '<error>';
  }
}
