import { type Socket, connect } from 'node:net';
import { FrameReader, preface, readUint32 } from '../http2/frames.ts';

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

/** The payload of a SETTINGS frame. */
export const settingsOf = (entries: ReadonlyArray<readonly [id: number, value: number]>): Buffer =>
  Buffer.concat(entries.map(([id, value]) => Buffer.concat([Buffer.from([id >>> 8, id]), uint32(value)])));

/** An HTTP/2 client that sends the frames it is told to, right or wrong, and keeps those that it gets. */
export class FrameClient {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  /** Settles when the connection is closed. */
  readonly closed: Promise<void>;
  isClosed = false;
  readonly #reader = new FrameReader();
  #wake = Promise.withResolvers<void>();

  /** Says hello with these settings, unless told not to. */
  constructor(port: number, hello: Uint8Array | undefined = Buffer.concat([preface, frame(4, 0, 0)])) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.on('error', () => undefined);
    this.socket.on('data', (chunk: Buffer) => this.#take(chunk));
    this.closed = new Promise((resolve) =>
      this.socket.once('close', () => {
        this.isClosed = true;
        this.#wake.resolve();
        resolve();
      }),
    );
    this.socket.write(hello);
  }

  #take(chunk: Buffer): void {
    this.#reader.push(chunk);
    while (this.#reader.next()) {
      const { type, flags, streamId, bytes, start, end } = this.#reader;
      this.frames.push({ type, flags, streamId, payload: Buffer.from(bytes.subarray(start, end)) });
    }
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  send(...frames: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** The first frame that was got and that `matches`. @throws Error when the connection closes before one comes */
  async until(matches: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const found = this.frames.find(matches);
      if (found !== undefined) return found;
      if (this.isClosed)
        throw new Error(`closed after ${JSON.stringify(this.frames.map(({ type }) => type))}`);
      await this.#wake.promise;
    }
  }

  /** The code that the server ends the connection with. */
  async goAway(): Promise<number> {
    const { payload } = await this.until(({ type }) => type === 7);
    await this.closed;
    return readUint32(payload, 4);
  }

  /** The code that the server gives the stream up with. */
  async reset(streamId: number): Promise<number> {
    const { payload } = await this.until((got) => got.type === 3 && got.streamId === streamId);
    return readUint32(payload, 0);
  }

  destroy(): Promise<void> {
    this.socket.destroy();
    return this.closed;
  }
}
