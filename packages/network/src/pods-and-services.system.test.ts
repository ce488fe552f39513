import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { PodNetwork } from './cni/pod-network.ts';
import type { CniRequest } from './cni/request.ts';
import { openNft } from './nft/libnftables.ts';
import { openTable } from './nft/table.ts';
import { contentWithClients } from './services/affinity.ts';
import type { Frontend } from './services/model.ts';
import { ServiceProgram } from './services/program.ts';
import { isolate, type Namespace, newNamespace } from './testing/namespaces.ts';

isolate();

const serve = `require('node:http').createServer((q, s) => s.end(q.socket.remoteAddress + ' ' + process.argv[1])).listen(8080)`;
const fetchText = (url: string): string =>
  `require('node:http').get('${url}', { agent: false, timeout: 2000 }, (r) => r.setEncoding('utf8').on('data', (d) => process.stdout.write(d))).on('error', (e) => process.stdout.write('error ' + e.code)).on('timeout', function () { this.destroy(new Error('timeout')) })`;

describe('pods and Services on one node', () => {
  const table = openTable(openNft());
  const stateFolder = mkdtempSync(join(tmpdir(), 'cloudless-network-'));
  const open = (): PodNetwork =>
    new PodNetwork({
      stateFolder,
      bootId: 'boot-1',
      clusterCidrs: ['10.244.0.0/16'],
      mtu: 1500,
      table,
      log: logger('network-test'),
    });
  let network = open();
  const program = new ServiceProgram();
  const pods: Namespace[] = [];
  const ips: string[] = [];
  const request = (i: number, command: CniRequest['command']): CniRequest => ({
    command,
    containerId: `container${i}`,
    netns: (pods[i] as Namespace).path,
    ifName: 'eth0',
    pod: `default/pod-${i}`,
    cniVersion: '1.0.0',
    hostPorts: i === 0 ? [{ hostPort: 18080, containerPort: 8080, protocol: 'tcp', hostIp: '' }] : [],
  });
  const get = (from: number, url: string): string =>
    (pods[from] as Namespace).run(process.execPath, '-e', fetchText(url));
  const frontend = (endpoints: string[]): Frontend => ({
    ip: '10.96.0.50',
    protocol: 'tcp',
    port: 80,
    endpoints: endpoints.map((ip) => ({ ip, port: 8080 })),
    outside: 'same',
  });
  const apply = (frontends: Frontend[]): void =>
    table.change('services', program.set('default/web', frontends).script);

  before(async () => {
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
    // A node's uplink, so that there is a default route, as every real node has.
    execFileSync('ip', ['link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'world']);
    execFileSync('ip', ['addr', 'add', '192.0.2.10/24', 'dev', 'uplink']);
    for (const name of ['uplink', 'world']) execFileSync('ip', ['link', 'set', name, 'up']);
    execFileSync('ip', ['route', 'add', 'default', 'via', '192.0.2.1']);
    network.setPodCidr('10.244.7.0/24');
    table.replace([program.content(), network.podsContent(), network.hostPortsContent()]);
    for (let i = 0; i < 3; i++) {
      pods.push(await newNamespace());
      const result = (await network.handle(request(i, 'ADD'))) as { ips: Array<{ address: string }> };
      ips.push((result.ips[0] as { address: string }).address.replace('/32', ''));
      const server = (pods[i] as Namespace).start(
        process.execPath,
        '-e',
        `${serve}; console.log('up')`,
        `pod-${i}`,
      );
      await new Promise((resolve) => server.stdout?.once('data', resolve));
    }
  });
  after(() => {
    table.remove();
    for (const pod of pods) pod.close();
    rmSync(stateFolder, { recursive: true, force: true });
  });

  it('gives each pod an address of the node’s block', () => {
    assert.deepEqual(ips, ['10.244.7.2', '10.244.7.3', '10.244.7.4']);
  });

  it('routes between pods with both addresses kept', () => {
    assert.equal(get(0, 'http://10.244.7.3:8080/'), '::ffff:10.244.7.2 pod-1');
  });

  it('spreads a Service over its endpoints, and keeps the client’s address', () => {
    apply([frontend([ips[1] as string, ips[2] as string])]);
    const answers = new Set(Array.from({ length: 20 }, () => get(0, 'http://10.96.0.50/')));
    assert.deepEqual([...answers].sort(), ['::ffff:10.244.7.2 pod-1', '::ffff:10.244.7.2 pod-2']);
  });

  it('lets a pod reach itself through a Service (hairpin)', () => {
    apply([frontend([ips[0] as string])]);
    assert.match(get(0, 'http://10.96.0.50/'), /pod-0$/);
  });

  it('answers the node itself', () => {
    const text = execFileSync(process.execPath, ['-e', fetchText('http://10.96.0.50/')], {
      encoding: 'utf8',
    });
    assert.match(text, /pod-0$/);
  });

  it('refuses at once when there is no endpoint', () => {
    apply([frontend([])]);
    assert.equal(get(0, 'http://10.96.0.50/'), 'error ECONNREFUSED');
    apply([frontend([ips[1] as string])]);
    assert.match(get(0, 'http://10.96.0.50/'), /pod-1$/);
  });

  it('keeps a client on its endpoint with affinity', () => {
    apply([{ ...frontend(ips), affinitySeconds: 10_800 }]);
    const answers = new Set(Array.from({ length: 10 }, () => get(1, 'http://10.96.0.50/')));
    assert.equal(answers.size, 1);
  });

  it('serves a host port on the node’s address', () => {
    assert.match(get(1, 'http://192.0.2.10:18080/'), /pod-0$/);
  });

  it('a restarted agent knows its pods and rebuilds the same table', () => {
    const before = execFileSync('nft', ['list', 'table', 'inet', 'cloudless'], { encoding: 'utf8' });
    network = open();
    network.setPodCidr('10.244.7.0/24');
    table.replace([contentWithClients(table, program), network.podsContent(), network.hostPortsContent()]);
    const after = execFileSync('nft', ['list', 'table', 'inet', 'cloudless'], { encoding: 'utf8' });
    const elements = (text: string): string[] =>
      [...text.matchAll(/\d+\.\d+\.\d+\.\d+ \.[^,}\n]*/g)]
        .map(([m]) => m.trim().replace(/ expires \S+/, ''))
        .sort();
    assert.deepEqual(elements(after), elements(before));
    assert.match(get(0, 'http://10.244.7.4:8080/'), /pod-2$/);
  });

  it('DEL is idempotent, needs no namespace, and leaves nothing', async () => {
    for (let i = 0; i < 3; i++) {
      await Promise.all([
        network.handle(request(i, 'DEL')),
        network.handle({ ...request(i, 'DEL'), netns: '' }),
      ]);
      await network.handle({ ...request(i, 'DEL'), netns: '' });
    }
    assert.doesNotMatch(execFileSync('ip', ['link'], { encoding: 'utf8' }), / cl[0-9a-f]{12}/);
    assert.equal(execFileSync('ip', ['route', 'show', 'proto', '199'], { encoding: 'utf8' }), '');
    assert.deepEqual(readdirSync(join(stateFolder, 'boot-1')), []);
    assert.equal(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(), '1');
  });
});
