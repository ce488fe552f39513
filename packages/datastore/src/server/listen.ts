import { chmodSync, existsSync, statSync, unlinkSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import type { Logger } from '@cloudless/kube/logger';
import type { TlsMaterial } from './tls.ts';

export type ListenAddress = { host: string; port: number } | { path: string };

/** Says what to do about an address that cannot be listened on. */
export class ListenError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'ListenError';
  }
}

/** A connection says within so long what it speaks. */
const helloMs = 10_000;
/** Watches of clients that vanished without a word end, too. */
const keepAlive = { keepAlive: true, keepAliveInitialDelay: 60_000 } as const;
/** How every HTTP/2 connection begins (RFC 9113, 3.4); no HTTP/1.1 method does. */
const preface = Buffer.from('PRI * HTTP/2.0\r\n');

export interface Port {
  readonly address: ListenAddress;
  /** New connections get these certificates. */
  renew(material: TlsMaterial): void;
  /** Refuses new connections. */
  close(): void;
  /** Cuts what is still connected. */
  destroy(): void;
}

export interface PortOptions {
  listen: ListenAddress;
  tls: TlsMaterial | undefined;
  /** A connection that speaks HTTP/2, by ALPN or by its preface. */
  http2: (socket: Socket) => void;
  /** Any other one. */
  http1: (socket: Socket) => void;
  log: Logger;
}

/** One port for HTTP/2 and HTTP/1.1, with TLS or without. @throws ListenError */
export async function openPort({ listen, tls, http2, http1, log }: PortOptions): Promise<Port> {
  const sockets = new Set<Socket>();
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', (error) => log.debug({ err: error }, 'a connection broke'));
  };
  const secure = tls === undefined ? undefined : secureServer(tls, log);
  secure?.on('secureConnection', (socket: TLSSocket) => {
    track(socket);
    if (socket.alpnProtocol === 'h2') http2(socket);
    else http1(socket);
  });
  const server: Server = secure ?? createServer({ noDelay: true, ...keepAlive });
  server.on('connection', (socket: Socket) => {
    track(socket);
    if (secure === undefined) sniff(socket, (speaksHttp2) => (speaksHttp2 ? http2 : http1)(socket));
  });
  await bind(server, listen);
  server.on('error', (error) => log.error({ err: error }, 'the datastore port failed'));
  return {
    address: 'path' in listen ? listen : { host: listen.host, port: (server.address() as AddressInfo).port },
    renew: (material) => secure?.setSecureContext(contextOf(material)),
    close: () => server.close(),
    destroy() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

const contextOf = ({ cert, key, ca }: TlsMaterial): object => ({
  cert,
  key,
  ...(ca === undefined ? {} : { ca }),
  minVersion: 'TLSv1.2',
  sessionIdContext: 'cloudless-datastore',
});

function secureServer(material: TlsMaterial, log: Logger): TlsServer {
  const server = createTlsServer({
    ...contextOf(material),
    ALPNProtocols: ['h2', 'http/1.1'],
    requestCert: material.ca !== undefined,
    rejectUnauthorized: material.ca !== undefined,
    handshakeTimeout: helloMs,
    noDelay: true,
    ...keepAlive,
  });
  server.on('tlsClientError', (error) => log.debug({ err: error }, 'a TLS handshake failed'));
  return server;
}

/** Looks at the first bytes and puts them back. */
function sniff(socket: Socket, decide: (speaksHttp2: boolean) => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), helloMs);
  const ended = (): void => {
    clearTimeout(timer);
    socket.off('data', look);
    socket.destroy();
  };
  const look = (chunk: Buffer): void => {
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.length, preface.length);
    const speaksHttp2 = seen.subarray(0, length).equals(preface.subarray(0, length));
    if (speaksHttp2 && length < preface.length) return;
    clearTimeout(timer);
    socket.off('data', look);
    socket.off('close', ended);
    socket.off('end', ended);
    socket.pause();
    socket.unshift(seen);
    decide(speaksHttp2);
    // HTTP/2 took what was put back; HTTP/1.1 waits for it to flow.
    if (!speaksHttp2) socket.resume();
  };
  socket.on('data', look);
  socket.once('end', ended);
  socket.once('close', ended);
}

async function bind(server: Server, listen: ListenAddress): Promise<void> {
  if ('path' in listen) await removeStale(listen.path);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explain(listen, error)));
    const listening = (): void => {
      server.removeAllListeners('error');
      resolve();
    };
    if ('path' in listen) server.listen(listen.path, listening);
    else server.listen(listen.port, listen.host, listening);
  });
  if ('path' in listen) chmodSync(listen.path, 0o600);
}

/** A socket that a killed server left is no obstacle; one that answers is. */
async function removeStale(path: string): Promise<void> {
  if (!existsSync(path)) return;
  if (!statSync(path).isSocket())
    throw new ListenError(`${path} exists and is no socket: give --listen-address another path`, undefined);
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    }).once('error', () => resolve(false));
  });
  if (answers) throw new ListenError(`${path} is in use: another server listens there`, undefined);
  unlinkSync(path);
}

function explain(listen: ListenAddress, error: NodeJS.ErrnoException): ListenError {
  const name = 'path' in listen ? listen.path : `${listen.host}:${listen.port}`;
  const why: Record<string, string> = {
    EADDRINUSE: 'is in use: stop what listens there (ss -ltnp shows it), or choose another address',
    EADDRNOTAVAIL: 'is no address of this machine: choose one that `ip address` shows, or 0.0.0.0',
    EACCES: 'may not be used by this user: choose a port from 1024 on, or a folder that can be written',
    ENOTFOUND: 'is no known host name',
    ENOENT: 'cannot be made: its folder does not exist',
  };
  return new ListenError(
    `${name} ${why[error.code ?? ''] ?? `cannot be listened on: ${error.message}`}`,
    error,
  );
}
