/**
 * Upstream's controller-manager and scheduler against our API, in place of ours. Opt-in, as root:
 *
 *   KUBE_CONTROLLER_MANAGER=… KUBE_SCHEDULER=… node --test tests/upstream/control-plane.ts
 *
 * Without the variables the programs are looked for on the path (tests/upstream/build-upstream.sh makes them).
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Deployment, ReplicaSet } from '@cloudless/kube/types/apps-v1';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, eventually, TestCluster } from '../e2e/cluster.ts';
import { UpstreamPrograms } from './programs.ts';

isolate();
addUplink();

const deployment = (image: string, replicas: number): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { containers: [{ name: 'web', image }] },
    },
  },
});

describe('upstream’s controller-manager and scheduler in place of ours', () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  const programs = new UpstreamPrograms(cluster);
  const read = async <T>(...args: string[]): Promise<T> =>
    JSON.parse(await kubectl.run(['get', ...args, '-o', 'json'])) as T;
  const apply = (object: object): Promise<string> =>
    kubectl.run(['apply', '-f', '-'], { input: JSON.stringify(object) });
  const pods = async (): Promise<Pod[]> => (await read<{ items: Pod[] }>('pods', '-l', 'app=web')).items;
  const running = (all: Pod[], image: string): Pod[] =>
    all.filter(
      (pod) =>
        pod.status?.phase === 'Running' &&
        pod.spec?.containers[0]?.image === image &&
        pod.metadata.deletionTimestamp === undefined,
    );

  before(async () => {
    await cluster.up('--runtime=simulated', '--disable=controllers,scheduler,network,dns');
    programs.startControllerManager(process.env['KUBE_CONTROLLER_MANAGER'] ?? 'kube-controller-manager');
    programs.startScheduler(process.env['KUBE_SCHEDULER'] ?? 'kube-scheduler');
  });
  after(async () => {
    await programs.stop();
    await cluster.remove();
  });

  it('both hold their leases', async () => {
    for (const lease of ['kube-controller-manager', 'kube-scheduler'])
      await eventually(`the lease ${lease}`, () => kubectl.run(['-n', 'kube-system', 'get', 'lease', lease]));
  });

  it('a Deployment comes up', async () => {
    await apply(deployment('example.com/web:1', 3));
    await eventually(
      '3 pods run',
      async () => running(await pods(), 'example.com/web:1').length === 3,
      90_000,
    );
    await kubectl.run(['rollout', 'status', 'deployment/web', '--timeout=60s']);
  });

  it('it scales, up and down', async () => {
    await kubectl.run(['scale', 'deployment/web', '--replicas=6']);
    await eventually(
      '6 pods run',
      async () => running(await pods(), 'example.com/web:1').length === 6,
      60_000,
    );
    await kubectl.run(['scale', 'deployment/web', '--replicas=2']);
    await eventually('2 pods are left', async () => (await pods()).length === 2, 60_000);
  });

  it('it rolls to another image and back', async () => {
    await apply(deployment('example.com/web:2', 2));
    await kubectl.run(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    await eventually(
      'the new pods alone',
      async () => {
        const all = await pods();
        return all.length === 2 && running(all, 'example.com/web:2').length === 2;
      },
      60_000,
    );
    const sets = await read<{ items: ReplicaSet[] }>('replicasets', '-l', 'app=web');
    assert.deepEqual(
      sets.items.map((set) => set.spec?.replicas ?? 0).toSorted((a, b) => a - b),
      [0, 2],
    );
    await kubectl.run(['rollout', 'undo', 'deployment/web']);
    await eventually(
      'the old image again',
      async () => {
        const all = await pods();
        return all.length === 2 && running(all, 'example.com/web:1').length === 2;
      },
      60_000,
    );
  });

  it('it goes, and its ReplicaSets and pods with it', async () => {
    await kubectl.run(['delete', 'deployment', 'web']);
    await eventually(
      'nothing is left',
      async () => {
        const left = await kubectl.run([
          'get',
          'deployments,replicasets,pods',
          '-l',
          'app=web',
          '-o',
          'name',
        ]);
        return left.trim() === '';
      },
      90_000,
    );
  });

  it('a namespace goes with all that is in it', async () => {
    await kubectl.run(['create', 'namespace', 'short']);
    await eventually('its service account', () => kubectl.run(['-n', 'short', 'get', 'sa', 'default']));
    await kubectl.run(['-n', 'short', 'create', 'deployment', 'web', '--image=example.com/web:1']);
    await kubectl.run(['delete', 'namespace', 'short', '--timeout=90s'], { timeoutMs: 100_000 });
    await assert.rejects(kubectl.run(['get', 'namespace', 'short']), /NotFound|not found/);
  });

  it('neither logged an answer that it could not read', async () => {
    const text = cluster.logTail();
    assert.doesNotMatch(text, /unable to decode|failed to decode|couldn't get version\/kind/);
  });
});
