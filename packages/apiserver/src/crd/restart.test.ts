import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import type { StatusError } from '@cloudless/kube/status';
import { MemoryStore } from '../testing/memory-store.ts';
import { startTestServer, type TestServer } from '../testing/test-server.ts';
import { crds, define, definitionOf, established, resourceOf } from './testing.ts';

const namespace = 'default';
const clientOf = ({ server }: TestServer): KubeClient =>
  server.clientFor({ name: 'admin', groups: ['system:masters', 'system:authenticated'] });

// Two servers over one store, and one that comes later.
describe('custom resources of several servers', () => {
  const store = new MemoryStore();
  const running: TestServer[] = [];
  const start = async (): Promise<KubeClient> => {
    const test = await startTestServer({ store });
    running.push(test);
    return clientOf(test);
  };
  let first: KubeClient;
  let second: KubeClient;
  before(async () => {
    [first, second] = [await start(), await start()];
  });
  after(async () => {
    for (const test of running) await test[Symbol.asyncDispose]();
  });
  const kites = resourceOf('kites');

  it('are served by all of them, whichever was told', async () => {
    await define(first, definitionOf('kites', { type: 'object', properties: { tail: { type: 'string' } } }));
    await established(second, 'kites.example.com');
    await second.create(kites, { metadata: { name: 'a', namespace }, spec: { tail: 'x', junk: 1 } });
    const { items } = await first.list(kites, { namespace });
    assert.deepEqual(
      items.map((each) => each['spec']),
      [{ tail: 'x' }],
    );
  });

  it('are there when a server is ready', async () => {
    const test = await startTestServer({ store });
    running.push(test);
    await test.server.ready;
    const third = clientOf(test);
    assert.equal((await third.get(kites, 'a', { namespace })).metadata.name, 'a');
    assert.match(await third.raw('GET', '/apis'), /example\.com/);
  });

  it('are told to come again, not that they are unknown, before that', async () => {
    const test = await startTestServer({ store });
    running.push(test);
    const early = clientOf(test);
    try {
      await early.get(kites, 'a', { namespace });
    } catch (error) {
      assert.equal((error as StatusError).code, 503);
    }
    await test.server.ready;
    await early.get(kites, 'a', { namespace });
  });

  it('go everywhere', async () => {
    await second.delete(crds, 'kites.example.com');
    for (const client of [first, second]) {
      for (;;) {
        const found = await client.list(kites, { namespace }).catch((error: StatusError) => error.code);
        if (found === 404) break;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  });
});
