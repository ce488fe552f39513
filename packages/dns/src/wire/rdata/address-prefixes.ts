import { WireError } from '../name.ts';
import { addressBytes, addressText } from './address.ts';
import { type Field, numberText } from './field.ts';

const familyBytes: Readonly<Record<number, number>> = { 1: 4, 2: 16 };

interface Prefix {
  family: number;
  length: number;
  isNegated: boolean;
  /** Without the zeros at its end. */
  address: Buffer;
  end: number;
}

function readPrefix(data: Buffer, start: number, limit: number): Prefix {
  if (start + 4 > limit) throw new WireError('address prefix is cut off');
  const family = data.readUInt16BE(start);
  const flags = data.readUInt8(start + 3);
  const end = start + 4 + (flags & 0x7f);
  if (end > limit) throw new WireError('address prefix is cut off');
  const address = data.subarray(start + 4, end);
  const bytes = familyBytes[family];
  if (bytes === undefined) throw new WireError(`address family ${family} is unknown`);
  const length = data.readUInt8(start + 2);
  if (address.length > bytes || length > bytes * 8) throw new WireError('address prefix is too long');
  if (address.length > 0 && address.at(-1) === 0) throw new WireError('address prefix ends with zeros');
  return { family, length, isNegated: (flags & 0x80) !== 0, address, end };
}

/** The items of APL (RFC 3123): `1:192.168.32.0/21 !1:192.168.38.0/28`. */
export const addressPrefixes: Field = {
  label: 'address prefixes',
  end(data, start, limit) {
    let position = start;
    while (position < limit) position = readPrefix(data, position, limit).end;
    return position;
  },
  print(data, start, end) {
    const items: string[] = [];
    for (let position = start; position < end;) {
      const prefix = readPrefix(data, position, end);
      const address = Buffer.alloc(familyBytes[prefix.family] as number);
      prefix.address.copy(address);
      items.push(`${prefix.isNegated ? '!' : ''}${prefix.family}:${addressText(address)}/${prefix.length}`);
      position = prefix.end;
    }
    return items.length === 0 ? undefined : items.join(' ');
  },
  parse(words, out) {
    for (const { text } of words.rest()) {
      const [, negation = '', family = '', address = '', length = ''] =
        /^(!?)([12]):([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
      if (family === '') throw new WireError(`an address prefix is like 1:192.0.2.0/24, not ${text}`);
      const bytes = addressBytes(address);
      if (bytes.length !== familyBytes[Number(family)])
        throw new WireError(`${address} is not of address family ${family}`);
      let used = bytes.length;
      while (used > 0 && bytes[used - 1] === 0) used--;
      out.u16(Number(family));
      out.u8(numberText(length, 'prefix length', bytes.length * 8));
      out.u8((negation === '' ? 0 : 0x80) | used);
      out.bytes(bytes.subarray(0, used));
    }
  },
};
