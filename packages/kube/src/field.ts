import type { StatusCause } from './generated/types/meta-v1.ts';

/** A path into an object for error messages: `spec.containers[0].ports[1].name` (upstream: field.Path). */
export class FieldPath {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  static of(...names: string[]): FieldPath {
    return new FieldPath(names.join('.'));
  }

  child(...names: string[]): FieldPath {
    return new FieldPath([this.#text, ...names].filter((part) => part !== '').join('.'));
  }

  index(i: number): FieldPath {
    return new FieldPath(`${this.#text}[${i}]`);
  }

  key(key: string): FieldPath {
    return new FieldPath(`${this.#text}[${key}]`);
  }

  toString(): string {
    return this.#text;
  }
}

/** One violation; `message` is upstream's text without the field. */
export type FieldError = StatusCause & { reason: string; message: string; field: string };

/** Integers beyond 2^53 are `bigint`, which JSON.stringify refuses by itself. */
const exactInteger = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? (JSON as unknown as RawJson).rawJSON(value.toString()) : value;
interface RawJson {
  rawJSON(text: string): unknown;
}

const goEscapes: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '"': '\\"',
  '\\': '\\\\',
};

/** A character that Go does not print as it is. */
function goEscape(character: string): string {
  const known = goEscapes[character];
  if (known !== undefined) return known;
  const code = character.codePointAt(0) as number;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code > 0xffff
    ? `\\U${code.toString(16).padStart(8, '0')}`
    : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** A text in quotes as Go's `%q` prints it (strconv.Quote). */
export const goQuote = (text: string): string =>
  `"${text.replace(/["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, goEscape)}"`;

/** A value as Go's field.Error prints it: texts quoted, the rest as JSON. */
function shown(value: unknown): string {
  if (typeof value === 'string') return goQuote(value);
  return JSON.stringify(value ?? null, exactInteger);
}

const make = (reason: string, path: FieldPath, message: string): FieldError => ({
  reason,
  message,
  field: path.toString(),
});
const detailed = (head: string, detail: string): string => (detail === '' ? head : `${head}: ${detail}`);

/** Constructors with upstream's words (apimachinery/pkg/util/validation/field/errors.go). */
export const fieldErrors = {
  required: (path: FieldPath, detail = '') =>
    make('FieldValueRequired', path, detailed('Required value', detail)),
  invalid: (path: FieldPath, value: unknown, detail: string) =>
    make('FieldValueInvalid', path, detailed(`Invalid value: ${shown(value)}`, detail)),
  /** Of a list or struct that upstream does not print. */
  invalidUnseen: (path: FieldPath, detail: string) =>
    make('FieldValueInvalid', path, detailed('Invalid value', detail)),
  notSupported: (path: FieldPath, value: unknown, supported: readonly string[]) =>
    make(
      'FieldValueNotSupported',
      path,
      detailed(
        `Unsupported value: ${shown(value)}`,
        supported.length === 0 ? '' : `supported values: ${[...supported].sort().map(shown).join(', ')}`,
      ),
    ),
  /** Where upstream names the supported values in an order of its own. */
  notSupportedAsListed: (path: FieldPath, value: unknown, supported: readonly string[]) =>
    make(
      'FieldValueNotSupported',
      path,
      `Unsupported value: ${shown(value)}: supported values: ${supported.map(shown).join(', ')}`,
    ),
  duplicate: (path: FieldPath, value: unknown) =>
    make('FieldValueDuplicate', path, `Duplicate value: ${shown(value)}`),
  forbidden: (path: FieldPath, detail: string) =>
    make('FieldValueForbidden', path, detailed('Forbidden', detail)),
  notFound: (path: FieldPath, value: unknown) =>
    make('FieldValueNotFound', path, `Not found: ${shown(value)}`),
  tooLong: (path: FieldPath, maxLength: number) =>
    make(
      'FieldValueTooLong',
      path,
      `Too long: may not be more than ${maxLength} byte${maxLength === 1 ? '' : 's'}`,
    ),
  tooMany: (path: FieldPath, actual: number, max: number) =>
    make(
      'FieldValueTooMany',
      path,
      `Too many: ${actual}: must have at most ${max} item${max === 1 ? '' : 's'}`,
    ),
  typeInvalid: (path: FieldPath, value: unknown, detail: string) =>
    make('FieldValueTypeInvalid', path, detailed(`Invalid value: ${shown(value)}`, detail)),
  internal: (path: FieldPath, detail: string) => make('InternalError', path, `Internal error: ${detail}`),
};
