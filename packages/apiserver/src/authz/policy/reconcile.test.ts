import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { rbac } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { MemoryCaches } from '../../testing/memory-caches.ts';
import { gatheredRules } from '../aggregate.ts';
import { defaultPolicy } from './default-policy.ts';
import { reconcileDefaultPolicy } from './reconcile.ts';

/** A cluster that counts what is written to it. */
function counting() {
  const cluster = new FakeCluster();
  const writes: string[] = [];
  cluster.intercept((call) => {
    if (!['get', 'list', 'watch'].includes(call.verb)) writes.push(`${call.verb} ${call.resource.plural}`);
    return undefined;
  });
  return { cluster, writes, client: cluster.client };
}

describe('the default policy', () => {
  it('has upstream’s roles, kubeadm’s and ours, each name once', () => {
    const { clusterRoles, clusterRoleBindings } = defaultPolicy();
    const names = clusterRoles.map(({ metadata }) => metadata.name);
    assert.equal(new Set(names).size, names.length);
    for (const name of [
      'cluster-admin',
      'admin',
      'edit',
      'view',
      'system:node',
      'system:controller:deployment-controller',
      'cloudless:dns',
    ])
      assert.ok(names.includes(name), name);
    for (const { roleRef } of clusterRoleBindings) assert.ok(names.includes(roleRef.name), roleRef.name);
  });

  it('gives no part of ours a Secret', () => {
    for (const role of defaultPolicy().clusterRoles.filter(({ metadata }) =>
      metadata.name?.startsWith('cloudless:'),
    ))
      for (const { resources } of role.rules ?? [])
        assert.ok(!resources?.some((name) => name === 'secrets' || name === '*'));
  });
});

describe('reconciling it', () => {
  it('creates everything at first, and writes nothing the second time', async () => {
    const { client, writes } = counting();
    await reconcileDefaultPolicy(client);
    assert.equal((await client.list(rbac.clusterroles)).items.length, defaultPolicy().clusterRoles.length);
    assert.equal((await client.list(rbac.rolebindings)).items.length, defaultPolicy().roleBindings.length);
    writes.length = 0;
    await reconcileDefaultPolicy(client);
    assert.deepEqual(writes, []);
  });

  it('puts back what was taken away, keeps what was added, leaves the protected alone', async () => {
    const { client } = counting();
    await reconcileDefaultPolicy(client);
    const discovery = structuredClone(await client.get(rbac.clusterroles, 'system:discovery'));
    discovery.rules = [{ nonResourceURLs: ['/mine'], verbs: ['get'] }];
    await client.update(rbac.clusterroles, discovery);
    const basic = structuredClone(await client.get(rbac.clusterroles, 'system:basic-user'));
    basic.rules = [];
    basic.metadata.annotations = { 'rbac.authorization.kubernetes.io/autoupdate': 'false' };
    await client.update(rbac.clusterroles, basic);
    const monitoring = structuredClone(await client.get(rbac.clusterrolebindings, 'system:monitoring'));
    monitoring.subjects = [{ kind: 'User', name: 'me' }];
    await client.update(rbac.clusterrolebindings, monitoring);

    await reconcileDefaultPolicy(client);
    const rules = (await client.get(rbac.clusterroles, 'system:discovery')).rules ?? [];
    const urls = rules.flatMap(({ nonResourceURLs }) => nonResourceURLs ?? []);
    assert.ok(urls.includes('/mine') && urls.includes('/apis/*') && urls.includes('/version'));
    assert.deepEqual((await client.get(rbac.clusterroles, 'system:basic-user')).rules, []);
    const { subjects } = await client.get(rbac.clusterrolebindings, 'system:monitoring');
    assert.deepEqual(
      subjects?.map(({ name }) => name),
      ['me', 'system:monitoring'],
    );
  });

  it('makes a binding to another role anew', async () => {
    const { client } = counting();
    await reconcileDefaultPolicy(client);
    await client.delete(rbac.clusterrolebindings, 'system:monitoring');
    await client.create(rbac.clusterrolebindings, {
      metadata: { name: 'system:monitoring' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ kind: 'Group', name: 'system:monitoring' }],
    });
    await reconcileDefaultPolicy(client);
    assert.equal(
      (await client.get(rbac.clusterrolebindings, 'system:monitoring')).roleRef.name,
      'system:monitoring',
    );
  });
});

describe('aggregated ClusterRoles', () => {
  it('start as what they gather, so that no controller has to write them again', () => {
    const caches = new MemoryCaches();
    const { clusterRoles } = defaultPolicy();
    for (const role of clusterRoles) caches.put(rbac.clusterroles, role);
    const aggregated = clusterRoles.filter(({ aggregationRule }) => aggregationRule !== undefined);
    assert.deepEqual(
      aggregated.map(({ metadata }) => metadata.name),
      ['admin', 'edit', 'view'],
    );
    for (const role of aggregated)
      assert.deepEqual(
        gatheredRules(caches.of(rbac.clusterroles), role),
        role.rules,
        `${role.metadata.name}`,
      );
  });
});
