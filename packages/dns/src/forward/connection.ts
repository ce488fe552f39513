import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** TLS of a connection; undefined members: the system's authorities, no certificate of our own. */
export interface ConnectionTls {
  readonly serverName: string | undefined;
  readonly ca: Buffer | undefined;
  readonly certificate: Buffer | undefined;
  readonly key: Buffer | undefined;
}

interface Waiting {
  resolve(answer: Buffer): void;
  reject(error: Error): void;
  accepts: (answer: Buffer) => boolean;
  timer: NodeJS.Timeout;
}

/** Questions under way on one connection. */
const maxWaiting = 100;

/**
 * A connection to one server, by TCP or TLS (RFC 7858), for many questions at once (RFC 7766): answers come in any
 * order. It closes when nothing was asked for `idleMs`.
 */
export class StreamConnection {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #received: Buffer = Buffer.alloc(0);
  #failure: Error | undefined;

  constructor(to: { host: string; port: number }, tls: ConnectionTls | undefined, idleMs: number) {
    this.#socket = tls
      ? connectTls({
          ...to,
          ALPNProtocols: ['dot'],
          minVersion: 'TLSv1.2',
          ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
          ...(tls.ca ? { ca: tls.ca } : {}),
          ...(tls.certificate ? { cert: tls.certificate } : {}),
          ...(tls.key ? { key: tls.key } : {}),
        })
      : connectTcp(to);
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.once('close', () => this.#fail(new Error('connection closed before an answer')));
    this.#socket.once('end', () => this.#socket.destroy());
    this.#socket.setTimeout(Math.max(1, idleMs), () => {
      if (this.#waiting.size === 0) this.#socket.destroy();
    });
  }

  get isUsable(): boolean {
    return this.#failure === undefined && this.#waiting.size < maxWaiting;
  }

  /** Whether a query's id is free here. */
  canTake(query: Buffer): boolean {
    return this.isUsable && !this.#waiting.has(query.readUInt16BE(0));
  }

  /** The answer to a query whose id {@link canTake}. Rejects when there is none in time, or the connection ends. */
  ask(query: Buffer, options: { timeoutMs: number; accepts: (answer: Buffer) => boolean }): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      const id = query.readUInt16BE(0);
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`no answer in ${options.timeoutMs} ms`));
        // Answers that come late would have to be told from later ones: begin anew.
        this.#socket.destroy();
      }, options.timeoutMs);
      this.#waiting.set(id, { resolve, reject, accepts: options.accepts, timer });
      const length = Buffer.alloc(2);
      length.writeUInt16BE(query.length);
      this.#socket.write(Buffer.concat([length, query]));
    });
  }

  close(): void {
    this.#socket.destroy();
    this.#fail(new Error('the server is being stopped'));
  }

  #read(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 2) {
      const end = 2 + this.#received.readUInt16BE(0);
      if (this.#received.length < end) return;
      const answer = Buffer.from(this.#received.subarray(2, end));
      this.#received = this.#received.subarray(end);
      this.#take(answer);
    }
  }

  #take(answer: Buffer): void {
    const waiting = answer.length >= 12 ? this.#waiting.get(answer.readUInt16BE(0)) : undefined;
    if (!waiting?.accepts(answer)) {
      this.#fail(new Error('the answer does not belong to the question'));
      this.#socket.destroy();
      return;
    }
    this.#waiting.delete(answer.readUInt16BE(0));
    clearTimeout(waiting.timer);
    waiting.resolve(answer);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(this.#failure);
    }
    this.#waiting.clear();
  }
}
