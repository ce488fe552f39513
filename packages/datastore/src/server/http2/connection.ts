/**
 * The server's side of an HTTP/2 connection (RFC 9113): what a gRPC server needs of it, on a socket. node:http2 spends
 * most of the time of a small call between its native code and its stream objects; here, the calls that arrive
 * together are cut, answered and written together.
 */
import type { Socket } from 'node:net';
import {
  ConnectionError,
  defaultFrameBytes,
  defaultWindowBytes,
  errorCode,
  flag,
  FrameReader,
  frameType,
  maxWindowBytes,
  preface,
  readUint32,
  setting,
} from './frames.ts';
import { HeaderAssembly } from './header-assembly.ts';
import { encodeFields } from './hpack.ts';
import { maxHeaderBytes, maxStreams, Patience } from './limits.ts';
import { Sender } from './sender.ts';
import { type Request, ServerStream, streamWindowBytes } from './stream.ts';

/** What a connection may send before it is read; a writer's 64 streams of 1 KB values must not wait for it. */
const connectionWindowBytes = 4 * 1024 * 1024;
/** The largest stream identifier: nothing is refused yet (RFC 9113, 6.8). */
const lastStreamId = 2 ** 31 - 1;
const tooLarge = encodeFields([[':status', '431']]);
const nothing: Buffer = Buffer.alloc(0);

export interface ConnectionOptions {
  /** A request has arrived; the receiver that it sets hears of its body. */
  request: (stream: ServerStream, request: Request) => void;
  /** The connection is gone, and all its streams. */
  closed: () => void;
  /** Told why a connection was ended. */
  failed: (error: Error) => void;
  monotonicMs: () => number;
}

export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #frames = new FrameReader();
  readonly #headers = new HeaderAssembly();
  readonly #sender: Sender;
  readonly #patience: Patience;
  readonly #streams = new Map<number, ServerStream>();
  /** Of the client's preface. */
  #greeted = 0;
  #hasSettings = false;
  #lastId = 0;
  #receiveWindow = connectionWindowBytes;
  #takenBytes = 0;
  #initialSendWindow = defaultWindowBytes;
  /** No new streams. */
  #isClosing = false;
  #isOver = false;
  readonly #ended = Promise.withResolvers<void>();
  /** Settles when the connection is gone. */
  readonly ended: Promise<void> = this.#ended.promise;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#patience = new Patience(options.monotonicMs);
    this.#sender = new Sender(socket, () =>
      this.#fail(
        new ConnectionError(errorCode.enhanceYourCalm, 'too much waits for a client that reads slowly'),
      ),
    );
    this.#sendSettings();
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.once('end', () => this.#gone());
    socket.once('close', () => this.#gone());
    socket.resume();
  }

  #sendSettings(): void {
    const settings = [
      [setting.maxConcurrentStreams, maxStreams],
      [setting.initialWindowSize, streamWindowBytes],
      [setting.maxHeaderListSize, maxHeaderBytes],
    ] as const;
    const payload = Buffer.alloc(6 * settings.length);
    for (const [i, [id, value]] of settings.entries()) {
      payload.writeUInt16BE(id, 6 * i);
      payload.writeUInt32BE(value, 6 * i + 2);
    }
    this.#sender.frame(frameType.settings, payload);
    this.#sender.windowUpdate(0, connectionWindowBytes - defaultWindowBytes);
  }

  // --- What arrives

  #receive(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      const rest = this.#greeted < preface.length ? this.#greet(chunk) : chunk;
      this.#frames.push(rest);
      while (!this.#isOver && this.#frames.next()) this.#dispatch();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #greet(chunk: Buffer): Buffer {
    const length = Math.min(chunk.length, preface.length - this.#greeted);
    const expected = preface.subarray(this.#greeted, this.#greeted + length);
    if (!chunk.subarray(0, length).equals(expected))
      throw new ConnectionError(errorCode.protocol, 'no HTTP/2 preface');
    this.#greeted += length;
    return chunk.subarray(length);
  }

  #dispatch(): void {
    const { type, streamId } = this.#frames;
    if (this.#headers.isOpen) {
      if (type !== frameType.continuation || streamId !== this.#headers.streamId)
        throw new ConnectionError(errorCode.protocol, 'another frame inside a header block');
      return this.#block();
    }
    if (!this.#hasSettings && (type !== frameType.settings || (this.#frames.flags & flag.ack) !== 0))
      throw new ConnectionError(errorCode.protocol, 'the first frame is no SETTINGS');
    switch (type) {
      case frameType.data:
        return this.#data();
      case frameType.headers:
        return this.#block();
      case frameType.rstStream:
        return this.#rstStream();
      case frameType.settings:
        return this.#settings();
      case frameType.ping:
        return this.#ping();
      case frameType.windowUpdate:
        return this.#windowUpdate();
      case frameType.goAway:
        this.#expect(8, true);
        if (streamId !== 0) throw new ConnectionError(errorCode.protocol, 'GOAWAY on a stream');
        return;
      case frameType.pushPromise:
      case frameType.continuation:
        throw new ConnectionError(errorCode.protocol, `a frame of type ${type} that a client may not send`);
      case frameType.priority:
        this.#expect(5);
        if (streamId === 0) throw new ConnectionError(errorCode.protocol, 'PRIORITY on no stream');
        return this.#nuisance();
      default:
        return this.#nuisance();
    }
  }

  #expect(bytes: number, orMore = false): void {
    const length = this.#frames.end - this.#frames.start;
    if (orMore ? length < bytes : length !== bytes)
      throw new ConnectionError(
        errorCode.frameSize,
        `${length} bytes in a frame of type ${this.#frames.type}`,
      );
  }

  #nuisance(): void {
    if (this.#patience.isOver())
      throw new ConnectionError(
        errorCode.enhanceYourCalm,
        'too many frames that say nothing, or streams given up',
      );
  }

  #data(): void {
    const { bytes, flags, streamId, start, end } = this.#frames;
    const length = end - start;
    if (streamId === 0) throw new ConnectionError(errorCode.protocol, 'DATA on no stream');
    const isPadded = (flags & flag.padded) !== 0;
    const padding = isPadded ? 1 + (length === 0 ? 0 : (bytes[start] as number)) : 0;
    if (padding > length) throw new ConnectionError(errorCode.protocol, 'more padding than frame');
    this.#takeFromWindow(length);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (streamId > this.#lastId) throw new ConnectionError(errorCode.protocol, 'DATA on an idle stream');
      return this.#onClosed(streamId);
    }
    if (stream.isRequestEnded) return this.#refuse(stream, errorCode.streamClosed);
    stream.receiveWindow -= length;
    if (stream.receiveWindow < 0) return this.#refuse(stream, errorCode.flowControl);
    const isLast = (flags & flag.endStream) !== 0;
    if (length === padding && !isLast) this.#nuisance();
    const from = isPadded ? start + 1 : start;
    const to = end - (isPadded ? padding - 1 : 0);
    stream.take(to > from ? bytes.subarray(from, to) : undefined, length);
    if (isLast && !stream.isClosed) stream.endRequest();
  }

  #onClosed(streamId: number): void {
    if (!this.#sender.hasGivenUp(streamId)) this.#sender.reset(streamId, errorCode.streamClosed);
    this.#nuisance();
  }

  #takeFromWindow(bytes: number): void {
    this.#receiveWindow -= bytes;
    if (this.#receiveWindow < 0)
      throw new ConnectionError(errorCode.flowControl, 'more data than the connection has a window for');
    this.#takenBytes += bytes;
    if (this.#takenBytes < connectionWindowBytes / 2) return;
    this.#sender.windowUpdate(0, this.#takenBytes);
    this.#receiveWindow += this.#takenBytes;
    this.#takenBytes = 0;
  }

  /** A HEADERS or CONTINUATION frame. */
  #block(): void {
    const block = this.#headers.add(this.#frames);
    if (block === undefined) return;
    const { streamId, isLast, request, isTooLarge } = block;
    const known = this.#streams.get(streamId);
    if (known !== undefined) {
      // Trailers, which tell a gRPC server nothing.
      if (known.isRequestEnded) return this.#refuse(known, errorCode.streamClosed);
      if (!isLast) return this.#refuse(known, errorCode.protocol);
      return known.endRequest();
    }
    if (streamId <= this.#lastId) {
      if (!this.#sender.hasGivenUp(streamId))
        throw new ConnectionError(errorCode.streamClosed, 'HEADERS on a closed stream');
      return this.#nuisance();
    }
    if (streamId % 2 === 0) throw new ConnectionError(errorCode.protocol, 'a stream with an even number');
    this.#lastId = streamId;
    // The client has been told that this one is not looked at.
    if (this.#isClosing) return;
    if (this.#streams.size >= maxStreams) return this.#refuseNew(streamId, errorCode.refusedStream);
    if (request === undefined && !isTooLarge) return this.#refuseNew(streamId, errorCode.protocol);
    const stream = new ServerStream(this, this.#sender, streamId, this.#initialSendWindow);
    stream.isRequestEnded = isLast;
    this.#streams.set(streamId, stream);
    if (request === undefined) {
      stream.respond(tooLarge, true);
      return this.#refuse(stream, errorCode.none);
    }
    this.#options.request(stream, request);
    if (isLast && !stream.isClosed) stream.endRequest();
  }

  #refuseNew(streamId: number, code: number): void {
    this.#sender.reset(streamId, code);
    this.#nuisance();
  }

  #refuse(stream: ServerStream, code: number): void {
    stream.reset(code);
    this.#nuisance();
  }

  #rstStream(): void {
    this.#expect(4);
    const { streamId } = this.#frames;
    if (streamId === 0 || streamId > this.#lastId)
      throw new ConnectionError(errorCode.protocol, 'RST_STREAM of an idle stream');
    this.#nuisance();
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) this.forget(stream);
  }

  #settings(): void {
    const { bytes, flags, streamId, start, end } = this.#frames;
    if (streamId !== 0) throw new ConnectionError(errorCode.protocol, 'SETTINGS on a stream');
    if ((flags & flag.ack) !== 0) return this.#expect(0);
    if ((end - start) % 6 !== 0)
      throw new ConnectionError(errorCode.frameSize, 'SETTINGS of a broken length');
    this.#nuisance();
    this.#hasSettings = true;
    for (let at = start; at < end; at += 6) {
      const value = readUint32(bytes, at + 2);
      const id = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
      if (id === setting.initialWindowSize) this.#resizeWindows(value);
      else if (id === setting.enablePush && value > 1)
        throw new ConnectionError(errorCode.protocol, `ENABLE_PUSH ${value}`);
      else if (id === setting.maxFrameSize && (value < defaultFrameBytes || value > 2 ** 24 - 1))
        throw new ConnectionError(errorCode.protocol, `MAX_FRAME_SIZE ${value}`);
    }
    // First the acknowledgement: what follows it, the client judges by the new settings.
    this.#sender.acknowledge(frameType.settings, nothing);
    for (const stream of this.#streams.values()) if (stream.pendingBytes > 0) this.#sender.wantsTurn(stream);
  }

  #resizeWindows(bytes: number): void {
    if (bytes > maxWindowBytes)
      throw new ConnectionError(errorCode.flowControl, `a window of ${bytes} bytes`);
    const change = bytes - this.#initialSendWindow;
    this.#initialSendWindow = bytes;
    if (change === 0) return;
    for (const stream of this.#streams.values()) {
      stream.sendWindow += change;
      if (stream.sendWindow > maxWindowBytes)
        throw new ConnectionError(errorCode.flowControl, 'a window beyond its limit');
    }
  }

  #ping(): void {
    this.#expect(8);
    const { bytes, flags, streamId, start, end } = this.#frames;
    if (streamId !== 0) throw new ConnectionError(errorCode.protocol, 'PING on a stream');
    if ((flags & flag.ack) === 0) this.#sender.acknowledge(frameType.ping, bytes.subarray(start, end));
  }

  #windowUpdate(): void {
    this.#expect(4);
    const { bytes, streamId, start } = this.#frames;
    const increment = readUint32(bytes, start) & 0x7fffffff;
    if (streamId === 0) {
      return this.#sender.widen(increment);
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (streamId > this.#lastId)
        throw new ConnectionError(errorCode.protocol, 'WINDOW_UPDATE of an idle stream');
      return;
    }
    if (increment === 0) return this.#refuse(stream, errorCode.protocol);
    stream.sendWindow += increment;
    if (stream.sendWindow > maxWindowBytes) return this.#refuse(stream, errorCode.flowControl);
    if (stream.pendingBytes > 0) this.#sender.wantsTurn(stream);
  }

  // --- The end

  /** The stream is over on both sides. */
  forget(stream: ServerStream): void {
    if (!this.#streams.delete(stream.id)) return;
    this.#sender.remove(stream);
    stream.close();
    if (this.#isClosing && this.#streams.size === 0) this.#hangUp();
  }

  /** Tells the client to open streams elsewhere; those that it opens before it hears that are still answered. */
  announceEnd(): void {
    this.#sender.goAway(lastStreamId, errorCode.none);
  }

  /** Answers what is under way, and closes then. */
  close(): void {
    if (this.#isClosing || this.#isOver) return;
    this.#isClosing = true;
    this.#sender.goAway(this.#lastId, errorCode.none);
    if (this.#streams.size === 0) this.#hangUp();
  }

  /** Closes now. */
  destroy(): void {
    this.#socket.destroy();
    this.#gone();
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#options.failed(error);
    this.#sender.goAway(this.#lastId, error instanceof ConnectionError ? error.code : errorCode.internal);
    this.#hangUp();
    this.#gone();
  }

  #hangUp(): void {
    this.#sender.flush();
    this.#socket.destroySoon();
  }

  #gone(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#sender.stop();
    for (const stream of this.#streams.values()) this.forget(stream);
    this.#socket.destroySoon();
    this.#ended.resolve();
    this.#options.closed();
  }
}
