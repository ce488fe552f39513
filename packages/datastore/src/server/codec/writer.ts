const minBytes = 256;

/**
 * Writes a protobuf message from its end to its beginning, so that the length of what is nested is known when it is
 * written: one pass, one buffer, no size pass. Fields are therefore written in descending order. Proto3: a field that
 * has its default is left out by the writers that say so.
 */
export class BackwardWriter {
  #buffer: Buffer;
  #at: number;

  /** @param space bytes that the message is likely to take, or where to write; it grows by itself */
  constructor(space: number | Buffer) {
    this.#buffer = typeof space === 'number' ? Buffer.allocUnsafe(Math.max(minBytes, space)) : space;
    this.#at = this.#buffer.length;
  }

  /** Bytes written so far: what a nested message is measured by. */
  get written(): number {
    return this.#buffer.length - this.#at;
  }

  #reserve(bytes: number): number {
    if (this.#at < bytes) {
      const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.written + bytes));
      this.#buffer.copy(grown, grown.length - this.written, this.#at);
      this.#at = grown.length - this.written;
      this.#buffer = grown;
    }
    this.#at -= bytes;
    return this.#at;
  }

  /** A varint of a number that is not negative and exact. */
  #varint(value: number): void {
    if (value < 0x80) {
      this.#buffer[this.#reserve(1)] = value;
      return;
    }
    const bytes = varintBytes(value);
    let at = this.#reserve(bytes);
    const last = at + bytes - 1;
    let rest = value;
    while (at < last) {
      // Division: shifts would cut to 32 bits.
      const next = Math.floor(rest / 128);
      this.#buffer[at++] = (rest - next * 128) | 0x80;
      rest = next;
    }
    this.#buffer[at] = rest;
  }

  /** A varint of 64 bits, negative numbers in two's complement. */
  #varint64(value: bigint): void {
    const unsigned = BigInt.asUintN(64, value);
    if (unsigned <= 0x1fffffffffffffn) return this.#varint(Number(unsigned));
    const bytes: number[] = [];
    for (let rest = unsigned; ; rest >>= 7n) {
      const low = Number(rest & 0x7fn);
      if (rest < 0x80n) {
        bytes.push(low);
        break;
      }
      bytes.push(low | 0x80);
    }
    this.#buffer.set(bytes, this.#reserve(bytes.length));
  }

  /** An integer field (int64, uint64, int32, enum); 0 is left out. */
  integer(field: number, value: number | bigint): void {
    if (typeof value === 'bigint') {
      if (value === 0n) return;
      this.#varint64(value);
    } else {
      if (value === 0) return;
      if (value > 0) this.#varint(value);
      else this.#varint64(BigInt(value));
    }
    this.#varint(field << 3);
  }

  /** A bool field; false is left out. */
  bool(field: number, value: boolean): void {
    if (value) this.integer(field, 1);
  }

  /** A bytes field; empty ones are left out. */
  bytes(field: number, value: Uint8Array): void {
    const { byteLength } = value;
    if (byteLength === 0) return;
    this.#buffer.set(value, this.#reserve(byteLength));
    this.#varint(byteLength);
    this.#varint((field << 3) | 2);
  }

  /** What is encoded already. */
  raw(encoded: Uint8Array): void {
    this.#buffer.set(encoded, this.#reserve(encoded.length));
  }

  /** The message as it is. */
  message(): Buffer {
    return this.#buffer.subarray(this.#at);
  }

  /** A string field; the empty one is left out. */
  string(field: number, value: string): void {
    if (value !== '') this.bytes(field, Buffer.from(value));
  }

  /** Puts tag and length before everything written since {@link written} was `before`. */
  nested(field: number, before: number): void {
    this.#varint(this.written - before);
    this.#varint((field << 3) | 2);
  }

  /** The message behind gRPC's prefix: not compressed, its length in 4 bytes. `length`: when more of it follows. */
  frame(length: number = this.written): Buffer {
    const at = this.#reserve(5);
    this.#buffer[at] = 0;
    this.#buffer.writeUInt32BE(length, at + 1);
    return this.#buffer.subarray(at);
  }
}

/** Of a number that is not negative. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let limit = 128; value >= limit; limit *= 128) bytes++;
  return bytes;
}
