import { BgpError, type Notification, errorCode } from './notification.ts';

/** Message types (RFC 4271 section 4.1, RFC 2918). */
export const messageType = { open: 1, update: 2, notification: 3, keepalive: 4, routeRefresh: 5 } as const;

export const headerBytes = 19;
/** RFC 4271 section 4.1; the extended message of RFC 8654 is not asked for. */
export const maxMessageBytes = 4096;

/** Shortest whole message of each type. */
const minimumBytes: Readonly<Record<number, number>> = { 1: 29, 2: 23, 3: 21, 4: 19, 5: 23 };
/** Types that have one length only. */
const exactBytes: Readonly<Record<number, number>> = { 4: 19, 5: 23 };

/** A message cut out of the stream; the body is a view of what was pushed. */
export interface Frame {
  readonly type: number;
  readonly body: Buffer;
}

/** A whole message of `type`. Throws a RangeError when the body does not fit. */
export function encodeFrame(type: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const length = headerBytes + body.length;
  if (length > maxMessageBytes)
    throw new RangeError(`a BGP message of ${length} bytes is over ${maxMessageBytes}`);
  const frame = Buffer.alloc(length, 0xff);
  frame.writeUInt16BE(length, 16);
  frame.writeUInt8(type, 18);
  body.copy(frame, headerBytes);
  return frame;
}

export const keepaliveFrame = (): Buffer => encodeFrame(messageType.keepalive);

export const notificationFrame = ({ code, subcode, data }: Notification): Buffer =>
  encodeFrame(
    messageType.notification,
    Buffer.concat([Buffer.from([code, subcode]), data]).subarray(0, 4077),
  );

/** Cuts a stream of bytes into messages. Keeps less than one message between calls. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /**
   * The messages that `chunk` completes. Throws {@link BgpError} (header error) at the first header that is wrong,
   * after the messages before it were given out; the stream is of no use from there on.
   */
  *push(chunk: Buffer): Generator<Frame, void, undefined> {
    let buffer = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    // If the consumer stops early, nothing is read twice.
    this.#rest = Buffer.alloc(0);
    while (buffer.length >= headerBytes) {
      const length = checkHeader(buffer);
      if (buffer.length < length) break;
      const frame = { type: buffer.readUInt8(18), body: buffer.subarray(headerBytes, length) };
      buffer = buffer.subarray(length);
      yield frame;
    }
    // A copy: a view would hold the whole of what was read.
    this.#rest = Buffer.from(buffer);
  }
}

/** RFC 4271 section 6.1, in its order; the length of the whole message. */
function checkHeader(buffer: Buffer): number {
  for (let i = 0; i < 16; i++) if (buffer[i] !== 0xff) throw new BgpError(errorCode.header, 1);
  const length = buffer.readUInt16BE(16);
  const type = buffer.readUInt8(18);
  const refuseLength = (): never => {
    throw new BgpError(errorCode.header, 2, Buffer.from(buffer.subarray(16, 18)), `${length} bytes`);
  };
  if (length < headerBytes || length > maxMessageBytes) refuseLength();
  const minimum = minimumBytes[type];
  if (minimum === undefined) throw new BgpError(errorCode.header, 3, Buffer.from([type]), `type ${type}`);
  if (length < minimum || length !== (exactBytes[type] ?? length)) refuseLength();
  return length;
}
