import { Duplex } from 'node:stream';

// SPDY/3.1 as the Kubernetes streaming protocols use it (draft-mbelshe-httpbis-spdy-00; moby/spdystream is the
// other side). Only a client's half: it opens streams, the server never does. There is no flow control: the other
// side ignores windows, so back-pressure is the connection's.

const frameType = { synStream: 1, synReply: 2, rstStream: 3, settings: 4, ping: 6, goAway: 7, headers: 8 };
const finFlag = 1;
const headerBytes = 8;
const versionBits = 0x8003;
const largestDataBytes = 0xffffff;

/**
 * A header block "compressed" with zlib's stored blocks: valid to any inflater, and without a compressor's state.
 * The empty stored block at the end flushes what came before it.
 */
function headerBlock(headers: Readonly<Record<string, string>>, first: boolean): Buffer {
  const texts = Object.entries(headers).flatMap(([name, value]) => [name.toLowerCase(), value]);
  const plain = Buffer.concat([
    uint32(Object.keys(headers).length),
    ...texts.flatMap((text) => [uint32(Buffer.byteLength(text)), Buffer.from(text)]),
  ]);
  if (plain.length > 0xffff) throw new RangeError(`headers of ${plain.length} bytes are too long for SPDY`);
  const stored = Buffer.alloc(5);
  stored.writeUInt16LE(plain.length, 1);
  stored.writeUInt16LE(plain.length ^ 0xffff, 3);
  const flush = Buffer.from([0, 0, 0, 0xff, 0xff]);
  // zlib's header (RFC 1950) opens the first block of a connection only.
  return Buffer.concat([first ? Buffer.from([0x78, 0x01]) : Buffer.alloc(0), stored, plain, flush]);
}

function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value >>> 0, index * 4));
  return bytes;
}

function controlFrame(type: number, flags: number, payload: Buffer): Buffer {
  return Buffer.concat([uint32(versionBits * 0x10000 + type, flags * 0x1000000 + payload.length), payload]);
}

/** One stream of a {@link SpdyClient}: writing sends, `end()` closes our half, reading ends with theirs. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly #connection: SpdyClient;

  constructor(connection: SpdyClient, id: number) {
    super({ allowHalfOpen: true, emitClose: true });
    this.#connection = connection;
    this.id = id;
  }

  override _read(): void {
    this.#connection.resume();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#connection.send(this.id, chunk, 0, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#connection.send(this.id, Buffer.alloc(0), finFlag, done);
  }
}

/**
 * A SPDY/3.1 connection over a socket that an HTTP upgrade has opened. When the socket ends, every stream ends.
 */
export class SpdyClient {
  readonly socket: Duplex;
  readonly #streams = new Map<number, SpdyStream>();
  #nextId = 1;
  #pending: Buffer = Buffer.alloc(0);
  #ended = false;

  constructor(socket: Duplex, head: Buffer = Buffer.alloc(0)) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.once('end', () => this.#end());
    socket.once('close', () => this.#end());
    socket.once('error', () => this.#end());
    if (head.length > 0) this.#receive(head);
  }

  /** Opens a stream that carries `headers`; both halves are open. */
  open(headers: Readonly<Record<string, string>>): SpdyStream {
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = new SpdyStream(this, id);
    this.#streams.set(id, stream);
    const payload = Buffer.concat([uint32(id, 0), Buffer.from([0, 0]), headerBlock(headers, id === 1)]);
    this.socket.write(controlFrame(frameType.synStream, 0, payload));
    return stream;
  }

  /** Sends a data frame; `done` is called when the socket has taken it. */
  send(id: number, chunk: Buffer, flags: number, done: (error?: Error | null) => void): void {
    if (this.#ended || this.socket.destroyed) return done();
    if (chunk.length > largestDataBytes)
      return done(new RangeError(`${chunk.length} bytes are too many for a frame`));
    this.socket.write(uint32(id, flags * 0x1000000 + chunk.length));
    if (chunk.length === 0) done();
    else this.socket.write(chunk, () => done());
  }

  resume(): void {
    if (this.socket.isPaused()) this.socket.resume();
  }

  close(): void {
    this.socket.end();
  }

  destroy(): void {
    this.socket.destroy();
    this.#end();
  }

  #receive(chunk: Buffer): void {
    let bytes = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    while (bytes.length >= headerBytes) {
      const length = bytes.readUInt32BE(4) & 0xffffff;
      if (bytes.length < headerBytes + length) break;
      this.#frame(bytes.subarray(0, headerBytes), bytes.subarray(headerBytes, headerBytes + length));
      bytes = bytes.subarray(headerBytes + length);
    }
    this.#pending = Buffer.from(bytes);
  }

  #frame(header: Buffer, payload: Buffer): void {
    const flags = header[4] as number;
    if (header.readUInt8(0) < 0x80) {
      this.#data(header.readUInt32BE(0), flags, payload);
      return;
    }
    switch (header.readUInt16BE(2)) {
      case frameType.ping:
        // Ours would have odd numbers; what comes is theirs, and goes back as it is.
        this.socket.write(controlFrame(frameType.ping, 0, payload));
        return;
      case frameType.rstStream:
        this.#finish(payload.readUInt32BE(0) & 0x7fffffff);
        return;
      case frameType.synReply:
      case frameType.headers:
        if (flags & finFlag) this.#finish(payload.readUInt32BE(0) & 0x7fffffff);
        return;
      default:
        // Settings, windows and the announcement of the end need no answer.
        return;
    }
  }

  #data(id: number, flags: number, payload: Buffer): void {
    const stream = this.#streams.get(id);
    if (stream && payload.length > 0 && !stream.push(payload)) this.socket.pause();
    if (flags & finFlag) this.#finish(id);
  }

  /** Nothing more comes on this stream. */
  #finish(id: number): void {
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    stream?.push(null);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const id of this.#streams.keys()) this.#finish(id);
  }
}
