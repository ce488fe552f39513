import type { Socket } from 'node:net';
import type { Handler } from './listener.ts';
import type { Peer } from './request.ts';

/** Silence after which a connection is closed (RFC 7766 section 6.2.3: seconds). */
export const tcpIdleMs = 10_000;
/** A message that was begun must be whole within this time, however slowly its bytes come. */
export const tcpMessageMs = 5000;
/** Pipelined queries under way on one connection (RFC 7766 section 6.2.1.1); more wait in the socket. */
const tcpInFlight = 64;
/** Answers are gathered up to this size, and written at once. */
const writeBytes = 65_536;

/**
 * Answers one message of a connection: as {@link Handler}, or with several messages (a transfer), the next one asked
 * for when the client took the one before. `signal` aborts when the connection is gone.
 */
export type StreamHandler = (
  message: Buffer,
  peer: Peer,
  signal: () => AbortSignal,
) => ReturnType<Handler> | AsyncIterable<Buffer>;

/**
 * Serves one connection (RFC 7766): queries are answered as they are ready, in any order; what is ready at once for one
 * chunk of queries goes out in one write. A client that does not read its answers is not read from; one that shut its
 * side down still gets what it asked for.
 */
export function serveTcp(
  socket: Socket,
  handle: StreamHandler,
  transport: 'tcp' | 'tls' = 'tcp',
  idleMs = tcpIdleMs,
): void {
  void new Connection(socket, handle, transport, idleMs);
}

class Connection {
  readonly #socket: Socket;
  readonly #handle: StreamHandler;
  readonly #peer: Peer;
  #received: Buffer = Buffer.alloc(0);
  #answers: Buffer[] = [];
  #answersBytes = 0;
  #inFlight = 0;
  #clientEnded = false;
  #isTaking = false;
  #half: NodeJS.Timeout | undefined;
  #abort: AbortController | undefined;

  constructor(socket: Socket, handle: StreamHandler, transport: 'tcp' | 'tls', idleMs: number) {
    this.#socket = socket;
    this.#handle = handle;
    this.#peer = {
      address: (socket.remoteAddress ?? '').replace(/^::ffff:/, '').replace(/%.*$/, ''),
      port: socket.remotePort ?? 0,
      transport,
    };
    socket.setNoDelay(true);
    socket.setTimeout(idleMs, () => socket.destroy());
    socket.on('error', () => {});
    socket.once('close', () => {
      clearTimeout(this.#half);
      this.#abort?.abort();
    });
    socket.on('drain', () => this.#take());
    socket.on('data', (chunk: Buffer) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#take();
    });
    socket.on('end', () => {
      this.#clientEnded = true;
      this.#take();
    });
  }

  readonly #signal = (): AbortSignal => (this.#abort ??= new AbortController()).signal;

  get #isBlocked(): boolean {
    return this.#inFlight >= tcpInFlight || this.#socket.writableNeedDrain;
  }

  /** Answers what has come, as far as the client takes answers. */
  #take(): void {
    if (this.#isTaking || this.#socket.destroyed) return;
    this.#isTaking = true;
    let position = 0;
    const received = this.#received;
    while (received.length >= position + 2 && !this.#isBlocked) {
      const end = position + 2 + received.readUInt16BE(position);
      if (received.length < end) break;
      clearTimeout(this.#half);
      this.#half = undefined;
      this.#answer(received.subarray(position + 2, end));
      position = end;
      if (this.#answersBytes >= writeBytes) this.#flush();
    }
    this.#flush();
    this.#received = position === 0 ? received : received.subarray(position);
    this.#isTaking = false;
    this.#await();
  }

  /** Waits for what comes next: room, the rest of a message, or the end. */
  #await(): void {
    const socket = this.#socket;
    if (this.#isBlocked) {
      clearTimeout(this.#half);
      this.#half = undefined;
      socket.pause();
      return;
    }
    if (this.#received.length > 0) this.#half ??= setTimeout(() => socket.destroy(), tcpMessageMs);
    if (socket.isPaused()) socket.resume();
    if (this.#clientEnded && this.#inFlight === 0) socket.end();
  }

  #answer(message: Buffer): void {
    const answer = this.#handle(message, this.#peer, this.#signal);
    if (answer === undefined) return;
    if (Buffer.isBuffer(answer)) return this.#add(answer);
    this.#inFlight += 1;
    const done = answer instanceof Promise ? this.#later(answer) : this.#stream(answer);
    void done.finally(() => {
      this.#inFlight -= 1;
      this.#flush();
      this.#take();
    });
  }

  async #later(answer: Promise<Buffer | undefined>): Promise<void> {
    const message = await answer;
    if (message) this.#add(message);
  }

  async #stream(messages: AsyncIterable<Buffer>): Promise<void> {
    for await (const message of messages) {
      this.#add(message);
      this.#flush();
      if (this.#socket.destroyed) return;
      if (this.#socket.writableNeedDrain) await this.#drained();
    }
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.once('drain', done);
      this.#socket.once('close', done);
    });
  }

  #add(message: Buffer): void {
    this.#answers.push(Buffer.of(message.length >> 8, message.length & 0xff), message);
    this.#answersBytes += message.length + 2;
  }

  #flush(): void {
    if (this.#answersBytes === 0) return;
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat(this.#answers, this.#answersBytes));
    this.#answers = [];
    this.#answersBytes = 0;
  }
}
