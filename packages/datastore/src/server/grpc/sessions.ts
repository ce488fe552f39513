import type { Socket } from 'node:net';
import { etcdErrors } from '@cloudless/kube/etcd/store';
import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import { Connection, type ConnectionOptions } from '../http2/connection.ts';
import { encodeFields } from '../http2/hpack.ts';
import { fieldOf, type Request, type ServerStream } from '../http2/stream.ts';
import { answerCall, type CountedMethod } from './call.ts';
import type { GrpcCounters } from './counters.ts';
import type { Methods, SendingStream } from './method.ts';

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
  otherwise: (stream: ServerStream, request: Request) => void;
  clock: Clock;
  log: Logger;
}

const notAllowed = encodeFields([
  [':status', '405'],
  ['allow', 'POST'],
]);

/** The HTTP/2 side of a port: connections, and the gRPC calls on them. */
export class GrpcSessions {
  readonly #connections = new Set<Connection>();
  readonly #lasting = new Set<SendingStream>();
  readonly #clock: Clock;
  readonly #options: Omit<ConnectionOptions, 'closed'>;
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
    this.#options = {
      request(stream, request) {
        const isGrpc = fieldOf(request, 'content-type')?.startsWith('application/grpc') === true;
        if (!isGrpc) otherwise(stream, request);
        else if (request.method !== 'POST') stream.respond(notAllowed, true);
        else answerCall(stream, request, call);
      },
      failed: (error) => log.debug({ err: error }, 'an HTTP/2 connection was ended'),
      monotonicMs: () => clock.monotonicMs(),
    };
  }

  /** Bytes that lasting calls have sent and their readers have not taken. */
  get pendingBytes(): number {
    let bytes = 0;
    for (const call of this.#lasting) bytes += call.pendingBytes;
    return bytes;
  }

  /** Takes over a connection that speaks HTTP/2. */
  take(socket: Socket): void {
    const closed = (): void => void this.#connections.delete(connection);
    const connection: Connection = new Connection(socket, { ...this.#options, closed });
    this.#connections.add(connection);
    if (this.#stopping) connection.close();
  }

  /** Tells clients to go elsewhere, ends lasting calls as etcd does, waits for the others, no longer than `drainMs`. */
  async stop(drainMs: number): Promise<void> {
    this.#stopping = true;
    const busy = [...this.#connections];
    for (const connection of busy) connection.announceEnd();
    if (busy.length > 0) await within(this.#clock, noticeMs, new Promise(() => {}));
    for (const call of this.#lasting) call.end(etcdErrors.stopped());
    for (const connection of busy) connection.close();
    await within(this.#clock, drainMs, Promise.all(busy.map(({ ended }) => ended)));
    for (const connection of this.#connections) connection.destroy();
  }
}

/** Waits for `done`, but no longer than `ms`. */
async function within(clock: Clock, ms: number, done: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = clock.setTimeout(late.resolve, ms);
  await Promise.race([done, late.promise]);
  timer.cancel();
}
