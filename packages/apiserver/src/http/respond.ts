import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip } from 'node:zlib';
import type { RequestAudit } from '../audit/event.ts';
import { giveBackChunk } from './chunk-pool.ts';
import { Warnings } from './warnings.ts';

export type Request = IncomingMessage | Http2ServerRequest;
export type Response = ServerResponse | Http2ServerResponse;

/** Upstream compresses answers over this size for clients that accept gzip, at the fastest level. */
const gzipFromBytes = 128 * 1024;
const gzipLevel = 1;

/** A long body is made for so long before the event loop turns. */
const sliceMs = 4;

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The chunks as they are made, empty ones left out; the event loop turns now and then. */
async function* paced(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let untilMs = performance.now() + sliceMs;
  for (const chunk of chunks) {
    if (chunk.length > 0) yield chunk;
    if (performance.now() < untilMs) continue;
    await nextTurn();
    untilMs = performance.now() + sliceMs;
  }
}

/** The one way in which both protocols' responses are written. */
export class Outgoing {
  readonly response: Response;
  readonly acceptsGzip: boolean;
  readonly #isHead: boolean;
  readonly #draining: AbortSignal | undefined;
  #warnings: Warnings | undefined;
  #code = 0;
  #expired = false;
  /** Node's HTTP/2 responses do not tell by themselves. */
  #isClosed = false;
  /** What was written last has to drain first. */
  #full = false;
  /** Set once the request is known to be audited. */
  audit: RequestAudit | undefined;
  /** Resolves when the response has ended or the client has left. */
  readonly closed: Promise<void>;

  /** `draining`: aborted when a connection of HTTP/1.1 shall end with its answer. */
  constructor(request: Request, response: Response, draining?: AbortSignal) {
    this.response = response;
    this.#draining = draining;
    this.acceptsGzip = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
    this.#isHead = request.method === 'HEAD';
    this.closed = new Promise((resolve) => {
      response.once('close', () => {
        this.#isClosed = true;
        resolve();
      });
    });
  }

  /** Status code sent; 0 before. */
  get code(): number {
    return this.#code;
  }

  /** The request has been answered because its time was over: nothing more is written. */
  get expired(): boolean {
    return this.#expired;
  }

  expire(): void {
    this.#expired = true;
  }

  /** Whether nothing that is written goes anywhere any more. */
  get isGone(): boolean {
    return this.#isClosed || this.response.destroyed;
  }

  get headersSent(): boolean {
    return this.response.headersSent;
  }

  /** Bytes accepted by {@link write} that have not reached the network. */
  get unsentBytes(): number {
    const { response } = this;
    if ('stream' in response) return response.stream?.writableLength ?? 0;
    return response.writableLength + (response.socket?.writableLength ?? 0);
  }

  /** A `Warning: 299 - "text"` header, once per text, within limits. */
  warn(text: string): void {
    (this.#warnings ??= new Warnings()).add(text);
  }

  head(code: number, headers: Record<string, string | number>): void {
    if (this.#expired) return;
    this.#code = code;
    const { response } = this;
    if (this.#draining?.aborted === true && 'shouldKeepAlive' in response) response.shouldKeepAlive = false;
    // HTTP/2 and HTTP/1.1 responses agree on these calls, their types do not.
    const set = (name: string, value: string | string[]): unknown =>
      (response as { setHeader(name: string, value: string | string[]): unknown }).setHeader(name, value);
    for (const name in headers) set(name, String(headers[name]));
    if (!response.hasHeader('cache-control')) set('cache-control', 'no-cache, private');
    if (this.#warnings) set('warning', this.#warnings.headers().map(toLatin1));
    response.statusCode = code;
  }

  /** Sends the headers now: a watcher waits for them. */
  flush(): void {
    const { response } = this;
    if (!response.headersSent) {
      if ('flushHeaders' in response) response.flushHeaders();
    }
  }

  /**
   * `written` is called once the chunk is on its way and nobody looks at it any more; not when the client left, since
   * then nobody knows when that is.
   */
  write(chunk: Uint8Array, written?: () => void): boolean {
    const { response } = this;
    if (response.writableEnded || this.isGone) return false;
    const done = written && ((error?: Error | null): void => (error || this.isGone ? undefined : written()));
    const isRoom = (
      response as { write(chunk: Uint8Array, done?: (error?: Error | null) => void): boolean }
    ).write(chunk, done);
    this.#full = !isRoom;
    return isRoom;
  }

  end(chunk?: Uint8Array): void {
    const { response } = this;
    if (response.writableEnded) return;
    if (chunk) (response as { end(chunk: Uint8Array): void }).end(chunk);
    else response.end();
  }

  onClose(callback: () => void): void {
    this.response.once('close', callback);
  }

  /**
   * A whole body: small ones in one piece with a length, large ones as a stream, compressed if the client likes. One
   * that is no array is made while it is written, and the event loop turns meanwhile.
   */
  async send(
    code: number,
    contentType: string,
    chunks: readonly Uint8Array[] | Iterable<Uint8Array>,
  ): Promise<void> {
    if (this.#expired) return;
    if (!Array.isArray(chunks)) return await this.#sendPaced(code, contentType, chunks);
    let bytes = 0;
    for (const chunk of chunks) bytes += chunk.length;
    if (this.acceptsGzip && bytes > gzipFromBytes && !this.#isHead)
      return await this.#sendGzip(code, contentType, chunks);
    this.head(code, { 'content-type': contentType, 'content-length': bytes });
    if (this.#isHead) return this.end();
    if (bytes < gzipFromBytes) {
      this.end(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
      return;
    }
    for (const chunk of chunks) {
      if (!this.write(chunk)) await this.#drained();
      if (this.isGone) return;
    }
    this.end();
  }

  async #sendPaced(code: number, contentType: string, chunks: Iterable<Uint8Array>): Promise<void> {
    if (this.acceptsGzip && !this.#isHead) return await this.#sendGzip(code, contentType, chunks);
    this.head(code, { 'content-type': contentType });
    if (this.#isHead) return this.end();
    for await (const chunk of paced(chunks)) {
      if (!this.write(chunk, () => giveBackChunk(chunk))) await this.#drained();
      if (this.isGone) return;
    }
    this.end();
  }

  /** Resolves when more can be written without piling up, or the client has left; the event loop has turned meanwhile. */
  ready(): Promise<void> {
    return this.#full ? this.#drained() : nextTurn();
  }

  #drained(): Promise<void> {
    const { response } = this;
    return new Promise((resolve) => {
      const done = (): void => {
        this.#full = false;
        response.off('drain', done);
        response.off('close', done);
        resolve();
      };
      if (this.isGone || response.writableEnded) return resolve();
      response.once('drain', done);
      response.once('close', done);
    });
  }

  async #sendGzip(code: number, contentType: string, chunks: Iterable<Uint8Array>): Promise<void> {
    this.head(code, {
      'content-type': contentType,
      'content-encoding': 'gzip',
      vary: 'Accept, Accept-Encoding',
    });
    const gzip = createGzip({ level: gzipLevel, flush: constants.Z_NO_FLUSH });
    await pipeline(
      Readable.from(Array.isArray(chunks) ? chunks : paced(chunks)),
      gzip,
      this.response as Writable,
    ).catch((error: unknown) => {
      // A client that leaves early is no error of ours; streams tell of it by a code.
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    });
  }

  /** A body that is compressed already. */
  sendCompressed(code: number, contentType: string, body: Uint8Array): void {
    this.head(code, {
      'content-type': contentType,
      'content-encoding': 'gzip',
      'content-length': body.length,
      vary: 'Accept, Accept-Encoding',
    });
    this.end(this.#isHead ? undefined : body);
  }

  /** Ends the response without waiting for a client that does not read. */
  destroy(): void {
    this.response.destroy();
  }
}

/** Header values are bytes; Node writes each character as one. */
const toLatin1 = (text: string): string => Buffer.from(text).toString('latin1');
