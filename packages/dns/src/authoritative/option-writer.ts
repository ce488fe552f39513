import { responsePaddingBytes } from '../wire/edns.ts';
import { ednsOption } from '../wire/types.ts';

/** Longest that the options of one answer get: a cookie, a name of ours, keepalive. */
const mostBytes = 512;

/** EDNS options that one client gets beside an answer that is the same for all: appended to the OPT record at its end. */
export class OptionWriter {
  readonly bytes = Buffer.alloc(mostBytes);
  length = 0;

  clear(): void {
    this.length = 0;
  }

  /** Begins an option; where its `length` octets are to be written. */
  add(code: number, length: number): number {
    const at = this.length;
    this.bytes[at] = code >> 8;
    this.bytes[at + 1] = code & 0xff;
    this.bytes[at + 2] = length >> 8;
    this.bytes[at + 3] = length & 0xff;
    this.length += 4 + length;
    return at + 4;
  }

  /** An option of text, at most 255 octets of it. */
  addText(code: number, text: string): void {
    const data = Buffer.from(text).subarray(0, 255);
    this.bytes.set(data, this.add(code, data.length));
  }

  /**
   * Writes the options behind a message of `length` octets at `start` that ends with an OPT record, padded to a multiple
   * of 468 (RFC 8467 section 4.1) where that is wanted. How long it is then.
   */
  append(out: Buffer, start: number, length: number, isPadded: boolean, longest: number): number {
    if (this.length === 0 && !isPadded) return length;
    let total = length + this.length;
    out.set(this.bytes.subarray(0, this.length), start + length);
    let padding = -4;
    if (isPadded && total + 4 <= longest) {
      const padded = Math.min(Math.ceil((total + 4) / responsePaddingBytes) * responsePaddingBytes, longest);
      padding = padded - total - 4;
      out.writeUInt16BE(ednsOption.padding, start + total);
      out.writeUInt16BE(padding, start + total + 2);
      out.fill(0, start + total + 4, start + padded);
      total = padded;
    }
    const lengthAt = start + length - sizeOfOpt(out, start + length) + optBytes - 2;
    out.writeUInt16BE(out.readUInt16BE(lengthAt) + this.length + 4 + padding, lengthAt);
    return total;
  }
}

/** Octets of an OPT record without options, and with an extended error alone (without text). */
const optBytes = 11;
const optWithErrorBytes = 17;

/** How long the OPT record is that a message of ours ends with: it has no option yet, or an extended error alone. */
export function sizeOfOpt(bytes: Uint8Array, end: number): number {
  // The length of no options, else the error's code; 0 is not used, it says nothing.
  return bytes[end - 1] === 0 && bytes[end - 2] === 0 ? optBytes : optWithErrorBytes;
}
