import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { missingPeer } from '../../packages/kube/src/testing/peers.ts';
import { isolate, type Namespace, newNamespace } from '../../packages/network/src/testing/namespaces.ts';
import { builtImage, cloudless, eventually, TestCluster } from './cluster.ts';
import { arpAnswers, ask, Segment, talk } from './segment.ts';

const skip = missingPeer('arping');
const images = skip
  ? []
  : ['tests/e2e/images/torrent/image.yaml', 'examples/web/images/back/image.yaml'].map(builtImage);
if (!skip) isolate();
const run = promisify(execFile);

const [nine, ten] = ['116.203.0.9', '116.203.0.10'];
const clientAddress = '116.203.0.100';

const pod = (name: string, node: string, image: string, labels: Record<string, string>): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels },
  spec: {
    nodeName: node,
    terminationGracePeriodSeconds: 1,
    containers: [{ name: 'main', image, imagePullPolicy: 'Never' }],
  },
});

const transmission = (node: string): object =>
  pod(`transmission-${node}`, node, 'cloudless.local/torrent:1', {
    'app.kubernetes.io/name': 'transmission',
  });

describe('the talk’s virtual IPs on two nodes', { skip }, () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  const root = mkdtempSync('/tmp/cl-');
  const apply = (...objects: object[]): Promise<string> =>
    kubectl.run(['apply', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }),
    });
  const macs = new Map<string, string>();
  const nodeOf = (mac: string): string => [...macs].find(([, one]) => one === mac)?.[0] ?? mac;
  let segment: Segment;
  let machine: Namespace;
  let client: Namespace;
  const onSecond = (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
    run('nsenter', [`--net=${machine.path}`, cloudless, ...args], { timeout: 120_000 });
  const answering = (address: string): string[] => arpAnswers(client, address).map(nodeOf);
  const status = async (): Promise<{
    addresses: Array<{
      address: string;
      sources: string[];
      pool: string;
      modes: Array<{ mode: string; owners: string[]; others: Array<{ node: string; why: string }> }>;
    }>;
  }> => JSON.parse(await cluster.cloudless('loadbalancer', 'status', '-o', 'json'));

  before(async () => {
    segment = await Segment.make();
    machine = await newNamespace();
    client = await newNamespace();
    macs.set('node-1', segment.connect(undefined, '192.0.2.10/24', '116.203.0.2/24'));
    macs.set('node-2', segment.connect(machine, '192.0.2.11/24', '116.203.0.3/24'));
    segment.connect(client, `${clientAddress}/24`);
    await cluster.up('--node-ip', '192.0.2.10');
    await cluster.cloudless('image', 'load', ...images);
    const kubeconfig = join(root, 'node-2.conf');
    await cluster.cloudless('kubeconfig', 'node', 'node-2', '--out', kubeconfig);
    const agent = ['agent', '--detach', '--root', root, '--node-name', 'node-2', '--node-ip', '192.0.2.11'];
    await onSecond(...agent, '--kubeconfig', kubeconfig);
    await onSecond('image', 'load', ...images, '--root', root);
  });
  after(async () => {
    try {
      await onSecond('down', '--root', root);
    } finally {
      await cluster.remove();
      for (const one of [machine, client, segment]) one?.close();
      rmSync(root, { recursive: true, force: true });
    }
  });

  it('a plain cluster runs no speaker', async () => {
    const { supervisor } = JSON.parse(await cluster.status()) as {
      supervisor: { children: Array<{ name: string }> };
    };
    assert.deepEqual(
      supervisor.children.map(({ name }) => name),
      ['control-plane', 'node-agent', 'dns'],
    );
  });

  it('takes the objects of docs/virtual-ips.md as they stand', async () => {
    const text = readFileSync(new URL('../../docs/virtual-ips.md', import.meta.url), 'utf8');
    const [, objects = ''] = /```yaml\n([^]*?)```/.exec(text) ?? [];
    const answer = await eventually('the namespace and the kinds', () =>
      kubectl.run(['apply', '--dry-run=server', '-f', '-'], { input: objects }),
    );
    assert.match(
      answer,
      /ipaddresspool.metallb.io\/public created.*l2advertisement.metallb.io\/public created/s,
    );
  });

  it('metallb.yaml, service-nine.yaml and transmission.yaml get .9 and .10', async () => {
    await kubectl.run(['apply', '-f', '-'], { input: talk('service-nine.yaml') });
    for (const file of ['metallb.yaml', 'transmission.yaml'])
      await kubectl.run(['apply', '-f', '-'], { input: talk(file) });
    const addressOf = (name: string): Promise<string> =>
      kubectl.run(['get', 'service', name, '-o', 'jsonpath={.status.loadBalancer.ingress[*].ip}']);
    await eventually('.9', async () => (await addressOf('web')) === nine);
    await eventually('.10', async () => (await addressOf('transmission-torrent')) === ten);
  });

  it('nobody announces what no pod serves', () => {
    assert.deepEqual(answering(nine), []);
    assert.deepEqual(answering(ten), []);
  });

  it('Cluster: one node of two answers for .9, and HTTP reaches the pod wherever it is', async () => {
    await apply(pod('web', 'node-1', 'cloudless.local/web-back:1', { app: 'web' }));
    // The nodes hear of the pod one after the other: who hears it first may hand the address over at once.
    const [owner] = await eventually('ARP by one node', async () => {
      const nodes = answering(nine);
      return nodes.length === 1 && nodes;
    });
    assert.deepEqual(answering(nine), [owner]);
    assert.match(
      await eventually('HTTP', async () => client.run('curl', '-s', '-m', '5', `http://${nine}/healthz`)),
      /ok/,
    );
    const { addresses } = await status();
    const mode = addresses.find(({ address }) => address === nine)?.modes[0];
    assert.deepEqual(mode?.owners, [owner]);
    assert.equal(mode?.others[0]?.why, 'later in the election');
  });

  it('Local: only the node with the pod answers for .10, by TCP and UDP, and the pod sees the client itself', async () => {
    await apply(transmission('node-1'));
    await eventually('ARP', async () => answering(ten).join() === 'node-1');
    for (const protocol of ['tcp', 'udp'] as const)
      assert.equal(
        await eventually(protocol, async () => ask(client, protocol, ten, 31415)),
        `${protocol} hello ${clientAddress}`,
      );
    const logs = await kubectl.run(['logs', 'transmission-node-1']);
    assert.match(logs, new RegExp(`tcp from ${clientAddress}`));
    assert.match(logs, new RegExp(`udp from ${clientAddress}`));
    const { addresses } = await status();
    const found = addresses.find(({ address }) => address === ten);
    assert.deepEqual(found?.sources, ['default/transmission-torrent']);
    assert.equal(found?.pool, 'curry-torrent');
    assert.deepEqual(found?.modes[0]?.others, [{ node: 'node-2', why: 'no serving endpoint on it' }]);
  });

  it('the pod moves, and the address with it', async () => {
    await apply(transmission('node-2'));
    await kubectl.run(['delete', 'pod', 'transmission-node-1']);
    await eventually('ARP', async () => answering(ten).join() === 'node-2');
    assert.equal(
      await eventually('tcp', async () => ask(client, 'tcp', ten, 31415)),
      `tcp hello ${clientAddress}`,
    );
    assert.match(await kubectl.run(['logs', 'transmission-node-2']), new RegExp(`tcp from ${clientAddress}`));
    const assigned = await eventually('Events', async () => {
      const events = await kubectl.run(['get', 'events', '-o', 'custom-columns=R:.reason,M:.message']);
      return /nodeAssigned.*node-2.*layer2/.test(events) && events;
    });
    assert.match(assigned, /nodeAssigned.*announcing from node "node-1" with protocol "layer2"/);
    const ofService = ['-l', 'metallb.io/service-name=transmission-torrent'];
    const asNode = ['-o', 'jsonpath={.items[*].status.node}'];
    const written = await kubectl.run(['get', 'servicel2statuses', '-A', ...ofService, ...asNode]);
    assert.equal(written, 'node-2');
  });

  it('the API server dies: the addresses are announced as before, and fail over as before', async () => {
    const speakers = new Map([
      ['node-1', await cluster.pidOf('speaker')],
      ['node-2', await cluster.pidOf('speaker', root)],
    ]);
    const pid = await cluster.pidOf('control-plane');
    process.kill(pid, 'SIGSTOP');
    try {
      assert.deepEqual(answering(ten), ['node-2']);
      assert.equal(ask(client, 'tcp', ten, 31415), `tcp hello ${clientAddress}`);
      const [owner] = answering(nine) as [string];
      const frozen = speakers.get(owner) as number;
      process.kill(frozen, 'SIGSTOP');
      try {
        const [next] = await eventually('the other node', async () => {
          const nodes = answering(nine);
          return nodes.length > 0 && nodes;
        });
        assert.notEqual(next, owner);
        assert.match(client.run('curl', '-s', '-m', '5', `http://${nine}/healthz`), /ok/);
      } finally {
        process.kill(frozen, 'SIGCONT');
      }
      await eventually('the first owner again, alone', async () => answering(nine).join() === owner);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });

  it('a speaker’s certificate is good for the speaker’s work and nothing else', async () => {
    const kubeconfig = join(cluster.root, 'var/lib/cloudless/speaker/kubeconfig');
    const may = (...args: string[]): Promise<string> =>
      kubectl.run([`--kubeconfig=${kubeconfig}`, ...args]).then(
        () => 'yes',
        (error: Error) => (/forbidden/i.test(error.message) ? 'no' : String(error)),
      );
    assert.equal(await may('get', 'services', '-A'), 'yes');
    assert.equal(await may('get', 'secret', 'memberlist', '-n', 'metallb-system'), 'yes');
    assert.equal(await may('get', 'secrets', '-n', 'kube-system'), 'no');
    assert.equal(await may('get', 'pods', '-A'), 'no');
    assert.equal(await may('label', 'node', 'node-1', 'a=b'), 'no');
    assert.equal(await may('delete', 'service', 'web'), 'no');
    assert.equal(await may('delete', 'ipaddresspool', 'outofcloud', '-n', 'metallb'), 'no');
  });

  it('down withdraws: nobody answers any more', async () => {
    await cluster.cloudless('down');
    await onSecond('down', '--root', root);
    assert.deepEqual(answering(nine), []);
    assert.deepEqual(answering(ten), []);
  });
});
