// A client of etcd's gRPC API that does as little as can be done: the usual one, and node:http2's, take longer to read an
// answer than a server to give it, and would hide the difference between two servers. One connection, no decoding of
// messages, and what is asked in one turn of the event loop is written at once.
import { connect, type Socket } from 'node:net';
import {
  flag,
  frameHeadBytes,
  FrameReader,
  frameType,
  maxWindowBytes,
  preface,
  readUint32,
  setting,
} from '@cloudless/datastore/server/http2/frames';
import { encodeFields, HpackDecoder } from '@cloudless/datastore/server/http2/hpack';
import type { Target } from './subject.ts';

const creditBytes = 2 ** 30;

function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  bytes.set(payload, frameHeadBytes);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A message of these length-delimited fields, behind gRPC's five bytes. */
function message(fields: ReadonlyArray<readonly [field: number, bytes: Uint8Array]>): Buffer {
  const parts: Uint8Array[] = [];
  for (const [field, bytes] of fields)
    parts.push(Buffer.from([(field << 3) | 2, ...varint(bytes.length)]), bytes);
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

interface Waiting {
  readonly resolve: (bytes: number) => void;
  readonly reject: (error: Error) => void;
  bytes: number;
}

class LeanConnection {
  readonly #socket: Socket;
  readonly #frames = new FrameReader();
  readonly #headers = new HpackDecoder(2 ** 20);
  readonly #calls = new Map<number, Waiting>();
  #out: Buffer[] = [];
  /** Requests whose bodies the server's window has no room for. */
  #held: Array<{ block: Buffer; body: Buffer; waiting: Waiting }> = [];
  #window = 65_535;
  #taken = 0;
  #nextId = 1;

  constructor(url: string) {
    const { hostname, port } = new URL(url);
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('the connection was closed')));
    const settings = Buffer.concat([Buffer.from([0, setting.initialWindowSize]), uint32(maxWindowBytes)]);
    this.#write(preface);
    this.#write(frame(frameType.settings, 0, 0, settings));
    this.#write(frame(frameType.windowUpdate, 0, 0, uint32(creditBytes)));
  }

  /** Bytes of the answer. */
  call(block: Buffer, body: Buffer): Promise<number> {
    return new Promise((resolve, reject) => {
      const waiting = { resolve, reject, bytes: 0 };
      if (body.length <= this.#window && this.#held.length === 0) this.#ask(block, body, waiting);
      else this.#held.push({ block, body, waiting });
    });
  }

  #ask(block: Buffer, body: Buffer, waiting: Waiting): void {
    const id = this.#nextId;
    this.#nextId += 2;
    this.#calls.set(id, waiting);
    this.#window -= body.length;
    this.#write(frame(frameType.headers, flag.endHeaders, id, block));
    this.#write(frame(frameType.data, flag.endStream, id, body));
  }

  #write(bytes: Buffer): void {
    if (this.#out.push(bytes) === 1)
      setImmediate(() => {
        this.#socket.write(this.#out.length === 1 ? (this.#out[0] as Buffer) : Buffer.concat(this.#out));
        this.#out = [];
      });
  }

  #receive(chunk: Buffer): void {
    this.#frames.push(chunk);
    while (this.#frames.next()) this.#take();
  }

  #take(): void {
    const { type, flags, streamId, bytes, start, end } = this.#frames;
    const call = this.#calls.get(streamId);
    if (type === frameType.data) {
      if (call !== undefined) call.bytes += end - start;
      this.#taken += end - start;
      if (this.#taken < creditBytes / 2) return;
      this.#write(frame(frameType.windowUpdate, 0, 0, uint32(this.#taken)));
      this.#taken = 0;
    } else if (type === frameType.headers) {
      const { fields } = this.#headers.decode(bytes, start, end);
      if ((flags & flag.endStream) === 0 || call === undefined) return;
      this.#calls.delete(streamId);
      const status = fields.find(({ name }) => name === 'grpc-status')?.value;
      if (status === '0') call.resolve(call.bytes);
      else call.reject(new Error(`gRPC status ${status}`));
    } else if (type === frameType.windowUpdate && streamId === 0) {
      this.#window += readUint32(bytes, start);
      for (
        let [next] = this.#held;
        next !== undefined && next.body.length <= this.#window;
        [next] = this.#held
      ) {
        this.#held.shift();
        this.#ask(next.block, next.body, next.waiting);
      }
    } else if ((type === frameType.settings || type === frameType.ping) && (flags & flag.ack) === 0) {
      const payload = type === frameType.ping ? bytes.subarray(start, end) : Buffer.alloc(0);
      this.#write(frame(type, flag.ack, 0, payload));
    } else if (type === frameType.rstStream || type === frameType.goAway) {
      this.#fail(new Error(`a frame of type ${type} in place of an answer`));
    }
  }

  #fail(error: Error): void {
    for (const { reject } of this.#calls.values()) reject(error);
    for (const { waiting } of this.#held) waiting.reject(error);
    this.#calls.clear();
    this.#held = [];
  }

  close(): void {
    this.#socket.destroy();
  }
}

const blockOf = (method: string): Buffer =>
  encodeFields([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', `/etcdserverpb.KV/${method}`],
    [':authority', 'localhost'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ]);
const put = blockOf('Put');
const range = blockOf('Range');

/** `url`: http://HOST:PORT. `list` tells no number of keys, but the answer's bytes in kilobytes. */
export function leanTarget(url: string): Target & { close(): void } {
  const connection = new LeanConnection(url);
  return {
    async put(key, value) {
      const request = message([
        [1, Buffer.from(key)],
        [2, value],
      ]);
      await connection.call(put, request);
    },
    get: (key) => connection.call(range, message([[1, Buffer.from(key)]])),
    async list(prefix) {
      const request = message([
        [1, Buffer.from(prefix)],
        [2, Buffer.from(`${prefix}~`)],
      ]);
      return (await connection.call(range, request)) / 1024;
    },
    compactTo: () => Promise.reject(new Error('not by this client')),
    close: () => connection.close(),
  };
}
