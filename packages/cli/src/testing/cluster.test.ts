import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { clientFromKubeconfig } from '@cloudless/kube/client/kubeconfig';
import { apps, core, rbac } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import type { Deployment } from '@cloudless/kube/types/apps-v1';
import type { ConfigMap, Namespace, Pod, Service } from '@cloudless/kube/types/core-v1';
import { AppsV1Api, CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { type Cluster, ManifestError, startCluster, WaitTimeoutError } from 'cloudless/testing';

const manifest = `
# A Deployment and what goes before it.
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: 'example.org/web:1'}]}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: b}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: two, namespace: shop}}
`;

const forbidden = { name: 'StatusError', code: 403 };
const pod = (name: string, spec: object = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: { containers: [{ name: 'main', image: 'example.org/main:1' }], ...spec },
});

describe('startCluster', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster({
      nodes: [{ name: 'small', capacity: { cpu: '1', pods: 4 } }, { labels: { disk: 'fast' } }],
      version: 'v1.36.3',
    });
  });
  after(() => cluster.stop());

  it('applies YAML of several documents and lists, and waits for what comes of it', async () => {
    const [namespace, deployment, one, two] = await cluster.apply(manifest);
    assert.equal(namespace?.kind, 'Namespace');
    assert.equal(one?.metadata.namespace, 'default');
    assert.equal(two?.metadata.namespace, 'shop');
    const web = await cluster.waitFor<Deployment>(deployment as Deployment, 'Available');
    assert.equal(web.status?.readyReplicas, 3);
    const pods = await cluster.client.list(core.pods, { namespace: 'shop' });
    assert.ok(pods.items.every(({ status }) => status?.phase === 'Running' && status.podIP));
  });

  it('applies again: changed fields change, dropped ones go', async () => {
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'again' } };
    await cluster.apply({ ...map, data: { a: '1', b: '2' } });
    const [applied] = await cluster.apply<ConfigMap>({ ...map, data: { a: '3' } });
    assert.deepEqual(applied?.data, { a: '3' });
  });

  it('says which object of a manifest cannot be applied, and why', async () => {
    await assert.rejects(
      cluster.apply({ apiVersion: 'example.org/v1', kind: 'Nothing', metadata: { name: 'x' } }),
      (error) =>
        error instanceof ManifestError && error.message.includes('no kind Nothing in example.org/v1'),
    );
    await assert.rejects(
      cluster.apply('{kind: Pod}'),
      /document 1 of the manifest has no apiVersion and kind/,
    );
  });

  it('deletes with what controllers do about it', async () => {
    const [namespace] = await cluster.apply<Namespace>({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'gone' },
    });
    const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'in', namespace: 'gone' } };
    await cluster.apply(map);
    await cluster.client.delete(core.namespaces, 'gone');
    await cluster.waitForGone(namespace as Namespace);
    await cluster.waitForGone({ resource: core.configmaps, namespace: 'gone', name: 'in' });
  });

  it('tells what it saw last when a wait is over', async () => {
    const wait = cluster.waitFor<Namespace>(
      { resource: core.namespaces, name: 'default' },
      ({ status }) => assert.equal(status?.phase, 'Terminating'),
      { timeoutMs: 50 },
    );
    await assert.rejects(wait, (error) => {
      assert.ok(error instanceof WaitTimeoutError);
      assert.match(
        error.message,
        /^namespaces default: not as it should be within 50 ms; its status is .*Active/,
      );
      assert.equal((error.last as Namespace).status?.phase, 'Active');
      assert.ok(error.cause instanceof assert.AssertionError);
      return true;
    });
    await assert.rejects(
      cluster.waitFor({ resource: core.pods, namespace: 'default', name: 'none' }, 'Ready', {
        timeoutMs: 20,
      }),
      /pods default\/none: not Ready within 20 ms; there is none/,
    );
    const stopping = AbortSignal.abort(new Error('enough'));
    await assert.rejects(
      cluster.waitForGone({ resource: core.namespaces, name: 'default' }, { signal: stopping }),
      /enough/,
    );
  });

  it('gives nodes the capacity, labels and addresses that schedulers and people look at', async () => {
    const [small, fast] = await Promise.all(
      ['small', 'node-2'].map((name) => cluster.client.get(core.nodes, name)),
    );
    assert.equal(small?.status?.allocatable?.['cpu'], '1');
    assert.equal(small?.status?.allocatable?.['pods'], '4');
    assert.equal(fast?.metadata.labels?.['disk'], 'fast');
    assert.notEqual(small?.status?.addresses?.[0]?.address, fast?.status?.addresses?.[0]?.address);
    const onFast = await cluster.client.create(core.pods, pod('picky', { nodeSelector: { disk: 'fast' } }));
    const running = await cluster.waitFor<Pod>(onFast, ({ status }) => status?.phase === 'Running');
    assert.equal(running.spec?.nodeName, 'node-2');
  });

  it('lets a test end a container', async () => {
    const created = await cluster.client.create(
      core.pods,
      pod('fails', { nodeSelector: { disk: 'fast' }, restartPolicy: 'Never' }),
    );
    const running = await cluster.waitFor<Pod>(created, 'Ready');
    const id = running.status?.containerStatuses?.[0]?.containerID?.split('://')[1] as string;
    cluster.nodes.find(({ name }) => name === 'node-2')?.runtime.exit(id, 3);
    const failed = await cluster.waitFor<Pod>(created, ({ status }) => status?.phase === 'Failed');
    assert.equal(failed.status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 3);
  });

  it('refuses logs of what is no process, in a sentence', async () => {
    await cluster.client.create(core.pods, pod('silent', { nodeSelector: { disk: 'fast' } }));
    await cluster.waitFor({ resource: core.pods, namespace: 'default', name: 'silent' }, 'Ready');
    const config = new KubeConfig();
    config.loadFromOptions(cluster.adminConfig);
    await assert.rejects(
      config.makeApiClient(CoreV1Api).readNamespacedPodLog({ name: 'silent', namespace: 'default' }),
      (error) => {
        assert.match((error as Error).message, /501.*silent is simulated/s);
        return true;
      },
    );
  });

  it('serves @kubernetes/client-node by options and by kubeconfig', async () => {
    for (const load of [
      (config: KubeConfig) => config.loadFromOptions(cluster.adminConfig),
      (config: KubeConfig) => config.loadFromString(cluster.kubeconfig),
    ]) {
      const config = new KubeConfig();
      load(config);
      const { items } = await config.makeApiClient(AppsV1Api).listDeploymentForAllNamespaces();
      assert.equal(items[0]?.metadata?.name, 'web');
    }
  });

  it('answers over TLS under the version it was given', async () => {
    const client = clientFromKubeconfig(await cluster.kubeconfigFile());
    try {
      assert.equal(JSON.parse(await client.raw('GET', '/version')).gitVersion, 'v1.36.3');
      const { items } = await client.list(core.nodes);
      assert.deepEqual(
        items.map(({ metadata }) => metadata.name),
        ['node-2', 'small'],
      );
    } finally {
      client.close();
    }
  });

  it('keeps the kubeconfig file to its owner', async () => {
    const path = await cluster.kubeconfigFile();
    assert.equal(await cluster.kubeconfigFile(), path);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(readFileSync(path, 'utf8'), cluster.kubeconfig);
  });

  it('lets users do what RBAC grants and no more, in process and by kubeconfig', async () => {
    const user = 'system:serviceaccount:default:operator';
    await cluster.apply([
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'operator' } },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'Role',
        metadata: { name: 'reads' },
        rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }],
      },
      {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { name: 'reads' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reads' },
        subjects: [{ kind: 'ServiceAccount', name: 'operator', namespace: 'default' }],
      },
    ]);
    const remote = clientFromKubeconfig(await cluster.kubeconfigFor(user));
    try {
      for (const client of [cluster.clientFor(user), remote]) {
        await client.list(core.configmaps, { namespace: 'default' });
        await assert.rejects(client.list(core.secrets, { namespace: 'default' }), forbidden);
        await assert.rejects(client.list(rbac.roles, { namespace: 'default' }), forbidden);
      }
      await assert.rejects(cluster.clientFor('nobody').list(core.configmaps), forbidden);
    } finally {
      remote.close();
    }
  });
});

describe('clusters', () => {
  it('run side by side and know nothing of each other', async () => {
    const clusters = await Promise.all([1, 2, 3, 4].map((nodes) => startCluster({ nodes })));
    try {
      for (const [i, { client }] of clusters.entries()) {
        assert.equal((await client.list(core.nodes)).items.length, i + 1);
        assert.equal((await client.list(apps.deployments)).items.length, 0);
      }
      const [one, two] = clusters as [Cluster, Cluster];
      // The credentials of one are nobody's at another: the server's CA fails first, then the client's.
      const crossed = one.kubeconfig.replace(one.url, two.url);
      const client = clientFromKubeconfig(crossed);
      await assert.rejects(client.list(core.pods), (error) => !(error instanceof StatusError));
      client.close();
      const [oneCa, twoCa] = [one, two].map(({ ca }) => Buffer.from(ca).toString('base64')) as [
        string,
        string,
      ];
      const trusting = clientFromKubeconfig(crossed.replace(oneCa, twoCa));
      await assert.rejects(trusting.list(core.pods), (error) => {
        assert.ok(error instanceof StatusError && (error.code === 401 || error.code === 403), String(error));
        return true;
      });
      trusting.close();
    } finally {
      await Promise.all(clusters.map((each) => each.stop()));
    }
  });

  it('can be the API alone: nothing acts on objects, and pods need no service account', async () => {
    await using cluster = await startCluster({ nodes: 0, controllers: false, scheduler: false });
    const created = await cluster.client.create(core.pods, pod('alone'));
    assert.equal(created.status?.phase, 'Pending');
    assert.equal(created.spec?.serviceAccountName ?? '', '');
    assert.deepEqual((await cluster.client.list(core.serviceaccounts)).items, []);
    assert.deepEqual((await cluster.client.list(core.nodes)).items, []);
  });

  it('gives load balancers addresses when asked to', async () => {
    await using cluster = await startCluster({ nodes: 0, loadBalancer: true });
    const [service] = await cluster.apply<Service>([
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: 'web' },
        spec: { type: 'LoadBalancer', ports: [{ port: 80 }] },
      },
      {
        apiVersion: 'metallb.io/v1beta1',
        kind: 'IPAddressPool',
        metadata: { name: 'pool' },
        spec: { addresses: ['192.0.2.9/32'] },
      },
    ]);
    await cluster.waitFor(service as Service, ({ status }) =>
      assert.deepEqual(status?.loadBalancer?.ingress?.[0]?.ip, '192.0.2.9'),
    );
  });

  it('end with the signal, and their file with them', async () => {
    const stopping = new AbortController();
    const cluster = await startCluster({ nodes: 0, signal: stopping.signal });
    const path = await cluster.kubeconfigFile();
    stopping.abort();
    await cluster.stop();
    assert.ok(!existsSync(path));
    await assert.rejects(fetch(`${cluster.url}/healthz`));
    await assert.rejects(startCluster({ signal: stopping.signal }), { name: 'AbortError' });
  });
});
