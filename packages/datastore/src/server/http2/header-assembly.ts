import { ConnectionError, errorCode, flag, type FrameReader, frameType } from './frames.ts';
import { type Field, HpackDecoder } from './hpack.ts';
import { maxContinuations, maxHeaderBytes } from './limits.ts';
import type { Request } from './stream.ts';

/** A header block that has arrived whole. */
export interface ReceivedBlock {
  readonly streamId: number;
  /** No body follows. */
  readonly isLast: boolean;
  /** Undefined: it is none (RFC 9113, 8.1.1), or trailers. */
  readonly request: Request | undefined;
  readonly isTooLarge: boolean;
}

const priorityBytes = 5;

/** Puts the HEADERS and CONTINUATION frames of a block together and decodes it. */
export class HeaderAssembly {
  readonly #decoder = new HpackDecoder(maxHeaderBytes);
  /** Of the block that has begun. */
  #parts: Buffer[] | undefined;
  #bytes = 0;
  #isLast = false;
  streamId = 0;

  /** Whether a block has begun: nothing but its continuation may follow. */
  get isOpen(): boolean {
    return this.#parts !== undefined;
  }

  /** Takes the reader's frame; answers with the block that it ends. @throws ConnectionError */
  add(frame: FrameReader): ReceivedBlock | undefined {
    const { bytes, flags, type } = frame;
    let { start, end } = frame;
    if (type === frameType.headers) {
      if (frame.streamId === 0) throw new ConnectionError(errorCode.protocol, 'HEADERS on no stream');
      if ((flags & flag.padded) !== 0) end -= start < end ? (bytes[start++] as number) : 1;
      if ((flags & flag.priority) !== 0) start += priorityBytes;
      if (start > end) throw new ConnectionError(errorCode.protocol, 'more padding than frame');
      this.streamId = frame.streamId;
      this.#isLast = (flags & flag.endStream) !== 0;
      if ((flags & flag.endHeaders) !== 0) return this.#decode(bytes, start, end);
    }
    return this.#gather(bytes.subarray(start, end), (flags & flag.endHeaders) !== 0);
  }

  #gather(part: Buffer, isEnd: boolean): ReceivedBlock | undefined {
    const parts = (this.#parts ??= []);
    // A copy: the bytes around it need not wait for the rest.
    parts.push(Buffer.from(part));
    this.#bytes += part.length;
    if (this.#bytes > maxHeaderBytes || parts.length > maxContinuations)
      throw new ConnectionError(errorCode.enhanceYourCalm, 'a header block that does not end');
    if (!isEnd) return undefined;
    this.#parts = undefined;
    this.#bytes = 0;
    const whole = Buffer.concat(parts);
    return this.#decode(whole, 0, whole.length);
  }

  #decode(bytes: Buffer, start: number, end: number): ReceivedBlock {
    const { fields, isTooLarge } = this.#decoder.decode(bytes, start, end);
    const request = isTooLarge ? undefined : requestOf(fields);
    return { streamId: this.streamId, isLast: this.#isLast, request, isTooLarge };
  }
}

/** The request of these fields; undefined when it is malformed. */
export function requestOf(fields: readonly Field[]): Request | undefined {
  let method: string | undefined;
  let path: string | undefined;
  let scheme: string | undefined;
  let authority: string | undefined;
  let regular = false;
  for (const { name, value, isValid } of fields) {
    if (!isValid) return undefined;
    if (name.charCodeAt(0) !== 0x3a) {
      regular = true;
      continue;
    }
    if (regular) return undefined;
    if (name === ':path' && path === undefined) path = value;
    else if (name === ':method' && method === undefined) method = value;
    else if (name === ':scheme' && scheme === undefined) scheme = value;
    else if (name === ':authority' && authority === undefined) authority = value;
    else return undefined;
  }
  if (method === undefined || scheme === undefined || path === undefined || path === '') return undefined;
  return { method, path, fields };
}
