import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer, STATUS_CODES } from '@cloudless/kube/builtin-http';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';
import { ApiError } from './api-error.ts';
import { type ApiSubject, answerApi } from './routes.ts';

export interface PowerDnsApiOptions extends ApiSubject {
  /** Addresses to listen on. Without `tls` the key goes over the wire as it is: keep to loopback, or to a pod's network. */
  readonly addresses: readonly string[];
  /** 0: any, the same on all addresses. */
  readonly port: number;
  /** What X-API-Key must be, now; undefined: nobody may. */
  readonly key: () => string | undefined;
  /** Both PEM. */
  readonly tls?: { readonly certificate: string; readonly key: string } | undefined;
  readonly log: Logger;
}

export interface PowerDnsApi extends Running {
  readonly port: number;
}

/** As PowerDNS's webserver-max-bodysize. */
const mostBodyBytes = 2 * 1024 * 1024;
const mostConnections = 200;
const requestTimeoutMs = 30_000;

/**
 * PowerDNS's HTTP API of version 1, for external-dns, lego, cert-manager and other programs that speak it. Rejects when an
 * address or port cannot be bound.
 */
export async function startPowerDnsApi(options: PowerDnsApiOptions): Promise<PowerDnsApi> {
  const servers: Server[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(
      servers.map((server) => {
        const closed = new Promise<void>((resolve) => server.close(() => resolve()));
        server.closeAllConnections();
        return closed;
      }),
    );
  };
  let { port } = options;
  try {
    for (const address of options.addresses) {
      const server = await newServer(options, (request, response) => void serve(options, request, response));
      server.maxConnections = mostConnections;
      server.requestTimeout = requestTimeoutMs;
      server.headersTimeout = requestTimeoutMs;
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, address, resolve);
      });
      servers.push(server);
      port = (server.address() as AddressInfo).port;
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, ...running(stop) };
}

async function newServer({ tls }: PowerDnsApiOptions, listener: RequestListener): Promise<Server> {
  if (!tls) return createServer(listener);
  const https = await import('node:https');
  return https.createServer({ cert: tls.certificate, key: tls.key, minVersion: 'TLSv1.2' }, listener);
}

async function serve(
  options: PowerDnsApiOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = 'GET' } = request;
  const [path = '/', query] = (request.url ?? '/').split('?', 2);
  try {
    if (!isAllowed(request.headers['x-api-key'], options.key())) {
      response.setHeader('www-authenticate', 'X-API-Key realm="PowerDNS"');
      response.writeHead(401, { 'content-type': 'text/plain; charset=utf-8' }).end('Unauthorized');
      return;
    }
    const text = await bodyOf(request);
    const { status, body } = await answerApi(options, {
      method,
      path: decoded(path),
      query: new URLSearchParams(query),
      accept: request.headers.accept ?? '',
      body: () => jsonOf(text),
      by: request.headers['user-agent']?.slice(0, 200) ?? 'PowerDNS API',
    });
    send(response, status, body);
    if (method !== 'GET') options.log.info({ method, path, status }, 'the API was used');
  } catch (error) {
    const known = error instanceof ApiError ? error : undefined;
    if (!known) options.log.error({ err: error, method, path }, 'the API failed');
    else if (method !== 'GET')
      options.log.info({ method, path, status: known.status, why: known.message }, 'the API refused');
    if (!response.headersSent) sendError(request, response, known);
    // What is left of a body that was too long is not read.
    if (known?.status === 413) request.destroy();
  }
}

/** In a time that does not tell how much of the key is right. */
function isAllowed(given: string | string[] | undefined, key: string | undefined): boolean {
  if (key === undefined || key === '' || typeof given !== 'string') return false;
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(key));
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new ApiError(400, 'Bad Request');
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > mostBodyBytes) throw new ApiError(413, 'Payload Too Large: send less than 2 MiB');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(400, 'Bad Request');
  }
}

function sendError(request: IncomingMessage, response: ServerResponse, error: ApiError | undefined): void {
  const status = error?.status ?? 500;
  const message = error?.message ?? STATUS_CODES[500];
  const isPlain = message === STATUS_CODES[status] && !request.headers.accept?.includes('application/json');
  send(response, status, isPlain ? message : { error: message });
}

function send(response: ServerResponse, status: number, body: unknown): void {
  if (body === undefined) {
    response.writeHead(status).end();
    return;
  }
  const isText = typeof body === 'string';
  response
    .writeHead(status, {
      'content-type': isText ? 'text/plain; charset=utf-8' : 'application/json',
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    })
    .end(isText ? body : JSON.stringify(body));
}
