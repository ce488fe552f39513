import type { IncomingMessage } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '@cloudless/kube/clock';
import type { Logger } from '@cloudless/kube/logger';
import type { PortTimeouts, ServerTls } from '../server/options.ts';
import type { Handler } from './handler.ts';
import { endIdleSessions } from './idle-sessions.ts';

/** How often the certificate getters are asked for something new. */
const tlsRefreshMs = 10_000;
export const defaultTimeouts: PortTimeouts = {
  handshakeMs: 10_000,
  headersMs: 32_000,
  bodyMs: 60_000,
  idleMs: 90_000,
};
/** Connections are looked over so often, or as often as the shortest timeout asks for. */
const maxSweepMs = 5_000;
const keepAliveMs = 180_000;
const maxHeaderBytes = 64 * 1024;
/** Upstream's limit (apiserver/pkg/server/secure_serving.go). */
const maxConcurrentStreams = 250;
const streamWindowBytes = 256 * 1024;
/** How long what was answered may take to leave after a stop. */
const flushMs = 1_000;
/** Clients that hear that the server goes stop opening streams within so long. */
const noticeMs = 50;
/** The largest stream identifier: nothing is refused yet (RFC 9113, 6.8). */
const lastStreamId = 2 ** 31 - 1;

/** In the order of preference. */
const spoken: readonly string[] = ['h2', 'http/1.1'];

interface TlsMaterial {
  cert: string;
  key: string;
  ca: string;
}

export interface TlsServer {
  readonly address: { host: string; port: number };
  /**
   * Refuses new connections, tells clients to go elsewhere, and closes when `idle` resolves or after `drainMs`.
   * Streams and what else would never end is cut then.
   */
  close(idle: Promise<void>, drainMs: number): Promise<void>;
}

const read = (tls: ServerTls): TlsMaterial => ({ cert: tls.cert(), key: tls.key(), ca: tls.clientCa() });

/**
 * One TLS port for HTTP/2 and HTTP/1.1 (ALPN). Client certificates are asked for and judged by authentication, not by
 * the handshake; changed certificates are taken up by new connections without a restart.
 */
export async function listenTls(options: {
  listen: { host: string; port: number };
  tls: ServerTls;
  handler: Handler;
  timeouts: PortTimeouts;
  clock: Clock;
  log: Logger;
}): Promise<TlsServer> {
  const { handler, log, clock, timeouts } = options;
  const sweepMs = Math.min(maxSweepMs, timeouts.headersMs, timeouts.bodyMs, timeouts.idleMs);
  let material = read(options.tls);
  const server = createSecureServer({
    ...material,
    allowHTTP1: true,
    // A list would be copied for each connection into Node's pool, where the few bytes keep 64 KiB.
    ALPNCallback: ({ protocols }: { protocols: string[] }) =>
      spoken.find((protocol) => protocols.includes(protocol)),
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    sessionIdContext: 'cloudless-apiserver',
    handshakeTimeout: timeouts.handshakeMs,
    // HTTP/1.1 connections.
    maxHeaderSize: maxHeaderBytes,
    keepAliveTimeout: timeouts.idleMs,
    headersTimeout: timeouts.headersMs,
    // The body's own timeout answers; this one ends connections that go on sending all the same.
    requestTimeout: timeouts.headersMs + timeouts.bodyMs,
    connectionsCheckingInterval: sweepMs,
    noDelay: true,
    // Streams and watches of clients that vanished without a word end, too (upstream: tcpKeepAliveListener).
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMs,
    settings: {
      maxConcurrentStreams,
      initialWindowSize: streamWindowBytes,
      maxHeaderListSize: maxHeaderBytes,
      enablePush: false,
    },
  } as Parameters<typeof createSecureServer>[0]);
  const connections = track(server, { clock, log, idleMs: timeouts.idleMs, sweepMs });
  server.on('request', (request: Http2ServerRequest, response: Http2ServerResponse) => {
    handler.handle(request, response).catch((error: unknown) => {
      log.error({ err: error }, 'a request could not even be refused');
      response.destroy();
    });
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    handler.upgrade(request, socket, head).catch((error: unknown) => {
      log.error({ err: error }, 'an upgrade could not even be refused');
      socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.listen.port, options.listen.host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  server.on('error', (error) => log.error({ err: error }, 'the API server port failed'));
  let timer = clock.setTimeout(refresh, tlsRefreshMs);
  function refresh(): void {
    try {
      const next = read(options.tls);
      if (next.cert !== material.cert || next.key !== material.key || next.ca !== material.ca) {
        server.setSecureContext({ ...next, minVersion: 'TLSv1.2', sessionIdContext: 'cloudless-apiserver' });
        material = next;
        log.info('serving with changed certificates');
      }
    } catch (error) {
      log.error({ err: error }, 'changed certificates cannot be used, keeping the old ones');
    }
    timer = clock.setTimeout(refresh, tlsRefreshMs);
  }
  const { port } = server.address() as AddressInfo;
  return {
    address: { host: options.listen.host, port },
    async close(idle, drainMs) {
      timer.cancel();
      await connections.close(clock, idle, drainMs);
    },
  };
}

/** Keeps account of connections, so that a stop ends them. */
function track(
  server: Http2SecureServer,
  options: { clock: Clock; log: Logger; idleMs: number; sweepMs: number },
) {
  const { log } = options;
  const sessions = new Set<ServerHttp2Session>();
  const idleSessions = endIdleSessions(options);
  const sockets = new Set<Socket>();
  /** Connections that became something else than HTTP: exec, attach, portforward. */
  const upgraded = new Set<Duplex>();
  server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => {
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
  });
  server.on('session', (session) => {
    sessions.add(session);
    idleSessions.watch(session);
    session.on('error', (error) => log.debug({ err: error }, 'a connection broke'));
    session.once('close', () => sessions.delete(session));
  });
  server.on('secureConnection', (socket) => {
    sockets.add(socket);
    socket.on('error', (error) => log.debug({ err: error }, 'a connection broke'));
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', (error) => log.debug({ err: error }, 'TLS handshake failed'));
  server.on('sessionError', (error) => log.debug({ err: error }, 'an HTTP/2 session failed'));
  // Idle HTTP/1.1 connections would hold the server open.
  const closeIdle = (): void =>
    (server as unknown as { closeIdleConnections?: () => void }).closeIdleConnections?.();
  return {
    async close(clock: Clock, idle: Promise<void>, drainMs: number): Promise<void> {
      idleSessions.stop();
      const busy = [...sessions].filter((session) => !session.closed);
      for (const session of busy) session.goaway(0, lastStreamId);
      if (busy.length > 0) await within(clock, noticeMs, new Promise(() => {}));
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      closeIdle();
      await within(clock, drainMs, idle);
      for (const session of sessions) session.close();
      for (const socket of upgraded) socket.destroy();
      closeIdle();
      await within(clock, flushMs, closed);
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Waits for `done`, but no longer than this. */
async function within(clock: Clock, ms: number, done: Promise<unknown>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = clock.setTimeout(late.resolve, ms);
  await Promise.race([done, late.promise]);
  timer.cancel();
}
