import { lzwCompress, lzwDecompress } from './lzw.ts';
import { compressShape, messageType } from './messages.ts';
import { MsgpackError, decodeStruct, encodeStruct } from './msgpack.ts';

const lzwAlgorithm = 0;

/** Wraps `payload` in a compressed message. */
export function compress(payload: Uint8Array): Buffer {
  const body = encodeStruct(compressShape, { Algo: lzwAlgorithm, Buf: lzwCompress(payload) });
  return Buffer.concat([Buffer.of(messageType.compress), body]);
}

/** Unwraps a compressed message, type byte first, into at most `maxBytes`. */
export function decompress(message: Buffer, maxBytes: number): Buffer {
  const { value } = decodeStruct(compressShape, message, 1);
  if (value.Algo !== lzwAlgorithm)
    throw new MsgpackError(`compressed by an unknown algorithm (${value.Algo})`);
  return lzwDecompress(value.Buf, maxBytes);
}
