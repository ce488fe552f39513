import {
  constants,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import { etcdErrors } from '@cloudless/kube/etcd/store';
import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { answerCall, type CountedMethod } from './call.ts';
import type { GrpcCounters } from './counters.ts';
import type { Methods, SendingStream } from './method.ts';

/** What a connection may send before it is read; a writer's 64 streams of 1 KB values must not wait for it. */
const sessionWindowBytes = 4 * 1024 * 1024;
const streamWindowBytes = 1024 * 1024;
/** Megabytes that a session's streams may hold: a list of everything waits here for a slow reader. */
const sessionMemoryMegabytes = 4096;
/**
 * Calls that a client may give up at once, and each second. nghttp2's own limits (1000 and 33) end the connections of
 * API servers whose requests time out under load; none at all would let a client keep a core busy (CVE-2023-44487).
 */
const streamResetBurst = 10_000;
const streamResetRate = 2_000;
const maxHeaderBytes = 64 * 1024;
/** The largest stream identifier: nothing is refused yet (RFC 9113, 6.8). */
const lastStreamId = 2 ** 31 - 1;
/** Clients that hear that the server goes stop opening streams within so long. */
const noticeMs = 50;

/** As go-grpc-prometheus calls them. */
const typeNames = { unary: 'unary', 'server-stream': 'server_stream', duplex: 'bidi_stream' } as const;

export interface GrpcOptions {
  methods: Methods;
  counters: GrpcCounters;
  traffic: { receivedBytes: number; sentBytes: number };
  /** Of one request message. */
  maxMessageBytes: number;
  /** Answers what is no gRPC call. */
  otherwise: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;
  clock: Clock;
  log: Logger;
}

/** The HTTP/2 side of a port: sessions, and the gRPC calls on them. */
export class GrpcSessions {
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #lasting = new Set<SendingStream>();
  readonly #clock: Clock;
  #stopping = false;

  constructor({ methods, counters, traffic, maxMessageBytes, otherwise, clock, log }: GrpcOptions) {
    this.#clock = clock;
    const counted = [...methods].map(([path, method]): [string, CountedMethod] => [
      path,
      { method, counters: counters.of(path, typeNames[method.type]) },
    ]);
    const call = {
      methods: new Map(counted),
      traffic,
      maxMessageBytes,
      clock,
      lasting: this.#lasting,
      failed: (path: string, error: unknown) => log.error({ err: error, path }, 'a call failed'),
    };
    this.#server = createServer({
      maxSessionMemory: sessionMemoryMegabytes,
      streamResetBurst,
      streamResetRate,
      settings: {
        initialWindowSize: streamWindowBytes,
        maxHeaderListSize: maxHeaderBytes,
        enablePush: false,
      },
    });
    this.#server.on('session', (session) => this.#track(session, log));
    this.#server.on('sessionError', (error) => log.debug({ err: error }, 'an HTTP/2 session failed'));
    this.#server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      const type = headers['content-type'];
      if (type === undefined || !type.startsWith('application/grpc')) otherwise(stream, headers);
      else if (headers[':method'] !== 'POST') refuse(stream);
      else answerCall(stream, headers, call);
    });
  }

  #track(session: ServerHttp2Session, log: Logger): void {
    this.#sessions.add(session);
    session.setLocalWindowSize(sessionWindowBytes);
    session.on('error', (error) => log.debug({ err: error }, 'a connection broke'));
    session.once('close', () => this.#sessions.delete(session));
    if (this.#stopping) session.close();
  }

  /** Bytes that lasting calls have sent and their readers have not taken. */
  get pendingBytes(): number {
    let bytes = 0;
    for (const call of this.#lasting) bytes += call.pendingBytes;
    return bytes;
  }

  /** Takes over a connection that speaks HTTP/2. */
  take(socket: Socket): void {
    this.#server.emit('connection', socket);
  }

  /** Tells clients to go elsewhere, ends lasting calls as etcd does, waits for the others, no longer than `drainMs`. */
  async stop(drainMs: number): Promise<void> {
    this.#stopping = true;
    const busy = [...this.#sessions].filter((session) => !session.closed && !session.destroyed);
    for (const session of busy) session.goaway(constants.NGHTTP2_NO_ERROR, lastStreamId);
    if (busy.length > 0) await within(this.#clock, noticeMs, new Promise(() => {}));
    for (const call of this.#lasting) call.end(etcdErrors.stopped());
    const closed = busy.map(
      (session) =>
        new Promise<void>((resolve) => {
          if (session.destroyed) return resolve();
          session.once('close', resolve);
          session.close();
        }),
    );
    await within(this.#clock, drainMs, Promise.all(closed));
    for (const session of this.#sessions) session.destroy();
  }
}

function refuse(stream: ServerHttp2Stream): void {
  stream.on('error', () => undefined);
  stream.respond({ ':status': 405, allow: 'POST' }, { endStream: true });
}

/** Waits for `done`, but no longer than `ms`. */
async function within(clock: Clock, ms: number, done: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = clock.setTimeout(late.resolve, ms);
  await Promise.race([done, late.promise]);
  timer.cancel();
}
