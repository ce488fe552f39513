import type { Socket } from 'node:net';
import { flag, frameHeadBytes, frameType } from './frames.ts';

const pageBytes = 64 * 1024;
/**
 * Pages that were written are used again, so many of them by all connections together: fresh ones for each answer would
 * keep the garbage collector busy, which looks at the whole store each time.
 */
const maxFreePages = 128;
const freePages: Buffer[] = [];
/** No more than this is handed to the socket before it has taken it: what waits longer waits in its stream. */
const roomBytes = 4 * 1024 * 1024;
/** So much is written without waiting for more: the client reads while the rest is made. */
const burstBytes = 256 * 1024;

/**
 * Gathers the frames of one turn of the event loop and writes them in one system call: answers of calls that arrived
 * together leave together.
 */
export class Output {
  readonly #socket: Socket;
  /** Called when the socket has taken what it was given, and there is room again. */
  readonly #drained: () => void;
  #page: Buffer | undefined;
  /** Of the page. */
  #at = 0;
  #full: Buffer[] = [];
  #bytes = 0;
  #flushing: NodeJS.Immediate | undefined;

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

  /** A frame; the payload is copied. */
  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.#head(type, flags, streamId, payload.length);
    this.#payload(payload, 0, payload.length);
  }

  /** A DATA frame of a part of `bytes`, which is copied. */
  data(streamId: number, bytes: Buffer, from: number, to: number, isLast: boolean): void {
    this.#head(frameType.data, isLast ? flag.endStream : 0, streamId, to - from);
    this.#payload(bytes, from, to);
    if (this.#bytes >= burstBytes) this.#write();
  }

  #head(type: number, flags: number, streamId: number, length: number): void {
    const page = this.#pageFor(frameHeadBytes);
    let at = this.#at;
    page[at++] = length >>> 16;
    page[at++] = length >>> 8;
    page[at++] = length;
    page[at++] = type;
    page[at++] = flags;
    page[at++] = streamId >>> 24;
    page[at++] = streamId >>> 16;
    page[at++] = streamId >>> 8;
    page[at++] = streamId;
    this.#at = at;
    this.#bytes += frameHeadBytes + length;
    this.#flushing ??= setImmediate(() => this.flush());
  }

  #payload(bytes: Uint8Array, from: number, to: number): void {
    const length = to - from;
    if (length === 0) return;
    const page = this.#pageFor(length);
    // A call into native code costs more than a few bytes.
    if (length < 64) for (let i = from; i < to; i++) page[this.#at++] = bytes[i] as number;
    else {
      page.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), this.#at);
      this.#at += length;
    }
  }

  #pageFor(bytes: number): Buffer {
    if (this.#page !== undefined && pageBytes - this.#at >= bytes) return this.#page;
    this.#turnPage();
    this.#page = freePages.pop() ?? Buffer.allocUnsafeSlow(pageBytes);
    return this.#page;
  }

  #turnPage(): void {
    if (this.#page !== undefined) this.#full.push(this.#page.subarray(0, this.#at));
    this.#page = undefined;
    this.#at = 0;
  }

  /** Writes what was gathered. */
  flush(): void {
    if (this.#flushing !== undefined) clearImmediate(this.#flushing);
    this.#flushing = undefined;
    this.#write();
    this.#drained();
  }

  #write(): void {
    this.#turnPage();
    const pages = this.#full;
    const last = pages.length - 1;
    if (last < 0) return;
    this.#full = [];
    this.#bytes = 0;
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return;
    const written = (): void => {
      for (const page of pages) if (freePages.length < maxFreePages) freePages.push(wholePage(page));
    };
    if (last > 0) socket.cork();
    for (const [i, page] of pages.entries()) socket.write(page, i === last ? written : undefined);
    if (last > 0) socket.uncork();
  }
}

const wholePage = ({ buffer }: Buffer): Buffer => Buffer.from(buffer);
