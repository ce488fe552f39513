import { createSocket } from 'node:dgram';
import { createServer, type Socket } from 'node:net';
import { type Running, running } from '@cloudless/kube/lifecycle';

export type Handler = (message: Buffer, transport: 'udp' | 'tcp') => Promise<Buffer | undefined>;

const tcpIdleMs = 10_000;
const tcpConnections = 1000;
/** Pipelined queries under way on one connection (RFC 7766 section 6.2.1.1); more wait in the socket. */
const tcpInFlight = 64;

/** Listens on UDP and TCP of one address. A wildcard address would answer from the wrong one: bind each. */
export async function listen(address: string, port: number, handle: Handler): Promise<Running> {
  const udp = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  udp.on('message', (message, peer) => {
    void handle(message, 'udp').then((answer) => {
      if (answer) udp.send(answer, peer.port, peer.address, () => {});
    });
  });
  const sockets = new Set<Socket>();
  const tcp = createServer((socket) => {
    if (sockets.size >= tcpConnections) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    serveTcp(socket, handle);
  });
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject);
    udp.bind(port, address, resolve);
  });
  await new Promise<void>((resolve, reject) => {
    tcp.once('error', reject);
    tcp.listen(port, address, resolve);
  });
  udp.removeAllListeners('error');
  udp.on('error', () => {});
  return running(async () => {
    await new Promise<void>((resolve) => udp.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => tcp.close(() => resolve()));
  });
}

function serveTcp(socket: Socket, handle: Handler): void {
  let received: Buffer = Buffer.alloc(0);
  let inFlight = 0;
  socket.setTimeout(tcpIdleMs, () => socket.destroy());
  socket.on('error', () => {});
  const take = (): void => {
    while (received.length >= 2 && inFlight < tcpInFlight) {
      const size = received.readUInt16BE(0);
      if (received.length < 2 + size) break;
      const message = Buffer.from(received.subarray(2, 2 + size));
      received = received.subarray(2 + size);
      inFlight += 1;
      void handle(message, 'tcp').then((answer) => {
        inFlight -= 1;
        if (answer && !socket.destroyed) {
          const length = Buffer.alloc(2);
          length.writeUInt16BE(answer.length);
          socket.write(Buffer.concat([length, answer]));
        }
        if (socket.isPaused()) socket.resume();
        take();
      });
    }
    if (inFlight >= tcpInFlight) socket.pause();
  };
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    take();
  });
}
