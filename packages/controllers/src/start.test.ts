import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { apps, core, discovery } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { startControllers } from './index.ts';

const source = import.meta.dirname;
const readme = readFileSync(join(source, '..', 'README.md'), 'utf8');

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== 'testing') yield* sources(path);
    else if (entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
      yield readFileSync(path, 'utf8');
  }
}

describe('controllers', () => {
  it('all together carry a cluster, each under its own name, and end without a trace', async () => {
    const cluster = new FakeCluster();
    const controllers = startControllers({
      clientFor: (name) => cluster.clientFor(name),
      informerClient: cluster.clientFor('informers'),
      caCertificate: 'PEM',
      clusterCidrs: ['10.244.0.0/16'],
    });
    try {
      await controllers.ready;
      const { client } = cluster;
      await client.create(core.namespaces, { metadata: { name: 'n' } });
      await client.create(core.nodes, { metadata: { name: 'a' } });
      await client.create(apps.deployments, {
        metadata: { name: 'web', namespace: 'n' },
        spec: {
          replicas: 2,
          selector: { matchLabels: { app: 'web' } },
          template: {
            metadata: { labels: { app: 'web' } },
            spec: { containers: [{ name: 'c', image: 'i' }] },
          },
        },
      });
      await client.create(core.services, {
        metadata: { name: 'web', namespace: 'n' },
        spec: { selector: { app: 'web' }, ports: [{ port: 80 }] },
      });
      await cluster.until(
        () =>
          cluster.objects(core.pods, 'n').length === 2 &&
          cluster.objects(discovery.endpointslices, 'n').length === 1 &&
          cluster.object(core.endpoints, 'web', 'n') !== undefined &&
          cluster.object(core.serviceaccounts, 'default', 'n') !== undefined &&
          cluster.object(core.configmaps, 'kube-root-ca.crt', 'n') !== undefined &&
          cluster.object(core.nodes, 'a')?.spec?.podCIDR === '10.244.0.0/24',
        'everything',
      );
      await client.delete(core.namespaces, 'n');
      await cluster.until(
        () => cluster.object(core.namespaces, 'n') === undefined,
        'the end of the namespace',
      );
      const writers = new Map<string, Set<string>>();
      for (const call of cluster.calls) {
        if (!['create', 'update', 'patch', 'delete'].includes(call.verb) || call.resource.plural === 'events')
          continue;
        writers.set(call.resource.plural, (writers.get(call.resource.plural) ?? new Set()).add(call.user));
      }
      assert.deepEqual([...(writers.get('endpointslices') ?? [])], ['endpointslice-controller']);
      assert.ok(writers.get('pods')?.has('replicaset-controller'));
      assert.ok(![...writers.values()].some((users) => users.has('informers')));
    } finally {
      await controllers.stop();
    }
    const before = cluster.calls.length;
    cluster.seed(core.namespaces, { metadata: { name: 'after' } });
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(cluster.calls.length, before);
  });

  it('the README names every folder, identity and queue', () => {
    const shared = new Set(['owner', 'pods', 'runtime', 'testing']);
    for (const entry of readdirSync(source, { withFileTypes: true })) {
      if (entry.isDirectory() && !shared.has(entry.name))
        assert.ok(readme.includes(`| \`${entry.name}\` |`), entry.name);
    }
    for (const text of sources(source)) {
      for (const [, name = ''] of text.matchAll(/clientFor\('([^']+)'\)/g))
        assert.ok(readme.includes(`\`${name}\``), name);
      for (const [, name = ''] of text.matchAll(/(?:\bname: |queue\()'([a-z_]+)'/g)) {
        assert.ok(readme.includes(`\`${name}\``), name);
      }
    }
  });
});
