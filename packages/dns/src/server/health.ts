import { createServer } from 'node:http';
import type { Registry } from 'prom-client';
import { type Running, running } from '@cloudless/kube/lifecycle';

/** `/healthz`, `/livez`, `/readyz` and `/metrics` on loopback. */
export async function serveHealth(
  port: number,
  isReady: () => boolean,
  registry: Registry,
): Promise<Running> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (path === '/metrics') {
      void registry.metrics().then(
        (text) => response.setHeader('content-type', registry.contentType).end(text),
        (error: unknown) => response.writeHead(500).end(String(error)),
      );
      return;
    }
    const known = path === '/healthz' || path === '/livez' || path === '/readyz';
    const ok = known && (path !== '/readyz' || isReady());
    response.statusCode = ok ? 200 : known ? 503 : 404;
    response.end(ok ? 'ok' : known ? 'the first sync is not done' : 'not found');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return running(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  });
}
