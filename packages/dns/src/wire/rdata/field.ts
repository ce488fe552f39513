import { endOfName, nameAt, parseName, printName, unescaped, WireError } from '../name.ts';
import { typeName, typeNumber } from '../types.ts';
import { addressText, ipv4Bytes, ipv6Bytes } from './address.ts';
import type { DataWriter } from './data-writer.ts';
import { base64Bytes, base64Text, escapedText, hexBytes, hexText } from './encoding.ts';
import { readToken, type Token, type Words } from './token.ts';

/**
 * How a name within RDATA may be treated. `compressed`: by RFC 1035, so pointers are written and read; `folded`: pointers
 * are read (RFC 3597 section 4) but not written; both in lower case in the canonical form (RFC 4034 section 6.2);
 * `opaque`: neither.
 */
export type NameTreatment = 'compressed' | 'folded' | 'opaque';

/** One part of a type's RDATA: how it is checked, printed and parsed. */
export interface Field {
  /** For errors. */
  readonly label: string;
  readonly nameTreatment?: NameTreatment;
  /** Where it ends; throws {@link WireError} when it goes past `limit` or is malformed. */
  end(data: Buffer, start: number, limit: number): number;
  /** Presentation text of what {@link end} has checked; undefined: nothing is printed. */
  print(data: Buffer, start: number, end: number): string | undefined;
  parse(words: Words, out: DataWriter): void;
}

function sized(label: string, bytes: number, more: Pick<Field, 'print' | 'parse'>): Field {
  return {
    label,
    end(_data, start, limit) {
      if (start + bytes > limit) throw new WireError(`${label} is cut off`);
      return start + bytes;
    },
    ...more,
  };
}

/** Digits of a number from 0 to `max`. Throws {@link WireError}. */
export function numberText(text: string, label: string, max: number): number {
  if (!/^\d{1,15}$/.test(text) || Number(text) > max)
    throw new WireError(`${label} is a number from 0 to ${max}, not ${text}`);
  return Number(text);
}

export function u8(label: string): Field {
  return sized(label, 1, {
    print: (data, start) => String(data[start]),
    parse: (words, out) => out.u8(numberText(words.next(label).text, label, 255)),
  });
}

/** A number with words for some of its values; they are printed for types whose RFC wants it. */
export function u8Named(
  label: string,
  mnemonics: Readonly<Record<string, number>>,
  printsNames = false,
): Field {
  const names = new Map(Object.entries(mnemonics).map(([name, number]) => [number, name]));
  return sized(label, 1, {
    print: (data, start) =>
      (printsNames ? names.get(data[start] as number) : undefined) ?? String(data[start]),
    parse(words, out) {
      const { text } = words.next(label);
      out.u8(mnemonics[text.toUpperCase()] ?? numberText(text, label, 255));
    },
  });
}

export function u16(label: string): Field {
  return sized(label, 2, {
    print: (data, start) => String(data.readUInt16BE(start)),
    parse: (words, out) => out.u16(numberText(words.next(label).text, label, 65_535)),
  });
}

/** A number with words for some of its values, read and printed. */
export function u16Named(label: string, mnemonics: Readonly<Record<string, number>>): Field {
  const names = new Map(Object.entries(mnemonics).map(([name, number]) => [number, name]));
  return sized(label, 2, {
    print: (data, start) => names.get(data.readUInt16BE(start)) ?? String(data.readUInt16BE(start)),
    parse(words, out) {
      const { text } = words.next(label);
      out.u16(mnemonics[text.toUpperCase()] ?? numberText(text, label, 65_535));
    },
  });
}

export function u32(label: string): Field {
  return sized(label, 4, {
    print: (data, start) => String(data.readUInt32BE(start)),
    parse: (words, out) => out.u32(numberText(words.next(label).text, label, 0xffff_ffff)),
  });
}

export function u48(label: string): Field {
  return sized(label, 6, {
    print: (data, start) => String(data.readUIntBE(start, 6)),
    parse: (words, out) => out.u48(numberText(words.next(label).text, label, 2 ** 48 - 1)),
  });
}

/** Seconds, or with units as BIND has them: `1w2d3h4m5s`. Throws {@link WireError}. */
export function parseTtl(text: string, label = 'TTL'): number {
  const units = { w: 604_800, d: 86_400, h: 3600, m: 60, s: 1 } as const;
  if (/^\d+$/.test(text)) return numberText(text, label, 0xffff_ffff);
  const parts = text.toLowerCase().match(/\d{1,10}[wdhms]/g) ?? [];
  if (parts.join('') !== text.toLowerCase() || text === '')
    throw new WireError(`${label} is seconds or a time like 1d12h, not ${text}`);
  const seconds = parts.reduce(
    (sum, part) => sum + Number(part.slice(0, -1)) * units[part.slice(-1) as keyof typeof units],
    0,
  );
  return numberText(String(seconds), label, 0xffff_ffff);
}

export function seconds(label: string): Field {
  return sized(label, 4, {
    print: (data, start) => String(data.readUInt32BE(start)),
    parse: (words, out) => out.u32(parseTtl(words.next(label).text, label)),
  });
}

/** `20260102030405` in UTC (RFC 4034 section 3.2), modulo 2^32 seconds. */
export function time(label: string): Field {
  return sized(label, 4, {
    print: (data, start) => timeText(data.readUInt32BE(start)),
    parse: (words, out) => out.u32(parseTime(words.next(label).text, label)),
  });
}

/** Of the 136 years that one number may stand for, the time nearest to now (RFC 1982). */
function timeText(value: number): string {
  const now = Math.floor(Date.now() / 1000);
  const distance = (value - (now % 2 ** 32) + 2 ** 32) % 2 ** 32;
  const at = now + (distance >= 2 ** 31 ? distance - 2 ** 32 : distance);
  return new Date(at * 1000).toISOString().replaceAll(/[-:T]|\.\d+Z/g, '');
}

function parseTime(text: string, label: string): number {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(text)?.map(Number) ?? [];
  if (year === undefined) return numberText(text, label, 0xffff_ffff);
  const at = Date.UTC(year, (month as number) - 1, day, hour, minute, second);
  if (new Date(at).toISOString().replaceAll(/[-:T]|\.\d+Z/g, '') !== text)
    throw new WireError(`${label} is a time like 20260102030405, not ${text}`);
  return (((at / 1000) % 2 ** 32) + 2 ** 32) % 2 ** 32;
}

export function ipv4(label = 'address'): Field {
  return sized(label, 4, {
    print: (data, start, end) => addressText(data.subarray(start, end)),
    parse: (words, out) => out.bytes(ipv4Bytes(words.next(label).text)),
  });
}

export function ipv6(label = 'address'): Field {
  return sized(label, 16, {
    print: (data, start, end) => addressText(data.subarray(start, end)),
    parse: (words, out) => out.bytes(ipv6Bytes(words.next(label).text)),
  });
}

export function name(label: string, nameTreatment: NameTreatment): Field {
  return {
    label,
    nameTreatment,
    end(data, start, limit) {
      const end = endOfPlainName(data, start);
      if (end > limit) throw new WireError(`${label} is cut off`);
      return end;
    },
    print: (data, start) => printName(nameAt(data, start)),
    parse: (words, out) => out.name(parseName(words.next(label).text, words.origin)),
  };
}

/** Where a name without pointers ends. Throws {@link WireError}. */
export function endOfPlainName(data: Buffer, start: number): number {
  nameAt(data, start);
  const end = endOfName();
  if (hasPointer(data, start)) throw new WireError('a name within data is compressed');
  return end;
}

function hasPointer(data: Buffer, start: number): boolean {
  let position = start;
  for (let size = data[position] as number; size !== 0; size = data[position] as number) {
    if (size > 63) return true;
    position += size + 1;
  }
  return false;
}

/** One string of at most 255 octets with its length in front, in quotes. */
export function characterString(label: string): Field {
  return {
    label,
    end: (data, start, limit) => endOfString(data, start, limit, label),
    print: (data, start, end) => `"${escapedText(data.subarray(start + 1, end))}"`,
    parse: (words, out) => writeString(stringBytes(words.next(label)), label, out),
  };
}

/** A string that may be left out at the end. */
export function optionalString(label: string): Field {
  const field = characterString(label);
  return {
    ...field,
    end: (data, start, limit) => (start === limit ? start : field.end(data, start, limit)),
    print: (data, start, end) => (start === end ? undefined : field.print(data, start, end)),
    parse(words, out) {
      if (!words.isAtEnd) field.parse(words, out);
    },
  };
}

function endOfString(data: Buffer, start: number, limit: number, label: string): number {
  const end = start + 1 + (data[start] ?? 0);
  if (start >= limit || end > limit) throw new WireError(`${label} is cut off`);
  return end;
}

/** Octets of a word, escapes resolved. A character beyond ASCII counts as its UTF-8 bytes. Throws {@link WireError}. */
export function stringBytes(token: Token): Buffer {
  const utf8 = Buffer.from(token.text).toString('latin1');
  return Buffer.from(utf8.includes('\\') ? unescaped(utf8) : utf8, 'latin1');
}

function writeString(bytes: Buffer, label: string, out: DataWriter): void {
  if (bytes.length > 255) throw new WireError(`${label} is longer than 255 octets: write it as several`);
  out.u8(bytes.length);
  out.bytes(bytes);
}

/** One or more strings to the end of the data. */
export function characterStrings(label: string): Field {
  return {
    label,
    end(data, start, limit) {
      if (start === limit) throw new WireError(`${label} is missing`);
      let position = start;
      while (position < limit) position = endOfString(data, position, limit, label);
      return position;
    },
    print(data, start, end) {
      const strings: string[] = [];
      for (let position = start; position < end;) {
        const next = position + 1 + (data[position] as number);
        strings.push(`"${escapedText(data.subarray(position + 1, next))}"`);
        position = next;
      }
      return strings.join(' ');
    },
    parse(words, out) {
      do for (const token of splitAtQuotes(words.next(label))) writeString(stringBytes(token), label, out);
      while (!words.isAtEnd);
    },
  };
}

/** `v="spf1 -all"` is two strings: only SVCB's parameters keep quotes within a word. */
function splitAtQuotes(token: Token): Token[] {
  const pieces: Token[] = [];
  let { text } = token;
  for (let quote: number; !token.isQuoted && (quote = text.indexOf('="') + 1) > 0;) {
    const quoted = readToken(text, quote);
    pieces.push({ text: text.slice(0, quote), isQuoted: false }, quoted.token);
    text = text.slice(quoted.end);
  }
  if (text !== '' || pieces.length === 0) pieces.push({ text, isQuoted: token.isQuoted });
  return pieces;
}

/** Octets to the end of the data in quotes, without a length (CAA, URI). */
export function quotedRest(label: string): Field {
  return {
    label,
    end: (_data, _start, limit) => limit,
    print: (data, start, end) => `"${escapedText(data.subarray(start, end))}"`,
    parse: (words, out) => out.bytes(stringBytes(words.next(label))),
  };
}

/** CAA's property: a string of letters and digits, written without quotes (RFC 8659 section 4.1). */
export function tag(label: string): Field {
  return {
    label,
    end(data, start, limit) {
      const end = endOfString(data, start, limit, label);
      checkTag(data.toString('latin1', start + 1, end), label);
      return end;
    },
    print: (data, start, end) => data.toString('latin1', start + 1, end),
    parse(words, out) {
      const bytes = stringBytes(words.next(label));
      checkTag(bytes.toString('latin1'), label);
      writeString(bytes, label, out);
    },
  };
}

function checkTag(text: string, label: string): void {
  if (!/^[\da-z]+$/i.test(text)) throw new WireError(`${label} ${text} is not letters and digits`);
}

function rest(
  label: string,
  isEmptyAllowed: boolean,
  text: (bytes: Uint8Array) => string,
  bytes: (text: string) => Buffer,
): Field {
  return {
    label,
    end(_data, start, limit) {
      if (start === limit && !isEmptyAllowed) throw new WireError(`${label} is missing`);
      return limit;
    },
    print: (data, start, end) => (start === end ? undefined : text(data.subarray(start, end))),
    parse(words, out) {
      const digits = words.rest().map((token) => token.text);
      if (digits.length === 0 && !isEmptyAllowed) throw new WireError(`${label} is missing`);
      out.bytes(bytes(digits.join('')));
    },
  };
}

/** Hex digits to the end, blanks between them allowed. */
export function hexRest(label: string): Field {
  return rest(label, false, hexText, hexBytes);
}

/** Hex digits to the end, as many octets as the kind of digest in the octet before has; `octets` is by kind. */
export function digestRest(
  label: string,
  octets: Readonly<Record<number, number>>,
  leastOctets: number,
): Field {
  const field = hexRest(label);
  return {
    ...field,
    end(data, start, limit) {
      const wanted = octets[data[start - 1] as number];
      const size = limit - start;
      if (size < leastOctets || (wanted !== undefined && size !== wanted))
        throw new WireError(`${label} has ${size} octets, not ${wanted ?? `at least ${leastOctets}`}`);
      return limit;
    },
  };
}

/** Base64 to the end, blanks within it allowed. */
export function base64Rest(label: string, isEmptyAllowed = false): Field {
  return rest(label, isEmptyAllowed, base64Text, base64Bytes);
}

/** A record type by its mnemonic (RRSIG's type covered). */
export function typeField(label: string): Field {
  return sized(label, 2, {
    print: (data, start) => typeName(data.readUInt16BE(start)),
    parse(words, out) {
      const { text } = words.next(label);
      const type = typeNumber(text);
      if (type === undefined) throw new WireError(`${label} ${text} is no record type`);
      out.u16(type);
    },
  });
}
