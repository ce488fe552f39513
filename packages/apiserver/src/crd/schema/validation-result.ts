/**
 * What validation against a schema finds, in the words of kube-openapi (pkg/validation/errors, .../validate/result.go),
 * and its way into field errors (apiextensions-apiserver/pkg/apiserver/validation/validation.go).
 */
import { type FieldError, fieldErrors, FieldPath } from '@cloudless/kube/field';

export type Violation =
  | { readonly type: 'required'; readonly name: string; readonly text: string }
  | {
      readonly type: 'enum';
      readonly name: string;
      readonly text: string;
      readonly value: unknown;
      readonly allowed: readonly unknown[];
    }
  | { readonly type: 'too-long'; readonly name: string; readonly text: string; readonly max: number }
  | {
      readonly type: 'too-many';
      readonly name: string;
      readonly text: string;
      readonly actual: number;
      readonly max: number;
    }
  | { readonly type: 'type'; readonly name: string; readonly text: string; readonly value: unknown }
  | { readonly type: 'invalid'; readonly name: string; readonly text: string; readonly value: unknown }
  /** Of a whole value, without a field of its own: anyOf, oneOf, allOf, not, numbers out of their format. */
  | { readonly type: 'composite'; readonly text: string };

/** Errors, each text once, and how many checks were made: of alternatives that fail, the best match is reported. */
export class Result {
  readonly violations: Violation[] = [];
  readonly #texts = new Set<string>();
  matches = 0;

  get isValid(): boolean {
    return this.violations.length === 0;
  }

  add(violation: Violation): void {
    if (this.#texts.has(violation.text)) return;
    this.#texts.add(violation.text);
    this.violations.push(violation);
  }

  merge(other: Result): void {
    for (const violation of other.violations) this.add(violation);
    this.matches += other.matches;
  }

  /** Takes over the matches of a result whose errors are overlooked. */
  mergeMatches(other: Result): void {
    this.matches += other.matches;
  }
}

const nowhere = FieldPath.of('<nil>');

function pathOf(name: string, base: FieldPath | undefined): FieldPath {
  if (name === '' || name === '.') return base ?? nowhere;
  const trimmed = name.startsWith('.') ? name.slice(1) : name;
  return base ? base.child(trimmed) : FieldPath.of(trimmed);
}

const enumText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** The violations as field errors below `base`; undefined for a whole object. */
export function fieldErrorsOf(result: Result, base: FieldPath | undefined): FieldError[] {
  return result.violations.map((violation) => {
    if (violation.type === 'composite') return fieldErrors.invalid(base ?? nowhere, '', violation.text);
    const path = pathOf(violation.name, base);
    switch (violation.type) {
      case 'required':
        return fieldErrors.required(path);
      case 'enum':
        return fieldErrors.notSupportedAsListed(path, violation.value, violation.allowed.map(enumText));
      case 'too-long':
        return fieldErrors.tooLong(path, violation.max);
      case 'too-many':
        return fieldErrors.tooMany(path, violation.actual, violation.max);
      case 'type':
        return fieldErrors.typeInvalid(path, violation.value, violation.text);
      default:
        return fieldErrors.invalid(path, violation.value, violation.text);
    }
  });
}

const lowestPlain = 1e-4;
const highestPlain = 1e21;

/** A float64 as Go's `%v` prints it. */
export function goFloat(value: number): string {
  const size = Math.abs(value);
  if (value === 0 || (size >= lowestPlain && size < highestPlain)) return String(value);
  return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2');
}
