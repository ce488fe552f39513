import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Pod } from '@cloudless/kube/types/core-v1';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, builtImage, eventually, TestCluster } from './cluster.ts';
import { listMachine, type MachineListing } from './machine-listing.ts';

const archive = builtImage('tests/e2e/images/etcd/image.yaml');
isolate();
addUplink();

/** An etcd in the shape of kubeadm's own: a static pod on the host's network, its data and certificates by hostPath. */
function etcdPod(dataFolder: string, pkiFolder: string): Pod {
  const endpoint = 'https://127.0.0.1:2379';
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'etcd',
      namespace: 'kube-system',
      labels: { component: 'etcd', tier: 'control-plane' },
    },
    spec: {
      hostNetwork: true,
      priorityClassName: 'system-node-critical',
      containers: [
        {
          name: 'etcd',
          image: 'cloudless.local/etcd:1',
          imagePullPolicy: 'Never',
          args: [
            '--data-dir=/var/lib/etcd',
            `--listen-client-urls=${endpoint}`,
            `--advertise-client-urls=${endpoint}`,
            '--cert-file=/etc/kubernetes/pki/etcd/server.crt',
            '--key-file=/etc/kubernetes/pki/etcd/server.key',
            '--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt',
            '--client-cert-auth',
          ],
          volumeMounts: [
            { name: 'data', mountPath: '/var/lib/etcd' },
            { name: 'pki', mountPath: '/etc/kubernetes/pki/etcd', readOnly: true },
          ],
        },
      ],
      volumes: [
        { name: 'data', hostPath: { path: dataFolder, type: 'DirectoryOrCreate' } },
        { name: 'pki', hostPath: { path: pkiFolder, type: 'Directory' } },
      ],
    },
  };
}

// The talk's shape: the control plane's storage is a static pod of the very node whose control plane waits for it.
describe('a cluster whose etcd is its own static pod', () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  const pki = join(cluster.root, 'etc/kubernetes/pki');
  const manifests = join(cluster.root, 'etc/kubernetes/manifests');
  const dataFolder = join(cluster.root, 'var/lib/etcd');
  /** What is this test's own, even while another runs beside it. */
  const left = (): Partial<MachineListing> => {
    const { processes, mounts, interfaces, routes, nft } = listMachine(cluster.root);
    return { processes, mounts, interfaces, routes, nft };
  };
  const before_ = left();
  const up = (): Promise<string> =>
    cluster.up(
      '--etcd-servers=https://127.0.0.1:2379',
      `--etcd-cafile=${join(pki, 'etcd/ca.crt')}`,
      `--etcd-certfile=${join(pki, 'apiserver-etcd-client.crt')}`,
      `--etcd-keyfile=${join(pki, 'apiserver-etcd-client.key')}`,
    );
  const etcdIsReady = (): Promise<unknown> =>
    kubectl.run(['-n', 'kube-system', 'wait', '--for=condition=Ready', 'pod/etcd-node-1', '--timeout=60s']);

  before(async () => {
    // Certificates, and the image in this node's containerd.
    await cluster.up();
    await cluster.cloudless('image', 'load', archive);
    await cluster.cloudless('down');
    mkdirSync(manifests, { recursive: true });
    writeFileSync(join(manifests, 'etcd.yaml'), JSON.stringify(etcdPod(dataFolder, join(pki, 'etcd'))));
  });
  after(() => cluster.remove());

  it('`up` waits for the pod that its kubelet starts, and shows it by its mirror', async () => {
    await up();
    await eventually('the mirror', etcdIsReady);
    assert.ok(readdirSync(dataFolder).includes('member'));
    await kubectl.run(['create', 'configmap', 'kept', '--from-literal=a=1']);
  });

  it('the control plane killed, then etcd’s container: both come back, nothing is lost', async () => {
    const pid = await cluster.pidOf('control-plane');
    process.kill(pid, 'SIGKILL');
    await eventually('the API answers', () => kubectl.run(['get', 'configmap', 'kept']));
    const mirrorOf = async (): Promise<Pod> =>
      JSON.parse(await kubectl.run(['-n', 'kube-system', 'get', 'pod', 'etcd-node-1', '-o', 'json'])) as Pod;
    const restarts = async (): Promise<number> =>
      (await mirrorOf()).status?.containerStatuses?.[0]?.restartCount ?? -1;
    const count = await restarts();
    const etcd = await eventually('its process', async () => pidOfEtcd());
    process.kill(etcd, 'SIGKILL');
    await eventually('it runs again', async () => (await restarts()) === count + 1, 60_000);
    await etcdIsReady();
    assert.match(await kubectl.run(['get', 'configmap', 'kept', '-o', 'name']), /kept/);
    await eventually('writes work', () =>
      kubectl.run(['create', 'configmap', 'later', '--from-literal=a=1']),
    );
  });

  it('`down` ends it too and leaves nothing; `up` finds every object again', async () => {
    const begunMs = performance.now();
    await cluster.cloudless('down');
    const tookMs = performance.now() - begunMs;
    assert.ok(tookMs < 60_000, `down took ${tookMs} ms`);
    assert.deepEqual(left(), before_);
    assert.ok(existsSync(join(dataFolder, 'member')));
    await up();
    assert.match(await kubectl.run(['get', 'configmap', 'kept', 'later', '-o', 'name']), /kept[\s\S]*later/);
    await eventually('the mirror', etcdIsReady);
  });
});

/** The pod's etcd: the process of that name in this test's network namespace. */
function pidOfEtcd(): number | undefined {
  const own = readlinkSync('/proc/thread-self/ns/net');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')[0];
        return command === '/usr/bin/etcd' && readlinkSync(`/proc/${pid}/ns/net`) === own;
      } catch {
        return false;
      }
    });
}
