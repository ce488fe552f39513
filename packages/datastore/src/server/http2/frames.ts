/** HTTP/2's frames (RFC 9113, sections 4, 6 and 7): their numbers, and the cutting of bytes into them. */

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export const errorCode = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  enhanceYourCalm: 11,
} as const;

export const frameHeadBytes = 9;
/** What every peer takes unless it says more (RFC 9113, 4.2), and all that this server takes. */
export const defaultFrameBytes = 16_384;
export const defaultWindowBytes = 65_535;
export const maxWindowBytes = 2 ** 31 - 1;
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** The peer broke the protocol, or a limit: the connection ends with this code (RFC 9113, 5.4.1). */
export class ConnectionError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'ConnectionError';
    this.code = code;
  }
}

const none: Buffer = Buffer.alloc(0);

/**
 * Cuts what arrives into frames. After {@link next} answered true, the frame's parts are in the fields; `bytes` from
 * `start` to `end` is its payload, a view of what arrived.
 */
export class FrameReader {
  type = 0;
  flags = 0;
  streamId = 0;
  bytes: Buffer = none;
  start = 0;
  end = 0;
  #at = 0;
  /** The beginning of a frame whose rest has not arrived. */
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #needed = 0;

  push(chunk: Buffer): void {
    this.#at = 0;
    if (this.#waitingBytes === 0) {
      this.bytes = chunk;
      return;
    }
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes < this.#needed) {
      this.bytes = none;
      return;
    }
    this.bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /** Whether there is a whole frame. @throws ConnectionError for one larger than was permitted */
  next(): boolean {
    const { bytes } = this;
    const at = this.#at;
    const left = bytes.length - at;
    if (left < frameHeadBytes) return this.#wait(left, frameHeadBytes);
    const length =
      ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
    if (length > defaultFrameBytes)
      throw new ConnectionError(errorCode.frameSize, `a frame of ${length} bytes`);
    if (left < frameHeadBytes + length) return this.#wait(left, frameHeadBytes + length);
    this.type = bytes[at + 3] as number;
    this.flags = bytes[at + 4] as number;
    this.streamId = readUint32(bytes, at + 5) & 0x7fffffff;
    this.start = at + frameHeadBytes;
    this.end = this.start + length;
    this.#at = this.end;
    return true;
  }

  #wait(left: number, needed: number): false {
    if (left > 0) {
      this.#waiting.push(this.bytes.subarray(this.#at));
      this.#waitingBytes = left;
      this.#needed = needed;
    }
    this.bytes = none;
    this.#at = 0;
    return false;
  }
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}
