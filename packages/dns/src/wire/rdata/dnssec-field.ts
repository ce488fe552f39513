import { WireError } from '../name.ts';
import { base32HexBytes, base32HexText, base64Bytes, base64Text, hexBytes, hexText } from './encoding.ts';
import type { Field } from './field.ts';

/** DNSSEC algorithms (IANA), upper case. */
export const dnssecAlgorithms = {
  RSAMD5: 1,
  DH: 2,
  DSA: 3,
  RSASHA1: 5,
  NSEC3DSA: 6,
  NSEC3RSASHA1: 7,
  RSASHA256: 8,
  RSASHA512: 10,
  ECCGOST: 12,
  ECDSAP256SHA256: 13,
  ECDSAP384SHA384: 14,
  ED25519: 15,
  ED448: 16,
  INDIRECT: 252,
  PRIVATEDNS: 253,
  PRIVATEOID: 254,
} as const;

/** Octets with a length of one octet in front. `empty` is how none is written; undefined: there must be some. */
function counted(
  label: string,
  empty: string | undefined,
  text: (bytes: Uint8Array) => string,
  bytes: (text: string) => Buffer,
): Field {
  return {
    label,
    end(data, start, limit) {
      const end = start + 1 + (data[start] ?? 0);
      if (start >= limit || end > limit) throw new WireError(`${label} is cut off`);
      if (end === start + 1 && empty === undefined) throw new WireError(`${label} is empty`);
      return end;
    },
    print: (data, start, end) => (end === start + 1 ? empty : text(data.subarray(start + 1, end))),
    parse(words, out) {
      const word = words.next(label).text;
      const value = word === empty ? Buffer.alloc(0) : bytes(word);
      if (value.length > 255 || (value.length === 0 && empty === undefined))
        throw new WireError(`${label} has 1 to 255 octets`);
      out.u8(value.length);
      out.bytes(value);
    },
  };
}

/** NSEC3's salt: hex digits, `-` for none. */
export function salt(label: string): Field {
  return counted(label, '-', hexText, hexBytes);
}

/** NSEC3's next hashed owner. */
export function hashedOwner(label: string): Field {
  return counted(label, undefined, base32HexText, base32HexBytes);
}

/** Octets with a length of two octets in front, printed as length and base64 (TSIG, TKEY). */
export function lengthAndBase64(label: string): Field {
  return {
    label,
    end(data, start, limit) {
      if (start + 2 > limit || start + 2 + data.readUInt16BE(start) > limit)
        throw new WireError(`${label} is cut off`);
      return start + 2 + data.readUInt16BE(start);
    },
    print: (data, start, end) =>
      end === start + 2 ? '0' : `${end - start - 2} ${base64Text(data.subarray(start + 2, end))}`,
    parse(words, out) {
      const length = Number(words.next(`length of ${label}`).text);
      const value = length === 0 ? Buffer.alloc(0) : base64Bytes(words.next(label).text);
      if (value.length !== length) throw new WireError(`${label} has ${value.length} octets, not ${length}`);
      out.u16(length);
      out.bytes(value);
    },
  };
}
