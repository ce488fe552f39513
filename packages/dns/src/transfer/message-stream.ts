import { connect, type Socket } from 'node:net';

export interface MessageStreamOptions {
  readonly host: string;
  readonly port: number;
  /** Address to connect from; undefined: the kernel chooses. */
  readonly localAddress?: string | undefined;
  readonly signal: AbortSignal;
  /** For the connection to stand, and between one message and the next. */
  readonly idleMs: number;
  /** For everything. */
  readonly totalMs: number;
  /** Octets of all messages together; more ends the stream with an error. */
  readonly maxBytes: number;
}

/**
 * Sends one message over a TCP connection of its own and yields what comes back, message by message (RFC 7766). The
 * connection ends with the loop that reads it. Throws when it cannot be made, is silent or closed in the middle of a message;
 * ends when the server closes it between two.
 */
export async function* messageStream(message: Buffer, options: MessageStreamOptions): AsyncGenerator<Buffer> {
  const { host, port, signal, idleMs, totalMs, maxBytes, localAddress } = options;
  signal.throwIfAborted();
  const socket = connect({ host, port, ...(localAddress !== undefined && { localAddress }) });
  const end = (why: string) => (): void => void socket.destroy(new Error(why));
  const aborted = end('it was stopped');
  const total = setTimeout(end(`it was not done in ${totalMs / 1000} s`), totalMs);
  socket.setTimeout(idleMs, end(`it said nothing for ${idleMs / 1000} s`));
  signal.addEventListener('abort', aborted, { once: true });
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  socket.write(Buffer.concat([length, message]));
  try {
    yield* messagesOf(socket, maxBytes);
  } finally {
    clearTimeout(total);
    signal.removeEventListener('abort', aborted);
    socket.on('error', () => {});
    socket.destroy();
  }
}

async function* messagesOf(socket: Socket, maxBytes: number): AsyncGenerator<Buffer> {
  let received: Buffer = Buffer.alloc(0);
  let bytes = 0;
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`it sent more than ${maxBytes} octets`);
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    let position = 0;
    while (received.length - position >= 2) {
      const size = received.readUInt16BE(position);
      if (received.length - position < 2 + size) break;
      yield received.subarray(position + 2, position + 2 + size);
      position += 2 + size;
    }
    received = received.subarray(position);
  }
  if (received.length > 0) throw new Error('it closed the connection in the middle of a message');
}
