import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from './builtin-http.ts';
import { type Running, running } from './lifecycle.ts';

export interface HealthSources {
  port: number;
  /** Address to listen on. Default: loopback. */
  host?: string | undefined;
  isReady(): boolean;
  /** What `/readyz` says while it is not. */
  notReady: string;
  /** Prometheus text of each part that is served here. */
  metrics: ReadonlyArray<() => string | Promise<string>>;
  /**
   * What else is served, by path: values that become JSON. They get what stands behind the question mark; an
   * error that they throw is a mistake in it (400).
   */
  pages?: Readonly<Record<string, (query: URLSearchParams) => unknown>> | undefined;
  /**
   * Lines for as long as a client listens, by path; the function that is returned ends them. For programs on this machine
   * alone: they may tell of others what metrics do not.
   */
  streams?: Readonly<Record<string, LineSource>> | undefined;
}

/** Hands out lines, without their ends, until the function that it returns is called. */
export type LineSource = (query: URLSearchParams, write: (line: string) => void) => () => void;

/** Bytes that a client of a stream may be behind; what comes meanwhile is left out. */
const streamBehindBytes = 1 << 20;

/** `/healthz`, `/livez`, `/readyz`, `/metrics` and the pages. Rejects when the port cannot be bound. */
export async function serveHealth(sources: HealthSources): Promise<Running> {
  const server = createServer((request, response) => {
    const [path, query] = (request.url ?? '').split('?', 2);
    if (path === '/metrics') {
      void Promise.all(sources.metrics.map(async (text) => await text())).then(
        (texts) =>
          response
            .setHeader('content-type', 'text/plain; version=0.0.4; charset=utf-8')
            .end(texts.join('\n')),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
      return;
    }
    const page = own(sources.pages, path);
    const stream = own(sources.streams, path);
    if (page || stream) {
      const search = new URLSearchParams(query);
      try {
        if (page) servePage(page(search), response);
        else if (stream) serveLines(stream, search, request, response);
      } catch (error) {
        response.writeHead(400).end(error instanceof Error ? error.message : String(error));
      }
      return;
    }
    const known = path === '/healthz' || path === '/livez' || path === '/readyz';
    const ok = known && (path !== '/readyz' || sources.isReady());
    response.statusCode = ok ? 200 : known ? 503 : 404;
    response.end(ok ? 'ok' : known ? sources.notReady : 'not found');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(sources.port, sources.host ?? '127.0.0.1', resolve);
  });
  return running(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  });
}

function own<T>(table: Readonly<Record<string, T>> | undefined, key: string | undefined): T | undefined {
  return table && key !== undefined && Object.hasOwn(table, key) ? table[key] : undefined;
}

function servePage(value: unknown, response: ServerResponse): void {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
}

function serveLines(
  source: LineSource,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (!/^(::ffff:)?127\.|^::1$/.test(request.socket.remoteAddress ?? '')) {
    response.writeHead(403).end('for programs on this machine alone');
    return;
  }
  const end = source(query, (line) => {
    if (response.writableLength < streamBehindBytes) response.write(`${line}\n`);
  });
  response.setHeader('content-type', 'application/jsonl; charset=utf-8').flushHeaders();
  response.once('close', end);
}
