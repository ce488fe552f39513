import { defaultFrameBytes } from './frames.ts';
import type { Field } from './hpack.ts';
import type { Sender } from './sender.ts';

/** What a client may send before it is read. */
export const streamWindowBytes = 1024 * 1024;
/** What a stream holds before its writer is asked to wait. */
const enoughBytes = 64 * 1024;
/** What one stream may write before the others have their turn. */
const turnBytes = 256 * 1024;

/** A request: `:method` and the other pseudo-headers beside the fields. */
export interface Request {
  readonly method: string;
  readonly path: string;
  readonly fields: readonly Field[];
}

/** The value of the first field of this name. */
export function fieldOf({ fields }: Request, name: string): string | undefined {
  for (const field of fields) if (field.name === name) return field.value;
  return undefined;
}

/** Who answers the stream. */
export interface StreamReceiver {
  /** A part of the request's body. */
  data(chunk: Buffer): void;
  /** The request has ended. */
  halfClosed(): void;
  /** All that was written is on its way. */
  drain(): void;
  /** The stream is over: answered, given up by the client, or broken with its connection. Called once. */
  closed(): void;
}

/** The server's side of one HTTP/2 stream. */
export class ServerStream {
  readonly id: number;
  receiver: StreamReceiver | undefined;
  /** The client has sent all. */
  isRequestEnded = false;
  isClosed = false;
  sendWindow: number;
  receiveWindow = streamWindowBytes;
  readonly #connection: { forget(stream: ServerStream): void };
  readonly #sender: Sender;
  #queue: Array<Buffer | Iterator<Buffer, undefined>> = [];
  /** Of the queue's first. */
  #sent = 0;
  #pendingBytes = 0;
  #isEnding = false;
  #isAnswered = false;
  #trailers: Buffer | undefined;
  #isPaused = false;
  /** Received, and not yet permitted to be sent again. */
  #takenBytes = 0;

  constructor(
    connection: { forget(stream: ServerStream): void },
    sender: Sender,
    id: number,
    sendWindow: number,
  ) {
    this.#connection = connection;
    this.#sender = sender;
    this.id = id;
    this.sendWindow = sendWindow;
  }

  /** Bytes that wait for the client to take them. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Whether the answer has been sent to its end. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** Sends an encoded header block. */
  respond(block: Buffer, isLast = false): void {
    if (this.isClosed || this.#isEnding) return;
    if (isLast) this.#isEnding = true;
    this.#sender.headers(this.id, block, isLast);
    if (isLast) this.#answered();
  }

  /** False: the client reads slowly; `drain` tells when to go on. */
  write(bytes: Buffer): boolean {
    if (this.isClosed || this.#isEnding || bytes.length === 0) return true;
    const sender = this.#sender;
    if (
      this.#pendingBytes === 0 &&
      bytes.length <= defaultFrameBytes &&
      bytes.length <= this.sendWindow &&
      sender.canSend(bytes.length)
    ) {
      this.sendWindow -= bytes.length;
      sender.data(this.id, bytes, 0, bytes.length, false);
      return true;
    }
    this.#hold(bytes, bytes.length);
    return this.#pendingBytes < enoughBytes;
  }

  /** Writes so many bytes in pieces, each of which is asked for when the last one has been copied and there is room. */
  writePieces(bytes: number, pieces: Iterator<Buffer, undefined>): void {
    if (!this.isClosed && !this.#isEnding) this.#hold(pieces, bytes);
  }

  #hold(content: Buffer | Iterator<Buffer, undefined>, bytes: number): void {
    this.#queue.push(content);
    this.#pendingBytes += bytes;
    this.#sender.addPending(bytes);
    this.#sender.wantsTurn(this);
  }

  /** What is to be sent next. */
  #first(): Buffer {
    for (;;) {
      const first = this.#queue[0];
      if (first instanceof Uint8Array) return first;
      const piece = first?.next().value;
      if (piece === undefined) this.#queue.shift();
      else this.#queue.unshift(piece);
    }
  }

  /** Ends the answer, with an encoded block of trailers or without, once all has been sent. */
  end(trailers?: Buffer): void {
    if (this.isClosed || this.#isEnding) return;
    this.#isEnding = true;
    this.#trailers = trailers;
    if (this.#pendingBytes === 0) this.#finish();
  }

  #finish(): void {
    if (this.#trailers === undefined) this.#sender.data(this.id, Buffer.alloc(0), 0, 0, true);
    else this.#sender.headers(this.id, this.#trailers, true);
    this.#answered();
  }

  #answered(): void {
    this.#isAnswered = true;
    if (this.isRequestEnded) this.#connection.forget(this);
  }

  /** Gives the stream up. */
  reset(code: number): void {
    if (this.isClosed) return;
    this.#sender.reset(this.id, code);
    this.#connection.forget(this);
  }

  /** The client may send no more than its window until {@link resume}. What arrives still reaches the receiver. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#permit();
  }

  /** A DATA frame's content; `bytes` is what it took of the window. */
  take(chunk: Buffer | undefined, bytes: number): void {
    this.#takenBytes += bytes;
    if (!this.#isPaused) this.#permit();
    if (chunk !== undefined) this.receiver?.data(chunk);
  }

  #permit(): void {
    if (this.#takenBytes < streamWindowBytes / 2 || this.isRequestEnded || this.isClosed) return;
    this.#sender.windowUpdate(this.id, this.#takenBytes);
    this.receiveWindow += this.#takenBytes;
    this.#takenBytes = 0;
  }

  /** The request has ended. */
  endRequest(): void {
    this.isRequestEnded = true;
    this.receiver?.halfClosed();
    if (this.#isAnswered && !this.isClosed) this.#connection.forget(this);
  }

  /** Sends what is permitted and this stream's turn; whether there is more that could be sent. */
  sendSome(): boolean {
    let turn = turnBytes;
    while (this.#pendingBytes > 0) {
      const permitted = Math.min(this.sendWindow, this.#sender.permitted());
      if (permitted <= 0) return false;
      if (turn <= 0) return true;
      const first = this.#first();
      const left = first.length - this.#sent;
      const bytes = Math.min(left, permitted, defaultFrameBytes);
      this.sendWindow -= bytes;
      this.#sender.data(this.id, first, this.#sent, this.#sent + bytes, false);
      this.#sent += bytes;
      this.#pendingBytes -= bytes;
      this.#sender.addPending(-bytes);
      turn -= bytes;
      if (bytes === left) {
        this.#queue.shift();
        this.#sent = 0;
      }
    }
    if (this.#isEnding) this.#finish();
    else this.receiver?.drain();
    return false;
  }

  /** Called by the connection when it has let go of the stream. */
  close(): void {
    this.isClosed = true;
    this.#sender.addPending(-this.#pendingBytes);
    this.#pendingBytes = 0;
    this.#queue = [];
    const receiver = this.receiver;
    this.receiver = undefined;
    receiver?.closed();
  }
}
