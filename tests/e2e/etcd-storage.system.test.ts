import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { bootstrapControlPlane } from '@cloudless/bootstrap';
import { nodeContext } from '@cloudless/kube/node/context';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, eventually, TestCluster } from './cluster.ts';
import { KubeadmEtcd } from './real-etcd.ts';

isolate();
addUplink();

const manifests = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: 'cloudless.local/none:1', ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`;

/** kubeadm's certificates below a new folder, as an administrator has them before any API server runs. */
async function certificates(): Promise<{ root: string; pki: string }> {
  const root = mkdtempSync('/tmp/cl-');
  const context = nodeContext({ root, nodeName: 'node-1' });
  await bootstrapControlPlane({ context, nodeIps: ['192.0.2.10'], serviceIps: ['10.96.0.1'] });
  return { root, pki: context.paths.pki };
}

describe('a cluster whose objects lie in an etcd with client certificates', () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  let files: Awaited<ReturnType<typeof certificates>>;
  let etcd: KubeadmEtcd;
  const valueAt = async (key: string): Promise<Record<string, unknown>> =>
    JSON.parse(await etcd.etcdctl('get', key, '--print-value-only')) as Record<string, unknown>;

  before(async () => {
    files = await certificates();
    etcd = new KubeadmEtcd(files.pki, join(files.root, 'etcd-data'));
    await etcd.start();
    await cluster.up('--runtime', 'simulated', ...etcd.flags);
  });
  after(async () => {
    try {
      await cluster.remove();
    } finally {
      await etcd.kill();
      rmSync(files.root, { recursive: true, force: true });
    }
  });

  it('runs a Deployment behind a Service, and shows its changes to a watch', async () => {
    const watch = kubectl.start(['get', 'deployment', '-w', '--no-headers']);
    let seen = '';
    watch.stdout?.setEncoding('utf8').on('data', (text: string) => (seen += text));
    await kubectl.run(['apply', '-f', '-'], { input: manifests });
    await kubectl.run(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    await eventually('2/2 in the watch', async () => /web\s+2\/2/.test(seen));
    watch.kill();
    await eventually('both pods are endpoints', async () => {
      const slices = await kubectl.run([
        'get',
        'endpointslices',
        '-l',
        'kubernetes.io/service-name=web',
        '-o',
        'jsonpath={.items[*].endpoints[*].addresses[0]}',
      ]);
      return slices.trim().split(' ').length === 2;
    });
  });

  it('keeps objects under upstream’s keys', async () => {
    const keys = (await etcd.etcdctl('get', '--prefix', '/registry', '--keys-only'))
      .split('\n')
      .filter(Boolean);
    const pod = (await kubectl.run(['get', 'pods', '-o', 'jsonpath={.items[0].metadata.name}'])).trim();
    const set = (
      await kubectl.run(['get', 'replicasets', '-o', 'jsonpath={.items[0].metadata.name}'])
    ).trim();
    for (const key of [
      `/registry/pods/default/${pod}`,
      `/registry/replicasets/default/${set}`,
      '/registry/deployments/default/web',
      '/registry/services/specs/default/web',
      '/registry/services/specs/default/kubernetes',
      '/registry/services/endpoints/default/web',
      '/registry/minions/node-1',
      '/registry/leases/kube-node-lease/node-1',
      '/registry/namespaces/kube-system',
      '/registry/priorityclasses/system-node-critical',
      '/registry/serviceaccounts/default/default',
      '/registry/clusterroles/cluster-admin',
      '/registry/clusterrolebindings/cluster-admin',
      '/registry/roles/kube-system/extension-apiserver-authentication-reader',
      '/registry/configmaps/kube-system/kube-root-ca.crt',
      '/registry/servicecidrs/kubernetes',
      '/registry/ipaddresses/10.96.0.1',
    ])
      assert.ok(keys.includes(key), `${key} is not among\n${keys.join('\n')}`);
    assert.ok(keys.some((key) => key.startsWith('/registry/endpointslices/default/web-')));
    assert.ok(keys.some((key) => key.startsWith('/registry/events/default/')));
  });

  it('keeps every value as JSON of its kind, without what etcd knows itself', async () => {
    const answer = JSON.parse(await etcd.etcdctl('get', '--prefix', '/registry/', '-w', 'json')) as {
      kvs: Array<{ key: string; value?: string; lease?: number }>;
    };
    assert.ok(answer.kvs.length > 100, `only ${answer.kvs.length} keys`);
    for (const kv of answer.kvs) {
      const key = Buffer.from(kv.key, 'base64').toString();
      const text = Buffer.from(kv.value ?? '', 'base64').toString();
      // A fence behind a resource's keys, by which an old etcd tells a watch's progress; it goes with its lease.
      if (text === '' && key.endsWith('0') && kv.lease) continue;
      let object: { apiVersion?: string; kind?: string; metadata?: Record<string, unknown> };
      try {
        object = JSON.parse(text) as typeof object;
      } catch {
        assert.fail(`${key} holds no JSON: ${text.slice(0, 80)}`);
      }
      assert.ok(object.apiVersion && object.kind, `${key} has no apiVersion and kind: ${text.slice(0, 80)}`);
      assert.equal(object.metadata?.['resourceVersion'], undefined, key);
    }
    const service = await valueAt('/registry/services/specs/default/web');
    assert.equal(service['apiVersion'], 'v1');
    assert.equal(service['kind'], 'Service');
    assert.equal((await valueAt('/registry/minions/node-1'))['kind'], 'Node');
  });

  it('etcd killed: the API says so; etcd back: it goes on by itself, and nothing is lost', async () => {
    const pid = await cluster.pidOf('control-plane');
    await kubectl.run(['create', 'configmap', 'kept', '--from-literal=a=1']);
    const list = ['get', 'deployments,services,configmaps,secrets,serviceaccounts', '-A', '-o', 'name'];
    const objects = await kubectl.run(list);
    const watch = kubectl.start(['get', 'configmaps', '-w', '--no-headers', '--output-watch-events']);
    let seen = '';
    watch.stdout?.setEncoding('utf8').on('data', (text: string) => (seen += text));
    await eventually('the watch shows what is there', async () => /ADDED\s+kept/.test(seen));

    await etcd.kill();
    await assert.rejects(
      kubectl.run(['create', 'configmap', 'refused', '--from-literal=a=1', '--request-timeout=20s']),
      /etcd https:\/\/127\.0\.0\.1:2379 cannot be reached|etcdserver|unavailable|timed out/i,
    );
    await etcd.start();

    assert.equal(await eventually('the API answers', () => kubectl.run(list)), objects);
    await eventually('writes work', () =>
      kubectl.run(['create', 'configmap', 'later', '--from-literal=a=1']),
    );
    await eventually('the watch goes on', async () => /ADDED\s+later/.test(seen));
    watch.kill();
    // Controllers, scheduler and kubelet take part again.
    await kubectl.run(['scale', 'deployment', 'web', '--replicas=3']);
    await kubectl.run(['rollout', 'status', 'deployment/web', '--timeout=60s']);
    assert.equal(await cluster.pidOf('control-plane'), pid, 'the control plane lived through it');
  });

  it('the control plane killed while etcd is away comes back with it', async () => {
    const pid = await cluster.pidOf('control-plane');
    await etcd.kill();
    process.kill(pid, 'SIGKILL');
    await eventually('a new process waits', async () => (await cluster.pidOf('control-plane')) !== pid);
    await etcd.start();
    await eventually(
      'the control plane is ready',
      async () => {
        const status = JSON.parse(await cluster.status()) as { supervisor: { ready: boolean } };
        return status.supervisor.ready;
      },
      60_000,
    );
    assert.match(await kubectl.run(['get', 'configmap', 'kept', 'later', '-o', 'name']), /kept[\s\S]*later/);
  });

  it('what is deleted is gone from etcd', async () => {
    await kubectl.run(['delete', '-f', '-', '--timeout=60s'], { input: manifests });
    await eventually('no pod is left', async () => (await kubectl.run(['get', 'pods', '-o', 'name'])) === '');
    const left = await eventually('the collector is done', async () => {
      const keys = await etcd.etcdctl('get', '--prefix', '/registry', '--keys-only');
      const about = keys
        .split('\n')
        .filter((key) => /\/default\/web\b/.test(key) && !key.includes('/events/'));
      return about.length === 0 ? 'none' : undefined;
    });
    assert.equal(left, 'none');
  });
});

describe('`up` with an etcd that cannot be used', () => {
  let files: Awaited<ReturnType<typeof certificates>>;
  let others: Awaited<ReturnType<typeof certificates>>;
  let etcd: KubeadmEtcd;

  before(async () => {
    files = await certificates();
    others = await certificates();
    etcd = new KubeadmEtcd(files.pki, join(files.root, 'etcd-data'));
    await etcd.start();
  });
  after(async () => {
    await etcd.kill();
    for (const { root } of [files, others]) rmSync(root, { recursive: true, force: true });
  });

  /** What `up` says when it ends with an error, which it must within the time. */
  async function refusal(flags: string[], withinMs: number): Promise<string> {
    const cluster = new TestCluster();
    const begunMs = performance.now();
    try {
      const message = await cluster.up('--runtime', 'simulated', ...flags).then(
        (output) => assert.fail(`it started: ${output}`),
        (error: Error) => error.message.split('\n--- ')[0] as string,
      );
      const tookMs = performance.now() - begunMs;
      assert.ok(tookMs < withinMs, `it took ${tookMs} ms to say: ${message}`);
      assert.doesNotMatch(message, /^\s+at .*\.ts:\d+/m, 'a stack is no answer');
      return message;
    } finally {
      await cluster.remove();
    }
  }

  it('another CA: names the endpoint, the file and the remedy', async () => {
    const ca = join(others.pki, 'etcd/ca.crt');
    const message = await refusal([...etcd.flags, `--etcd-cafile=${ca}`], 30_000);
    assert.match(message, /--etcd-servers https:\/\/127\.0\.0\.1:2379/);
    assert.ok(message.includes(`--etcd-cafile ${ca} must be the CA that signed its certificate`), message);
  });

  it('a client certificate of another CA, or none', async () => {
    const [cert, key] = ['crt', 'key'].map((end) => join(others.pki, `apiserver-etcd-client.${end}`));
    const message = await refusal(
      [...etcd.flags, `--etcd-certfile=${cert}`, `--etcd-keyfile=${key}`],
      15_000,
    );
    assert.match(message, /--etcd-servers https:\/\/127\.0\.0\.1:2379/);
    assert.ok(message.includes(`--etcd-certfile ${cert} must be signed by the CA that it trusts`), message);
    const without = await refusal(etcd.flags.slice(0, 2), 30_000);
    assert.match(without, /give the client certificate that it asks for with --etcd-certfile/);
  });

  it('a file that is no certificate', async () => {
    const path = join(files.root, 'nonsense.crt');
    writeFileSync(path, 'not PEM\n');
    const message = await refusal([...etcd.flags, `--etcd-cafile=${path}`], 30_000);
    assert.ok(message.includes(`--etcd-cafile ${path}: cannot be used`), message);
  });
});
