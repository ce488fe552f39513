// 64-bit integers between the wire and JavaScript; protobufjs itself hands out objects of two halves.
import protobuf from 'protobufjs/minimal.js';

export type Reader = protobuf.Reader;
export type Writer = protobuf.Writer;

interface Halves {
  low: number;
  high: number;
}

const two32 = 2 ** 32;

/** A reader of `bytes`; strings, slices and messages read from it share its memory. */
export const readerOf = (bytes: Uint8Array): Reader => protobuf.Reader.create(bytes);
export const newWriter = (): Writer => protobuf.Writer.create();
/** What was written so far, as a Buffer. */
export function finish(writer: Writer): Buffer {
  const bytes = writer.finish();
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function readInt64(reader: Reader): bigint {
  const { low, high } = reader.int64() as unknown as Halves;
  return high === 0 ? BigInt(low >>> 0) : (BigInt(high) << 32n) | BigInt(low >>> 0);
}

export function readUint64(reader: Reader): bigint {
  return BigInt.asUintN(64, readInt64(reader));
}

/** An int64 as JSON has it: `number` within ±(2^53-1), else `bigint` (codec/json.ts). */
export function readJsonInt64(reader: Reader): number | bigint {
  const { low, high } = reader.int64() as unknown as Halves;
  const near = high * two32 + (low >>> 0);
  return Number.isSafeInteger(near) ? near : (BigInt(high) << 32n) | BigInt(low >>> 0);
}

/** Writes the varint without a tag. Throws RangeError unless `value` is an integer of 64 bits. */
export function writeInt64(writer: Writer, value: number | bigint): void {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not an exact 64-bit integer`);
    writer.int64(value);
    return;
  }
  const bits = BigInt.asUintN(64, value);
  if (bits !== value && BigInt.asIntN(64, value) !== value) throw new RangeError(`${value} exceeds 64 bits`);
  const halves: Halves = { low: Number(bits & 0xffffffffn), high: Number(bits >> 32n) };
  writer.int64(halves as protobuf.Long);
}
