import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createHttpServer, STATUS_CODES } from '@cloudless/kube/builtin-http';
import type { KubeClient } from '@cloudless/kube/client/client';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { running, type Running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import type { Pod } from '@cloudless/kube/types/core-v1';
import type { CriRuntime } from '../cri/runtime.ts';
import { KubeletAuth } from './auth.ts';
import type { ServingCertificate } from './certificate.ts';
import { HttpError } from './http-error.ts';
import { servePodStream } from './pod-streams.ts';
import { makeRoutes, type Routes, streamOf } from './routes.ts';

const keepAliveMs = 180_000;

/** The pods of this node, as the kubelet's core knows them. */
export interface KubeletPods {
  /** Every pod with its current status; a static pod as its mirror shows it. */
  list(): readonly Pod[];
  find(namespace: string, name: string): Pod | undefined;
}

export interface KubeletServerOptions {
  nodeName: string;
  /** Address to listen on; all by default. */
  address?: string | undefined;
  port: number;
  /** Loopback port of the plain `/healthz`; none when undefined. */
  healthzPort?: number | undefined;
  certificate: ServingCertificate;
  /** PEM of the CA whose client certificates are believed. */
  clientCa: string | Buffer;
  /** For reviews of tokens and access. Absent: nobody but the health check is served. */
  client?: KubeClient | undefined;
  cri: CriRuntime;
  pods: KubeletPods;
  /** A folder on the file system of the pods' volumes, for `/stats/summary`. */
  statsFolder: string;
  /** What is wrong with the kubelet, in a sentence; undefined when it is well. */
  unhealthy?: (() => string | undefined) | undefined;
  /** Text of `/metrics`. */
  metrics?: (() => Promise<string>) | undefined;
  /** What `/configz` shows under `kubeletconfig`. */
  configuration?: object | undefined;
  clock?: Clock | undefined;
  log: Logger;
  signal?: AbortSignal | undefined;
}

export interface KubeletServer extends Running {
  /** The port it listens on, also when 0 was asked for. */
  readonly port: number;
  readonly healthzPort: number | undefined;
}

/**
 * The kubelet's HTTPS API (upstream: pkg/kubelet/server): logs, exec, attach, port-forward, run, pods, statistics.
 * Everything is authenticated and authorized by the API server; nothing is open but `/healthz` on the loopback.
 */
export async function startKubeletServer(options: KubeletServerOptions): Promise<KubeletServer> {
  const clock = options.clock ?? systemClock;
  const auth = new KubeletAuth({ nodeName: options.nodeName, client: options.client, clock });
  const routes = makeRoutes({ ...options, clock });
  const { cert, key } = options.certificate.current();
  const server = createServer({
    cert,
    key,
    ca: options.clientCa,
    requestCert: true,
    // A foreign certificate gets a 401 that says so, not a broken handshake.
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    // Streams whose other side vanished without a word end, too.
    keepAlive: true,
    keepAliveInitialDelay: keepAliveMs,
  });
  const unsubscribe = options.certificate.onChange((next) =>
    server.setSecureContext({ ...next, ca: options.clientCa, minVersion: 'TLSv1.2' }),
  );
  const upgraded = new Set<Duplex>();
  server.on('request', (request, response) => {
    void serve({ request, response, auth, routes, log: options.log });
  });
  server.on('upgrade', (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
    void serveUpgrade({ incoming, socket, head, auth, options });
  });
  const healthz = options.healthzPort === undefined ? undefined : healthServer(options);
  try {
    server.listen(options.port, options.address);
    await listening(server, options.port);
    healthz?.listen(options.healthzPort, '127.0.0.1');
    if (healthz) await listening(healthz, options.healthzPort ?? 0);
  } catch (error) {
    unsubscribe();
    server.close();
    healthz?.close();
    throw error;
  }
  const port = (server.address() as AddressInfo).port;
  options.log.info({ port }, "the kubelet's API listens");
  const handle = running(async () => {
    unsubscribe();
    for (const socket of upgraded) socket.destroy();
    const servers = healthz ? [server, healthz] : [server];
    await Promise.all(
      servers.map(async (each) => {
        const closed = once(each, 'close');
        each.close();
        each.closeAllConnections();
        await closed;
      }),
    );
  });
  options.signal?.addEventListener('abort', () => void handle.stop(), { once: true });
  return {
    ...handle,
    port,
    healthzPort: healthz ? (healthz.address() as AddressInfo).port : undefined,
  };
}

async function listening(server: NetServer, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error): void => {
      const taken = 'code' in error && error.code === 'EADDRINUSE';
      reject(
        taken
          ? new Error(
              `port ${port} of the kubelet is taken by another process (ss -tlnp 'sport = :${port}' shows it): stop that, or choose another port`,
              { cause: error },
            )
          : error,
      );
    };
    server.once('error', failed);
    server.once('listening', () => {
      server.off('error', failed);
      resolve();
    });
  });
}

function healthServer(options: KubeletServerOptions): ReturnType<typeof createHttpServer> {
  return createHttpServer((request, response) => {
    if (request.url?.split('?')[0] !== '/healthz')
      return end(response, new HttpError(404, '404 page not found\n'));
    const wrong = options.unhealthy?.();
    response.writeHead(wrong === undefined ? 200 : 500, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(wrong ?? 'ok');
  });
}

function end(response: ServerResponse, error: HttpError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.writeHead(error.status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(error.message);
}

function httpError(error: unknown, log: Logger, path: string): HttpError {
  if (error instanceof HttpError) return error;
  const message = error instanceof Error ? error.message : String(error);
  log.error({ path, error: message }, "a request to the kubelet's API failed");
  return new HttpError(500, message, error);
}

async function serve(call: {
  request: IncomingMessage;
  response: ServerResponse;
  auth: KubeletAuth;
  routes: Routes;
  log: Logger;
}): Promise<void> {
  const { request, response } = call;
  const url = new URL(request.url ?? '/', 'https://kubelet');
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  try {
    await call.auth.check(request, url.pathname);
    await call.routes({ request, response, url, signal: gone.signal });
  } catch (error) {
    if (gone.signal.aborted) return;
    end(response, httpError(error, call.log, url.pathname));
  }
}

async function serveUpgrade(call: {
  incoming: IncomingMessage;
  socket: Duplex;
  head: Buffer;
  auth: KubeletAuth;
  options: KubeletServerOptions;
}): Promise<void> {
  const { incoming, socket, options } = call;
  socket.on('error', () => socket.destroy());
  const url = new URL(incoming.url ?? '/', 'https://kubelet');
  try {
    await call.auth.check(incoming, url.pathname);
    const request = streamOf(url, options.pods);
    await servePodStream({ cri: options.cri, request, incoming, socket, head: call.head });
  } catch (error) {
    const { status, message } = httpError(error, options.log, url.pathname);
    if (socket.destroyed) return;
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\ncontent-type: text/plain; charset=utf-8\r\n` +
        `content-length: ${Buffer.byteLength(message)}\r\nconnection: close\r\n\r\n${message}`,
    );
  }
}
