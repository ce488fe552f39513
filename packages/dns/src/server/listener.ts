import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { type Running, running } from '@cloudless/kube/lifecycle';
import { ConnectionLimits } from './connection-limits.ts';
import type { Peer } from './request.ts';
import { serveTcp } from './tcp.ts';

/**
 * Answers one message, at once where it can; undefined: say nothing. Must not throw or reject. Of a message by UDP the
 * bytes are the handler's until it returns or its promise is settled.
 */
export type Handler = (message: Buffer, peer: Peer) => Buffer | undefined | Promise<Buffer | undefined>;

/** Sockets on one address. */
export interface Listener extends Running {
  readonly port: number;
}

/** A port that is free for UDP may be taken for TCP. */
const freePortTries = 10;

/**
 * Listens on UDP and TCP of one address. A wildcard address would answer from the wrong one: bind each. Rejects when
 * either cannot be bound; nothing listens then. Port 0: one that is free for both.
 */
export async function listen(address: string, port: number, handle: Handler): Promise<Listener> {
  for (let triesLeft = port === 0 ? freePortTries : 1; ; triesLeft--) {
    try {
      return await listenOnce(address, port, handle);
    } catch (error) {
      if (triesLeft === 1 || (error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}

async function listenOnce(address: string, port: number, handle: Handler): Promise<Listener> {
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
  const connections = new ConnectionLimits();
  const tcp = createServer({ allowHalfOpen: true }, (socket) => {
    if (connections.admit(socket)) serveTcp(socket, handle);
  });
  const close = async (): Promise<void> => {
    ended = true;
    await new Promise<void>((resolve) => udp.close(() => resolve()));
    const closed = new Promise<void>((resolve) => tcp.close(() => resolve()));
    connections.closeAll();
    await closed;
  };
  try {
    await new Promise<void>((resolve, reject) => {
      udp.once('error', reject);
      udp.bind(port, address, resolve);
    });
    await new Promise<void>((resolve, reject) => {
      tcp.once('error', reject);
      tcp.listen(udp.address().port, address, resolve);
    });
  } catch (error) {
    await close();
    throw error;
  }
  udp.removeAllListeners('error');
  udp.on('error', () => {});
  return { port: udp.address().port, ...running(close) };
}
