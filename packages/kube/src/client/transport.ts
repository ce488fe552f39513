import { once } from 'node:events';
import { Agent, request as httpsRequest } from 'node:https';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
} from 'node:http2';
import type { Readable } from 'node:stream';
import { type ConnectionOptions, type TLSSocket, connect as connectTls } from 'node:tls';

/** The server could not be reached, or the connection broke before the answer was whole. */
export class ConnectionError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'ConnectionError';
  }
}

export interface HttpRequest {
  method: string;
  /** With the query. */
  path: string;
  headers: Record<string, string>;
  body?: string | undefined;
  signal?: AbortSignal | undefined;
}

export interface HttpResponse {
  status: number;
  header(name: string): string | undefined;
  /** Bytes as they come; iterating throws when the connection breaks. */
  body: AsyncIterable<Buffer>;
}

export interface Transport {
  request(request: HttpRequest): Promise<HttpResponse>;
  /** Ends every connection, with what is in flight on it. */
  close(): void;
}

export interface TransportOptions {
  /** `https://host:port`. */
  server: URL;
  tls: ConnectionOptions;
}

/** Room for one answer in flight, so that a long list is not paced by round trips (RFC 9113, 5.2). */
const streamWindowBytes = 4 * 1024 * 1024;
const sessionWindowBytes = 16 * 1024 * 1024;
/** As client-go: a connection silent for 30 s is pinged, and given up when 15 s bring no answer. */
const pingAfterMs = 30_000;
const pingTimeoutMs = 15_000;
const connectTimeoutMs = 10_000;

/**
 * HTTP/2 over TLS, one connection for all requests and watches (more when the server's limit on streams is
 * reached), or HTTP/1.1 with kept connections where the server offers no HTTP/2.
 */
export function httpTransport(options: TransportOptions): Transport {
  return new NegotiatedTransport(options);
}

class NegotiatedTransport implements Transport {
  readonly #options: TransportOptions;
  readonly #sessions = new Set<Session>();
  #connecting: Promise<Session | Http1Transport> | undefined;
  #http1: Http1Transport | undefined;
  #closed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    for (let refused = false; ;) {
      request.signal?.throwIfAborted();
      // oxlint-disable-next-line no-await-in-loop -- a second attempt follows the first
      const through = await this.#ready();
      // Others that waited for the same connection may have filled it.
      if (!through.hasRoom) continue;
      try {
        // oxlint-disable-next-line no-await-in-loop
        return await through.request(request);
      } catch (error) {
        // The server never saw it: safe to send again, whatever the method.
        if (refused || !(error instanceof NotProcessed) || this.#closed) throw error;
        refused = true;
      }
    }
  }

  close(): void {
    this.#closed = true;
    for (const session of this.#sessions) session.destroy();
    this.#http1?.close();
  }

  async #ready(): Promise<Session | Http1Transport> {
    if (this.#closed) throw new ConnectionError('the client is closed');
    if (this.#http1) return this.#http1;
    for (const session of this.#sessions) if (session.hasRoom) return session;
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined));
    return this.#connecting;
  }

  async #connect(): Promise<Session | Http1Transport> {
    const socket = await openTls(this.#options);
    if (this.#closed) {
      socket.destroy();
      throw new ConnectionError('the client is closed');
    }
    if (socket.alpnProtocol !== 'h2') {
      socket.destroy();
      return (this.#http1 = new Http1Transport(this.#options));
    }
    const session = new Session(this.#options.server, socket, () => this.#sessions.delete(session));
    this.#sessions.add(session);
    await session.ready;
    return session;
  }
}

async function openTls({ server, tls }: TransportOptions): Promise<TLSSocket> {
  const host = server.hostname.replace(/^\[(.*)\]$/, '$1');
  const socket = connectTls({
    ...tls,
    host,
    port: Number(server.port === '' ? 443 : server.port),
    ALPNProtocols: ['h2', 'http/1.1'],
  });
  socket.setNoDelay(true);
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(connectTimeoutMs) });
    return socket;
  } catch (error) {
    socket.destroy();
    socket.on('error', () => undefined);
    throw unreachable(server, error);
  }
}

function unreachable(server: URL, error: unknown): ConnectionError {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return new ConnectionError(`cannot reach ${server.origin}: ${text}`, error);
}

/** The request was refused before the server acted on it. */
class NotProcessed extends ConnectionError {}

/** One HTTP/2 connection. Keeps the process alive only while something is in flight. */
class Session {
  readonly #session: ClientHttp2Session;
  readonly #server: URL;
  /** Resolves when the server's settings are known (or the connection is gone): how many streams it allows. */
  readonly ready: Promise<unknown>;
  #active = 0;
  #usable = true;
  #pinging: NodeJS.Timeout | undefined;

  constructor(server: URL, socket: TLSSocket, onGone: () => void) {
    this.#server = server;
    this.#session = connectHttp2(server, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: streamWindowBytes },
    });
    this.#session.setLocalWindowSize(sessionWindowBytes);
    const gone = (): void => {
      this.#usable = false;
      clearTimeout(this.#pinging);
      onGone();
    };
    this.ready = new Promise((resolve) => {
      this.#session.once('remoteSettings', resolve);
      this.#session.once('close', resolve);
    });
    this.#session.on('error', gone);
    this.#session.on('goaway', gone);
    this.#session.on('close', gone);
    // Idle connections keep no process alive; one that is still being made does, for whoever waits for it.
    this.#session.once('remoteSettings', () => {
      if (this.#active === 0) this.#session.unref();
    });
    this.#schedulePing();
  }

  get hasRoom(): boolean {
    const limit = this.#session.remoteSettings.maxConcurrentStreams ?? Infinity;
    return this.#usable && !this.#session.destroyed && this.#active < limit;
  }

  destroy(): void {
    this.#session.destroy();
  }

  /** Finds connections that died without a word: a partition, a machine switched off. */
  #schedulePing(): void {
    this.#pinging = setTimeout(() => {
      if (this.#session.destroyed) return;
      const lost = setTimeout(() => this.#session.destroy(), pingTimeoutMs);
      lost.unref();
      this.#session.ping(() => {
        clearTimeout(lost);
        if (this.#usable) this.#schedulePing();
      });
    }, pingAfterMs);
    this.#pinging.unref();
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    let stream: ClientHttp2Stream;
    try {
      stream = this.#session.request(
        { ':method': request.method, ':path': request.path, ...request.headers },
        { endStream: request.body === undefined },
      );
    } catch (error) {
      throw new NotProcessed(unreachable(this.#server, error).message, error);
    }
    if (this.#active++ === 0) this.#session.ref();
    const abort = (): void => stream.close(constants.NGHTTP2_CANCEL);
    request.signal?.addEventListener('abort', abort, { once: true });
    stream.once('close', () => {
      request.signal?.removeEventListener('abort', abort);
      if (--this.#active === 0 && !this.#session.destroyed) this.#session.unref();
    });
    // An error after the answer began reaches whoever reads the body; without a reader it is nobody's.
    stream.on('error', () => undefined);
    if (request.body !== undefined) stream.end(request.body);
    return this.#response(stream, request.signal);
  }

  #response(stream: ClientHttp2Stream, signal: AbortSignal | undefined): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      stream.once('response', (headers) => {
        resolve({
          status: headers[':status'] ?? 0,
          header: (name) => headers[name]?.toString(),
          body: wholeBody(stream, signal, this.#server),
        });
      });
      stream.once('close', () => {
        if (signal?.aborted) reject(abortReason(signal));
        else if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) {
          reject(new NotProcessed(`${this.#server.origin} refused the request`));
        } else reject(new ConnectionError(`the connection to ${this.#server.origin} broke before an answer`));
      });
    });
  }
}

function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted', { cause: signal.reason });
}

/** The body's bytes; an early end of an HTTP/2 stream is an error here, not a short answer. */
async function* wholeBody(
  stream: ClientHttp2Stream,
  signal: AbortSignal | undefined,
  server: URL,
): AsyncGenerator<Buffer> {
  let ended = false;
  try {
    for await (const chunk of stream) yield chunk as Buffer;
    ended = true;
  } catch (error) {
    if (signal?.aborted) throw abortReason(signal);
    throw new ConnectionError(`the connection to ${server.origin} broke: ${String(error)}`, error);
  } finally {
    if (!ended && !stream.closed) stream.close(constants.NGHTTP2_CANCEL);
  }
  if (signal?.aborted) throw abortReason(signal);
  if (stream.aborted || (stream.rstCode ?? 0) !== 0) {
    throw new ConnectionError(`the connection to ${server.origin} broke before the answer ended`);
  }
}

class Http1Transport implements Transport {
  readonly hasRoom = true;
  readonly #server: URL;
  readonly #agent: Agent;

  constructor(options: TransportOptions) {
    this.#server = options.server;
    this.#agent = new Agent({ ...options.tls, keepAlive: true, ALPNProtocols: ['http/1.1'] });
  }

  close(): void {
    this.#agent.destroy();
  }

  request(request: HttpRequest): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(
        {
          host: this.#server.hostname.replace(/^\[(.*)\]$/, '$1'),
          port: this.#server.port === '' ? 443 : this.#server.port,
          agent: this.#agent,
          method: request.method,
          path: request.path,
          headers: {
            ...request.headers,
            ...(request.body === undefined ? {} : { 'content-length': Buffer.byteLength(request.body) }),
          },
          ...(request.signal ? { signal: request.signal } : {}),
        },
        (answer) => {
          resolve({
            status: answer.statusCode ?? 0,
            header: (name) => answer.headers[name]?.toString(),
            body: http1Body(answer, request.signal, this.#server),
          });
        },
      );
      outgoing.on('error', (error) => {
        reject(request.signal?.aborted ? abortReason(request.signal) : unreachable(this.#server, error));
      });
      outgoing.end(request.body);
    });
  }
}

async function* http1Body(
  answer: Readable,
  signal: AbortSignal | undefined,
  server: URL,
): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of answer) yield chunk as Buffer;
  } catch (error) {
    if (signal?.aborted) throw abortReason(signal);
    throw new ConnectionError(`the connection to ${server.origin} broke: ${String(error)}`, error);
  } finally {
    answer.destroy();
  }
}
