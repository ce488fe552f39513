import { WireError } from '../name.ts';
import { isMetaType, rrType, typeName, typeNumber } from '../types.ts';
import type { Field } from './field.ts';

/** The type bit map of NSEC, NSEC3 and CSYNC (RFC 4034 section 4.1.2) for these types, in any order. */
export function typeBitmap(types: Iterable<number>): Buffer {
  const sorted = [...new Set(types)].sort((a, b) => a - b);
  const parts: number[] = [];
  for (let i = 0; i < sorted.length;) {
    const window = (sorted[i] as number) >> 8;
    const bytes: number[] = [];
    for (; i < sorted.length && (sorted[i] as number) >> 8 === window; i++) {
      const low = (sorted[i] as number) & 0xff;
      while (bytes.length <= low >> 3) bytes.push(0);
      bytes[low >> 3] = (bytes[low >> 3] as number) | (0x80 >> (low & 7));
    }
    parts.push(window, bytes.length, ...bytes);
  }
  return Buffer.from(parts);
}

/** The types of a bit map, in ascending order. Throws {@link WireError} when it is malformed. */
export function readTypeBitmap(data: Uint8Array): number[] {
  const types: number[] = [];
  let previous = -1;
  for (let position = 0; position < data.length;) {
    const window = data[position] as number;
    const length = data[position + 1] ?? 0;
    const start = position + 2;
    if (length < 1 || length > 32 || start + length > data.length)
      throw new WireError('the type bit map has a block of a wrong length');
    if (window <= previous) throw new WireError('the blocks of the type bit map are not in order');
    for (let i = 0; i < length * 8; i++)
      if (((data[start + (i >> 3)] as number) & (0x80 >> (i & 7))) !== 0) types.push((window << 8) | i);
    if (data[start + length - 1] === 0) throw new WireError('the type bit map ends with an empty octet');
    previous = window;
    position = start + length;
  }
  return types;
}

/** A type bit map to the end of the data. */
export function typeBitmapField(label: string, isEmptyAllowed: boolean): Field {
  return {
    label,
    end(data, start, limit) {
      if (start === limit && !isEmptyAllowed) throw new WireError(`${label} are missing`);
      readTypeBitmap(data.subarray(start, limit));
      return limit;
    },
    print: (data, start, end) =>
      start === end ? undefined : readTypeBitmap(data.subarray(start, end)).map(typeName).join(' '),
    parse(words, out) {
      const types = words.rest().map(({ text }) => {
        const type = typeNumber(text);
        if (type === undefined || type === 0 || (isMetaType(type) && type !== rrType.ANY))
          throw new WireError(`${text} is not a type that a name can have`);
        return type;
      });
      if (types.length === 0 && !isEmptyAllowed) throw new WireError(`${label} are missing`);
      out.bytes(typeBitmap(types));
    },
  };
}
