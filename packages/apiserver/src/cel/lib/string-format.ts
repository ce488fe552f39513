/** `'%s: %d'.format([…])` (cel-go ext/formatting.go). */
import { formatDouble, formatDuration, formatFixed, formatTimestamp } from '../run/format.ts';
import {
  CelBytes,
  CelDuration,
  CelFailure,
  CelList,
  CelMap,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
  fail,
  typeNameOf,
} from '../run/values.ts';
import { work } from '../run/work.ts';

/** The most digits after the point that a text asks for sensibly. */
const maxPrecision = 1_000;

/** One clause of a format: `%.3f`. */
export interface Clause {
  readonly verb: string;
  readonly precision: number | undefined;
}

/** A format that cannot be read, or a value that a clause does not take. */
export class FormatError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FormatError';
  }
}

const wrongClause = (message: string): FormatError =>
  new FormatError(`could not parse formatting clause: ${message}`);
export const wrongValue = (message: string): FormatError =>
  new FormatError(`error during formatting: ${message}`);

/** What each verb takes, in cel-go's words. */
export const refusals: Readonly<Record<string, string>> = {
  s: 'string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ',
  d: 'decimal clause can only be used on integers, was given ',
  f: 'fixed-point clause can only be used on doubles, was given ',
  e: 'scientific clause can only be used on doubles, was given ',
  b: 'only integers and bools can be formatted as binary, was given ',
  x: 'only integers, byte buffers, and strings can be formatted as hex, was given ',
  o: 'octal clause can only be used on integers, was given ',
};

/** Splits a format into texts and clauses. Throws `FormatError`; `has` says whether an argument is there. */
export function* clausesOf(format: string, has: (index: number) => boolean): Generator<string | Clause> {
  let argument = 0;
  let from = 0;
  for (let at = format.indexOf('%'); at >= 0; at = format.indexOf('%', from)) {
    if (at > from) yield format.slice(from, at);
    if (format[at + 1] === '%') {
      yield '%';
      from = at + 2;
      continue;
    }
    if (!has(argument)) throw new FormatError(`index ${argument} out of range`);
    if (at + 1 >= format.length) throw new FormatError('unexpected end of string');
    argument++;
    const match = /^(?:\.(\d*))?([^]?)/.exec(format.slice(at + 1, at + 24)) as unknown as [
      string,
      string?,
      string?,
    ];
    const [whole, digits, verb = ''] = match;
    if (verb === '')
      throw wrongClause('error while parsing precision: could not find end of precision specifier');
    if (digits === '')
      throw wrongClause(
        'error while parsing precision: error while converting precision to integer: strconv.Atoi: parsing "": invalid syntax',
      );
    if (!'sdfebxXo'.includes(verb)) throw wrongClause(`unrecognized formatting clause "${verb}"`);
    const precision = digits === undefined ? undefined : Number(digits);
    if (precision !== undefined && precision > maxPrecision)
      throw wrongClause(`precision ${precision} is more than ${maxPrecision}`);
    yield { verb, precision };
    from = at + 1 + whole.length;
  }
  if (from < format.length) yield format.slice(from);
}

/** The function of the library. */
export function formatText(format: string, args: CelList): CelValue {
  try {
    let out = '';
    let next = 0;
    for (const piece of clausesOf(format, (index) => index < args.size)) {
      const text = typeof piece === 'string' ? piece : applyClause(piece, args.at(next++));
      work(text.length / 8);
      out += text;
    }
    return out;
  } catch (error) {
    if (error instanceof FormatError) return fail(error.message);
    throw error;
  }
}

function applyClause({ verb, precision }: Clause, value: CelValue): string {
  if (value instanceof CelFailure) throw wrongValue(value.message);
  const text = verbs[verb]?.(value, precision);
  if (text === undefined) throw wrongValue(`${refusals[verb.toLowerCase()]}${typeNameOf(value)}`);
  return text;
}

const integerOf = (value: CelValue): bigint | undefined =>
  value instanceof CelUint ? value.value : typeof value === 'bigint' ? value : undefined;

type Verb = (value: CelValue, precision: number | undefined) => string | undefined;
const verbs: Readonly<Record<string, Verb>> = {
  s: (value) => shown(value),
  d: (value) => integerOf(value)?.toString(),
  f: (value, precision = 6) => grouped(special(value), (number) => fixed(number, precision)),
  e: (value, precision = 6) => grouped(special(value), (number) => scientific(number, precision)),
  b: (value) => (typeof value === 'boolean' ? String(Number(value)) : integerOf(value)?.toString(2)),
  x: hex,
  X: (value) => hex(value)?.toUpperCase(),
  o: (value) => integerOf(value)?.toString(8),
};

function special(value: CelValue): number | undefined {
  if (typeof value === 'number') return value;
  return value === 'NaN' || value === 'Infinity' || value === '-Infinity' ? Number(value) : undefined;
}

function grouped(value: number | undefined, format: (value: number) => string): string | undefined {
  if (value === undefined) return undefined;
  if (Number.isNaN(value)) return 'NaN';
  return Number.isFinite(value) ? format(value) : value > 0 ? '∞' : '-∞';
}

/** Exactly `precision` digits after the point, rounded to even where the double lies in the middle. */
export function fixedDigits(value: number, precision: number): string {
  if (precision <= 100 && Math.abs(value) < 1e21) return value.toFixed(precision);
  const text = formatFixed(value);
  const [whole, fraction = ''] = text.split('.') as [string, string?];
  return precision === 0 ? whole : `${whole}.${fraction.slice(0, precision).padEnd(precision, '0')}`;
}

/** In the language's default, en_US: thousands are set apart. */
function fixed(value: number, precision: number): string {
  const [whole, fraction] = fixedDigits(value, precision).split('.') as [string, string?];
  const apart = whole.replace(/\B(?=(?:\d{3})+$)/g, ',');
  return fraction === undefined ? apart : `${apart}.${fraction}`;
}

/** en_US: `1.5×10⁰³` with its digits set high. */
function scientific(value: number, precision: number): string {
  const [mantissa, exponent] = value.toExponential(Math.min(precision, 100)).split('e') as [string, string];
  const power = Number(exponent);
  const high = '⁰¹²³⁴⁵⁶⁷⁸⁹';
  const digits = Array.from(String(Math.abs(power)).padStart(2, '0'), (digit) => high[Number(digit)]).join(
    '',
  );
  return `${mantissa}×10${power < 0 ? '⁻' : ''}${digits}`;
}

function hex(value: CelValue): string | undefined {
  if (typeof value === 'string') return Buffer.from(value).toString('hex');
  return value instanceof CelBytes
    ? Buffer.from(value.bytes).toString('hex')
    : integerOf(value)?.toString(16);
}

/** `%s`: as string() has it, lists and maps as literals. */
function shown(value: CelValue): string | undefined {
  if (typeof value === 'string') return value;
  if (value === null) return 'null';
  if (value instanceof CelBytes) return new TextDecoder().decode(value.bytes);
  if (value instanceof CelTimestamp) return formatTimestamp(value);
  if (value instanceof CelDuration) return formatDuration(value);
  if (value instanceof CelList) return shownList(value);
  if (value instanceof CelMap) return shownMap(value);
  if (value instanceof CelTypeValue) return value.name;
  if (typeof value === 'number') return formatDouble(value);
  return typeof value === 'boolean' ? String(value) : integerOf(value)?.toString();
}

const shownList = (list: CelList): string => `[${[...list].map(shownElement).join(', ')}]`;

function shownMap(map: CelMap): string {
  const entries = [...map.keys()].map((key) => {
    if (typeof key === 'object' && !(key instanceof CelUint))
      throw wrongValue(`no formatting function for map key of type ${typeNameOf(key)}`);
    if (typeof key === 'number') throw wrongValue('no formatting function for map key of type double');
    return [shownElement(key), shownElement(map.find(key) as CelValue)] as const;
  });
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${entries.map(([key, value]) => `${key}:${value}`).join(', ')}}`;
}

/** Inside a list or map: texts in quotes, times with their type. */
function shownElement(value: CelValue): string {
  work(1);
  if (typeof value === 'string') return goQuoted(value);
  if (value instanceof CelBytes) return `b${goQuoted(new TextDecoder().decode(value.bytes))}`;
  if (value instanceof CelTimestamp) return `timestamp(${goQuoted(formatTimestamp(value))})`;
  if (value instanceof CelDuration) return `duration(${goQuoted(formatDuration(value))})`;
  if (typeof value === 'number') {
    if (Number.isNaN(value)) return '"NaN"';
    return Number.isFinite(value) ? value.toFixed(6) : value > 0 ? '"+Inf"' : '"-Inf"';
  }
  const text = shown(value);
  if (text === undefined) throw wrongValue(`no formatting function for ${typeNameOf(value)}`);
  return text;
}

/** Go's %q. */
export function goQuoted(text: string): string {
  const escapes: Record<string, string> = {
    '\x07': '\\a',
    '\v': '\\v',
    '\u2028': '\\u2028',
    '\u2029': '\\u2029',
  };
  return JSON.stringify(text)
    .replace(/\\u00(0[0-9a-f]|1[0-9a-f])/g, (whole, code: string) =>
      code === '07' ? '\\a' : code === '0b' ? '\\v' : `\\x${whole.slice(-2)}`,
    )
    .replace(/[\x7f\u2028\u2029]/g, (character) => escapes[character] ?? '\\x7f');
}
