import { createSocket } from 'node:dgram';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Peer, RequestHandler } from '../../server/request.ts';

/** A server on UDP and TCP of one port that hands every message to `handler`: what serving threads do for special ones. */
export async function startRequestServer(
  handler: RequestHandler,
  { address = '127.0.0.1', port = 0 }: { address?: string; port?: number } = {},
): Promise<Running & { readonly port: number }> {
  const sockets = new Set<Socket>();
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    serve(socket, handler);
  });
  await new Promise<void>((resolve) => tcp.listen(port, address, resolve));
  const bound = (tcp.address() as AddressInfo).port;
  const udp = createSocket('udp4');
  udp.on('message', (message, { address, port }) => {
    const peer: Peer = { address, port, transport: 'udp' };
    void collect(handler({ message, peer, signal: new AbortController().signal })).then((answers) => {
      for (const answer of answers) udp.send(answer, port, address, () => {});
    });
  });
  await new Promise<void>((resolve) => udp.bind(bound, address, resolve));
  return {
    port: bound,
    ...running(async () => {
      for (const socket of sockets) socket.destroy();
      await Promise.all([
        new Promise<void>((resolve) => tcp.close(() => resolve())),
        new Promise<void>((resolve) => udp.close(() => resolve())),
      ]);
    }),
  };
}

function serve(socket: Socket, handler: RequestHandler): void {
  const ended = new AbortController();
  socket.once('close', () => ended.abort());
  let received = Buffer.alloc(0);
  let turn = Promise.resolve();
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      const size = received.readUInt16BE(0);
      const message = Buffer.from(received.subarray(2, 2 + size));
      received = received.subarray(2 + size);
      const peer: Peer = {
        address: socket.remoteAddress ?? '',
        port: socket.remotePort ?? 0,
        transport: 'tcp',
      };
      turn = turn
        .then(() => answerTcp(socket, handler({ message, peer, signal: ended.signal })))
        // A script that fails has the connection closed.
        .catch(() => void socket.end());
    }
  });
}

async function answerTcp(socket: Socket, answer: ReturnType<RequestHandler>): Promise<void> {
  for await (const message of Symbol.asyncIterator in answer ? answer : [await answer]) {
    if (!message || socket.destroyed) return;
    const length = Buffer.alloc(2);
    length.writeUInt16BE(message.length);
    if (socket.write(Buffer.concat([length, message]))) continue;
    await new Promise<void>((resolve) => {
      socket.once('drain', resolve);
      socket.once('close', resolve);
    });
  }
}

/** Every message of an answer. */
export async function collect(answer: ReturnType<RequestHandler>): Promise<Buffer[]> {
  const messages: Buffer[] = [];
  for await (const message of Symbol.asyncIterator in answer ? answer : [await answer])
    if (message) messages.push(message);
  return messages;
}
