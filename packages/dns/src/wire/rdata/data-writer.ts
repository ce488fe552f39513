import { WireError, writeNameInto } from '../name.ts';

/** Longest RDATA: its length has 16 bits. */
export const rdataBytes = 65_535;

/** Collects the octets of one RDATA. */
export class DataWriter {
  #bytes = Buffer.alloc(512);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  #room(count: number): number {
    const start = this.#length;
    const needed = start + count;
    if (needed > rdataBytes) throw new WireError(`its data is longer than ${rdataBytes} octets`);
    if (needed > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, start);
      this.#bytes = larger;
    }
    this.#length = needed;
    return start;
  }

  u8(value: number): void {
    const at = this.#room(1);
    this.#bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.#room(2);
    this.#bytes.writeUInt16BE(value, at);
  }

  u32(value: number): void {
    const at = this.#room(4);
    this.#bytes.writeUInt32BE(value, at);
  }

  u48(value: number): void {
    const at = this.#room(6);
    this.#bytes.writeUIntBE(value, at, 6);
  }

  bytes(value: Uint8Array): void {
    const at = this.#room(value.length);
    this.#bytes.set(value, at);
  }

  name(name: string): void {
    const at = this.#room(255);
    this.#length = writeNameInto(this.#bytes, at, name);
  }

  /** What was written, as a buffer of its own; the writer is empty again. */
  take(): Buffer {
    const data = Buffer.from(this.#bytes.subarray(0, this.#length));
    this.#length = 0;
    return data;
  }

  clear(): void {
    this.#length = 0;
  }
}
