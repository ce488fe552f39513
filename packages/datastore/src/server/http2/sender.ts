import type { Socket } from 'node:net';
import {
  ConnectionError,
  defaultFrameBytes,
  defaultWindowBytes,
  errorCode,
  flag,
  frameType,
  maxWindowBytes,
} from './frames.ts';
import { maxPendingBytes, maxWaitingAcks } from './limits.ts';
import { Output } from './output.ts';
import type { ServerStream } from './stream.ts';

/** So many streams that this side gave up are remembered, the latest. */
const rememberedStreams = 1_000;

/** What a connection sends: frames at once, bodies as the windows and the socket permit, the streams in turns. */
export class Sender {
  readonly #output: Output;
  /** Streams that have something to send and may, in the order of their turns. */
  readonly #waiting = new Set<ServerStream>();
  /** Streams that were given up lately: what the client sent before it knew is passed over. */
  readonly #givenUp = new Set<number>();
  readonly #overflowed: () => void;
  #window = defaultWindowBytes;
  #pendingBytes = 0;
  #waitingAcks = 0;
  #isOver = false;

  /** @param overflowed called when more waits for the client than any should have */
  constructor(socket: Socket, overflowed: () => void) {
    this.#overflowed = overflowed;
    this.#output = new Output(socket, () => this.#drained());
  }

  /** What may be sent now on any stream. */
  permitted(): number {
    return Math.min(this.#window, this.#output.room);
  }

  /** Whether so much may be sent now, and nobody waits for it. */
  canSend(bytes: number): boolean {
    return this.#waiting.size === 0 && this.permitted() >= bytes;
  }

  headers(streamId: number, block: Buffer, isLast: boolean): void {
    if (this.#isOver) return;
    const endStream = isLast ? flag.endStream : 0;
    let type: number = frameType.headers;
    for (let from = 0; ; from += defaultFrameBytes) {
      const part = block.length <= defaultFrameBytes ? block : block.subarray(from, from + defaultFrameBytes);
      const endHeaders = from + part.length === block.length ? flag.endHeaders : 0;
      const streamFlag = type === frameType.headers ? endStream : 0;
      this.#output.frame(type, streamFlag | endHeaders, streamId, part);
      if (endHeaders !== 0) return;
      type = frameType.continuation;
    }
  }

  data(streamId: number, bytes: Buffer, from: number, to: number, isLast: boolean): void {
    if (this.#isOver) return;
    this.#window -= to - from;
    this.#output.data(streamId, bytes, from, to, isLast);
  }

  reset(streamId: number, code: number): void {
    this.#givenUp.add(streamId);
    if (this.#givenUp.size > rememberedStreams)
      this.#givenUp.delete(this.#givenUp.values().next().value as number);
    this.#number(frameType.rstStream, streamId, code);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#number(frameType.windowUpdate, streamId, increment);
  }

  #number(type: number, streamId: number, value: number): void {
    if (this.#isOver) return;
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(value);
    this.#output.frame(type, 0, streamId, payload);
  }

  /** Whether this side gave the stream up lately. */
  hasGivenUp(streamId: number): boolean {
    return this.#givenUp.has(streamId);
  }

  goAway(lastId: number, code: number): void {
    if (this.#isOver) return;
    const payload = Buffer.alloc(8);
    payload.writeUInt32BE(lastId);
    payload.writeUInt32BE(code, 4);
    this.#output.frame(frameType.goAway, 0, 0, payload);
  }

  /** Answers a SETTINGS or PING. @throws ConnectionError when too many such answers wait */
  acknowledge(type: number, payload: Buffer): void {
    if (++this.#waitingAcks > maxWaitingAcks)
      throw new ConnectionError(errorCode.enhanceYourCalm, 'too many answers to PING and SETTINGS wait');
    this.#output.frame(type, flag.ack, 0, payload);
  }

  /** Any frame that needs no window. */
  frame(type: number, payload: Buffer): void {
    this.#output.frame(type, 0, 0, payload);
  }

  /** The client takes so much more on the whole connection. @throws ConnectionError */
  widen(increment: number): void {
    if (increment === 0) throw new ConnectionError(errorCode.protocol, 'WINDOW_UPDATE by nothing');
    this.#window += increment;
    if (this.#window > maxWindowBytes)
      throw new ConnectionError(errorCode.flowControl, 'a window beyond its limit');
    this.pump();
  }

  /** The stream has something to send. */
  wantsTurn(stream: ServerStream): void {
    if (stream.sendWindow > 0) this.#waiting.add(stream);
    this.pump();
  }

  /** Counts what the streams hold. */
  addPending(bytes: number): void {
    this.#pendingBytes += bytes;
    if (this.#pendingBytes > maxPendingBytes && !this.#isOver) this.#overflowed();
  }

  /** Lets the streams that wait write in turns, as much as windows and socket take. */
  pump(): void {
    while (this.#waiting.size > 0 && !this.#isOver && this.permitted() > 0) {
      const stream = this.#waiting.values().next().value as ServerStream;
      this.#waiting.delete(stream);
      const wantsMore = stream.sendSome();
      if (!stream.isClosed && (wantsMore || (stream.pendingBytes > 0 && stream.sendWindow > 0)))
        this.#waiting.add(stream);
    }
  }

  #drained(): void {
    if (this.#output.isIdle) this.#waitingAcks = 0;
    this.pump();
  }

  /** The stream is over. */
  remove(stream: ServerStream): void {
    this.#waiting.delete(stream);
  }

  flush(): void {
    this.#output.flush();
  }

  /** Sends nothing more. */
  stop(): void {
    this.#isOver = true;
    this.#waiting.clear();
  }
}
