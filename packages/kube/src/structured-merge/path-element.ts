/**
 * One step from a value into it, as managedFields writes it: `f:replicas` a member, `k:{"name":"web"}` the item of
 * a list-map, `v:"a"` the item of a set, `i:0` an index. The text is canonical, so that equal steps are equal
 * strings; sets and maps of them need no comparison of their own. Order and forms: structured-merge-diff v6,
 * fieldpath/element.go and serialize-pe.go.
 */
import { canonicalJson, compareTexts, compareValues, isMap, quote, valueText } from './value.ts';

/** A canonical path element. */
export type PathElement = string;

export const fieldElement = (name: string): PathElement => `f:${name}`;
export const valueElement = (value: unknown): PathElement => `v:${canonicalJson(value)}`;
export const indexElement = (index: number): PathElement => `i:${index}`;

/** `keys` by name; the order they are given in does not matter. */
export function keyElement(keys: Readonly<Record<string, unknown>>): PathElement {
  const names = Object.keys(keys).sort(compareTexts);
  return `k:{${names.map((name) => `${quote(name)}:${canonicalJson(keys[name])}`).join(',')}}`;
}

/** A member's name; undefined for the other kinds of elements. */
export const fieldName = (element: PathElement): string | undefined =>
  element.startsWith('f:') ? element.slice(2) : undefined;

export const isKey = (element: PathElement): boolean => element.startsWith('k:');

/** The keys of a `k:` element. */
export const keysOf = (element: PathElement): Readonly<Record<string, unknown>> =>
  JSON.parse(element.slice(2)) as Record<string, unknown>;

export class PathElementError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PathElementError';
  }
}

const plainKey = /^k:\{"[\w.-]+":"[\w./-]*"\}$/;

/**
 * Reads an element from managedFields; undefined for a kind that this version does not know, which is ignored.
 * Throws PathElementError for what is none.
 */
export function readElement(text: string): PathElement | undefined {
  if (text.length < 2) throw new PathElementError('key must be 2 characters long:');
  if (text[1] !== ':') throw new PathElementError(`missing colon: ${text}`);
  switch (text[0]) {
    case 'f':
      return text;
    case 'v':
      return valueElement(parse(text));
    case 'k': {
      if (plainKey.test(text)) return text;
      const keys = parse(text);
      if (!isMap(keys)) throw new PathElementError(`the keys of a list item are an object: ${text}`);
      return keyElement(keys);
    }
    case 'i': {
      const index = Number(text.slice(2));
      if (!/^[+-]?\d+$/.test(text.slice(2))) {
        throw new PathElementError(`strconv.Atoi: parsing ${JSON.stringify(text.slice(2))}: invalid syntax`);
      }
      return indexElement(index);
    }
    default:
      return undefined;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text.slice(2));
  } catch (cause) {
    throw new PathElementError(cause instanceof Error ? cause.message : String(cause));
  }
}

const kindOrder = 'fkvi';

/** Members, then keyed items, then values, then indexes; each kind in its own order. */
export function compareElements(a: PathElement, b: PathElement): number {
  if (a === b) return 0;
  const kind = a[0] as string;
  if (kind !== b[0]) return kindOrder.indexOf(kind) - kindOrder.indexOf(b[0] as string);
  if (kind === 'f') return compareTexts(a, b);
  if (kind === 'v') return compareValues(parse(a), parse(b));
  if (kind === 'i') return Number(a.slice(2)) - Number(b.slice(2));
  return compareKeys(keysOf(a), keysOf(b));
}

function compareKeys(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>): number {
  const left = Object.entries(a);
  const right = Object.entries(b);
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [name, value] = left[i] as [string, unknown];
    const [otherName, otherValue] = right[i] as [string, unknown];
    const order = compareTexts(name, otherName) || compareValues(value, otherValue);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

const beyondBmpOrder = /[\ud800-\uffff]/;

/** Sorts elements in place and returns them. */
export function sortElements(elements: PathElement[]): PathElement[] {
  if (elements.length < 2) return elements;
  // Members sort as the strings they are, but where UTF-16 and UTF-8 differ.
  const plain = elements.every((element) => element.charCodeAt(0) === 0x66 && !beyondBmpOrder.test(element));
  // oxlint-disable-next-line typescript/require-array-sort-compare -- by UTF-16, which is meant, and fast
  return plain ? elements.sort() : elements.sort(compareElements);
}

/** As error texts show it: `.replicas`, `[name="web"]`, `[="a"]`, `[0]`. */
export function elementText(element: PathElement): string {
  const kind = element[0];
  if (kind === 'f') return `.${element.slice(2)}`;
  if (kind === 'i') return `[${element.slice(2)}]`;
  if (kind === 'v') return `[=${valueText(parse(element))}]`;
  const keys = Object.entries(keysOf(element)).map(([name, value]) => `${name}=${valueText(value)}`);
  return `[${keys.join(',')}]`;
}

export const pathText = (path: readonly PathElement[]): string => path.map(elementText).join('');
