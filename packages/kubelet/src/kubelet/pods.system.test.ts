import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import type { Container, Pod } from '@cloudless/kube/types/core-v1';
import { testImage } from '../image/testing.ts';
import { type Kubelet, parseKubeletConfiguration, startKubelet } from '../index.ts';
import { startTestNode, type TestNode, until } from '../testing/node.ts';

/** What only real containers can show: volumes, environment, users, limits, and that nothing is left. */
void describe('pods in containerd', () => {
  let node: TestNode;
  let cluster: FakeCluster;
  let kubelet: Kubelet;
  let host: string;

  before(async () => {
    node = await startTestNode('pods');
  });
  after(() => node?.dispose());
  beforeEach(async () => {
    cluster = new FakeCluster();
    host = mkdtempSync(join(tmpdir(), 'cl-host-'));
    kubelet = await start();
  });
  afterEach(async () => {
    await kubelet.terminateAll({ graceSeconds: 1 });
    rmSync(host, { recursive: true, force: true });
    assert.deepEqual(leftovers(), []);
  });

  const start = (): Promise<Kubelet> =>
    startKubelet({
      context: node.context,
      client: cluster.client,
      cri: node.cri,
      config: parseKubeletConfiguration({ clusterDNS: ['10.96.0.10'] }).config,
      nodeIps: ['192.0.2.1'],
      log: logger('test').child({}, { level: process.env['CLOUDLESS_LOG'] ?? 'fatal' }),
    });
  const leftovers = (): string[] => {
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    return mounts.filter((line) => line.includes(`${node.context.root}/var/lib/kubelet`));
  };
  const main = (more: Partial<Container> = {}): Container => ({
    name: 'main',
    image: testImage,
    imagePullPolicy: 'Never',
    command: ['sleep', '1000'],
    ...more,
  });
  const pod = (
    name: string,
    spec: Partial<NonNullable<Pod['spec']>> = {},
    meta: Partial<Pod['metadata']> = {},
  ): Pod => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', ...meta },
    spec: {
      nodeName: node.context.nodeName,
      hostNetwork: true,
      terminationGracePeriodSeconds: 1,
      serviceAccountName: 'default',
      containers: [main()],
      ...spec,
    },
  });
  const read = (name: string): Promise<Pod> => cluster.client.get(core.pods, name, { namespace: 'default' });
  const state = (found: Pod) => found.status?.containerStatuses?.[0]?.state;
  const running = async (made: Pod): Promise<Pod> => {
    await cluster.client.create(core.pods, made);
    return until(`${made.metadata.name} runs`, async () => {
      const found = await read(made.metadata.name!);
      return state(found)?.running ? found : undefined;
    });
  };
  const exec = async (found: Pod, command: string): Promise<string> => {
    const containerId = found.status!.containerStatuses![0]!.containerID!.replace('containerd://', '');
    const answer = await node.cri.execSync({ containerId, cmd: ['sh', '-c', command], timeout: 5n });
    return Buffer.concat([answer.stdout, answer.stderr]).toString().trimEnd();
  };
  const mounted = (name: string, mountPath = `/${name}`) => ({ name, mountPath });
  const eventOf = (name: string, reason: string): Promise<string> =>
    until(`event ${reason} of ${name}`, async () => {
      const all = (await cluster.client.list(core.events, { namespace: 'default' })).items;
      return all.find((event) => event.involvedObject.name === name && event.reason === reason)?.message;
    });
  const configMap = (data: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'settings', namespace: 'default' },
    data,
  });

  void it('mounts configMap, secret, projected, downwardAPI, emptyDir and hostPath volumes, and updates them', async () => {
    await cluster.client.create(core.configmaps, configMap({ color: 'red', 'app.conf': 'a=1' }));
    await cluster.client.create(core.secrets, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'key', namespace: 'default' },
      data: { password: Buffer.from('s3cret').toString('base64') },
    });
    writeFileSync(join(host, 'file'), 'from the host');
    const found = await running(
      pod(
        'volumes',
        {
          volumes: [
            { name: 'config', configMap: { name: 'settings' } },
            { name: 'secret', secret: { secretName: 'key', defaultMode: 0o400 } },
            {
              name: 'info',
              downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] },
            },
            { name: 'scratch', emptyDir: {} },
            { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
            { name: 'host', hostPath: { path: host, type: 'Directory' } },
            {
              name: 'all',
              projected: {
                sources: [
                  { configMap: { name: 'settings', items: [{ key: 'color', path: 'deep/color' }] } },
                  { secret: { name: 'key' } },
                ],
              },
            },
          ],
          containers: [
            main({
              volumeMounts: [
                ...['config', 'secret', 'info', 'scratch', 'memory', 'host', 'all'].map((name) =>
                  mounted(name),
                ),
                { name: 'config', mountPath: '/etc/app.conf', subPath: 'app.conf' },
                { name: 'scratch', mountPath: '/sub', subPathExpr: 'of-$(WHO)' },
              ],
              env: [{ name: 'WHO', value: 'me' }],
            }),
          ],
        },
        { labels: { app: 'x', tier: 'y' } },
      ),
    );
    assert.equal(await exec(found, 'cat /config/color /config/app.conf'), 'reda=1');
    assert.equal(await exec(found, 'cat /secret/password; stat -L -c " %a" /secret/password'), 's3cret 400');
    assert.equal(await exec(found, 'cat /info/labels'), 'app="x"\ntier="y"');
    assert.equal(await exec(found, 'cat /host/file /all/deep/color /all/password'), 'from the hostreds3cret');
    assert.equal(await exec(found, 'cat /etc/app.conf'), 'a=1');
    assert.match(await exec(found, 'echo x > /config/color'), /Read-only file system/);
    assert.equal(await exec(found, 'echo here > /sub/f; cat /scratch/of-me/f'), 'here');
    assert.match(await exec(found, 'dd if=/dev/zero of=/memory/big bs=1M count=3 2>&1'), /No space left/);
    assert.match(await exec(found, 'mount | grep " /secret "'), /tmpfs/);

    await cluster.client.update(core.configmaps, configMap({ color: 'blue', more: 'yes' }));
    await until('the update', async () =>
      (await exec(found, 'cat /config/color /all/deep/color')) === 'blueblue' ? true : undefined,
    );
    assert.equal(await exec(found, 'ls /config'), 'color\nmore');
    await cluster.client.patch(
      core.pods,
      'volumes',
      'merge',
      { metadata: { labels: { tier: 'z' } } },
      { namespace: 'default' },
    );
    await until('the label', async () =>
      (await exec(found, 'cat /info/labels')) === 'app="x"\ntier="z"' ? true : undefined,
    );
  });

  void it('gives fsGroup the volumes and subPath no way out', async () => {
    const found = await running(
      pod('grouped', {
        securityContext: { fsGroup: 2000, runAsUser: 1000, supplementalGroups: [3000] },
        volumes: [
          { name: 'scratch', emptyDir: {} },
          { name: 'host', hostPath: { path: host } },
        ],
        containers: [main({ volumeMounts: [mounted('scratch'), mounted('host')] })],
      }),
    );
    assert.equal(
      await exec(found, 'id -u; id -G | tr " " "\\n" | sort -n | tail -2 | tr "\\n" " "'),
      '1000\n2000 3000',
    );
    assert.equal(await exec(found, 'touch /scratch/f; stat -c %g /scratch/f'), '2000');
    symlinkSync('/etc', join(host, 'inside'));
    await cluster.client.create(
      core.pods,
      pod('escape', {
        volumes: [{ name: 'host', hostPath: { path: host } }],
        containers: [main({ volumeMounts: [{ name: 'host', mountPath: '/x', subPath: 'inside' }] })],
      }),
    );
    assert.match(await eventOf('escape', 'Failed'), /leads out of the volume/);
    const escape = await read('escape');
    assert.equal(state(escape)?.waiting?.reason, 'CreateContainerConfigError');
  });

  void it('fills the environment from every source', async () => {
    await kubelet.stop();
    await cluster.client.create(core.configmaps, configMap({ COLOR: 'red', SIZE: 'xl' }));
    await cluster.client.create(core.services, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'my-db', namespace: 'default' },
      spec: { clusterIP: '10.96.0.7', ports: [{ port: 5432 }] },
    });
    kubelet = await start();
    const found = await running(
      pod('env', {
        containers: [
          main({
            command: ['sleep', '$(SECONDS_TO_SLEEP)'],
            envFrom: [{ configMapRef: { name: 'settings' }, prefix: 'C_' }],
            env: [
              { name: 'SECONDS_TO_SLEEP', value: '999' },
              { name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
              { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
              { name: 'BOTH', value: '$(NAME)-$(C_COLOR)-$$(NAME)-$(MY_DB_SERVICE_PORT)' },
              {
                name: 'LIMIT',
                valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } },
              },
              { name: 'KEY', valueFrom: { configMapKeyRef: { name: 'settings', key: 'SIZE' } } },
            ],
            resources: { limits: { memory: '64Mi', cpu: '500m' }, requests: { memory: '32Mi' } },
          }),
        ],
      }),
    );
    assert.equal(await exec(found, 'echo $BOTH $LIMIT $KEY $IP'), 'env-red-$(NAME)-5432 64 xl 192.0.2.1');
    assert.equal(await exec(found, 'tr "\\0" " " < /proc/1/cmdline'), 'sleep 999');
    assert.match(await exec(found, 'cat /etc/hosts'), /^# Kubernetes-managed hosts file \(host network\)\./);
  });

  void it('limits memory and tells OOMKilled, and keeps the termination message', async () => {
    await cluster.client.create(
      core.pods,
      pod('hungry', {
        restartPolicy: 'Never',
        containers: [
          main({
            command: ['sh', '-c', 'echo eating > /dev/termination-log; tail /dev/zero'],
            resources: { limits: { memory: '16Mi' } },
          }),
        ],
      }),
    );
    const found = await until('it ends', async () => {
      const seen = await read('hungry');
      return state(seen)?.terminated ? seen : undefined;
    });
    assert.equal(state(found)!.terminated!.reason, 'OOMKilled');
    assert.equal(state(found)!.terminated!.exitCode, 137);
    assert.equal(state(found)!.terminated!.message, 'eating\n');
    assert.equal(found.status!.qosClass, 'Burstable');
  });

  void it('takes the end of the log for a message where asked to', async () => {
    await cluster.client.create(
      core.pods,
      pod('loud', {
        restartPolicy: 'Never',
        containers: [
          main({
            command: ['sh', '-c', 'echo one; echo two; exit 3'],
            terminationMessagePolicy: 'FallbackToLogsOnError',
          }),
        ],
      }),
    );
    const found = await until('it ends', async () => {
      const seen = await read('loud');
      return state(seen)?.terminated ? seen : undefined;
    });
    assert.equal(state(found)!.terminated!.message, 'one\ntwo\n');
  });

  void it('keeps to the security context', async () => {
    const found = await running(
      pod('tight', {
        containers: [
          main({
            securityContext: {
              runAsUser: 1000,
              runAsGroup: 1000,
              runAsNonRoot: true,
              readOnlyRootFilesystem: true,
              allowPrivilegeEscalation: false,
              capabilities: { drop: ['ALL'] },
              seccompProfile: { type: 'RuntimeDefault' },
            },
          }),
        ],
      }),
    );
    assert.equal(await exec(found, 'id -u; id -g'), '1000\n1000');
    assert.match(await exec(found, 'touch /x'), /Read-only file system/);
    const status = await exec(found, 'cat /proc/1/status');
    assert.match(status, /CapEff:\s+0+$/m);
    assert.match(status, /NoNewPrivs:\s+1/);
    assert.match(status, /Seccomp:\s+2/);
    await cluster.client.create(
      core.pods,
      pod('root', { containers: [main({ securityContext: { runAsNonRoot: true } })] }),
    );
    assert.match(
      await eventOf('root', 'Failed'),
      /container has runAsNonRoot and image will run as root \(pod: "root_default\(.*\)", container: main\)/,
    );
  });

  void it('says why a pod cannot start', async () => {
    await cluster.client.create(
      core.pods,
      pod('no-image', { containers: [main({ image: 'nowhere.example/none:1' })] }),
    );
    await cluster.client.create(core.pods, pod('no-program', { containers: [main({ command: ['/nope'] })] }));
    await cluster.client.create(
      core.pods,
      pod('no-folder', {
        volumes: [{ name: 'v', hostPath: { path: join(host, 'none'), type: 'Directory' } }],
      }),
    );
    await cluster.client.create(
      core.pods,
      pod('nfs', { volumes: [{ name: 'v', nfs: { server: 'a', path: '/b' } }] }),
    );
    await cluster.client.create(
      core.pods,
      pod('no-map', { volumes: [{ name: 'v', configMap: { name: 'none' } }] }),
    );
    assert.match(
      await eventOf('no-folder', 'FailedMount'),
      /MountVolume.SetUp failed for volume "v" : hostPath type check failed: .* is not a directory/,
    );
    assert.match(await eventOf('nfs', 'FailedMount'), /volume type nfs is not supported/);
    assert.equal(
      await eventOf('no-map', 'FailedMount'),
      'MountVolume.SetUp failed for volume "v" : configmap "none" not found',
    );
    const waits = (name: string) =>
      until(`${name} waits`, async () => {
        const why = state(await read(name))?.waiting;
        return why && why.reason !== 'ContainerCreating' ? why : undefined;
      });
    assert.equal((await waits('no-image')).reason, 'ErrImageNeverPull');
    const failing = await until('no-program fails', async () => {
      const found = await read('no-program');
      return found.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'CrashLoopBackOff' ||
        found.status?.containerStatuses?.[0]?.state?.waiting?.reason === 'RunContainerError'
        ? found
        : undefined;
    });
    assert.ok(failing);
  });

  void it('gives less grace when a second deletion says so', async () => {
    await running(pod('stubborn', { terminationGracePeriodSeconds: 60 }));
    await cluster.client.delete(core.pods, 'stubborn', { namespace: 'default', gracePeriodSeconds: 60 });
    await eventOf('stubborn', 'Killing');
    await cluster.client.delete(core.pods, 'stubborn', { namespace: 'default', gracePeriodSeconds: 1 });
    await until(
      'deleted',
      async () => ((await read('stubborn').catch(() => undefined)) ? undefined : true),
      8000,
    );
  });

  void it('runs hooks: postStart before readiness, preStop within the grace', async () => {
    const found = await running(
      pod('hooks', {
        terminationGracePeriodSeconds: 5,
        volumes: [{ name: 'host', hostPath: { path: host } }],
        containers: [
          main({
            volumeMounts: [mounted('host')],
            lifecycle: {
              postStart: { exec: { command: ['sh', '-c', 'echo started > /host/log'] } },
              preStop: { exec: { command: ['sh', '-c', 'echo stopping >> /host/log'] } },
            },
          }),
        ],
      }),
    );
    await until('postStart', () =>
      readFileSync(join(host, 'log'), 'utf8') === 'started\n' ? true : undefined,
    );
    await cluster.client.delete(core.pods, found.metadata.name!, { namespace: 'default' });
    await until(
      'deleted',
      async () => ((await read('hooks').catch(() => undefined)) ? undefined : true),
      15_000,
    );
    assert.equal(readFileSync(join(host, 'log'), 'utf8'), 'started\nstopping\n');
  });
});
