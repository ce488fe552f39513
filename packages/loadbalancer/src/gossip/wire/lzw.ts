/**
 * LZW as Go's compress/lzw writes and reads it with least significant bits first and literals of 8 bits: codes of 9 to
 * 12 bits, 256 clears the table, 257 ends. (GIF's; TIFF's grows its codes one earlier.)
 */
const clearCode = 256;
const endCode = 257;
const maxWidth = 12;
const maxCode = (1 << maxWidth) - 1;
const none = 0xffff;

/** Bytes that no LZW encoder wrote, or that unfold to more than was allowed. */
export class LzwError extends Error {
  override readonly name = 'LzwError';
}

// One table for all calls, which never overlap: key (code, byte) → code, with open addressing.
const tableBits = 14;
const tableMask = (1 << tableBits) - 1;
const tableKeys = new Int32Array(1 << tableBits);
const tableCodes = new Uint16Array(1 << tableBits);

/** Compresses `input`; the result is Go's, bit by bit. */
export function lzwCompress(input: Uint8Array): Buffer {
  const out = new BitWriter(input.length);
  out.write(clearCode, 9);
  tableKeys.fill(-1);
  let width = 9;
  let last = endCode;
  let prefix = -1;
  for (const byte of input) {
    if (prefix < 0) {
      prefix = byte;
      continue;
    }
    const key = (prefix << 8) | byte;
    let slot = ((key >> 12) ^ key) & tableMask;
    while (tableKeys[slot] !== -1 && tableKeys[slot] !== key) slot = (slot + 1) & tableMask;
    if (tableKeys[slot] === key) {
      prefix = tableCodes[slot] ?? 0;
      continue;
    }
    out.write(prefix, width);
    prefix = byte;
    if (++last === 1 << width) width++;
    if (last === maxCode) {
      out.write(clearCode, width);
      tableKeys.fill(-1);
      width = 9;
      last = endCode;
    } else {
      tableKeys[slot] = key;
      tableCodes[slot] = last;
    }
  }
  if (prefix >= 0) {
    out.write(prefix, width);
    if (++last === 1 << width) width++;
    if (last === maxCode) {
      out.write(clearCode, width);
      width = 9;
    }
  }
  out.write(endCode, width);
  return out.finish();
}

class BitWriter {
  #bytes: Buffer;
  #length = 0;
  #bits = 0;
  #bitCount = 0;

  constructor(inputBytes: number) {
    this.#bytes = Buffer.allocUnsafe(Math.ceil(inputBytes * 1.6) + 16);
  }

  write(code: number, width: number): void {
    this.#bits |= code << this.#bitCount;
    this.#bitCount += width;
    while (this.#bitCount >= 8) {
      this.#bytes[this.#length++] = this.#bits & 0xff;
      this.#bits >>>= 8;
      this.#bitCount -= 8;
    }
  }

  finish(): Buffer {
    if (this.#bitCount > 0) this.#bytes[this.#length++] = this.#bits & 0xff;
    return this.#bytes.subarray(0, this.#length);
  }
}

/**
 * Unfolds what {@link lzwCompress} or Go made. Never takes memory for more than `maxBytes` of output. Throws
 * {@link LzwError} for bytes that end early, hold an invalid code or unfold to more.
 */
export function lzwDecompress(input: Uint8Array, maxBytes: number): Buffer {
  const suffix = new Uint8Array(maxCode + 1);
  const prefix = new Uint16Array(maxCode + 1);
  const chain = new Uint8Array(maxCode + 1);
  const out = new Output(Math.min(maxBytes, input.length * 4 + 64), maxBytes);
  let bits = 0;
  let bitCount = 0;
  let position = 0;
  let width = 9;
  let high = endCode;
  let last = none;
  for (;;) {
    while (bitCount < width) {
      if (position >= input.length) throw new LzwError('compressed data ends early');
      bits |= (input[position++] ?? 0) << bitCount;
      bitCount += 8;
    }
    const code = bits & ((1 << width) - 1);
    bits >>>= width;
    bitCount -= width;
    if (code === endCode) return out.finish();
    if (code === clearCode) {
      width = 9;
      high = endCode;
      last = none;
      continue;
    }
    if (code > high) throw new LzwError('compressed data holds an invalid code');
    // A code that is only now defined means: the last expansion, and its first byte again.
    const repeats = code === high && last !== none;
    let at = chain.length;
    let one = repeats ? last : code;
    if (repeats) at--;
    while (one >= clearCode) {
      chain[--at] = suffix[one] ?? 0;
      one = prefix[one] ?? 0;
    }
    chain[--at] = one;
    if (repeats) chain[chain.length - 1] = one;
    out.append(chain, at);
    if (last !== none) {
      suffix[high] = one;
      prefix[high] = last;
    }
    last = code;
    if (++high >= 1 << width) {
      if (width === maxWidth) {
        last = none;
        high--;
      } else width++;
    }
  }
}

class Output {
  #bytes: Buffer;
  #length = 0;
  readonly #maxBytes: number;

  constructor(firstBytes: number, maxBytes: number) {
    this.#bytes = Buffer.allocUnsafe(firstBytes);
    this.#maxBytes = maxBytes;
  }

  /** Appends `chain` from `start` on. */
  append(chain: Uint8Array, start: number): void {
    const length = this.#length + chain.length - start;
    if (length > this.#maxBytes)
      throw new LzwError(`compressed data unfolds to more than ${this.#maxBytes} bytes`);
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.min(this.#maxBytes, Math.max(length, this.#bytes.length * 2)));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    for (let from = start, to = this.#length; from < chain.length; from++, to++)
      this.#bytes[to] = chain[from] ?? 0;
    this.#length = length;
  }

  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}
