/** Strings, version 2 of cel-go's extension (ext/strings.go). Positions count code points. */
import { fn, method, type Overload } from '../check/functions.ts';
import { formatValue } from '../run/format.ts';
import { ArrayList, type CelList, type CelValue, fail } from '../run/values.ts';
import { work } from '../run/work.ts';
import { dynType, intType, listType, stringType } from '../types.ts';
import { formatText } from './string-format.ts';

const wide = /[\ud800-\udfff]/;

/** Code points; of a text without surrogates the text itself, which is indexed alike. */
const pointsOf = (text: string): string | string[] => (wide.test(text) ? Array.from(text) : text);
const slice = (points: string | string[], from: number, to?: number): string =>
  typeof points === 'string' ? points.slice(from, to) : points.slice(from, to).join('');
const outOfRange = (index: bigint): CelValue => fail(`index out of range: ${index}`);

function charAt(text: string, index: bigint): CelValue {
  const points = pointsOf(text);
  if (index < 0n || index > points.length) return outOfRange(index);
  return points[Number(index)] ?? '';
}

/** Code points before a UTF-16 position. */
const pointsBefore = (text: string, position: number): number =>
  position < 0 || !wide.test(text) ? position : Array.from(text.slice(0, position)).length;

/** The UTF-16 position of a code point. */
const positionOf = (text: string, point: number): number =>
  wide.test(text) ? Array.from(text).slice(0, point).join('').length : point;

function indexOf(text: string, part: string, offset = 0n): CelValue {
  if (part === '') return offset;
  if (offset < 0n) return outOfRange(offset);
  if (offset >= pointsOf(text).length) return -1n;
  return BigInt(pointsBefore(text, text.indexOf(part, positionOf(text, Number(offset)))));
}

function lastIndexOf(text: string, part: string, offset?: bigint): CelValue {
  const { length } = pointsOf(text);
  if (part === '') return offset ?? BigInt(length);
  if (offset === undefined && Buffer.byteLength(text) < Buffer.byteLength(part)) return -1n;
  const from = offset ?? BigInt(length - 1);
  if (from < 0n) return outOfRange(from);
  if (from >= length) return -1n;
  return BigInt(pointsBefore(text, text.lastIndexOf(part, positionOf(text, Number(from)))));
}

/** Go's strings.Replace: an empty `old` is found between all characters. */
function replace(text: string, old: string, next: string, limit = -1n): CelValue {
  if (limit === 0n || old === next) return text;
  const pieces = old === '' ? ['', ...Array.from(text), ''] : text.split(old);
  const count = limit < 0n ? pieces.length - 1 : Math.min(Number(limit), pieces.length - 1);
  work((count * next.length) / 8);
  if (old === '') {
    const points = pieces.slice(1, -1);
    const replaced = Math.min(count, points.length + 1);
    let out = '';
    for (let i = 0; i <= points.length; i++) out += (i < replaced ? next : '') + (points[i] ?? '');
    return out;
  }
  const head = pieces.slice(0, count + 1).join(next);
  return count === pieces.length - 1 ? head : head + old + pieces.slice(count + 1).join(old);
}

/** Go's strings.SplitN. */
function split(text: string, separator: string, limit = -1n): CelValue {
  if (limit === 0n) return new ArrayList([]);
  const pieces = separator === '' ? Array.from(text) : text.split(separator);
  if (limit < 0n || limit >= pieces.length) return new ArrayList(pieces);
  const kept = Number(limit) - 1;
  return new ArrayList([...pieces.slice(0, kept), pieces.slice(kept).join(separator)]);
}

function substring(text: string, start: bigint, end?: bigint): CelValue {
  const points = pointsOf(text);
  if (end !== undefined && start > end) return fail(`invalid substring range. start: ${start}, end: ${end}`);
  if (start < 0n || start > points.length) return outOfRange(start);
  if (end === undefined) return slice(points, Number(start));
  return end > points.length ? outOfRange(end) : slice(points, Number(start), Number(end));
}

function join(list: CelList, separator = ''): CelValue {
  const texts: string[] = [];
  for (const element of list) {
    if (typeof element !== 'string') return fail(`join: invalid input: ${formatValue(element)}`);
    work((element.length + separator.length) / 8);
    texts.push(element);
  }
  return texts.join(separator);
}

const quotes: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};
// oxlint-disable-next-line no-control-regex
const quoted = /[\x07\b\f\n\r\t\v\\"]/g;
const quote = (text: string): CelValue =>
  `"${text.toWellFormed().replace(quoted, (character) => quotes[character] as string)}"`;

/** Go's unicode.IsSpace, which knows no U+FEFF but U+0085. */
const spaces = String.raw`[\t\n\v\f\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]`;
const outerSpaces = new RegExp(`^${spaces}+|${spaces}+$`, 'g');

const text = stringType;
const texts = listType(stringType);

export const stringsLibrary: readonly Overload[] = [
  method('charAt', 'string_char_at_int', [text, intType], text, charAt),
  method('indexOf', 'string_index_of_string', [text, text], intType, indexOf),
  method('indexOf', 'string_index_of_string_int', [text, text, intType], intType, indexOf),
  method('lastIndexOf', 'string_last_index_of_string', [text, text], intType, lastIndexOf),
  method('lastIndexOf', 'string_last_index_of_string_int', [text, text, intType], intType, lastIndexOf),
  method('lowerAscii', 'string_lower_ascii', [text], text, (value: string) =>
    value.replace(/[A-Z]+/g, (upper) => upper.toLowerCase()),
  ),
  method('replace', 'string_replace_string_string', [text, text, text], text, replace),
  method('replace', 'string_replace_string_string_int', [text, text, text, intType], text, replace),
  method('split', 'string_split_string', [text, text], texts, split),
  method('split', 'string_split_string_int', [text, text, intType], texts, split),
  method('substring', 'string_substring_int', [text, intType], text, substring),
  method('substring', 'string_substring_int_int', [text, intType, intType], text, substring),
  method('trim', 'string_trim', [text], text, (value: string) => value.replace(outerSpaces, '')),
  method('upperAscii', 'string_upper_ascii', [text], text, (value: string) =>
    value.replace(/[a-z]+/g, (lower) => lower.toUpperCase()),
  ),
  method('format', 'string_format', [text, listType(dynType)], text, formatText),
  fn('strings.quote', 'strings_quote', [text], text, quote),
  method('join', 'list_join', [texts], text, join),
  method('join', 'list_join_string', [texts, text], text, join),
];
