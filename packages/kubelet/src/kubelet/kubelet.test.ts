import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { nodeContext, type NodeContext } from '@cloudless/kube/node/context';
import { coordination, core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import type { Pod } from '@cloudless/kube/types/core-v1';
import {
  type Kubelet,
  parseKubeletConfiguration,
  type SimulatedRuntime,
  simulatedRuntime,
  startKubelet,
} from '../index.ts';

const nodeName = 'node-a';

async function until<T>(
  check: () => Promise<T | undefined | false> | T | undefined | false,
  what: string,
): Promise<T> {
  const end = performance.now() + 5000;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not within 5 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('a kubelet on the simulated runtime', () => {
  let root: string;
  let context: NodeContext;
  let cluster: FakeCluster;
  let cri: SimulatedRuntime;
  let kubelet: Kubelet;

  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'cl-kubelet-'));
    context = nodeContext({ root, nodeName });
    cluster = new FakeCluster();
    cri = simulatedRuntime({ clock: systemClock, podCidr: '10.9.0.0/24' });
    kubelet = await start();
  });

  afterEach(async () => {
    await kubelet.stop();
    rmSync(root, { recursive: true, force: true });
  });

  const start = (): Promise<Kubelet> =>
    startKubelet({
      context,
      client: cluster.client,
      cri,
      config: parseKubeletConfiguration({ clusterDNS: ['10.96.0.10'] }).config,
      nodeIps: ['192.0.2.1'],
      simulated: true,
      log: logger('test').child({}, { level: process.env['CLOUDLESS_LOG'] ?? 'fatal' }),
    });

  const pod = (
    name: string,
    spec: Partial<NonNullable<Pod['spec']>> = {},
    more: Partial<Pod['metadata']> = {},
  ): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', ...more },
    spec: { nodeName, containers: [{ name: 'main', image: 'example.com/app:1' }], ...spec },
  });
  const read = (name: string): Promise<Pod> => cluster.client.get(core.pods, name, { namespace: 'default' });
  const inPhase = (name: string, phase: string): Promise<Pod> =>
    until(async () => {
      const found = await read(name).catch(() => undefined);
      return found?.status?.phase === phase ? found : undefined;
    }, `${name} ${phase}`);
  const containerOf = (found: Pod): string =>
    found.status!.containerStatuses![0]!.containerID!.replace('simulated://', '');

  it('registers its node, ready, with a lease', async () => {
    await kubelet.registered;
    const node = await cluster.client.get(core.nodes, nodeName);
    assert.equal(node.metadata.labels?.['kubernetes.io/hostname'], nodeName);
    assert.equal(node.status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True');
    const lease = await until(
      () =>
        cluster.client
          .get(coordination.leases, nodeName, { namespace: 'kube-node-lease' })
          .catch(() => undefined),
      'the lease',
    );
    assert.equal(lease.spec?.holderIdentity, nodeName);
  });

  it('runs a pod to Ready and tells the API as upstream does', async () => {
    await cluster.client.create(core.pods, pod('web'));
    const found = await inPhase('web', 'Running');
    const status = found.status!;
    assert.equal(status.containerStatuses![0]!.ready, true);
    assert.equal(status.podIP, '10.9.0.2');
    assert.equal(status.hostIP, '192.0.2.1');
    assert.deepEqual(
      status.conditions!.map(({ type, status: value }) => `${type}=${value}`),
      [
        'PodReadyToStartContainers=True',
        'Initialized=True',
        'Ready=True',
        'ContainersReady=True',
        'PodScheduled=True',
      ],
    );
    const reasons = await until(async () => {
      const events = (await cluster.client.list(core.events, { namespace: 'default' })).items;
      const own = events
        .filter(({ involvedObject }) => involvedObject.name === 'web')
        .map(({ reason }) => reason);
      return own.includes('Started') ? own : undefined;
    }, 'events');
    assert.deepEqual(
      reasons.filter((reason) => reason !== 'Pulling'),
      ['Pulled', 'Created', 'Started'],
    );
  });

  it('deletes a pod from the API once its containers have ended', async () => {
    await cluster.client.create(core.pods, pod('web', { terminationGracePeriodSeconds: 5 }));
    await inPhase('web', 'Running');
    await cluster.client.delete(core.pods, 'web', { namespace: 'default' });
    await until(async () => (await read('web').catch(() => undefined)) === undefined, 'deletion');
    await until(async () => (await cri.listPodSandbox({})).items.length === 0, 'sandbox removed');
  });

  it('restarts what ends, holds back the second time, and says so', async () => {
    await cluster.client.create(core.pods, pod('crash'));
    const first = await inPhase('crash', 'Running');
    cri.exit(containerOf(first), 1);
    const second = await until(async () => {
      const found = await read('crash');
      const status = found.status!.containerStatuses![0]!;
      return status.restartCount === 1 && status.state?.running ? found : undefined;
    }, 'first restart');
    assert.equal(second.status!.containerStatuses![0]!.lastState!.terminated!.exitCode, 1);
    cri.exit(containerOf(second), 1);
    const third = await until(async () => {
      const found = await read('crash');
      return found.status!.containerStatuses![0]!.state?.waiting ? found : undefined;
    }, 'back-off');
    const waiting = third.status!.containerStatuses![0]!.state!.waiting!;
    assert.equal(waiting.reason, 'CrashLoopBackOff');
    assert.match(waiting.message!, /^back-off 10s restarting failed container=main pod=crash_default\(/);
    assert.equal(third.status!.phase, 'Running');
    assert.equal(third.status!.conditions!.find(({ type }) => type === 'Ready')!.status, 'False');
  });

  it('runs init containers first and ends a Never pod as its containers do', async () => {
    await cluster.client.create(
      core.pods,
      pod('job', {
        restartPolicy: 'Never',
        initContainers: [{ name: 'prepare', image: 'example.com/init:1' }],
      }),
    );
    const found = await inPhase('job', 'Running');
    assert.equal(found.status!.initContainerStatuses![0]!.state!.terminated!.exitCode, 0);
    cri.exit(containerOf(found), 0);
    const done = await inPhase('job', 'Succeeded');
    assert.equal(done.status!.containerStatuses![0]!.state!.terminated!.reason, 'Completed');
    assert.equal(done.status!.conditions!.find(({ type }) => type === 'Ready')!.reason, 'PodCompleted');
  });

  it('waits for a ConfigMap and goes on when it comes', async () => {
    await cluster.client.create(
      core.pods,
      pod('needs', {
        containers: [{ name: 'main', image: 'app:1', envFrom: [{ configMapRef: { name: 'settings' } }] }],
      }),
    );
    const waiting = await until(async () => {
      const found = await read('needs');
      return found.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CreateContainerConfigError'
        ? found
        : undefined;
    }, 'config error');
    assert.equal(
      waiting.status!.containerStatuses![0]!.state!.waiting!.message,
      'configmap "settings" not found',
    );
    await cluster.client.create(core.configmaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'settings', namespace: 'default' },
      data: { A: '1' },
    });
    await inPhase('needs', 'Running');
  });

  it('adopts pods after a restart and restarts none', async () => {
    await cluster.client.create(core.pods, pod('web'));
    const before = containerOf(await inPhase('web', 'Running'));
    await kubelet.stop();
    const creations = cri.calls.get('createContainer');
    kubelet = await start();
    await cluster.client.create(core.pods, pod('other'));
    await inPhase('other', 'Running');
    assert.equal(containerOf(await read('web')), before);
    assert.equal(cri.calls.get('createContainer'), creations! + 1);
  });

  it('ends pods that vanished from the API while it was down', async () => {
    await cluster.client.create(core.pods, pod('web', { terminationGracePeriodSeconds: 1 }));
    await inPhase('web', 'Running');
    await kubelet.stop();
    await cluster.client.delete(core.pods, 'web', { namespace: 'default', gracePeriodSeconds: 0 });
    kubelet = await start();
    await until(async () => (await cri.listPodSandbox({})).items.length === 0, 'the orphan is gone');
  });

  it('terminateAll leaves nothing in the runtime and the objects in the API', async () => {
    await cluster.client.create(core.pods, pod('web'));
    await inPhase('web', 'Running');
    await kubelet.terminateAll({ graceSeconds: 1 });
    assert.equal((await cri.listPodSandbox({})).items.length, 0);
    assert.equal((await cri.listContainers({})).containers.length, 0);
    assert.equal((await read('web')).status!.phase, 'Running');
  });
});
