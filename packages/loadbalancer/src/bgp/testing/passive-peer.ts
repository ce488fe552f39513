import { type Server, type Socket, createServer } from 'node:net';
import { addressBytes } from '../../socket/address.ts';
import { checked, intBytes, libc, linux } from '@cloudless/kube/native/libc';
import type { BgpPeer } from '../../config/config.ts';
import { FrameReader, encodeFrame, keepaliveFrame, messageType } from '../wire/frame.ts';
import { type Incoming, parseIncoming } from '../wire/incoming.ts';
import { type Capabilities, encodeOpen } from '../wire/open.ts';
import type { ParsedUpdate } from '../wire/parse-update.ts';

/** Everything a peer can offer. */
export const allCapabilities: Capabilities = {
  families: ['ipv4', 'ipv6'],
  routeRefresh: true,
  ipv4OverIpv6: false,
  fourOctetAsn: 64513,
  gracefulRestart: { restarted: false, restartTimeSeconds: 0, families: [] },
};

/** How the test peer presents itself. */
export interface PassivePeerSettings {
  readonly asn?: number;
  readonly identifier?: string;
  readonly holdTimeSeconds?: number;
  readonly capabilities?: Capabilities | undefined;
  /** Accepts, but says nothing of itself. */
  readonly mute?: boolean;
  /** What the kernel takes in for it while it does not read. */
  readonly receiveBufferBytes?: number;
}

/** A BGP speaker that waits to be dialled and writes down what it is told. */
export interface PassivePeer {
  readonly port: number;
  /** Everything received over all connections, in order. */
  readonly received: readonly Incoming[];
  /** Routes of the present connection: prefix → the UPDATE that brought it. */
  readonly routes: ReadonlyMap<string, ParsedUpdate>;
  /** The present connection. */
  readonly socket: Socket | undefined;
  connections: number;
  /** Resolves when `done()` is true, looked at after each message and each change of a connection. */
  until(what: string, done: () => boolean): Promise<void>;
  send(bytes: Buffer): void;
  close(): Promise<void>;
}

/** Listens on loopback. */
export async function startPassivePeer(settings: PassivePeerSettings = {}): Promise<PassivePeer> {
  const asn = settings.asn ?? 64513;
  const capabilities =
    'capabilities' in settings ? settings.capabilities : { ...allCapabilities, fourOctetAsn: asn };
  const received: Incoming[] = [];
  const routes = new Map<string, ParsedUpdate>();
  const waiting = new Set<() => void>();
  const changed = (): void => [...waiting].forEach((look) => look());
  const sockets = new Set<Socket>();
  let present: Socket | undefined;
  const server: Server = createServer((socket) => {
    present = socket;
    peer.connections += 1;
    sockets.add(socket);
    routes.clear();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      if (present === socket) present = undefined;
      changed();
    });
    if (settings.mute !== true) {
      socket.write(
        encodeOpen({
          shortAsn: asn > 0xffff ? 23456 : asn,
          holdTimeSeconds: settings.holdTimeSeconds ?? 90,
          identifier: Buffer.from(addressBytes(settings.identifier ?? '192.0.2.254')).readUInt32BE(0),
          capabilities,
        }),
      );
    }
    const reader = new FrameReader();
    socket.on('data', (chunk: Buffer) => {
      for (const frame of reader.push(chunk)) {
        const message = parseIncoming(frame, capabilities?.fourOctetAsn !== undefined);
        received.push(message);
        if (message.type === 'open' && settings.mute !== true) socket.write(keepaliveFrame());
        if (message.type === 'update') learn(message.update);
      }
      changed();
    });
    changed();
  });
  const learn = (update: ParsedUpdate): void => {
    for (const prefix of update.withdrawn) routes.delete(prefix);
    for (const prefix of update.announced) routes.set(prefix, update);
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  if (settings.receiveBufferBytes !== undefined) {
    // Connections inherit it; Node neither offers it nor shows the descriptor.
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
    const size = intBytes(settings.receiveBufferBytes);
    checked(libc().setsockopt(fd, linux.SOL_SOCKET, linux.SO_RCVBUF, size, 4), 'setsockopt', 'SO_RCVBUF');
  }
  const peer: PassivePeer = {
    port: (server.address() as { port: number }).port,
    received,
    routes,
    connections: 0,
    get socket() {
      return present;
    },
    until(what, done) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          waiting.delete(look);
          const types = received.map(({ type }) => type).join(' ');
          reject(new Error(`the peer waited 10 s in vain until ${what}; it heard: ${types}`));
        }, 10_000);
        const look = (): void => {
          if (!done()) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      });
    },
    send: (bytes) => void present?.write(bytes),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return peer;
}

/** A configured peer with everything at its default. */
export function bgpPeer(overrides: Partial<BgpPeer> = {}): BgpPeer {
  return {
    name: 'router',
    myAsn: 64512,
    peerAsn: 64513,
    peerAddress: '127.0.0.1',
    peerPort: 179,
    sourceAddress: undefined,
    holdTimeSeconds: 90,
    keepaliveTimeSeconds: 30,
    connectTimeSeconds: 1,
    routerId: '192.0.2.1',
    nodeSelectors: [],
    password: undefined,
    bfdProfile: undefined,
    enableGracefulRestart: false,
    ebgpMultiHop: false,
    ...overrides,
  };
}

/** ROUTE-REFRESH for IPv4 (1) or IPv6 (2) unicast. */
export const routeRefreshFrame = (afi: 1 | 2): Buffer =>
  encodeFrame(messageType.routeRefresh, Buffer.from([0, afi, 0, 1]));
