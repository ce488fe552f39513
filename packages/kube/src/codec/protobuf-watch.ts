/**
 * `application/vnd.kubernetes.protobuf;stream=watch`: frames of four bytes of length (big endian) and a bare
 * metav1.WatchEvent, whose `object` holds the object in its envelope
 * (apimachinery/pkg/util/framer, apiserver/pkg/endpoints/handlers/watch.go).
 */
import { finish, newWriter, readerOf } from '../protobuf/wire.ts';
import { ProtobufError, decodeProtobuf } from './protobuf.ts';

/** Upstream's reader refuses larger frames (framer.go, and streaming.Decoder's buffer). */
export const maxFrameBytes: number = 16 * 1024 * 1024;
const headerBytes = 4;

/** One frame; `object` is the output of `encodeProtobuf`. */
export function watchFrame(type: string, object: Uint8Array): Buffer {
  const writer = newWriter();
  writer.uint32(10).string(type);
  writer.uint32(18).fork();
  writer.uint32(10).bytes(object);
  writer.ldelim();
  const event = finish(writer);
  const frame = Buffer.allocUnsafe(headerBytes + event.length);
  frame.writeUInt32BE(event.length);
  event.copy(frame, headerBytes);
  return frame;
}

function readEvent(bytes: Uint8Array): { type: string; object: Record<string, unknown> } {
  const reader = readerOf(bytes);
  let type = '';
  let object: Uint8Array = new Uint8Array();
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 10) type = reader.string();
    else if (tag === 18) {
      const inner = readerOf(reader.bytes());
      while (inner.pos < inner.len) {
        const innerTag = inner.uint32();
        if (innerTag === 10) object = inner.bytes();
        else inner.skipType(innerTag & 7);
      }
    } else reader.skipType(tag & 7);
  }
  return { type, object: decodeProtobuf(object) };
}

/** The events of a stream. Throws ProtobufError for a broken frame, and when the stream ends inside one. */
export async function* readWatchFrames(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ type: string; object: Record<string, unknown> }, void, void> {
  let pending = Buffer.alloc(0);
  for await (const chunk of chunks) {
    pending = pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk]);
    while (pending.length >= headerBytes) {
      const length = pending.readUInt32BE();
      if (length > maxFrameBytes) throw new ProtobufError(`watch frame of ${length} bytes is too large`);
      if (pending.length < headerBytes + length) break;
      yield readEvent(pending.subarray(headerBytes, headerBytes + length));
      pending = pending.subarray(headerBytes + length);
    }
  }
  if (pending.length > 0) throw new ProtobufError('the watch stream ended inside a frame');
}
