/**
 * Keys inside the engine are "binary strings": one character per byte (latin-1). JavaScript compares such
 * strings in byte order, stores them at one byte a character and hashes them fast, which `Uint8Array`s do not.
 */
export type BinaryKey = string;

/** The engine's form of a key's bytes. */
export function keyOf(bytes: Uint8Array): BinaryKey {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/**
 * Memory for keys alone. Who keeps a few bytes of Node's pool keeps all 64 KiB of it, and whatever passed through: the
 * keys of hot values held 50 MB that way.
 */
const slabBytes = 4096;
let slab = Buffer.alloc(0);
let used = 0;

/** A fresh copy of the key's bytes, which may be kept for long. */
export function bytesOf(key: BinaryKey): Uint8Array {
  const { length } = key;
  if (length > slabBytes / 8) {
    const bytes = Buffer.allocUnsafeSlow(length);
    bytes.write(key, 'latin1');
    return bytes;
  }
  if (used + length > slab.length) {
    slab = Buffer.allocUnsafeSlow(slabBytes);
    used = 0;
  }
  const bytes = slab.subarray(used, used + length);
  slab.write(key, used, 'latin1');
  used += length;
  return bytes;
}

/** Half-open interval [start, end); `end` undefined: up to the last key. */
export interface KeyInterval {
  readonly start: BinaryKey;
  readonly end: BinaryKey | undefined;
}

/**
 * The interval that `key` and `rangeEnd` mean in etcd's requests: no `rangeEnd` is the one key, `\0` every key
 * from `key` on (etcd: mkGteRange).
 */
export function intervalOf(key: Uint8Array, rangeEnd: Uint8Array | undefined): KeyInterval {
  const start = keyOf(key);
  if (rangeEnd === undefined || rangeEnd.byteLength === 0) return { start, end: `${start}\0` };
  if (rangeEnd.byteLength === 1 && rangeEnd[0] === 0) return { start, end: undefined };
  return { start, end: keyOf(rangeEnd) };
}

/** Whether the interval holds exactly the one key `start`. */
export function isPoint(interval: KeyInterval): boolean {
  const { start, end } = interval;
  return end !== undefined && end.length === start.length + 1 && end.endsWith('\0') && end.startsWith(start);
}

export function contains(interval: KeyInterval, key: BinaryKey): boolean {
  return key >= interval.start && (interval.end === undefined || key < interval.end);
}
