import type { Socket } from 'node:net';
import { flag, frameHeadBytes, frameType } from './frames.ts';

const batchBytes = 64 * 1024;
/** Beyond this much, a payload is written from where it is instead of copied. */
const copyBytes = 8 * 1024;
/** No more than this is handed to the socket before it has taken it: what waits longer waits in its stream. */
const roomBytes = 1024 * 1024;

/**
 * Gathers the frames of one turn of the event loop and writes them in one system call: answers of calls that arrived
 * together leave together.
 */
export class Output {
  readonly #socket: Socket;
  #batch: Buffer = Buffer.allocUnsafeSlow(batchBytes);
  /** Where what is not among the pieces yet begins. */
  #from = 0;
  #at = 0;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #flushing: NodeJS.Immediate | undefined;
  /** Called when the socket has taken what it was given, and there is room again. */
  readonly #drained: () => void;

  constructor(socket: Socket, drained: () => void) {
    this.#socket = socket;
    this.#drained = drained;
    socket.on('drain', () => this.#drained());
  }

  /** Bytes that may be added before the socket has as much as it should. */
  get room(): number {
    return roomBytes - this.#bytes - this.#socket.writableLength;
  }

  /** Whether all has been taken. */
  get isIdle(): boolean {
    return this.#bytes === 0 && this.#socket.writableLength === 0;
  }

  /** A frame of payload that is copied. */
  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.#head(type, flags, streamId, payload.length);
    this.#payload(payload, 0, payload.length);
  }

  /** A DATA frame of a part of `bytes`, which must not change any more. */
  data(streamId: number, bytes: Buffer, from: number, to: number, isLast: boolean): void {
    this.#head(frameType.data, isLast ? flag.endStream : 0, streamId, to - from);
    this.#payload(bytes, from, to);
  }

  #head(type: number, flags: number, streamId: number, length: number): void {
    if (batchBytes - this.#at < frameHeadBytes) this.#turnPage();
    const batch = this.#batch;
    let at = this.#at;
    batch[at++] = length >>> 16;
    batch[at++] = length >>> 8;
    batch[at++] = length;
    batch[at++] = type;
    batch[at++] = flags;
    batch[at++] = streamId >>> 24;
    batch[at++] = streamId >>> 16;
    batch[at++] = streamId >>> 8;
    batch[at++] = streamId;
    this.#at = at;
    this.#bytes += frameHeadBytes + length;
    this.#flushing ??= setImmediate(() => this.flush());
  }

  #payload(bytes: Uint8Array, from: number, to: number): void {
    const length = to - from;
    if (length === 0) return;
    if (length > copyBytes) {
      this.#cut();
      this.#pieces.push(Buffer.from(bytes.buffer, bytes.byteOffset + from, length));
      return;
    }
    if (batchBytes - this.#at < length) this.#turnPage();
    if (length < 64) for (let i = from; i < to; i++) this.#batch[this.#at++] = bytes[i] as number;
    else {
      this.#batch.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), this.#at);
      this.#at += length;
    }
  }

  /** Moves what was gathered to the pieces. */
  #cut(): void {
    if (this.#at > this.#from) this.#pieces.push(this.#batch.subarray(this.#from, this.#at));
    this.#from = this.#at;
  }

  #turnPage(): void {
    this.#cut();
    this.#batch = Buffer.allocUnsafeSlow(batchBytes);
    this.#from = 0;
    this.#at = 0;
  }

  /** Writes what was gathered. */
  flush(): void {
    if (this.#flushing !== undefined) clearImmediate(this.#flushing);
    this.#flushing = undefined;
    this.#cut();
    const pieces = this.#pieces;
    if (pieces.length === 0) return;
    this.#pieces = [];
    this.#bytes = 0;
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return;
    if (pieces.length === 1) socket.write(pieces[0] as Buffer);
    else {
      socket.cork();
      for (const piece of pieces) socket.write(piece);
      socket.uncork();
    }
    // Written at once, as it mostly is: the page is free again.
    if (socket.writableLength === 0) this.#from = this.#at = 0;
    else this.#turnPage();
    this.#drained();
  }
}
