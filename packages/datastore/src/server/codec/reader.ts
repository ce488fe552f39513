/** Bytes that are no protobuf message of the kind asked for. */
export class WireError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WireError';
  }
}

const wireNames = ['a varint', '8 bytes', 'a length and bytes', 'a group', 'a group', '4 bytes'];

/**
 * Reads a protobuf message. Bytes are views of the input. A message is read by calling {@link next} for each field
 * and then one of the readers, or {@link skip} for what is not known.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  #at: number;
  #end: number;
  #wireType = 0;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#at = at;
    this.#end = end;
  }

  /** The number of the next field; 0 at the end. @throws WireError */
  next(): number {
    if (this.#at >= this.#end) return 0;
    const tag = this.#varint();
    this.#wireType = tag % 8;
    const field = Math.floor(tag / 8);
    if (field === 0 || field > 0x1fffffff) throw new WireError(`field number ${field} is none`);
    return field;
  }

  #expect(wireType: number): void {
    if (this.#wireType !== wireType)
      throw new WireError(`expected ${wireNames[wireType]}, found wire type ${this.#wireType}`);
  }

  /** A varint's low bits as a number: exact up to 2^53, beyond that only its size is right. */
  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.#at >= this.#end) throw new WireError('the message is cut off');
      const byte = this.#bytes[this.#at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new WireError('a varint of more than 10 bytes');
  }

  /** An int64 as a number, cut to what is exact: no revision, limit or count is larger. */
  integer(): number {
    this.#expect(0);
    const start = this.#at;
    const value = this.#varint();
    if (value <= Number.MAX_SAFE_INTEGER) return value;
    this.#at = start;
    const exact = BigInt.asIntN(64, this.#varint64());
    return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Number(exact)));
  }

  #varint64(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.#bytes[this.#at++] as number;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  /** An int64 with all its bits. */
  int64(): bigint {
    this.#expect(0);
    const start = this.#at;
    const value = this.#varint();
    if (value <= Number.MAX_SAFE_INTEGER) return BigInt(value);
    this.#at = start;
    return BigInt.asIntN(64, this.#varint64());
  }

  bool(): boolean {
    this.#expect(0);
    return this.#varint() !== 0;
  }

  #length(): number {
    const length = this.#varint();
    if (length > this.#end - this.#at) throw new WireError('the message is cut off');
    return length;
  }

  bytes(): Uint8Array {
    this.#expect(2);
    const length = this.#length();
    const start = this.#at;
    this.#at += length;
    return this.#bytes.subarray(start, this.#at);
  }

  /** A reader of the nested message. */
  message(): Reader {
    this.#expect(2);
    const length = this.#length();
    const start = this.#at;
    this.#at += length;
    return new Reader(this.#bytes, start, this.#at);
  }

  /** The integers of a repeated field, packed or one by one. */
  integers(into: number[]): void {
    if (this.#wireType === 0) {
      into.push(this.integer());
      return;
    }
    this.#expect(2);
    const outer = this.#end;
    const length = this.#length();
    this.#end = this.#at + length;
    this.#wireType = 0;
    while (this.#at < this.#end) into.push(this.integer());
    this.#end = outer;
  }

  /** Passes over a field that is not known. */
  skip(): void {
    if (this.#wireType === 0) this.#varint();
    else if (this.#wireType === 2) this.#at += this.#length();
    else if (this.#wireType === 1) this.#at += 8;
    else if (this.#wireType === 5) this.#at += 4;
    else throw new WireError(`wire type ${this.#wireType} is none`);
    if (this.#at > this.#end) throw new WireError('the message is cut off');
  }
}
