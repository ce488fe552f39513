import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { rbac } from '@cloudless/kube/resources';
import { type DefaultTestServer, startDefaultTestServer } from '../../testing/default-server.ts';
import { gatheredRules } from '../aggregate.ts';
import { defaultPolicy } from './default-policy.ts';

let cluster: DefaultTestServer;
before(async () => {
  cluster = await startDefaultTestServer();
});
after(() => cluster[Symbol.asyncDispose]());

/** Asks until it holds; fails after 5 s. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 5000; !(await holds()); await sleep(20))
    assert.ok(Date.now() < deadline, 'did not happen within 5 s');
}

describe('aggregated ClusterRoles', () => {
  it('start as what they gather, so that nothing is written twice', () => {
    const roles = cluster.server.caches.of(rbac.clusterroles);
    for (const wanted of defaultPolicy().clusterRoles.filter(({ aggregationRule }) => aggregationRule)) {
      const stored = roles.get('', `${wanted.metadata.name}`);
      assert.deepEqual(stored?.rules, wanted.rules, `${wanted.metadata.name}`);
      assert.deepEqual(gatheredRules(roles, wanted), wanted.rules, `${wanted.metadata.name}`);
      assert.equal(stored?.metadata.generation ?? 1, 1);
    }
  });

  it('show what is added and no longer what is taken away', async () => {
    const rule = { apiGroups: ['example.com'], resources: ['widgets'], verbs: ['get'] };
    const label = 'rbac.authorization.k8s.io/aggregate-to-view';
    const shows = (name: string) => async (): Promise<boolean> =>
      JSON.stringify((await cluster.admin.get(rbac.clusterroles, name)).rules).includes('widgets');
    await cluster.admin.create(rbac.clusterroles, {
      metadata: { name: 'widgets', labels: { [label]: 'true' } },
      rules: [rule],
    });
    for (const name of ['view', 'edit', 'admin']) await eventually(shows(name));
    await cluster.admin.delete(rbac.clusterroles, 'widgets');
    for (const name of ['view', 'edit', 'admin']) await eventually(async () => !(await shows(name)()));
  });
});
