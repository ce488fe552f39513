import type { Socket } from 'node:net';
import { FrameReader } from './wire/frame.ts';
import { type Incoming, parseIncoming } from './wire/incoming.ts';
import { BgpError } from './wire/notification.ts';

/** What a connection tells of itself; nothing more after {@link Connection.close}. */
export interface ConnectionEvents {
  connected(): void;
  message(message: Incoming): void;
  /** What came is wrong; the stream is not read any further. */
  refused(error: BgpError): void;
  /** It never came about. */
  failed(reason: string): void;
  /** It was there and ended. */
  closed(reason: string): void;
  /** What was sent is out, after {@link Connection.blocked}. */
  drained(): void;
  /** How AS numbers are written in what comes. */
  fourOctetAsn(): boolean;
}

/** How long a peer may take to read the last message and to close. */
const lingerMs = 1000;

/** One TCP connection: bytes to messages and back. */
export class Connection {
  readonly #socket: Socket;
  readonly #events: ConnectionEvents;
  readonly #reader = new FrameReader();
  #connected = false;
  #closed = false;
  #broken = false;
  /** Kept for when the socket knows it no more. */
  #localAddress = '';

  /** Takes over a socket that is connecting. */
  constructor(socket: Socket, events: ConnectionEvents) {
    this.#socket = socket;
    this.#events = events;
    let reason: string | undefined;
    socket.setNoDelay(true);
    socket.on('connect', () => {
      this.#connected = true;
      this.#localAddress = socket.localAddress ?? '';
      if (!this.#closed) events.connected();
    });
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('drain', () => {
      if (!this.#closed) events.drained();
    });
    socket.on('error', (error) => (reason = error.message));
    socket.on('end', () => (reason ??= 'the peer closed the connection'));
    socket.on('close', () => {
      if (this.#closed) return;
      this.#closed = true;
      if (this.#connected) events.closed(reason ?? 'the connection ended');
      else events.failed(reason ?? 'the connection ended');
    });
  }

  /** Ours, once connected. */
  get localAddress(): string {
    return this.#localAddress;
  }

  /** The peer has not taken in what was sent last. */
  get blocked(): boolean {
    return this.#socket.writableNeedDrain;
  }

  send(bytes: Buffer): void {
    if (!this.#closed) this.#socket.write(bytes);
  }

  /**
   * Sends what waits, then ends. What still comes is read and thrown away: a socket closed over unread bytes is reset,
   * and the peer would lose the NOTIFICATION. Resolves when the descriptor is closed, in a second at the latest.
   */
  close(): Promise<void> {
    this.#closed = true;
    const socket = this.#socket;
    if (socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => socket.destroy(), lingerMs);
      socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      if (this.#connected) socket.end();
      else socket.destroy();
    });
  }

  #read(chunk: Buffer): void {
    if (this.#broken) return;
    try {
      for (const frame of this.#reader.push(chunk)) {
        if (this.#closed) return;
        this.#events.message(parseIncoming(frame, this.#events.fourOctetAsn()));
      }
    } catch (error) {
      if (!(error instanceof BgpError)) throw error;
      this.#broken = true;
      if (!this.#closed) this.#events.refused(error);
    }
  }
}
