import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { nodeContext } from '@cloudless/kube/node/context';
import { core, discovery } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { type Network, removeNetwork, startNetwork } from './index.ts';
import { isolate } from './testing/namespaces.ts';
import { ip, TestPods, until } from './testing/node.ts';

isolate();

const listing = (): string =>
  [
    ip('-brief', 'link'),
    ip('-4', 'route', 'show', 'table', 'all'),
    execFileSync('nft', ['list', 'ruleset']),
  ].join('\n');

/** Answers each datagram with its own name, from the address that was asked. */
const echo = `const s = require('node:dgram').createSocket('udp4'); s.on('message', (m, p) => s.send(process.argv[1], p.port, p.address)); s.bind(10053, () => console.log('up'))`;
/** Sends from one port all the time, as resolvers do; prints each answer. */
const ask = `const s = require('node:dgram').createSocket('udp4'); s.on('message', (m) => console.log(String(m))); s.bind(40053, () => setInterval(() => s.send('?', 53, '10.96.0.10'), 50))`;
const serveHttp = `require('node:http').createServer((q, s) => s.end(q.socket.remoteAddress)).listen(8080, () => console.log('up'))`;

/** What `url` answers over a new connection from this namespace; `error CODE` otherwise. */
function fetchHere(url: string): Promise<string> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false, timeout: 2000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(text));
    });
    request.on('timeout', () => request.destroy(Object.assign(new Error('timeout'), { code: 'timeout' })));
    request.on('error', (error: NodeJS.ErrnoException) => resolve(`error ${error.code}`));
  });
}

/** The machine's clock, but what would happen after 30 s happens when the test says so. */
function impatientClock(): Clock & { pass(): void } {
  const waiting = new Set<() => void>();
  return {
    ...systemClock,
    setTimeout(callback, delayMs) {
      if (delayMs < 30_000) return systemClock.setTimeout(callback, delayMs);
      waiting.add(callback);
      return { cancel: () => void waiting.delete(callback) };
    },
    pass() {
      const due = [...waiting];
      waiting.clear();
      for (const callback of due) callback();
    },
  };
}

describe('the network of a node', () => {
  const root = mkdtempSync(join(tmpdir(), 'cl-net-'));
  const clock = impatientClock();
  const context = nodeContext({ root, nodeName: 'n1', clock });
  const cluster = new FakeCluster();
  const pods = new TestPods(context);
  /** Who answered the client, one after the other. */
  const answers: string[] = [];
  let network: Network;
  let untouched = '';
  const start = (): Promise<Network> =>
    startNetwork({
      context,
      client: cluster.client,
      nodeIp: '192.0.2.10',
      clusterCidrs: ['10.244.0.0/16'],
      serviceCidrs: ['10.96.0.0/12'],
      log: logger('network-test'),
    });
  const cni = pods.cni.bind(pods);
  const addPod = pods.add.bind(pods);
  const inPod = async (name: string, script: string): Promise<void> => {
    const child = pods.get(name).start(process.execPath, '-e', script, name);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
  };
  before(async () => {
    writeFileSync('/proc/sys/net/ipv4/ip_forward', '0');
    ip('link', 'add', 'uplink', 'mtu', '1400', 'type', 'veth', 'peer', 'name', 'world');
    ip('addr', 'add', '192.0.2.10/24', 'dev', 'uplink');
    for (const name of ['uplink', 'world']) ip('link', 'set', name, 'up');
    ip('route', 'add', 'default', 'via', '192.0.2.1');
    // The kernel tells of a link's carrier a moment after it is up.
    await until(
      'the uplink carries',
      () => /^uplink\S* +UP/m.test(ip('-brief', 'link')) && !ip('route').includes('linkdown'),
    );
    untouched = listing();
    network = await start();
  });
  after(async () => {
    pods.closeAll();
    await network.stop();
    await removeNetwork(context);
    rmSync(root, { recursive: true, force: true });
  });

  it('has pods wait until the node has its block', async () => {
    await network.synced;
    await pods.open('early');
    const refused = await cni('ADD', 'early');
    assert.equal(refused.code, 11);
    assert.match(refused.msg ?? '', /no pod CIDR yet/);
    assert.equal(existsSync(join(context.paths.cniConf, '10-cloudless.conflist')), false);
    await cluster.client.create(core.nodes, {
      metadata: { name: 'n1' },
      spec: { podCIDRs: ['10.244.1.0/24'] },
    });
    await network.ready;
    assert.equal(existsSync(join(context.paths.cniConf, '10-cloudless.conflist')), true);
    assert.equal((await cni('ADD', 'early')).ips?.[0]?.address, '10.244.1.2/32');
  });

  it('gives pods the MTU of the uplink, and CHECK finds what is wrong', async () => {
    assert.match(pods.get('early').run('ip', 'link', 'show', 'eth0'), /mtu 1400/);
    assert.deepEqual(await cni('CHECK', 'early'), {});
    ip('route', 'del', '10.244.1.2/32');
    assert.match((await cni('CHECK', 'early')).msg ?? '', /no route to 10\.244\.1\.2/);
    pods.get('early').run('ip', 'addr', 'flush', 'dev', 'eth0');
    await pods.end('early');
    assert.match((await cni('CHECK', 'early')).msg ?? '', /has no interface eth0|CNI_NETNS/);
  });

  it('follows other nodes, and tries again where the kernel refused', async () => {
    const other = (name: string, podCIDR: string, address: string): Promise<unknown> =>
      cluster.client.create(core.nodes, {
        metadata: { name },
        spec: { podCIDRs: [podCIDR] },
        status: { addresses: [{ type: 'InternalIP', address }] },
      });
    await other('n2', '10.244.2.0/24', '192.0.2.12');
    await until('a route to n2', () => ip('route').includes('10.244.2.0/24 via 192.0.2.12'));
    await other('n3', '10.244.3.0/24', '198.51.100.3');
    await other('evil', '0.0.0.0/1', '192.0.2.66');
    await cluster.client.delete(core.nodes, 'n2');
    await until('no route to n2', () => !ip('route').includes('10.244.2.0/24'));
    assert.doesNotMatch(ip('route'), /0\.0\.0\.0\/1|10\.244\.3/);
  });

  it('serves host ports on the addresses they name, loopback too', async () => {
    ip('addr', 'add', '192.0.2.11/24', 'dev', 'uplink');
    await addPod('any', [{ hostPort: 18080, containerPort: 8080, protocol: 'TCP' }]);
    await addPod('one', [{ hostPort: 18081, containerPort: 8080, protocol: 'TCP', hostIP: '192.0.2.11' }]);
    for (const name of ['any', 'one']) await inPod(name, serveHttp);
    for (const host of ['192.0.2.10', '192.0.2.11', '127.0.0.1'])
      assert.match(await fetchHere(`http://${host}:18080/`), /^::ffff:/, host);
    assert.match(await fetchHere('http://192.0.2.11:18081/'), /^::ffff:/);
    assert.equal(await fetchHere('http://192.0.2.10:18081/'), 'error ECONNREFUSED');
  });

  it('refuses a host port that another pod has, and gives it when that has gone', async () => {
    const port = { hostPort: 18080, containerPort: 8080, protocol: 'TCP' };
    await pods.open('second');
    const refused = await cni('ADD', 'second', [port]);
    assert.deepEqual(
      [refused.code, refused.msg],
      [102, 'host port 18080/tcp of pod default/second is taken by pod default/any on this node'],
    );
    await pods.end('any');
    assert.ok((await cni('ADD', 'second', [port])).ips);
    await pods.end('second');
    await pods.end('one');
    assert.equal(await fetchHere('http://192.0.2.10:18080/'), 'error ECONNREFUSED');
  });

  const addresses = new Map<string, string>();
  const leadTo = (name: string): Promise<unknown> =>
    cluster.client.patch(
      discovery.endpointslices,
      'dns-1',
      'merge',
      { endpoints: [{ addresses: [addresses.get(name)], conditions: { ready: true } }] },
      { namespace: 'default' },
    );

  it('UDP clients go to the new endpoint as soon as the old one is gone', async () => {
    for (const name of ['old', 'new', 'client']) addresses.set(name, await addPod(name));
    for (const name of ['old', 'new']) await inPod(name, echo);
    await cluster.client.create(core.services, {
      metadata: { name: 'dns', namespace: 'default' },
      spec: { clusterIP: '10.96.0.10', ports: [{ name: 'dns', port: 53, protocol: 'UDP' }] },
    });
    await cluster.client.create(discovery.endpointslices, {
      metadata: { name: 'dns-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'dns' } },
      addressType: 'IPv4',
      ports: [{ name: 'dns', port: 10053, protocol: 'UDP' }],
      endpoints: [{ addresses: [addresses.get('old') as string], conditions: { ready: true } }],
    });
    const client = pods.get('client').start(process.execPath, '-e', ask);
    client.stdout?.setEncoding('utf8').on('data', (text: string) => answers.push(...text.trim().split('\n')));
    await until('answers of the old one', () => answers.includes('old'));
    await leadTo('new');
    await until('answers of the new one', () => answers.at(-1) === 'new', 3000);
  });

  it('goes on while the agent is away; the next one catches up with pods and flows', async () => {
    const table = (): string =>
      execFileSync('nft', ['list', 'table', 'inet', 'cloudless'], { encoding: 'utf8' });
    const before = table();
    await network.stop();
    assert.equal(table(), before);
    const count = answers.length;
    await until('answers without the agent', () => answers.length > count + 2);
    // The endpoint moves and its pod ends while nobody looks.
    await leadTo('old');
    const gone = pods.get('new');
    gone.close();
    await until('the end of its namespace', () => !existsSync(gone.path));
    network = await start();
    await network.synced;
    await until('answers of the old one again', () => answers.at(-1) === 'old', 3000);
    assert.doesNotMatch(ip('route'), new RegExp(`${addresses.get('new')} dev`));
    assert.equal((await cni('DEL', 'new')).code, undefined);
    pods.forget('new');
    const fresh = await addPod('fresh');
    const used = [...ip('route').matchAll(/^(10\.244\.1\.\d+) dev cl/gm)].map((match) => match[1]);
    assert.equal(new Set(used).size, used.length, 'an address twice');
    assert.ok(used.includes(fresh));
  });

  it('mends within 30 s what an administrator flushed', async () => {
    execFileSync('nft', ['flush', 'ruleset']);
    ip('route', 'flush', 'proto', '199');
    ip('link', 'del', 'cloudless0');
    clock.pass();
    await until('routes', () => /10\.96\.0\.0\/12 dev cloudless0/.test(ip('route')));
    await until('routes to pods', () => /10\.244\.1\.\d+ dev cl/.test(ip('route')));
    await until('rules', () =>
      /10\.96\.0\.10 \. udp \. 53/.test(execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' })),
    );
    assert.deepEqual(await cni('CHECK', 'fresh'), {});
  });

  it('a node that gets another block keeps its pods and gives new ones the new addresses', async () => {
    await cluster.client.delete(core.nodes, 'n1');
    await cluster.client.create(core.nodes, {
      metadata: { name: 'n1' },
      spec: { podCIDRs: ['10.244.9.0/24'] },
    });
    await until('the new gateway', () => ip('addr', 'show', 'cloudless0').includes('10.244.9.1/32'));
    assert.deepEqual(await cni('CHECK', 'fresh'), {});
    await inPod('fresh', serveHttp);
    const own = ip('route').match(/^(10\.244\.1\.\d+) dev cl/m)?.[1];
    assert.ok(own);
    assert.match(await addPod('later'), /^10\.244\.9\.2$/);
  });

  it('remembers its block while the API is away, and shrugs off a damaged memory', async () => {
    await network.stop();
    cluster.intercept(() => new Error('away'));
    network = await start();
    await network.ready;
    await network.stop();
    writeFileSync(join(context.paths.cniState, 'pod-cidr'), 'garbage');
    network = await start();
    let ready = false;
    void network.ready.then(
      () => (ready = true),
      () => {},
    );
    assert.equal(ready, false);
    assert.equal(existsSync(join(context.paths.cniState, 'pod-cidr')), false);
  });

  it('leaves the machine as it found it', async () => {
    assert.equal(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(), '1');
    await network.remove();
    ip('addr', 'del', '192.0.2.11/24', 'dev', 'uplink');
    await until('the pods’ namespaces have ended', () => !/ cl[0-9a-f]{12}/.test(listing()));
    assert.equal(listing(), untouched);
    assert.equal(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim(), '0');
    assert.equal(existsSync(context.paths.cniState), false);
    await removeNetwork(context);
  });
});
