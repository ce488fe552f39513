import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apps, core } from '@cloudless/kube/resources';
import { errors } from '@cloudless/kube/status';
import { formatTime } from '@cloudless/kube/time';
import type { Pod, ResourceQuotaSpec } from '@cloudless/kube/types/core-v1';
import { Bench } from '../testing/bench.ts';
import { startResourceQuotaController } from './resourcequota.ts';

const namespace = 'n';
const anywhere = (name: string) => ({ metadata: { name, namespace } });

function pod(name: string, requests: Record<string, string> = {}, spec: Partial<Pod['spec']> = {}): Pod {
  const containers = [{ name: 'c', image: 'i', resources: { requests, limits: { memory: '1Gi' } } }];
  return { ...anywhere(name), spec: { containers, ...spec }, status: { phase: 'Running' } };
}

const add = (bench: Bench, hard: Record<string, string>, spec: ResourceQuotaSpec = {}): void =>
  void bench.cluster.seed(core.resourcequotas, { ...anywhere('q'), spec: { hard, ...spec } });
const used = (bench: Bench): Record<string, unknown> | undefined =>
  bench.cluster.object(core.resourcequotas, 'q', namespace)?.status?.used;

describe('resource quota controller', () => {
  it('counts requests, limits and objects of a new quota', async () => {
    await using bench = new Bench();
    const ended = pod('ended', { cpu: '8' });
    ended.status = { phase: 'Succeeded' };
    bench.cluster.seed(core.pods, pod('a', { cpu: '1500m' }), pod('b', { cpu: '1' }), ended);
    bench.cluster.seed(core.pods, { ...pod('elsewhere'), metadata: { name: 'e', namespace: 'other' } });
    bench.cluster.seed(core.services, {
      ...anywhere('s'),
      spec: { type: 'LoadBalancer', ports: [{ port: 1 }, { port: 2 }] },
    });
    bench.cluster.seed(core.configmaps, anywhere('c1'), anywhere('c2'));
    bench.cluster.seed(apps.deployments, {
      ...anywhere('d'),
      spec: { selector: {}, template: {} },
    });
    bench.cluster.seed(core.persistentvolumeclaims, {
      ...anywhere('v'),
      spec: { storageClassName: 'gold', resources: { requests: { storage: '3Gi' } } },
    });
    add(bench, {
      'requests.cpu': '4',
      'limits.memory': '8Gi',
      pods: '9',
      'count/pods': '9',
      services: '1',
      'services.loadbalancers': '1',
      'services.nodeports': '5',
      configmaps: '7',
      'count/deployments.apps': '2',
      'count/configmaps': '7',
      'requests.storage': '9Gi',
      'gold.storageclass.storage.k8s.io/requests.storage': '9Gi',
      'requests.example.com/gpu': '2',
      'count/unheard.of': '1',
    });
    await bench.start(startResourceQuotaController);
    await bench.until(() => used(bench) !== undefined, 'the status');
    assert.deepEqual(used(bench), {
      'requests.cpu': '2500m',
      'limits.memory': '2Gi',
      pods: '2',
      'count/pods': '3',
      services: '1',
      'services.loadbalancers': '1',
      'services.nodeports': '2',
      configmaps: '2',
      'count/deployments.apps': '1',
      'count/configmaps': '2',
      'requests.storage': '3Gi',
      'gold.storageclass.storage.k8s.io/requests.storage': '3Gi',
      'requests.example.com/gpu': '0',
    });
    const { hard } = bench.cluster.object(core.resourcequotas, 'q', namespace)?.status ?? {};
    assert.equal(hard?.['count/unheard.of'], '1');
  });

  it('gives back what goes, ends, or is past its grace', async () => {
    await using bench = new Bench();
    bench.cluster.seed(core.pods, pod('a'), pod('b'), pod('c'));
    add(bench, { pods: '9', 'count/pods': '9' });
    await bench.start(startResourceQuotaController);
    const becomes = (pods: string, all: string): Promise<void> =>
      bench.until(
        () => used(bench)?.['pods'] === pods && used(bench)?.['count/pods'] === all,
        `${pods} of ${all}, not ${JSON.stringify(used(bench))}`,
      );
    await becomes('3', '3');
    bench.cluster.remove(core.pods, 'a', namespace);
    await becomes('2', '2');
    bench.cluster.change(core.pods, 'b', namespace, (copy) => {
      copy.status = { phase: 'Failed' };
    });
    await becomes('1', '2');
    bench.cluster.change(core.pods, 'c', namespace, (copy) => {
      copy.metadata.deletionTimestamp = formatTime(bench.clock.nowMs());
      copy.metadata.deletionGracePeriodSeconds = 30;
    });
    await bench.pass(29);
    assert.equal(used(bench)?.['pods'], '1');
    await bench.pass(3);
    assert.equal(used(bench)?.['pods'], '0');
    bench.cluster.change(core.resourcequotas, 'q', namespace, (copy) => {
      copy.spec = { hard: { 'count/pods': '1' } };
    });
    await bench.until(() => !Object.hasOwn(used(bench) ?? {}, 'pods'), 'the new limits');
    assert.deepEqual(used(bench), { 'count/pods': '2' });
  });

  it('counts what is in all scopes only', async () => {
    await using bench = new Bench();
    bench.cluster.seed(
      core.pods,
      pod('plain'),
      pod('short', {}, { activeDeadlineSeconds: 5, priorityClassName: 'high' }),
      pod('long', {}, { priorityClassName: 'high' }),
    );
    add(
      bench,
      { pods: '9' },
      {
        scopes: ['NotTerminating'],
        scopeSelector: {
          matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['high'] }],
        },
      },
    );
    await bench.start(startResourceQuotaController);
    await bench.until(() => used(bench)?.['pods'] === '1', 'the one pod in scope');
  });

  it('leaves a right status alone, and counts again when another wrote first', async () => {
    await using bench = new Bench();
    bench.cluster.seed(core.pods, pod('a'));
    const [quota] = bench.cluster.seed(core.resourcequotas, {
      ...anywhere('q'),
      spec: { hard: { 'requests.cpu': '1000m' } },
      status: { hard: { 'requests.cpu': '1' }, used: { 'requests.cpu': '0' } },
    });
    await bench.start(startResourceQuotaController);
    await bench.settle();
    const version = bench.cluster.object(core.resourcequotas, 'q', namespace)?.metadata.resourceVersion;
    assert.equal(version, quota?.metadata.resourceVersion);
    let conflicts = 0;
    bench.cluster.intercept(({ verb, resource }) =>
      verb === 'update' && resource.plural === 'resourcequotas' && (conflicts += 1) <= 2
        ? errors.modified(core.resourcequotas, 'q')
        : undefined,
    );
    bench.cluster.change(core.resourcequotas, 'q', namespace, (copy) => {
      copy.spec = { hard: { 'count/pods': '1' } };
    });
    await bench.pass(4);
    assert.deepEqual(used(bench), { 'count/pods': '1' });
    assert.equal(conflicts, 3);
  });
});
