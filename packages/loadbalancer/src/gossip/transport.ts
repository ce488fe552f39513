import { createSocket } from 'node:dgram';
import type { Socket as DatagramSocket } from 'node:dgram';
import { createConnection, createServer, isIPv6 } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { Endpoint } from './wire/address.ts';

/** Gossip cannot listen; the message says where, why and what to do. */
export class GossipBindError extends Error {
  override readonly name = 'GossipBindError';
}

export interface TransportEvents {
  readonly onPacket: (packet: Buffer, from: Endpoint) => void;
  readonly onStream: (socket: Socket, from: Endpoint) => void;
  /** A packet could not be sent to someone, or a socket reported an error. */
  readonly onSocketError: (error: Error, to: Endpoint | undefined) => void;
}

const receiveBufferBytes = 2 * 1024 * 1024;
const freePortTries = 10;

/** One UDP socket and one TCP server on the same address and port. */
export class GossipTransport {
  readonly #udp: DatagramSocket;
  readonly #tcp: Server;
  readonly #mapsIPv4: boolean;
  readonly #sockets = new Set<Socket>();
  readonly #onSocketError: TransportEvents['onSocketError'];
  readonly port: number;

  private constructor(udp: DatagramSocket, tcp: Server, bindAddress: string, events: TransportEvents) {
    this.#udp = udp;
    this.#tcp = tcp;
    this.#mapsIPv4 = isIPv6(bindAddress);
    this.port = udp.address().port;
    udp.on('message', (packet, info) => events.onPacket(packet, plainEndpoint(info.address, info.port)));
    udp.on('error', (error) => events.onSocketError(error, undefined));
    tcp.on('connection', (socket) => {
      this.#keep(socket);
      events.onStream(socket, plainEndpoint(socket.remoteAddress ?? '', socket.remotePort ?? 0));
    });
    tcp.on('error', (error) => events.onSocketError(error, undefined));
    this.#onSocketError = events.onSocketError;
  }

  /** Listens on both; port 0 takes one that is free for both. Throws {@link GossipBindError}. */
  static async open(bindAddress: string, port: number, events: TransportEvents): Promise<GossipTransport> {
    for (let tries = port === 0 ? freePortTries : 1; ; tries--) {
      let tcp: Server | undefined;
      try {
        tcp = await listenTcp(bindAddress, port);
        const address = tcp.address();
        const udp = await listenUdp(
          bindAddress,
          typeof address === 'object' && address ? address.port : port,
        );
        return new GossipTransport(udp, tcp, bindAddress, events);
      } catch (error) {
        tcp?.close();
        if (tries <= 1)
          throw bindError(bindAddress, port, tcp ? 'UDP' : 'TCP', error as NodeJS.ErrnoException);
      }
    }
  }

  send(to: Endpoint, packet: Buffer): void {
    this.#udp.send(packet, to.port, this.#socketAddress(to.address), (error) => {
      if (error) this.#onSocketError(error, to);
    });
  }

  /** The socket emits `connect` or `error`; it is destroyed by {@link close}. */
  connect(to: Endpoint): Socket {
    const socket = createConnection({ host: to.address, port: to.port });
    this.#keep(socket);
    return socket;
  }

  /** Ends every connection and closes both sockets. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const closed = Promise.withResolvers<void>();
    this.#tcp.close(() => closed.resolve());
    const udpClosed = Promise.withResolvers<void>();
    this.#udp.close(() => udpClosed.resolve());
    await Promise.all([closed.promise, udpClosed.promise]);
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #socketAddress(address: string): string {
    return this.#mapsIPv4 && !isIPv6(address) ? `::ffff:${address}` : address;
  }
}

function plainEndpoint(address: string, port: number): Endpoint {
  return { address: address.replace(/^::ffff:(?=\d+\.)/, ''), port };
}

function listenTcp(host: string, port: number): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<Server>();
  const server = createServer();
  server.once('error', reject);
  server.listen({ host, port }, () => {
    server.off('error', reject);
    resolve(server);
  });
  return promise;
}

function listenUdp(address: string, port: number): Promise<DatagramSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<DatagramSocket>();
  const socket = createSocket({
    type: isIPv6(address) ? 'udp6' : 'udp4',
    recvBufferSize: receiveBufferBytes,
    // Only addresses are sent to: no need to ask a resolver.
    lookup: (host, options, callback) => callback(null, host, isIPv6(host) ? 6 : 4),
  });
  socket.once('error', (error) => {
    socket.close();
    reject(error);
  });
  socket.bind({ address, port }, () => {
    socket.removeAllListeners('error');
    resolve(socket);
  });
  return promise;
}

const remedies: Readonly<Record<string, string>> = {
  EADDRINUSE:
    "another program has it (MetalLB's speaker or another load balancer on this node?): stop that, or choose another port",
  EADDRNOTAVAIL: 'no interface of this node has the address: choose one that `ip address` shows',
  EACCES: 'not permitted: choose a port above 1023',
};

function bindError(
  address: string,
  port: number,
  protocol: string,
  error: NodeJS.ErrnoException,
): GossipBindError {
  const place = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  const reason = remedies[error.code ?? ''] ?? error.message;
  return new GossipBindError(`gossip cannot listen on ${place} (${protocol}): ${reason}`, { cause: error });
}
