import { isJsonObject, type JsonObject } from '../codec/json-value.ts';

/** Plain JSON as structured merge sees it: `undefined` is absent, `null` is a value of its own. */
export type JsonMap = Readonly<JsonObject>;

export const isMap: (value: unknown) => value is JsonMap = isJsonObject;

export const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

export const isNumber = (value: unknown): value is number | bigint =>
  typeof value === 'number' || typeof value === 'bigint';

/** Whether the map has no members; members that are `undefined` are none. */
export function isEmptyMap(map: JsonMap): boolean {
  for (const key in map) if (map[key] !== undefined) return false;
  return true;
}

/** Whether two values are equal: numbers by amount, lists by order, maps by members (value.Equals of smd). */
export function equalValues(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (isNumber(a) && isNumber(b)) return a == b; // eslint-disable-line eqeqeq -- 1 and 1n are one amount
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (isList(a)) {
    if (!isList(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!equalValues(a[i], b[i])) return false;
    return true;
  }
  if (isList(b)) return false;
  const left = a as JsonMap;
  const right = b as JsonMap;
  for (const key in left) if (!equalValues(left[key], right[key])) return false;
  for (const key in right) if (right[key] !== undefined && left[key] === undefined) return false;
  return true;
}

/** Go's order of strings, which is that of their UTF-8 bytes: supplementary characters after all others. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left === right) continue;
    return codePointRank(left) - codePointRank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points beyond U+FFFF, and so come after U+E000 to U+FFFF. */
const codePointRank = (unit: number): number =>
  unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800;

/** Numbers before strings before booleans before lists before maps before null. */
function rank(value: unknown): number {
  if (isNumber(value)) return 0;
  if (typeof value === 'string') return 1;
  if (typeof value === 'boolean') return 2;
  if (isList(value)) return 3;
  return value === null || value === undefined ? 5 : 4;
}

/** A total order of values (value.Compare of smd). */
export function compareValues(a: unknown, b: unknown): number {
  const byRank = rank(a) - rank(b);
  if (byRank !== 0) return byRank;
  if (isNumber(a) && isNumber(b)) return a < b ? -1 : a > b ? 1 : 0;
  if (typeof a === 'string') return compareTexts(a, b as string);
  if (typeof a === 'boolean') return Number(a) - Number(b);
  if (isList(a)) return compareLists(a, b as readonly unknown[]);
  return isMap(a) ? compareMaps(a, b as JsonMap) : 0;
}

function compareLists(a: readonly unknown[], b: readonly unknown[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = compareValues(a[i], b[i]);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareMaps(a: JsonMap, b: JsonMap): number {
  const left = Object.keys(a).sort(compareTexts);
  const right = Object.keys(b).sort(compareTexts);
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [l, r] = [left[i] as string, right[i] as string];
    const order = compareTexts(l, r) || compareValues(a[l], b[r]);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

// oxlint-disable-next-line no-control-regex
const escaped = /[\u0000-\u001f"\\<>&\u2028\u2029]/;
const everyEscaped = new RegExp(escaped, 'g');
const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** A JSON string as Go writes it: `<`, `>` and `&` escaped, too. */
export function quote(text: string): string {
  if (!escaped.test(text)) return `"${text}"`;
  const inner = text.replaceAll(
    everyEscaped,
    (character) => shortEscapes[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `"${inner}"`;
}

/** One JSON text for equal values, as Go writes them: members in the order of their names. */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const map = value as JsonMap;
  const members = Object.keys(map)
    .filter((key) => map[key] !== undefined)
    .sort(compareTexts)
    .map((key) => `${quote(key)}:${canonicalJson(map[key])}`);
  return `{${members.join(',')}}`;
}

/** A value in a path of an error text: strings quoted, all else as Go prints it (value.ToString of smd). */
export function valueText(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return goQuote(value);
  if (isNumber(value)) return goNumber(value);
  if (typeof value === 'boolean') return String(value);
  if (isList(value)) return `[${value.map(valueText).join(',')}]`;
  return Object.entries(value)
    .map(([key, member]) => `${key}=${valueText(member)}`)
    .join('');
}

/** `%q` of Go: JSON's escapes but for what Go names otherwise. */
export const goQuote = (text: string): string => JSON.stringify(text);

/** `%v` of a number: an integer in digits, a fraction as Go's shortest form. */
function goNumber(value: number | bigint): string {
  if (typeof value === 'bigint' || Number.isInteger(value)) return value.toString();
  return goFloat(value);
}

/** `%v` of a float64: with an exponent below 1e-4 and from 1e6 on. */
function goFloat(value: number): string {
  const [mantissa, power] = value.toExponential().split('e') as [string, string];
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 6) return String(value);
  return `${mantissa}e${power[0]}${power.slice(1).padStart(2, '0')}`;
}

/** `%v` of a decoded value: `map[a:1 b:[x y]]`. */
export function goPrint(value: unknown): string {
  if (value === null || value === undefined) return '<nil>';
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return goFloat(value);
  if (isList(value)) return `[${value.map(goPrint).join(' ')}]`;
  const map = value as JsonMap;
  const members = Object.keys(map)
    .sort(compareTexts)
    .map((key) => `${key}:${goPrint(map[key])}`);
  return `map[${members.join(' ')}]`;
}

/** `%#v` of a decoded value. */
export function goSyntax(value: unknown): string {
  if (value === null || value === undefined) return 'interface {}(nil)';
  if (typeof value === 'string') return goQuote(value);
  if (!isList(value) && !isMap(value)) return goPrint(value);
  if (isList(value)) return `[]interface {}{${value.map(goSyntax).join(', ')}}`;
  const members = Object.keys(value)
    .sort(compareTexts)
    .map((key) => `${goQuote(key)}:${goSyntax(value[key])}`);
  return `map[string]interface {}{${members.join(', ')}}`;
}
