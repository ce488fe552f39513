import type { Socket } from 'node:net';
import type { Handler } from './listener.ts';
import type { Peer } from './request.ts';

/** Silence after which a connection is closed (RFC 7766 section 6.2.3: seconds). */
export const tcpIdleMs = 10_000;
/** A message that was begun must be whole within this time, however slowly its bytes come. */
export const tcpMessageMs = 5000;
/** Pipelined queries under way on one connection (RFC 7766 section 6.2.1.1); more wait in the socket. */
const tcpInFlight = 64;

/**
 * Serves one connection (RFC 7766): queries are answered as they are ready, in any order. A client that does not read
 * its answers is not read from; one that shut its side down still gets what it asked for.
 */
export function serveTcp(socket: Socket, handle: Handler): void {
  let received: Buffer = Buffer.alloc(0);
  let inFlight = 0;
  let clientEnded = false;
  let half: NodeJS.Timeout | undefined;
  socket.setTimeout(tcpIdleMs, () => socket.destroy());
  socket.on('error', () => {});
  socket.once('close', () => clearTimeout(half));

  const peer: Peer = {
    address: (socket.remoteAddress ?? '').replace(/^::ffff:/, ''),
    port: socket.remotePort ?? 0,
    transport: 'tcp',
  };
  const answer = (message: Buffer): void => {
    inFlight += 1;
    // A microtask at least, so that a chunk of many questions does not nest.
    void Promise.resolve(handle(message, peer)).then((reply) => {
      inFlight -= 1;
      if (socket.destroyed) return;
      if (reply) {
        const length = Buffer.alloc(2);
        length.writeUInt16BE(reply.length);
        socket.write(Buffer.concat([length, reply]));
      }
      take();
    });
  };
  const isBlocked = (): boolean => inFlight >= tcpInFlight || socket.writableNeedDrain;
  const take = (): void => {
    while (received.length >= 2 && !isBlocked()) {
      const size = received.readUInt16BE(0);
      if (received.length < 2 + size) break;
      const message = Buffer.from(received.subarray(2, 2 + size));
      received = received.subarray(2 + size);
      clearTimeout(half);
      half = undefined;
      answer(message);
    }
    if (isBlocked()) {
      clearTimeout(half);
      half = undefined;
      socket.pause();
      return;
    }
    if (received.length > 0) half ??= setTimeout(() => socket.destroy(), tcpMessageMs);
    if (socket.isPaused()) socket.resume();
    if (clientEnded && inFlight === 0) socket.end();
  };
  socket.on('drain', take);
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    take();
  });
  socket.on('end', () => {
    clientEnded = true;
    take();
  });
}
