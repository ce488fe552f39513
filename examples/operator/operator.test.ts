import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '@cloudless/kube/client/client';
import { apps, core } from '@cloudless/kube/resources';
import type { Deployment } from '@cloudless/kube/types/apps-v1';
import type { ConfigMap, Pod } from '@cloudless/kube/types/core-v1';
import { type Cluster, startCluster } from 'cloudless/testing';
import { type Operator, startOperator } from './operator.ts';
import { type Website, websites } from './website.ts';

const file = (name: string): string => readFileSync(join(import.meta.dirname, name), 'utf8');
const namespace = 'default';
const site = (name: string, spec: Partial<Website['spec']> = {}): object => ({
  apiVersion: 'example.cloudless.dev/v1',
  kind: 'Website',
  metadata: { name },
  spec: { pages: { 'index.html': 'hello' }, ...spec },
});
/** The condition is about this state of the spec, not about the one before. */
const isReady = ({ metadata, status }: Website): boolean =>
  status?.observedGeneration === metadata.generation &&
  status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';

describe('the website operator', () => {
  let cluster: Cluster;
  let client: KubeClient;
  let operator: Operator;
  before(async () => {
    cluster = await startCluster({ crds: [file('crd.yaml')] });
    await cluster.apply(file('rbac.yaml'));
    client = cluster.client;
    // As its own service account: a missing rule of rbac.yaml fails here and not in production.
    operator = startOperator({ client: cluster.clientFor('system:serviceaccount:default:website-operator') });
    await operator.synced;
  });
  after(async () => {
    await operator.stop();
    await cluster.stop();
  });

  it('makes what a Website consists of, and says when it serves', async () => {
    const [made] = await cluster.apply<Website>(site('first', { replicas: 2 }));
    const ready = await cluster.waitFor<Website>(made as Website, isReady);
    assert.equal(ready.status?.readyReplicas, 2);
    assert.equal(ready.status?.conditions?.[0]?.message, '2 of 2 replicas serve the current pages');
    const pages = await client.get(core.configmaps, 'first', { namespace });
    assert.deepEqual(pages.data, { 'index.html': 'hello' });
    const service = await client.get(core.services, 'first', { namespace });
    assert.deepEqual(service.spec?.selector, { 'app.kubernetes.io/instance': 'first' });
    const pods = await client.list(core.pods, {
      namespace,
      labelSelector: 'app.kubernetes.io/instance=first',
    });
    assert.deepEqual(
      pods.items.map(({ status }: Pod) => status?.phase),
      ['Running', 'Running'],
    );
  });

  it('rolls out other pages, and follows the number of replicas', async () => {
    await cluster.apply(site('changing'));
    const before = await cluster.waitFor<Website>(
      { resource: websites, namespace, name: 'changing' },
      isReady,
    );
    const old = await client.list(core.pods, {
      namespace,
      labelSelector: 'app.kubernetes.io/instance=changing',
    });
    await cluster.apply(site('changing', { pages: { 'index.html': 'other' }, replicas: 3 }));
    const after = await cluster.waitFor<Website>(before, isReady);
    assert.equal(after.status?.readyReplicas, 3);
    await cluster.waitForGone(old.items[0] as Pod);
  });

  it('puts right what others change and delete', async () => {
    await cluster.apply(site('touched'));
    await cluster.waitFor<Website>({ resource: websites, namespace, name: 'touched' }, isReady);
    const service = await client.get(core.services, 'touched', { namespace });
    await client.delete(core.services, 'touched', { namespace });
    await cluster.waitFor({ resource: core.services, namespace, name: 'touched' }, ({ metadata }) => {
      assert.notEqual(metadata.uid, service.metadata.uid);
    });
    await client.patch(
      core.configmaps,
      'touched',
      'merge',
      { data: { 'index.html': 'defaced' } },
      { namespace },
    );
    await cluster.waitFor<ConfigMap>(
      { resource: core.configmaps, namespace, name: 'touched' },
      ({ data }) => {
        assert.equal(data?.['index.html'], 'hello');
      },
    );
  });

  it('leaves alone what others add', async () => {
    await cluster.apply(site('annotated'));
    const target = { resource: apps.deployments, namespace, name: 'annotated' };
    await cluster.waitFor<Deployment>(target, 'Available');
    await client.patch(
      apps.deployments,
      'annotated',
      'merge',
      { metadata: { annotations: { team: 'blue' } } },
      { namespace },
    );
    await cluster.apply(site('annotated', { replicas: 2 }));
    const scaled = await cluster.waitFor<Deployment>(target, ({ spec }) => spec?.replicas === 2);
    assert.equal(scaled.metadata.annotations?.['team'], 'blue');
  });

  it('is not ready while too few pods run', async () => {
    // More than the node has room for.
    await cluster.apply(site('waiting'));
    await cluster.waitFor<Website>({ resource: websites, namespace, name: 'waiting' }, isReady);
    await client.patch(core.nodes, 'node-1', 'merge', { spec: { unschedulable: true } });
    await cluster.apply(site('waiting', { replicas: 2 }));
    const waiting = await cluster.waitFor<Website>(
      { resource: websites, namespace, name: 'waiting' },
      ({ metadata, status }) => status?.observedGeneration === metadata.generation,
    );
    assert.equal(waiting.status?.conditions?.[0]?.status, 'False');
    assert.equal(waiting.status?.conditions?.[0]?.reason, 'RollingOut');
    await client.patch(core.nodes, 'node-1', 'merge', { spec: { unschedulable: false } });
    await cluster.waitFor<Website>(waiting, isReady);
  });

  it('has everything of a Website collected with it', async () => {
    await cluster.apply(site('gone'));
    await cluster.waitFor<Website>({ resource: websites, namespace, name: 'gone' }, isReady);
    await client.delete(websites, 'gone', { namespace });
    for (const resource of [core.configmaps, core.services, apps.deployments]) {
      await cluster.waitForGone({ resource, namespace, name: 'gone' });
    }
  });

  it('is never asked to run what the schema refuses', async () => {
    await assert.rejects(cluster.apply(site('empty', { pages: {} })), /spec\.pages: .*at least 1 propert/);
    await assert.rejects(
      cluster.apply(site('many', { replicas: 21 })),
      /spec\.replicas: .*less than or equal to 20/,
    );
  });
});
