import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, TestCluster } from './cluster.ts';
import { KubeadmEtcd } from './real-etcd.ts';

const run = promisify(execFile);
const cloudless = join(import.meta.dirname, '../../bin/cloudless');

isolate();
addUplink();

const manifests = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: 'cloudless.local/none:1'}]
---
apiVersion: v1
kind: Secret
metadata: {name: password, namespace: shop}
stringData: {password: hunter2}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {greeting: "grüß Gott"}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: shelves.shop.example}
spec:
  group: shop.example
  names: {kind: Shelf, plural: shelves}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`;

/** What lives only while the control plane does: it is made and renewed anew. */
const isPassing = (name: string): boolean => /^(event\.|events\.|event\/|lease\.)/.test(name);

describe('a cluster that graduates from its own datastore to etcd', () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  const pki = join(cluster.root, 'etc/kubernetes/pki');
  const dataFolder = join(cluster.root, 'etcd-data');
  const snapshot = join(cluster.root, 'graduate.snapshot');
  let etcd: KubeadmEtcd | undefined;
  let atFirst: Map<string, string>;

  /** Everything the API serves, and who it is. */
  const everything = async (): Promise<Map<string, string>> => {
    const kinds = (await kubectl.run(['api-resources', '--verbs=list', '-o', 'name'])).trim().split('\n');
    const template =
      '{{range .items}}{{.kind}}.{{.apiVersion}}/{{.metadata.namespace}}/{{.metadata.name}}|{{.metadata.uid}} ' +
      '{{.metadata.creationTimestamp}}{{"\\n"}}{{end}}';
    const text = await kubectl.run(['get', kinds.join(','), '-A', '-o', `go-template=${template}`]);
    return new Map(
      text
        .trim()
        .split('\n')
        .map((line) => {
          const [name = '', identity = ''] = line.split('|');
          return [name, identity] as const;
        })
        .filter(([name]) => !isPassing(name.toLowerCase())),
    );
  };

  before(async () => {
    await cluster.up('--runtime', 'simulated');
    await kubectl.run(['apply', '-f', '-'], { input: manifests });
    await kubectl.run(['-n', 'shop', 'rollout', 'status', 'deployment/web', '--timeout=60s']);
    await kubectl.run(['wait', '--for=condition=Established', 'crd/shelves.shop.example', '--timeout=30s']);
    await kubectl.run(['apply', '-f', '-'], {
      input:
        'apiVersion: shop.example/v1\nkind: Shelf\nmetadata: {name: top, namespace: shop}\nheight: 9007199254740993\n',
    });
    atFirst = await everything();
  });
  after(async () => {
    try {
      await cluster.remove();
    } finally {
      await etcd?.kill();
    }
  });

  it('moves by one snapshot, which etcd restores', async () => {
    await cluster.cloudless('down');
    const datastore = `sqlite://${join(cluster.root, 'var/lib/cloudless/datastore/state.db')}`;
    await run(cloudless, ['datastore', 'check', '--endpoint', datastore]);
    await run(cloudless, ['datastore', 'snapshot', snapshot, '--endpoint', datastore]);
    const peer = 'https://127.0.0.1:2380';
    const flags = [
      `--data-dir=${dataFolder}`,
      `--initial-cluster=default=${peer}`,
      `--initial-advertise-peer-urls=${peer}`,
    ];
    await run('etcdctl', ['snapshot', 'restore', snapshot, ...flags], {
      env: { ...process.env, ETCDCTL_API: '3' },
    });
    etcd = new KubeadmEtcd(pki, dataFolder);
    await etcd.start();
    await cluster.up('--runtime', 'simulated', ...etcd.flags);
  });

  it('and has every object there, each the very same', async () => {
    const now = await everything();
    const pods = (name: string): boolean => name.startsWith('Pod.') || name.includes('metrics');
    for (const [name, identity] of atFirst) {
      if (!pods(name)) assert.equal(now.get(name), identity, name);
    }
    assert.ok(atFirst.size > 100, `${atFirst.size} objects`);
    const secret = await kubectl.run([
      '-n',
      'shop',
      'get',
      'secret',
      'password',
      '-o',
      'jsonpath={.data.password}',
    ]);
    assert.equal(Buffer.from(secret, 'base64').toString(), 'hunter2');
    const shelf = await kubectl.run(['-n', 'shop', 'get', 'shelf', 'top', '-o', 'json']);
    assert.match(shelf, /"height": 9007199254740993/);
  });

  it('goes on working: a deployment grows', async () => {
    await kubectl.run(['-n', 'shop', 'scale', 'deployment/web', '--replicas=3']);
    await kubectl.run(['-n', 'shop', 'rollout', 'status', 'deployment/web', '--timeout=60s']);
  });
});
