import { createServer } from 'node:http';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';

/** Where the parts of the control plane that have no port of their own tell how they are. */
export interface HealthSources {
  /** Resolves to true when every part works. */
  isReady(): boolean;
  /** Prometheus text of each part. */
  metrics: ReadonlyArray<() => string | Promise<string>>;
}

/**
 * `/healthz`, `/livez`, `/readyz` and `/metrics` of datastore, scheduler and controllers on loopback (the API server's own
 * are behind its port). A port that is taken costs only this: it is logged, and the control plane goes on.
 */
export async function serveControlPlaneHealth(
  port: number,
  sources: HealthSources,
  log: Logger,
): Promise<Running> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
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
    const known = path === '/healthz' || path === '/livez' || path === '/readyz';
    const ok = known && (path !== '/readyz' || sources.isReady());
    response.statusCode = ok ? 200 : known ? 503 : 404;
    response.end(ok ? 'ok' : known ? 'the first objects are being written' : 'not found');
  });
  const listening = await new Promise<boolean>((resolve) => {
    server.once('error', (error) => {
      log.warn({ port, err: error.message }, 'health and metrics of the control plane are not served');
      resolve(false);
    });
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  return running(async () => {
    if (!listening) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  });
}
