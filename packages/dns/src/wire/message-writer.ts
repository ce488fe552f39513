import { WireError, writeNameInto } from './name.ts';
import { compressedNames } from './rdata/data.ts';
import type { ResourceRecord } from './record.ts';
import { classIn } from './types.ts';

/** Longest message: TCP's length has 16 bits. */
export const messageBytes = 65_535;
/** Room for one record beyond the limit, so that only whole records have to be checked against it. */
const slack = 255 + 10 + 65_535 + 3 * 255;
/** A pointer has 14 bits. */
const pointerReach = 0x4000;
/** Entries of the table of names; a power of two, more than the names that a pointer can reach in usual messages. */
const tableSize = 8192;
const tableFill = 6144;

/**
 * Writes one message after the other into the same memory, compressing names (RFC 1035 section 4.1.4): nothing is
 * allocated but the message that {@link take} copies out. Names in data are compressed for the types of RFC 1035 only
 * (RFC 3597 section 4).
 */
export class MessageWriter {
  readonly bytes = Buffer.alloc(messageBytes + slack);
  length = 0;
  /** Where names that were written begin, by a hash of their rest. */
  readonly #offsets = new Uint16Array(tableSize);
  /** An entry counts only if it is of this message: the table need not be cleared. */
  readonly #generations = new Uint32Array(tableSize);
  readonly #labels = new Uint8Array(128);
  #generation = 0;
  #used = 0;
  #foldsCase = false;

  /** Begins a message. `foldsCase`: a name may point to one that differs in the case of its letters. */
  begin(foldsCase: boolean): void {
    this.length = 0;
    this.#used = 0;
    this.#generation += 1;
    if (this.#generation > 0xffff_ffff) {
      this.#generations.fill(0);
      this.#generation = 1;
    }
    this.#foldsCase = foldsCase;
  }

  /** What was written, copied. */
  take(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.length));
  }

  u16(value: number): void {
    this.bytes[this.length++] = value >> 8;
    this.bytes[this.length++] = value;
  }

  u32(value: number): void {
    this.u16(value >>> 16);
    this.u16(value & 0xffff);
  }

  copy(source: Uint8Array): void {
    this.bytes.set(source, this.length);
    this.length += source.length;
  }

  /** A name that later ones may point to. Throws {@link WireError}. */
  name(name: string): void {
    this.#compress(writeNameInto(this.bytes, this.length, name));
  }

  /** A question's bytes as they came; the name in them has no pointer. */
  question(bytes: Buffer): void {
    const end = this.#plainName(bytes, 0);
    this.copy(bytes.subarray(end));
  }

  /** A name in wire form without pointers, that is in `source` already; returns where it ends there. */
  #plainName(source: Buffer, start: number): number {
    let end = start;
    for (let size = source[end] as number; size !== 0; size = source[end] as number) end += size + 1;
    end += 1;
    source.copy(this.bytes, this.length, start, end);
    this.#compress(this.length + end - start);
    return end;
  }

  /** Replaces the end of the name that was just written up to `end` by a pointer, where one leads to the same. */
  #compress(end: number): void {
    const { bytes } = this;
    const start = this.length;
    let count = 0;
    for (let at = start; bytes[at] !== 0; at += (bytes[at] as number) + 1) this.#labels[count++] = at - start;
    let hash = 0;
    let known = -1;
    this.length = end;
    for (let i = count - 1; i >= 0; i--) {
      const label = start + (this.#labels[i] as number);
      hash = this.#hashLabel(label, hash);
      const slot = this.#find(label, hash, known, i === count - 1);
      if (this.#generations[slot] === this.#generation) {
        known = this.#offsets[slot] as number;
        this.length = label + 2;
        continue;
      }
      // The longest known end is found: this label and those before it are new.
      this.#remember(slot, label);
      for (let j = i - 1; j >= 0; j--) {
        const earlier = start + (this.#labels[j] as number);
        hash = this.#hashLabel(earlier, hash);
        this.#remember(this.#freeSlot(hash), earlier);
      }
      break;
    }
    if (known < 0) return;
    bytes[this.length - 2] = 0xc0 | (known >> 8);
    bytes[this.length - 1] = known;
  }

  #hashLabel(label: number, seed: number): number {
    const size = this.bytes[label] as number;
    let hash = Math.imul(seed ^ size, 0x01000193);
    for (let i = 1; i <= size; i++)
      hash = Math.imul(hash ^ ((this.bytes[label + i] as number) | 0x20), 0x01000193);
    return hash ^ (hash >>> 15);
  }

  /** The slot of the name at `label`, whose rest is the known name at `known`, or the free one where it belongs. */
  #find(label: number, hash: number, known: number, isLast: boolean): number {
    for (let slot = hash & (tableSize - 1); ; slot = (slot + 1) & (tableSize - 1)) {
      if (this.#generations[slot] !== this.#generation) return slot;
      const offset = this.#offsets[slot] as number;
      if (this.#isSameLabel(offset, label) && this.#nextOf(offset) === (isLast ? -1 : known)) return slot;
    }
  }

  #freeSlot(hash: number): number {
    let slot = hash & (tableSize - 1);
    while (this.#generations[slot] === this.#generation) slot = (slot + 1) & (tableSize - 1);
    return slot;
  }

  #remember(slot: number, label: number): void {
    if (label >= pointerReach || this.#used >= tableFill) return;
    this.#used += 1;
    this.#offsets[slot] = label;
    this.#generations[slot] = this.#generation;
  }

  #isSameLabel(a: number, b: number): boolean {
    const { bytes } = this;
    const size = bytes[a] as number;
    if (size !== bytes[b]) return false;
    for (let i = 1; i <= size; i++) {
      const [x, y] = [bytes[a + i] as number, bytes[b + i] as number];
      if (x !== y && !(this.#foldsCase && (x ^ y) === 0x20 && (x | 0x20) >= 0x61 && (x | 0x20) <= 0x7a))
        return false;
    }
    return true;
  }

  /** Where the name after the label at `label` is: there or where its pointer leads; -1: the root. */
  #nextOf(label: number): number {
    const next = label + 1 + (this.bytes[label] as number);
    const size = this.bytes[next] as number;
    if (size === 0) return -1;
    return size >= 0xc0 ? ((size & 0x3f) << 8) | (this.bytes[next + 1] as number) : next;
  }

  /** Throws {@link WireError} for an owner that is no name; data is written as it is. */
  record(record: ResourceRecord): void {
    this.name(record.name);
    this.u16(record.type);
    this.u16(record.class ?? classIn);
    this.u32(record.ttlSeconds);
    const lengthAt = this.length;
    this.length += 2;
    this.#data(record.type, record.data);
    const size = this.length - lengthAt - 2;
    if (size > 65_535) throw new WireError(`the data of ${record.name}. is longer than 65535 octets`);
    this.bytes[lengthAt] = size >> 8;
    this.bytes[lengthAt + 1] = size;
  }

  #data(type: number, data: Buffer): void {
    const names = compressedNames(type);
    if (!names || data.length === 0) {
      this.copy(data);
      return;
    }
    this.copy(data.subarray(0, names.fixedBytes));
    let position = names.fixedBytes;
    for (let i = 0; i < names.count; i++) position = this.#plainName(data, position);
    if (position < data.length) this.copy(data.subarray(position));
  }
}
