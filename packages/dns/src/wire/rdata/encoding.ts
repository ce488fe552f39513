import { WireError } from '../name.ts';

/** Octets of hex digits. Throws {@link WireError}. */
export function hexBytes(text: string): Buffer {
  if (text.length % 2 !== 0 || !/^[\da-f]*$/i.test(text))
    throw new WireError(`${shown(text)} is not pairs of hex digits`);
  return Buffer.from(text, 'hex');
}

export function hexText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex').toUpperCase();
}

/** Octets of base64 (RFC 4648 section 4) with its padding. Throws {@link WireError}. */
export function base64Bytes(text: string): Buffer {
  if (text.length % 4 !== 0 || !/^[A-Za-z\d+/]*={0,2}$/.test(text))
    throw new WireError(`${shown(text)} is not base64`);
  return Buffer.from(text, 'base64');
}

export function base64Text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

const base32Digits = '0123456789ABCDEFGHIJKLMNOPQRSTUV';

/** Octets of base32 with the extended hex alphabet, without padding (RFC 5155 section 3.3). Throws {@link WireError}. */
export function base32HexBytes(text: string): Buffer {
  const bytes: number[] = [];
  let bits = 0;
  let held = 0;
  for (const character of text.toUpperCase()) {
    const digit = base32Digits.indexOf(character);
    if (digit < 0) throw new WireError(`${shown(text)} is not base32 (extended hex alphabet)`);
    held = ((held << 5) | digit) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((held >> bits) & 0xff);
    }
  }
  if (bits >= 5 || (held & ((1 << bits) - 1)) !== 0)
    throw new WireError(`${shown(text)} is not base32: it ends within an octet`);
  return Buffer.from(bytes);
}

export function base32HexText(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += base32Digits[(held >> (bits - 5)) & 31];
  }
  return bits > 0 ? text + base32Digits[(held << (5 - bits)) & 31] : text;
}

/** Text of a character string: `"`, `\` and what is not printable ASCII escaped, without quotes. */
export function escapedText(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) {
    if (byte === 0x22 || byte === 0x5c) text += `\\${String.fromCharCode(byte)}`;
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\${String(byte).padStart(3, '0')}`;
  }
  return text;
}

/** A long text's beginning, for errors. */
function shown(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text === '' ? 'nothing' : text;
}
