import { lowerName, readName, WireError, writeName } from '../name.ts';
import { rrType, typeName } from '../types.ts';
import { DataWriter, rdataBytes } from './data-writer.ts';
import { hexBytes, hexText } from './encoding.ts';
import { type Field, numberText } from './field.ts';
import { layoutOf } from './layout.ts';
import { type Token, Words } from './token.ts';

/**
 * Whether RDATA is what its type says: right lengths, whole names without pointers. Throws {@link WireError} with the
 * field that is wrong. Data of unknown types is always right.
 */
export function checkData(type: number, data: Buffer): void {
  const layout = layoutOf(type);
  if (layout) within(type, () => checkLayout(layout, data));
}

function checkLayout(layout: readonly Field[], data: Buffer): void {
  let position = 0;
  for (const field of layout) position = field.end(data, position, data.length);
  if (position !== data.length) throw new WireError(`${data.length - position} octets too many`);
}

/** Presentation text of RDATA (RFC 1035 section 5, each type's RFC); unknown types by RFC 3597. Throws {@link WireError}. */
export function printData(type: number, data: Buffer): string {
  checkData(type, data);
  const layout = layoutOf(type);
  if (!layout) return genericText(data);
  const words: string[] = [];
  let position = 0;
  for (const field of layout) {
    const end = field.end(data, position, data.length);
    const word = field.print(data, position, end);
    if (word !== undefined) words.push(word);
    position = end;
  }
  return words.join(' ');
}

/** `\# LENGTH HEX` (RFC 3597 section 5), which stands for the data of any type. */
export function genericText(data: Buffer): string {
  return data.length === 0 ? '\\# 0' : `\\# ${data.length} ${hexText(data)}`;
}

const writer = new DataWriter();

/**
 * RDATA of presentation text; relative names stand below `origin`. The generic form is read for every type. Throws
 * {@link WireError} that names type and field.
 */
export function parseData(type: number, tokens: readonly Token[], options: { origin?: string } = {}): Buffer {
  const words = new Words(tokens, options.origin ?? '');
  return within(type, () => {
    const first = words.peek();
    const layout = layoutOf(type);
    if (first?.text === '\\#' && !first.isQuoted) {
      const data = genericBytes(words);
      if (layout) checkLayout(layout, data);
      return data;
    }
    if (!layout) throw new WireError('its data is written as \\# LENGTH HEX (RFC 3597)');
    writer.clear();
    for (const field of layout) field.parse(words, writer);
    if (!words.isAtEnd) throw new WireError(`${words.next('').text} is too much`);
    const data = writer.take();
    checkLayout(layout, data);
    return data;
  });
}

function genericBytes(words: Words): Buffer {
  words.next('');
  const length = numberText(words.next('length').text, 'length', rdataBytes);
  const data = hexBytes(
    words
      .rest()
      .map((token) => token.text)
      .join(''),
  );
  if (data.length !== length) throw new WireError(`there are ${data.length} octets, not ${length}`);
  return data;
}

/** Canonical form (RFC 4034 section 6.2, RFC 6840 section 5.1): names of the older types in lower case. */
export function canonicalData(type: number, data: Buffer): Buffer {
  const layout = layoutOf(type);
  if (!layout?.some(isFolded)) return data;
  return rewritten(layout, data, 0, data.length, lowerName);
}

function isFolded(field: Field): boolean {
  return field.nameTreatment === 'compressed' || field.nameTreatment === 'folded';
}

/**
 * RDATA out of a message, its names written out where a pointer may stand in them (RFC 3597 section 4): pointers mean
 * nothing in another message. Always a copy. Throws {@link WireError}.
 */
export function uncompressedData(message: Buffer, type: number, start: number, end: number): Buffer {
  const layout = layoutOf(type);
  // UPDATE has records without data (RFC 2136 section 2.4).
  if (start === end || !layout?.some(isFolded)) return Buffer.from(message.subarray(start, end));
  return within(type, () => rewritten(layout, message, start, end, (name) => name));
}

function rewritten(
  layout: readonly Field[],
  data: Buffer,
  start: number,
  limit: number,
  change: (name: string) => string,
): Buffer {
  const parts: Buffer[] = [];
  let copied = start;
  let position = start;
  for (const field of layout) {
    if (isFolded(field)) {
      const { name, end } = readName(data, position);
      if (end > limit) throw new WireError(`${field.label} is cut off`);
      parts.push(data.subarray(copied, position), writeName(change(name)));
      copied = end;
      position = end;
    } else position = field.end(data, position, limit);
  }
  parts.push(data.subarray(copied, limit));
  return Buffer.concat(parts);
}

/** Where the names are in the data of a type of RFC 1035, which may be compressed; undefined: nowhere. */
export function compressedNames(type: number): { fixedBytes: number; count: number } | undefined {
  return compressed[type];
}

/** Of these types names stand together behind a preference of two octets, or at the beginning. */
const compressed: readonly ({ fixedBytes: number; count: number } | undefined)[] = Array.from(
  { length: rrType.MX + 1 },
  (_, type) => {
    const count = layoutOf(type)?.filter((field) => field.nameTreatment === 'compressed').length ?? 0;
    return count === 0 ? undefined : { fixedBytes: type === rrType.MX ? 2 : 0, count };
  },
);

/** Errors of one record's data name its type. */
function within<T>(type: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof WireError) throw new WireError(`${typeName(type)}: ${error.message}`);
    throw error;
  }
}
