import assert from 'node:assert/strict';
import { request } from 'node:https';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import { core } from '@cloudless/kube/resources';
import { startTestServer, type TestServer } from '../testing/test-server.ts';

let test: TestServer;
let admin: KubeClient;
before(async () => {
  test = await startTestServer();
  admin = test.server.clientFor({ name: 'admin', groups: ['system:masters'] });
});
after(() => test[Symbol.asyncDispose]());

interface List {
  kind: string;
  message?: string;
  metadata: { continue?: string };
  items: Array<{ metadata: { name: string } }>;
}

/** `DELETE` of a namespace's ConfigMaps. */
function send(namespace: string, query: string, options?: object): Promise<{ code: number; body: List }> {
  const { pki, server } = test;
  const body = options === undefined ? '' : JSON.stringify(options);
  const headers = { 'content-type': 'application/json', 'content-length': body.length };
  const path = `/api/v1/namespaces/${namespace}/configmaps${query}`;
  return new Promise((resolve, reject) => {
    const { port } = server.address;
    const sent = request(
      { ca: pki.ca, ...pki.admin, port, method: 'DELETE', path, headers, agent: false },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('end', () => resolve({ code: response.statusCode ?? 0, body: JSON.parse(text) as List }));
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

const fill = async (namespace: string, finalizers: string[] = []): Promise<void> => {
  for (const name of ['a', 'b', 'c', 'd'])
    await admin.create(core.configmaps, {
      metadata: { name, namespace, labels: { half: name < 'c' ? 'first' : 'second' }, finalizers },
    });
};
const left = async (namespace: string): Promise<string[]> =>
  (await admin.list(core.configmaps, { namespace })).items.map(({ metadata }) => metadata.name as string);
const names = ({ items }: List): string[] => items.map(({ metadata }) => metadata.name);

describe('a deletion of many', () => {
  it('answers with what it deleted, in order', async () => {
    await fill('all');
    const { code, body } = await send('all', '');
    assert.deepEqual([code, body.kind, names(body)], [200, 'ConfigMapList', ['a', 'b', 'c', 'd']]);
    assert.deepEqual(await left('all'), []);
  });

  it('goes by selectors and limits', async () => {
    await fill('some');
    await send('some', '?labelSelector=half%3Dfirst');
    assert.deepEqual(await left('some'), ['c', 'd']);
    const { body } = await send('some', '?limit=1');
    assert.deepEqual(names(body), ['c']);
    assert.ok(body.metadata.continue);
    assert.deepEqual(await left('some'), ['d']);
    await send('some', '?fieldSelector=metadata.name%3Dd');
    assert.deepEqual(await left('some'), []);
  });

  it('deletes nothing in a dry run, and nothing against its preconditions', async () => {
    await fill('dry');
    assert.equal((await send('dry', '?dryRun=All')).code, 200);
    assert.equal((await send('dry', '', { dryRun: ['All'] })).code, 200);
    const refused = await send('dry', '', { preconditions: { uid: 'another' } });
    assert.equal(refused.code, 409);
    assert.deepEqual(await left('dry'), ['a', 'b', 'c', 'd']);
  });

  it('leaves to finalizers what they hold, with the propagation that was asked for', async () => {
    await fill('held', ['example.com/hold']);
    await send('held', '', { propagationPolicy: 'Foreground' });
    const held = await admin.get(core.configmaps, 'a', { namespace: 'held' });
    assert.ok(held.metadata.deletionTimestamp);
    assert.deepEqual(held.metadata.finalizers, ['example.com/hold', 'foregroundDeletion']);
  });
});
