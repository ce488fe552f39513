import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { parseYaml } from '@cloudless/kube/codec/yaml';
import type { Event, Pod, Service } from '@cloudless/kube/types/core-v1';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, builtImage, eventually, repository, TestCluster } from './cluster.ts';

const archive = builtImage('examples/web/images/back/image.yaml');
const image = 'cloudless.local/web-back:1';
isolate();
addUplink();
const run = promisify(execFile);
const talk = join(repository, 'tests', 'talk');

/**
 * The talk's kine pod with programs of a local image: the one that keeps data writes into its hostPath, the one that
 * serves shows it on 2379, and both run as root on the host's network.
 */
function kine(dataFolder: string, pkiFolder: string): Pod {
  const pod = parseYaml(readFileSync(join(talk, 'kine.yaml'), 'utf8')) as Pod;
  const local = { image, imagePullPolicy: 'Never' as const, securityContext: { runAsUser: 0 } };
  const scripts = [
    'date +%s%N > /var/lib/postgresql/data/started; trap "exit 0" TERM; while :; do sleep 1 & wait $!; done',
    'cp /etc/kubernetes/pki/etcd/ca.crt /srv/ca.crt; httpd -f -p 127.0.0.1:2379 -h /srv & trap "kill $!" TERM; wait $!',
  ];
  for (const [i, container] of pod.spec!.containers.entries())
    Object.assign(container, local, { args: undefined, command: ['sh', '-c', scripts[i]] });
  pod.spec!.volumes![0]!.hostPath!.path = dataFolder;
  pod.spec!.volumes![1]!.hostPath!.path = pkiFolder;
  return pod;
}

/** Sockets of this machine that a node port would be. */
const listening = (): string[] =>
  execFileSync('ss', ['-Hlntu'], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/)[4] ?? '')
    .filter((address) => /:(3[0-2]\d{3}|31415|80)$/.test(address));
/** What the kernel sends on from the node's own addresses. */
const hostPorts = (): string =>
  ['hostports-at4', 'hostports-any4']
    .map((map) => execFileSync('nft', ['list', 'map', 'inet', 'cloudless', map], { encoding: 'utf8' }))
    .join('');
const ruleset = (): string => execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });

describe('static pods', () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  const manifests = join(cluster.root, 'etc/kubernetes/manifests');
  const dataFolder = join(cluster.root, 'var/lib/kine-postgres');
  const pkiFolder = join(cluster.root, 'etc/kubernetes/pki/etcd');
  const system = (...args: string[]): Promise<string> => kubectl.run(['-n', 'kube-system', ...args]);
  const mirror = async (): Promise<Pod> =>
    JSON.parse(await system('get', 'pod', 'kine-node-1', '-o', 'json')) as Pod;
  const containerIds = (pod: Pod): string[] =>
    (pod.status?.containerStatuses ?? []).map(({ containerID }) => containerID ?? '').sort();
  const isReady = (pod: Pod): boolean =>
    pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
  const readyMirror = (): Promise<Pod> =>
    eventually('the mirror is Ready', async () => {
      const pod = await mirror();
      return isReady(pod) && pod;
    });
  /** What the pod serves on the node's own address. */
  const answer = async (): Promise<string> =>
    (await run('curl', ['-sf', '-m', '5', 'http://127.0.0.1:2379/healthz'])).stdout;
  const events = async (): Promise<Event[]> =>
    (JSON.parse(await kubectl.run(['get', 'events', '-A', '-o', 'json'])) as { items: Event[] }).items;
  /** Writes a file as an editor or a fleet's tool does: under another name first. */
  const place = (name: string, text: string): void => {
    const beside = join(cluster.root, name);
    writeFileSync(beside, text);
    renameSync(beside, join(manifests, name));
  };
  let containers: string[];

  before(async () => {
    mkdirSync(manifests, { recursive: true });
    writeFileSync(join(manifests, 'kine.yaml'), JSON.stringify(kine(dataFolder, pkiFolder)));
    await cluster.up();
    await cluster.cloudless('image', 'load', archive);
  });
  after(() => cluster.remove());

  it('the talk’s kine pod runs beside the first start, on the host’s network and folders', async () => {
    await eventually('it answers', answer);
    assert.equal(await answer(), 'ok\n');
    assert.equal(
      (await run('curl', ['-sf', 'http://127.0.0.1:2379/ca.crt'])).stdout,
      readFileSync(join(pkiFolder, 'ca.crt'), 'utf8'),
    );
    assert.match(readFileSync(join(dataFolder, 'started'), 'utf8'), /^\d+/);
  });

  it('its mirror in kube-system shows it', async () => {
    const pod = await readyMirror();
    containers = containerIds(pod);
    assert.equal(containers.length, 2);
    assert.equal(pod.metadata.annotations?.['kubernetes.io/config.source'], 'file');
    assert.equal(
      pod.metadata.annotations?.['kubernetes.io/config.mirror'],
      pod.metadata.annotations?.['kubernetes.io/config.hash'],
    );
    assert.deepEqual(
      pod.metadata.ownerReferences?.map(({ kind, name, controller }) => [kind, name, controller]),
      [['Node', 'node-1', true]],
    );
    assert.equal(pod.metadata.labels?.['component'], 'kine');
    assert.equal(pod.spec?.priority, 2_000_001_000);
    assert.equal(pod.status?.podIP, pod.status?.hostIP);
    assert.match(await system('get', 'pods'), /kine-node-1\s+2\/2\s+Running\s+0/);
    assert.equal(await system('exec', 'kine-node-1', '-c', 'kine-kine', '--', 'cat', '/srv/healthz'), 'ok\n');
  });

  it('deleting the mirror does not stop the pod; the mirror comes back', async () => {
    const { uid } = (await mirror()).metadata;
    await system('delete', 'pod', 'kine-node-1', '--force', '--grace-period=0', '--wait=false');
    await eventually('another mirror', async () => (await mirror()).metadata.uid !== uid);
    assert.deepEqual(containerIds(await readyMirror()), containers);
    const second = (await mirror()).metadata.uid;
    // With grace, as a person deletes. Where the next mirror comes between kubectl's two looks, kubectl waits for
    // that one to go, until its time is up: on upstream's server too.
    await system('delete', 'pod', 'kine-node-1', '--timeout=5s').catch(() => '');
    await eventually('another mirror', async () => (await mirror()).metadata.uid !== second);
    assert.deepEqual(containerIds(await readyMirror()), containers);
    assert.equal(await answer(), 'ok\n');
  });

  it('bad files beside it are named in Events and block nothing', async () => {
    place('a-broken.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: [\n');
    place('b-published.yaml', readFileSync(join(talk, 'as-published/kube-apiserver.yaml'), 'utf8'));
    place('c-service.yaml', readFileSync(join(talk, 'transmission.yaml'), 'utf8'));
    place(
      'd-good.yaml',
      `apiVersion: v1
kind: Pod
metadata: {name: beside, namespace: kube-system}
spec:
  hostNetwrok: true
  containers: [{name: web, image: '${image}', imagePullPolicy: Never}]
`,
    );
    await eventually('the good one runs', () =>
      system('wait', '--for=condition=Ready', 'pod/beside-node-1', '--timeout=30s'),
    );
    for (const [file, why] of [
      ['a-broken.yaml', /not YAML: yaml: line \d+/],
      ['b-published.yaml', /metadata\.name: a name is needed/],
      ['c-service.yaml', /kind is "Service"; a static pod has kind "Pod"/],
      ['d-good.yaml', /unknown field "spec\.hostNetwrok": left out/],
    ] as const) {
      const path = join(manifests, file);
      const event = await eventually(`an Event about ${file}`, async () =>
        (await events()).find(({ message }) => message?.startsWith(`${path}: `)),
      );
      assert.equal(event.reason, 'InvalidStaticPod');
      assert.equal(event.type, 'Warning');
      assert.equal(event.involvedObject.kind, 'Node');
      assert.match(event.message ?? '', why);
    }
    assert.deepEqual(containerIds(await mirror()), containers);
  });

  it('a file that turns bad leaves its pod running; one that is removed ends it', async () => {
    place('d-good.yaml', 'kind: Pod\n');
    const path = join(manifests, 'd-good.yaml');
    await eventually('an Event about it', async () =>
      (await events()).some(({ message }) => message?.startsWith(`${path}: apiVersion is undefined`)),
    );
    assert.match(await system('get', 'pod', 'beside-node-1'), /1\/1\s+Running/);
    for (const file of ['a-broken.yaml', 'b-published.yaml', 'c-service.yaml', 'd-good.yaml'])
      rmSync(join(manifests, file));
    await eventually('its mirror is gone', async () =>
      system('get', 'pod', 'beside-node-1').then(
        () => false,
        (error: Error) => error.message.includes('not found'),
      ),
    );
    assert.equal(await answer(), 'ok\n');
  });

  it('the control plane killed: the static pod goes on, and is found again', async () => {
    const pid = await cluster.pidOf('control-plane');
    const { uid } = (await mirror()).metadata;
    process.kill(pid, 'SIGKILL');
    for (;;) {
      assert.equal(await answer(), 'ok\n');
      const isBack = await kubectl.run(['get', '--raw', '/readyz', '--request-timeout=2s']).then(
        () => true,
        () => false,
      );
      if (isBack) break;
    }
    const pod = await readyMirror();
    assert.deepEqual(containerIds(pod), containers);
    assert.equal(pod.metadata.uid, uid);
    assert.deepEqual(
      pod.status?.containerStatuses?.map(({ restartCount }) => restartCount),
      [0, 0],
    );
  });

  it('a changed file starts its pod anew', async () => {
    const started = readFileSync(join(dataFolder, 'started'), 'utf8');
    const pod = kine(dataFolder, pkiFolder);
    pod.metadata.labels!['generation'] = '2';
    place('kine.yaml', JSON.stringify(pod));
    await eventually('the new mirror', async () => (await mirror()).metadata.labels?.['generation'] === '2');
    await eventually('new containers', async () => {
      const now = await readyMirror();
      return containerIds(now).every((id) => !containers.includes(id));
    });
    assert.equal(await eventually('it answers', answer), 'ok\n');
    assert.notEqual(readFileSync(join(dataFolder, 'started'), 'utf8'), started, 'its data folder was kept');
  });

  it('its LoadBalancer Services are accepted, and open no port but the health check of Local', async () => {
    const [before_, hostPortsBefore] = [listening(), hostPorts()];
    await kubectl.run([
      'apply',
      '-f',
      join(talk, 'service-nine.yaml'),
      '-f',
      join(talk, 'transmission.yaml'),
    ]);
    const { items } = JSON.parse(await kubectl.run(['get', 'services', '-o', 'json'])) as {
      items: Service[];
    };
    const asked = items.filter(({ spec }) => spec?.type === 'LoadBalancer');
    assert.deepEqual(
      new Set(asked.map(({ metadata }) => metadata.name)),
      new Set(['transmission-torrent', 'web']),
    );
    for (const { metadata, spec } of asked) {
      for (const port of spec?.ports ?? [])
        assert.equal(port.nodePort, undefined, `${metadata.name} ${port.name}`);
      assert.notEqual(spec?.clusterIP, undefined);
    }
    const torrent = asked.find(({ metadata }) => metadata.name === 'transmission-torrent');
    assert.deepEqual(
      torrent?.spec?.ports?.map(({ protocol, port }) => `${protocol} ${port}`),
      ['TCP 31415', 'UDP 31415'],
    );
    assert.equal(torrent?.spec?.externalTrafficPolicy, 'Local');
    assert.match(
      await kubectl.run(['get', 'service', 'web']),
      /LoadBalancer\s+10\.\S+\s+<pending>\s+80\/TCP/,
    );
    // As upstream allocates it for traffic policy Local.
    const healthCheckPort = torrent?.spec?.healthCheckNodePort ?? 0;
    assert.ok(healthCheckPort >= 30_000);
    // The kernel has the Services by their ClusterIPs ...
    await eventually('the network part has them', async () =>
      asked.every(({ spec }) => ruleset().includes(spec?.clusterIP as string)),
    );
    // ... and nothing else on the node's own address: no rule, no answer, and no socket but that of the health check.
    await eventually('the health check', async () => listening().length > before_.length);
    assert.deepEqual(
      listening().filter((address) => !before_.includes(address)),
      [`192.0.2.10:${healthCheckPort}`],
    );
    assert.equal(hostPorts(), hostPortsBefore);
    assert.doesNotMatch(ruleset(), new RegExp(`\\b${healthCheckPort}\\b`));
    const { stdout } = await run('curl', [
      '-s',
      '-w',
      '%{http_code}',
      `http://192.0.2.10:${healthCheckPort}/`,
    ]);
    assert.match(stdout, /"localEndpoints": ?0[^]*503$/);
    for (const port of [80, 31415])
      await assert.rejects(run('curl', ['-s', '-m', '3', `http://192.0.2.10:${port}/`]), /Command failed/);
  });
});

describe('the talk’s objects under kubectl', () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  const dryRun = (name: string): Promise<string> =>
    kubectl.run(['apply', '--dry-run=server', '-f', join(talk, name)]);

  before(() => cluster.up('--runtime', 'simulated'));
  after(() => cluster.remove());

  for (const folder of ['', 'as-published/']) {
    it(`${folder}egress.yaml: a kind that is not there is named`, () =>
      assert.rejects(
        dryRun(`${folder}egress.yaml`),
        /no matches for kind "CiliumEgressGatewayPolicy" in version "cilium\.io\/v2"/,
      ));

    it(`${folder}metallb.yaml is accepted where its namespace is`, async () => {
      if (folder === '')
        await assert.rejects(dryRun(`${folder}metallb.yaml`), /namespaces "metallb" not found/);
      await kubectl.run(['apply', '-f', '-'], {
        input: JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'metallb' } }),
      });
      assert.match(
        await dryRun(`${folder}metallb.yaml`),
        /ipaddresspool\S*\/outofcloud created \(server dry run\)\nl2advertisement\S*\/outofcloud created/,
      );
    });

    it(`${folder}stateless-dns-values.yaml: Helm's values are no object, and that is said`, () =>
      assert.rejects(
        dryRun(`${folder}stateless-dns-values.yaml`),
        /apiVersion not set|'Kind' is missing|kind not set/,
      ));

    it(`${folder}transmission.yaml is accepted`, async () =>
      assert.match(
        await dryRun(`${folder}transmission.yaml`),
        /service\/transmission-torrent created \(server dry run\)/,
      ));
  }

  it('kine.yaml and kube-apiserver.yaml are pods to the API too', async () => {
    assert.match(await dryRun('kine.yaml'), /pod\/kine created/);
    assert.match(await dryRun('kube-apiserver.yaml'), /pod\/kube-apiserver created/);
  });

  it('the published excerpts of pods are refused by what is missing', async () => {
    await assert.rejects(dryRun('as-published/kine.yaml'), /name|resource name may not be empty/);
    await assert.rejects(dryRun('as-published/kube-apiserver.yaml'), /name|unknown field/);
  });
});
