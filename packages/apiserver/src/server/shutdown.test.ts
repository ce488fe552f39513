import assert from 'node:assert/strict';
import { Agent, request } from 'node:https';
import { describe, it } from 'node:test';
import { core } from '@cloudless/kube/resources';
import { startTestServer, type TestServer } from '../testing/test-server.ts';

interface Answer {
  code: number;
  body: string;
  connection: string | undefined;
}

/** One request over HTTP/1.1. */
function send(test: TestServer, agent: Agent, method: string, path: string, body = ''): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { port } = test.server.address;
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const sent = request({ agent, host: '127.0.0.1', port, method, path, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () =>
        resolve({ code: response.statusCode ?? 0, body: text, connection: response.headers.connection }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const agentOf = ({ pki }: TestServer): Agent => new Agent({ ca: pki.ca, ...pki.admin, keepAlive: true });

describe('the end of a server', () => {
  it('is told by /readyz while everything is served on, then nobody is let in', async () => {
    const test = await startTestServer({ shutdownDelayMs: 400 });
    const agent = agentOf(test);
    await test.server.ready;
    assert.equal((await send(test, agent, 'GET', '/readyz')).code, 200);
    const stopped = test.server.stop();
    const ready = await send(test, agent, 'GET', '/readyz');
    assert.equal(ready.code, 500);
    assert.match(ready.body, /^\[-\]shutdown failed: reason withheld$/m);
    assert.equal((await send(test, agent, 'GET', '/livez')).code, 200);
    const body = JSON.stringify({ metadata: { name: 'late' } });
    assert.equal((await send(test, agent, 'POST', '/api/v1/namespaces/n/configmaps', body)).code, 201);
    await stopped;
    await assert.rejects(send(test, agent, 'GET', '/livez'), /ECONNREFUSED|ECONNRESET|hang up/);
    test.pki.remove();
  });

  it('waits for what is under way, ends watches, and closes its connections', async () => {
    const entered = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const test = await startTestServer({
      admission: () => [
        {
          name: 'Slow',
          handles: (operation) => operation === 'CREATE',
          async validate() {
            entered.resolve();
            await release.promise;
          },
        },
      ],
    });
    const agent = agentOf(test);
    const watch = send(test, agent, 'GET', '/api/v1/configmaps?watch=1');
    const body = JSON.stringify({ metadata: { name: 'slow' } });
    const creating = send(test, agent, 'POST', '/api/v1/namespaces/n/configmaps', body);
    await entered.promise;
    const stopped = test.server.stop();
    assert.equal((await watch).code, 200);
    release.resolve();
    const { code, connection } = await creating;
    assert.deepEqual([code, connection], [201, 'close']);
    await stopped;
    test.pki.remove();
  });

  it('does not wait longer than it may', async () => {
    const entered = Promise.withResolvers<void>();
    const test = await startTestServer({
      drainMs: 100,
      admission: () => [
        {
          name: 'Stuck',
          handles: () => true,
          validate: () => (entered.resolve(), new Promise<void>(() => {})),
        },
      ],
    });
    const agent = agentOf(test);
    const stuck = send(test, agent, 'POST', '/api/v1/namespaces/n/configmaps', '{"metadata":{"name":"x"}}');
    stuck.catch(() => {});
    await entered.promise;
    await test.server.stop();
    await assert.rejects(stuck);
    test.pki.remove();
  });

  it('costs nothing when nothing is under way', async () => {
    const test = await startTestServer();
    const client = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
    await client.list(core.configmaps);
    const begunMs = performance.now();
    await test.server.stop();
    assert.ok(performance.now() - begunMs < 500);
    test.pki.remove();
  });
});
