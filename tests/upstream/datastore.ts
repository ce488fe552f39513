// `KUBE_APISERVER=… KUBECTL=… node --test tests/upstream/datastore.ts`: upstream's kube-apiserver with our datastore in
// the place of etcd, over TLS with client certificates, as kubeadm sets up an external etcd.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { freePort } from '@cloudless/kube/testing/free-port';
import { makePki } from '../../packages/apiserver/src/testing/test-server.ts';
import { type Common, startKubeApiserver, startProcess, stopProcess, writeKubeconfig } from './servers.ts';

const run = promisify(execFile);
const launcher = join(import.meta.dirname, '../../bin/cloudless');
const kubeApiserver = process.env['KUBE_APISERVER'] ?? '';
const kubectlProgram = process.env['KUBECTL'] ?? 'kubectl';
const configMaps = 200;

if (!existsSync(kubeApiserver))
  throw new Error('KUBE_APISERVER must name a kube-apiserver program, see tests/upstream/README.md');

async function until(what: string, check: () => boolean): Promise<void> {
  const end = Date.now() + 30_000;
  while (!check()) {
    if (Date.now() > end) throw new Error(`waited 30 s for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("upstream's API server on our datastore", () => {
  const folder = mkdtempSync(join(tmpdir(), 'upstream-datastore-'));
  const pki = makePki();
  const file = (name: string): string => join(pki.folder, name);
  let port: number;
  let datastore: ChildProcess;
  let api: Awaited<ReturnType<typeof startKubeApiserver>>;
  let kubeconfig: string;
  const log = join(folder, 'datastore.log');

  function startDatastore(): ChildProcess {
    const endpoint = process.env['ENDPOINT'] ?? `sqlite://${folder}/state.db`;
    return startProcess(
      launcher,
      [
        'datastore',
        'serve',
        `--endpoint=${endpoint}`,
        `--listen-address=127.0.0.1:${port}`,
        `--server-cert-file=${file('server.crt')}`,
        `--server-key-file=${file('server.key')}`,
        `--trusted-ca-file=${file('ca.crt')}`,
      ],
      log,
    );
  }
  const ready = (): Promise<void> =>
    until('the datastore', () => existsSync(log) && readFileSync(log, 'utf8').includes('ready in'));

  before(async () => {
    port = await freePort();
    datastore = startDatastore();
    await ready();
    const serviceAccountKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
      type: 'pkcs1',
      format: 'pem',
    });
    const common: Common = { folder, pki, serviceAccountKey, runtimeConfig: {} };
    api = await startKubeApiserver(common, kubeApiserver, [
      `--etcd-servers=https://127.0.0.1:${port}`,
      `--etcd-cafile=${file('ca.crt')}`,
      `--etcd-certfile=${file('admin.crt')}`,
      `--etcd-keyfile=${file('admin.key')}`,
      '--etcd-compaction-interval=5s',
    ]);
    kubeconfig = writeKubeconfig(folder, pki, api.peer);
  });
  after(async () => {
    await api?.stop();
    await stopProcess(datastore);
    pki.remove();
    rmSync(folder, { recursive: true });
  });
  const kubectl = async (...args: string[]): Promise<string> =>
    (await run(kubectlProgram, ['--kubeconfig', kubeconfig, ...args])).stdout;

  it("answers kubeadm's question for the version of an external etcd", async () => {
    const body = await new Promise<string>((resolve, reject) => {
      get(
        `https://127.0.0.1:${port}/version`,
        { ca: pki.ca, ...pki.admin, checkServerIdentity: () => undefined },
        (response) => {
          let text = '';
          response.on('data', (chunk: Buffer) => (text += chunk.toString()));
          response.on('end', () => resolve(text));
        },
      ).on('error', reject);
    });
    const { etcdserver } = JSON.parse(body) as { etcdserver: string };
    const [major = 0, minor = 0, patch = 0] = etcdserver.split('.').map(Number);
    assert.ok(major * 1e6 + minor * 1e3 + patch >= 3_005_024, etcdserver);
  });

  it('creates, reads, watches and deletes through it', async () => {
    const watch = spawn(kubectlProgram, ['--kubeconfig', kubeconfig, 'get', 'cm', '-w', '-o', 'name']);
    let seen = '';
    watch.stdout.on('data', (chunk: Buffer) => (seen += chunk.toString()));
    try {
      await kubectl('create', 'configmap', 'first', '--from-literal=a=1');
      await until('the watch', () => seen.includes('configmap/first'));
      assert.equal(await kubectl('get', 'cm', 'first', '-o', 'jsonpath={.data.a}'), '1');
      await kubectl('delete', 'cm', 'first');
      await assert.rejects(kubectl('get', 'cm', 'first'), /NotFound/);
    } finally {
      watch.kill();
    }
  });

  it('goes on after the datastore was killed, with everything there, compactions meanwhile', async () => {
    const names = Array.from({ length: configMaps }, (_, i) => `many-${i}`);
    for (const name of names) {
      const answer = await api.peer.send({
        method: 'POST',
        path: '/api/v1/namespaces/default/configmaps',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { name } }),
      });
      assert.equal(answer.status, 201);
      if (name !== 'many-100') continue;
      datastore.kill('SIGKILL');
      await new Promise((resolve) => datastore.once('close', resolve));
      rmSync(log);
      datastore = startDatastore();
      await ready();
      for (let i = 0; i < 100; i++) {
        const { status } = await api.peer.send({ method: 'GET', path: '/readyz' });
        if (status === 200) break;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    const listed = (await kubectl('get', 'cm', '-o', 'name', '--chunk-size=50')).trim().split('\n');
    assert.equal(listed.filter((name) => name.startsWith('configmap/many-')).length, configMaps);
  });
});
