import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Resource } from '@cloudless/kube/object';
import { apiregistration } from '@cloudless/kube/resources';
import { startTestServer } from '../testing/test-server.ts';

const code = (promise: Promise<unknown>): Promise<number | undefined> =>
  promise.then(
    () => undefined,
    (error: { code?: number }) => error.code,
  );

describe('a group that another server has', () => {
  it('is unavailable once it is registered, and unknown before', async () => {
    await using test = await startTestServer();
    const client = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
    const group = 'metrics.example.com';
    const foreign: Resource = { group, version: 'v1', plural: 'things', kind: 'Thing', namespaced: false };
    assert.equal(await code(client.get(foreign, 'x')), 404);
    const spec = { group, version: 'v1', groupPriorityMinimum: 1, versionPriority: 1 };
    const service = { namespace: 'default', name: 'metrics' };
    const metadata = { name: `v1.${group}` };
    await client.create(apiregistration.apiservices, { metadata, spec: { ...spec, service } });
    const answered = Date.now() + 5000;
    let last = await code(client.get(foreign, 'x'));
    // The registration is read from a cache.
    while (last === 404 && Date.now() < answered) {
      await new Promise((resolve) => setImmediate(resolve));
      last = await code(client.get(foreign, 'x'));
    }
    assert.equal(last, 503);
    assert.equal(await code(client.get({ ...foreign, version: 'v2' }, 'x')), 404);
  });

  it('may be a group of this server, which is there from the start', async () => {
    await using test = await startTestServer();
    const client = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
    const spec = { group: 'local.example.com', version: 'v1', groupPriorityMinimum: 1, versionPriority: 1 };
    const metadata = { name: 'v1.local.example.com' };
    const { status } = await client.create(apiregistration.apiservices, { metadata, spec });
    assert.equal(status?.conditions?.[0]?.reason, 'Local');
    const named = client.create(apiregistration.apiservices, { metadata: { name: 'v2.x' }, spec });
    await assert.rejects(named, /must be `spec.version\+"."\+spec.group`: "v1.local.example.com"/);
  });
});
