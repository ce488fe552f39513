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
  /** What else is served, by path: values that become JSON. They get what stands behind the question mark. */
  pages?: Readonly<Record<string, (query: URLSearchParams) => unknown>> | undefined;
}

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
    const page = Object.hasOwn(sources.pages ?? {}, path ?? '') ? sources.pages?.[path ?? ''] : undefined;
    if (page) {
      response
        .setHeader('content-type', 'application/json')
        .end(JSON.stringify(page(new URLSearchParams(query))));
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
