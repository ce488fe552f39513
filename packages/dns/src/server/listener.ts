import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Peer } from './request.ts';
import { serveTcp } from './tcp.ts';

/**
 * Answers one message, at once where it can; undefined: say nothing. Must not throw or reject. Of a message by UDP the
 * bytes are the handler's until it returns or its promise is settled.
 */
export type Handler = (message: Buffer, peer: Peer) => Buffer | undefined | Promise<Buffer | undefined>;

const tcpConnections = 1000;
/** So that one client cannot hold them all. */
const tcpConnectionsPerClient = 100;

/**
 * Listens on UDP and TCP of one address. A wildcard address would answer from the wrong one: bind each. Rejects when
 * either cannot be bound; nothing listens then.
 */
export async function listen(address: string, port: number, handle: Handler): Promise<Running> {
  const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  udp.on('message', (message, { address: from, port: fromPort }) => {
    const send = (answer: Buffer | undefined): void => {
      if (answer && !ended) udp.send(answer, fromPort, from, () => {});
    };
    const answer = handle(message, { address: from, port: fromPort, transport: 'udp' });
    if (answer instanceof Promise) void answer.then(send);
    else send(answer);
  });
  let ended = false;
  const sockets = new Set<Socket>();
  const perClient = new Map<string, number>();
  const tcp = createServer({ allowHalfOpen: true }, (socket) => {
    const client = socket.remoteAddress ?? '';
    const count = perClient.get(client) ?? 0;
    if (sockets.size >= tcpConnections || count >= tcpConnectionsPerClient) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    perClient.set(client, count + 1);
    socket.once('close', () => {
      sockets.delete(socket);
      const left = (perClient.get(client) ?? 1) - 1;
      if (left === 0) perClient.delete(client);
      else perClient.set(client, left);
    });
    serveTcp(socket, handle);
  });
  const close = async (): Promise<void> => {
    ended = true;
    await new Promise<void>((resolve) => udp.close(() => resolve()));
    const closed = new Promise<void>((resolve) => tcp.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  try {
    await new Promise<void>((resolve, reject) => {
      udp.once('error', reject);
      udp.bind(port, address, resolve);
    });
    await new Promise<void>((resolve, reject) => {
      tcp.once('error', reject);
      tcp.listen(port, address, resolve);
    });
  } catch (error) {
    await close();
    throw error;
  }
  udp.removeAllListeners('error');
  udp.on('error', () => {});
  return running(close);
}
