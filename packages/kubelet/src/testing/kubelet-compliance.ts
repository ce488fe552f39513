/**
 * What every runtime must let the kubelet do: one suite, run against the simulated runtime and against containerd.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import type { NodeContext } from '@cloudless/kube/node/context';
import { coordination, core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import type { Container, Pod } from '@cloudless/kube/types/core-v1';
import type { CriRuntime } from '../cri/runtime.ts';
import { type Kubelet, parseKubeletConfiguration, startKubelet } from '../index.ts';

/** One runtime to run the suite against. */
export interface RuntimeUnderTest {
  context: NodeContext;
  cri: CriRuntime;
  simulated: boolean;
  /** An image that the runtime has. */
  image: string;
  /** The same image by another name. */
  sameImage: string;
  /** Part of a container's definition that lets {@link RuntimeUnderTest.end} end it. */
  main: Partial<Container>;
  /** Lets a running container end with a code. */
  end(containerId: string, exitCode: number): Promise<void>;
  /** Makes exec probes of {@link RuntimeUnderTest.probe} fail or succeed. */
  setHealth(containerId: string, healthy: boolean): Promise<void>;
  probe: { command: string[] };
  dispose(): Promise<void>;
}

const nodeName = 'node-a';

async function until<T>(
  check: () => Promise<T | undefined | false> | T | undefined | false,
  what: string,
  timeoutMs = 10_000,
): Promise<T> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Declares the suite. */
export function kubeletCompliance(name: string, setUp: () => Promise<RuntimeUnderTest>): void {
  void describe(`a kubelet on ${name}`, () => {
    let runtime: RuntimeUnderTest;
    let cluster: FakeCluster;
    let kubelet: Kubelet;
    let manifests: string;

    before(async () => {
      runtime = await setUp();
    });
    after(() => runtime?.dispose());
    beforeEach(async () => {
      cluster = new FakeCluster();
      manifests = runtime.context.paths.manifests;
      mkdirSync(manifests, { recursive: true });
      kubelet = await start();
    });
    afterEach(async () => {
      await kubelet.terminateAll({ graceSeconds: 1 });
      rmSync(manifests, { recursive: true, force: true });
    });

    const start = (): Promise<Kubelet> =>
      startKubelet({
        context: runtime.context,
        client: cluster.client,
        cri: runtime.cri,
        config: parseKubeletConfiguration({ clusterDNS: ['10.96.0.10'], staticPodPath: manifests }).config,
        nodeIps: ['192.0.2.1'],
        simulated: runtime.simulated,
        log: logger('test').child({}, { level: process.env['CLOUDLESS_LOG'] ?? 'fatal' }),
      });
    const main = (more: Partial<Container> = {}): Container => ({
      name: 'main',
      image: runtime.image,
      imagePullPolicy: 'IfNotPresent',
      ...runtime.main,
      ...more,
    });
    const pod = (podName: string, spec: Partial<NonNullable<Pod['spec']>> = {}): Pod => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: podName, namespace: 'default' },
      spec: { nodeName, hostNetwork: true, terminationGracePeriodSeconds: 1, containers: [main()], ...spec },
    });
    const create = (made: Pod): Promise<Pod> => cluster.client.create(core.pods, made);
    const read = (podName: string): Promise<Pod> =>
      cluster.client.get(core.pods, podName, { namespace: 'default' });
    const seen = (podName: string, what: string, check: (found: Pod) => boolean): Promise<Pod> =>
      until(async () => {
        const found = await read(podName).catch(() => undefined);
        return found && check(found) ? found : undefined;
      }, `${podName}: ${what}`);
    const inPhase = (podName: string, phase: string): Promise<Pod> =>
      seen(podName, phase, (found) => found.status?.phase === phase);
    const mainOf = (
      found: Pod,
    ): NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number] | undefined =>
      found.status?.containerStatuses?.find((status) => status.name === 'main');
    const idOf = (found: Pod): string => mainOf(found)!.containerID!.replace(/^.*:\/\//, '');
    const conditionOf = (found: Pod, type: string) =>
      found.status?.conditions?.find((entry) => entry.type === type);
    const eventsOf = async (podName: string): Promise<Array<{ reason: string; message: string }>> =>
      (await cluster.client.list(core.events, { namespace: 'default' })).items
        .filter(({ involvedObject }) => involvedObject.name === podName)
        .map(({ reason = '', message = '' }) => ({ reason, message }));
    const running = (podName: string): Promise<Pod> =>
      seen(podName, 'main runs', (found) => mainOf(found)?.state?.running !== undefined);

    void it('registers its node with a lease', async () => {
      await kubelet.registered;
      const node = await cluster.client.get(core.nodes, nodeName);
      assert.equal(node.metadata.labels?.['kubernetes.io/hostname'], nodeName);
      const lease = await until(
        () =>
          cluster.client
            .get(coordination.leases, nodeName, { namespace: 'kube-node-lease' })
            .catch(() => undefined),
        'the lease',
      );
      assert.equal(lease.spec?.holderIdentity, nodeName);
    });

    void it('runs a pod to Ready and tells the API as upstream does', async () => {
      await create(pod('web'));
      const found = await inPhase('web', 'Running');
      assert.equal(mainOf(found)!.ready, true);
      assert.equal(found.status!.podIP, '192.0.2.1');
      assert.equal(found.status!.qosClass, 'BestEffort');
      assert.deepEqual(
        found.status!.conditions!.map(({ type, status }) => `${type}=${status}`),
        [
          'PodReadyToStartContainers=True',
          'Initialized=True',
          'Ready=True',
          'ContainersReady=True',
          'PodScheduled=True',
        ],
      );
      const reasons = await until(async () => {
        const own = (await eventsOf('web')).map(({ reason }) => reason);
        return own.includes('Started') ? own : undefined;
      }, 'events');
      assert.deepEqual(reasons, ['Pulled', 'Created', 'Started']);
    });

    void it('deletes a pod from the API once its containers have ended', async () => {
      await create(pod('web'));
      await running('web');
      await cluster.client.delete(core.pods, 'web', { namespace: 'default' });
      await until(async () => (await read('web').catch(() => undefined)) === undefined, 'deletion');
      await until(async () => (await runtime.cri.listPodSandbox({})).items.length === 0, 'sandbox removed');
      assert.ok((await eventsOf('web')).some(({ message }) => message === 'Stopping container main'));
    });

    void it('restarts what ends, holds back the second time, and says so', async () => {
      await create(pod('crash'));
      await runtime.end(idOf(await running('crash')), 3);
      const second = await seen(
        'crash',
        'first restart',
        (found) => mainOf(found)?.restartCount === 1 && mainOf(found)?.state?.running !== undefined,
      );
      assert.equal(mainOf(second)!.lastState!.terminated!.exitCode, 3);
      assert.equal(mainOf(second)!.lastState!.terminated!.reason, 'Error');
      await runtime.end(idOf(second), 4);
      const third = await seen('crash', 'back-off', (found) => mainOf(found)?.state?.waiting !== undefined);
      const waiting = mainOf(third)!.state!.waiting!;
      assert.equal(waiting.reason, 'CrashLoopBackOff');
      assert.match(waiting.message!, /^back-off 10s restarting failed container=main pod=crash_default\(/);
      assert.equal(mainOf(third)!.lastState!.terminated!.exitCode, 4);
      assert.equal(third.status!.phase, 'Running');
      assert.equal(conditionOf(third, 'Ready')!.status, 'False');
      assert.equal(conditionOf(third, 'Ready')!.message, 'containers with unready status: [main]');
    });

    void it('runs init containers first and ends a Never pod as its containers do', async () => {
      const prepare = {
        name: 'prepare',
        image: runtime.image,
        imagePullPolicy: 'IfNotPresent',
        command: ['true'],
      };
      await create(pod('job', { restartPolicy: 'Never', initContainers: [prepare] }));
      const found = await running('job');
      assert.equal(found.status!.initContainerStatuses![0]!.state!.terminated!.exitCode, 0);
      assert.equal(conditionOf(found, 'Initialized')!.status, 'True');
      await runtime.end(idOf(found), 0);
      const done = await inPhase('job', 'Succeeded');
      assert.equal(mainOf(done)!.state!.terminated!.reason, 'Completed');
      assert.equal(conditionOf(done, 'Ready')!.reason, 'PodCompleted');
    });

    void it('fails a Never pod whose container fails', async () => {
      await create(pod('fails', { restartPolicy: 'Never' }));
      await runtime.end(idOf(await running('fails')), 7);
      const done = await inPhase('fails', 'Failed');
      assert.equal(mainOf(done)!.state!.terminated!.exitCode, 7);
      assert.equal(conditionOf(done, 'ContainersReady')!.reason, 'PodFailed');
    });

    void it('keeps sidecars running beside, and ends them after, a finished pod', async () => {
      const sidecar: Container = { ...main(), name: 'beside', restartPolicy: 'Always' };
      await create(pod('job', { restartPolicy: 'Never', initContainers: [sidecar] }));
      const found = await running('job');
      assert.ok(found.status!.initContainerStatuses![0]!.state!.running, 'the sidecar runs');
      await runtime.end(idOf(found), 0);
      const done = await seen(
        'job',
        'all ended',
        (now) => now.status?.initContainerStatuses?.[0]?.state?.terminated !== undefined,
      );
      assert.equal((await inPhase('job', 'Succeeded')).metadata.uid, done.metadata.uid);
    });

    void it('waits for a ConfigMap and goes on when it comes', async () => {
      await create(
        pod('needs', { containers: [main({ envFrom: [{ configMapRef: { name: 'settings' } }] })] }),
      );
      const waiting = await seen(
        'needs',
        'config error',
        (found) => mainOf(found)?.state?.waiting?.reason === 'CreateContainerConfigError',
      );
      assert.equal(mainOf(waiting)!.state!.waiting!.message, 'configmap "settings" not found');
      await cluster.client.create(core.configmaps, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'settings', namespace: 'default' },
        data: { A: '1' },
      });
      await running('needs');
    });

    void it('takes readiness from its probe', async () => {
      const readinessProbe = { exec: runtime.probe, periodSeconds: 1, failureThreshold: 1 };
      await create(pod('probed', { containers: [main({ readinessProbe })] }));
      const ready = await seen('probed', 'ready', (found) => conditionOf(found, 'Ready')?.status === 'True');
      await runtime.setHealth(idOf(ready), false);
      await seen('probed', 'not ready', (found) => conditionOf(found, 'Ready')?.status === 'False');
      const event = await until(
        async () => (await eventsOf('probed')).find(({ reason }) => reason === 'Unhealthy'),
        'an event',
      );
      assert.match(event.message, /^Readiness probe failed: /);
      await runtime.setHealth(idOf(ready), true);
      await seen('probed', 'ready again', (found) => conditionOf(found, 'Ready')?.status === 'True');
    });

    void it('restarts a container whose liveness probe fails', async () => {
      const livenessProbe = { exec: runtime.probe, periodSeconds: 1, failureThreshold: 1 };
      await create(pod('ill', { containers: [main({ livenessProbe })] }));
      const before = await running('ill');
      await runtime.setHealth(idOf(before), false);
      const after = await seen('ill', 'restarted', (found) => (mainOf(found)?.restartCount ?? 0) > 0);
      await runtime.setHealth(idOf(after), true);
      const messages = (await eventsOf('ill')).map(({ message }) => message);
      assert.ok(
        messages.includes('Container main failed liveness probe, will be restarted'),
        messages.join('; '),
      );
    });

    void it('ends a pod at its active deadline', async () => {
      await create(pod('late', { activeDeadlineSeconds: 1, restartPolicy: 'Never' }));
      const done = await inPhase('late', 'Failed');
      assert.equal(done.status!.reason, 'DeadlineExceeded');
      await seen('late', 'container ended', (found) => mainOf(found)?.state?.terminated !== undefined);
    });

    void it('runs an ephemeral container beside what runs', async () => {
      await create(pod('debugged'));
      const before = idOf(await running('debugged'));
      const debug = { ...main(), name: 'debug' };
      await cluster.client.patch(
        core.pods,
        'debugged',
        'merge',
        { spec: { ephemeralContainers: [debug] } },
        { namespace: 'default' },
      );
      const found = await seen(
        'debugged',
        'debug runs',
        (now) => now.status?.ephemeralContainerStatuses?.[0]?.state?.running !== undefined,
      );
      assert.equal(idOf(found), before);
    });

    void it('replaces a container whose image changes, without a back-off', async () => {
      await create(pod('changed'));
      const before = idOf(await running('changed'));
      const image = runtime.sameImage;
      await cluster.client.patch(
        core.pods,
        'changed',
        'strategic',
        { spec: { containers: [{ name: 'main', image }] } },
        { namespace: 'default' },
      );
      const found = await seen(
        'changed',
        'runs again',
        (now) => (mainOf(now)?.restartCount ?? 0) === 1 && mainOf(now)?.state?.running !== undefined,
      );
      assert.notEqual(idOf(found), before);
      assert.ok(
        (await eventsOf('changed')).some(
          ({ message }) => message === 'Container main definition changed, will be restarted',
        ),
      );
    });

    void it('refuses a pod that the node has no room for', async () => {
      await create(pod('huge', { containers: [main({ resources: { requests: { cpu: '1000' } } })] }));
      const found = await inPhase('huge', 'Failed');
      assert.equal(found.status!.reason, 'OutOfcpu');
      assert.match(
        found.status!.message!,
        /^Pod was rejected: Node didn't have enough resource: cpu, requested: 1000000, used: 0/,
      );
    });

    void it('adopts pods after a restart and restarts none', async () => {
      await create(pod('web'));
      const before = idOf(await running('web'));
      await kubelet.stop();
      kubelet = await start();
      await create(pod('other'));
      await running('other');
      const found = await read('web');
      assert.equal(idOf(found), before);
      assert.equal(mainOf(found)!.restartCount, 0);
      assert.equal(mainOf(found)!.ready, true);
    });

    void it('ends pods that vanished from the API while it was down', async () => {
      await create(pod('web'));
      await running('web');
      await kubelet.stop();
      await cluster.client.delete(core.pods, 'web', { namespace: 'default', gracePeriodSeconds: 0 });
      kubelet = await start();
      await until(
        async () => (await runtime.cri.listPodSandbox({})).items.length === 0,
        'the orphan is gone',
      );
    });

    void it('terminateAll leaves nothing in the runtime and the objects in the API', async () => {
      await create(pod('web'));
      await running('web');
      await kubelet.terminateAll({ graceSeconds: 1 });
      assert.equal((await runtime.cri.listPodSandbox({})).items.length, 0);
      assert.equal((await runtime.cri.listContainers({})).containers.length, 0);
      assert.equal((await read('web')).status!.phase, 'Running');
    });

    const manifest = (text: string): string =>
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'static', labels: { version: text } },
        spec: { hostNetwork: true, terminationGracePeriodSeconds: 1, containers: [main()] },
      });

    void it('runs static pods from files, mirrors them, and follows their changes', async () => {
      writeFileSync(join(manifests, 'broken.yaml'), 'kind: [Pod');
      writeFileSync(join(manifests, '.hidden.yaml'), manifest('hidden'));
      writeFileSync(join(manifests, 'static.yaml'), manifest('1'));
      const mirror = await running('static-node-a');
      assert.ok(mirror.metadata.annotations!['kubernetes.io/config.mirror']);
      assert.equal(mirror.metadata.ownerReferences![0]!.kind, 'Node');
      const complaint = await until(
        async () =>
          (await cluster.client.list(core.events)).items.find(({ reason }) => reason === 'InvalidStaticPod'),
        'an event about the broken file',
      );
      assert.match(complaint.message!, /broken\.yaml: not YAML/);
      await cluster.client.delete(core.pods, 'static-node-a', {
        namespace: 'default',
        gracePeriodSeconds: 0,
      });
      const again = await running('static-node-a');
      assert.notEqual(again.metadata.uid, mirror.metadata.uid);
      assert.equal(idOf(again), idOf(mirror), 'deleting the mirror stops nothing');
      writeFileSync(join(manifests, 'static.yaml'), manifest('2'));
      const changed = await seen(
        'static-node-a',
        'version 2',
        (found) => found.metadata.labels?.['version'] === '2' && mainOf(found)?.state?.running !== undefined,
      );
      assert.notEqual(idOf(changed), idOf(mirror));
      rmSync(join(manifests, 'static.yaml'));
      await until(
        async () => (await read('static-node-a').catch(() => undefined)) === undefined,
        'the mirror is gone',
      );
      await until(
        async () => (await runtime.cri.listPodSandbox({})).items.length === 0,
        'the static pod is gone',
      );
    });

    void it('starts static pods without an API, and keeps them when it comes back', async () => {
      await kubelet.stop();
      const connect = cluster.intercept(() => new Error('connection refused'));
      writeFileSync(join(manifests, 'static.yaml'), manifest('1'));
      kubelet = await start();
      const container = await until(
        async () => (await runtime.cri.listContainers({})).containers[0],
        'the container',
      );
      connect();
      const mirror = await until(
        async () => {
          const found = await read('static-node-a').catch(() => undefined);
          return found && mainOf(found)?.state?.running ? found : undefined;
        },
        'the mirror',
        20_000,
      );
      assert.equal(idOf(mirror), container.id);
    });
  });
}
