import assert from 'node:assert/strict';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { freePort } from '@cloudless/kube/testing/free-port';
import { type HealthChecks, startHealthChecks } from './health-check.ts';

interface Answer {
  status: number | string;
  weight?: string | string[] | undefined;
  body: string;
}

const ask = (port: number): Promise<Answer> =>
  new Promise((resolve) => {
    get({ host: '127.0.0.1', port, path: '/any', agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          weight: response.headers['x-load-balancing-endpoint-weight'],
          body,
        }),
      );
    }).on('error', (error: NodeJS.ErrnoException) => resolve({ status: error.code ?? '', body: '' }));
  });

/** A server on a port that is free now, and its number. */
async function taken(): Promise<{ port: number; server: Server }> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return { port: (server.address() as AddressInfo).port, server };
}
const end = (server: Server): Promise<unknown> => new Promise((resolve) => server.close(resolve));

describe('health checks for load balancers', () => {
  const failures: string[] = [];
  const clock = new FakeClock();
  let healthy = true;
  let checks: HealthChecks;
  const start = (): void => {
    failures.length = 0;
    healthy = true;
    checks = startHealthChecks({
      addresses: ['127.0.0.1'],
      isHealthy: () => healthy,
      onFailure: (owner, message) => failures.push(`${owner} ${message}`),
      clock,
      log: logger('health-check-test'),
    });
  };
  afterEach(() => checks.stop());

  it('answer as upstream does', async () => {
    start();
    const port = await freePort();
    checks.set('shop/web', { port, localEndpoints: 2 });
    await checks.settled();
    assert.deepEqual(await ask(port), {
      status: 200,
      weight: '2',
      body: '{\n\t"service": {\n\t\t"namespace": "shop",\n\t\t"name": "web"\n\t},\n\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}',
    });
    checks.set('shop/web', { port, localEndpoints: 0 });
    assert.deepEqual([(await ask(port)).status, (await ask(port)).weight], [503, '0']);
    checks.set('shop/web', { port, localEndpoints: 1 });
    healthy = false;
    assert.match((await ask(port)).body, /"serviceProxyHealthy": false/);
    assert.equal((await ask(port)).status, 503);
  });

  it('close with their Service, and move with its port', async () => {
    start();
    const [first, second] = [await freePort(), await freePort()];
    checks.set('shop/web', { port: first, localEndpoints: 1 });
    checks.set('shop/web', { port: second, localEndpoints: 1 });
    await checks.settled();
    assert.deepEqual([(await ask(first)).status, (await ask(second)).status], ['ECONNREFUSED', 200]);
    checks.set('shop/web', undefined);
    await checks.settled();
    assert.equal((await ask(second)).status, 'ECONNREFUSED');
  });

  it('one whose port is taken is reported once and tried again; the others go on', async () => {
    start();
    const { port, server } = await taken();
    const other = await freePort();
    checks.set('shop/web', { port, localEndpoints: 1 });
    checks.set('shop/other', { port: other, localEndpoints: 1 });
    await checks.settled();
    assert.match(failures.join('\n'), new RegExp(`^shop/web port ${port}: listen EADDRINUSE[^\n]*$`));
    assert.equal((await ask(other)).status, 200);
    clock.advance(10_000);
    await checks.settled();
    assert.equal(failures.length, 1);
    await end(server);
    clock.advance(10_000);
    await checks.settled();
    assert.equal((await ask(port)).status, 200);
  });

  it('end with the agent', async () => {
    start();
    const port = await freePort();
    checks.set('shop/web', { port, localEndpoints: 1 });
    await checks.stop();
    assert.equal((await ask(port)).status, 'ECONNREFUSED');
  });
});
