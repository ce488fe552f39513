import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { nodeContext } from '@cloudless/kube/node/context';
import { core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { type Network, removeNetwork, startNetwork } from './index.ts';
import { isolate } from './testing/namespaces.ts';
import { ip, TestPods, until } from './testing/node.ts';
import { bulkBytes, type Probe } from './testing/probe.ts';
import { nft, onSegment, openSegment, type Segment } from './testing/segment.ts';
import { TestServices, type Where } from './testing/web-service.ts';

isolate();

const nodeIp = onSegment.node;
const clientIp = onSegment.client;
const vip = '203.0.113.9';
const setSysctl = (name: string, value: string): void =>
  writeFileSync(`/proc/sys/net/ipv4/conf/${name}`, value);
const sysctl = (name: string): string => readFileSync(`/proc/sys/net/ipv4/conf/${name}`, 'utf8').trim();

/** What comes at all comes within this, mostly; for silence that is expected. */
const soonMs = 600;

/** Many answers, sorted, each once. */
async function several(ask: () => Promise<string>, count = 24): Promise<string[]> {
  return [...new Set(await Promise.all(Array.from({ length: count }, ask)))].sort();
}

describe('addresses of Services as clients see them', () => {
  const root = mkdtempSync(join(tmpdir(), 'cl-vip-'));
  const context = nodeContext({ root, nodeName: 'n1' });
  const cluster = new FakeCluster();
  const pods = new TestPods(context);
  const podIps = new Map([['far', onSegment.remotePod as string]]);
  const services = new TestServices(cluster, podIps);
  let network: Network;
  let segment: Segment;
  let client: Probe;
  let node: Probe;
  let inPod: Probe;

  const start = async (): Promise<void> => {
    network = await startNetwork({
      context,
      client: cluster.client,
      nodeIp,
      clusterCidrs: ['10.244.0.0/16'],
      serviceCidrs: ['10.96.0.0/12'],
      log: logger('vip-test'),
    });
    await network.synced;
  };
  const serve = (spec: object, endpoints: Where[], addresses = [vip]): Promise<void> =>
    services.serve(spec, endpoints, addresses);
  const here = { name: 'one' };
  const there = { name: 'far', node: 'n2' };

  before(async () => {
    segment = await openSegment();
    // A second way in, with no default route.
    ip('link', 'add', 'side', 'type', 'veth', 'peer', 'name', 'side-end');
    ip('addr', 'add', '198.51.100.10/24', 'dev', 'side');
    for (const name of ['side', 'side-end']) ip('link', 'set', name, 'up');
    for (const name of ['side', 'uplink']) setSysctl(`${name}/rp_filter`, '1');
    for (const [name, podCIDR, address] of [
      ['n1', '10.244.1.0/24', nodeIp],
      ['n2', '10.244.2.0/24', onSegment.other],
    ] as const)
      await cluster.client.create(core.nodes, {
        metadata: { name },
        spec: { podCIDRs: [podCIDR] },
        status: { addresses: [{ type: 'InternalIP', address }] },
      });
    await start();
    await network.ready;
    for (const name of ['one', 'two']) {
      podIps.set(name, await pods.add(name));
      await segment.probe(pods.get(name)).serve(name, 8080);
    }
    const other = segment.probe(segment.other);
    await other.serve('far', 8080, onSegment.remotePod);
    await other.serve('n2', 8070, onSegment.other);
    inPod = segment.probe(pods.get('one'));
    client = segment.probe(segment.client);
    node = segment.probe();
  });
  after(async () => {
    pods.closeAll();
    segment.close();
    await network.stop();
    await removeNetwork(context);
    rmSync(root, { recursive: true, force: true });
  });

  it('Cluster: TCP and UDP at one address, all endpoints, from the node’s address', async () => {
    await serve({}, [here, { name: 'two' }, there]);
    const expected = [`far ${nodeIp}`, `one ${nodeIp}`, `two ${nodeIp}`];
    assert.deepEqual(await several(() => client.tcp(vip, 31415)), expected);
    assert.deepEqual(await several(() => client.udp(vip, 31415)), expected);
    assert.deepEqual(
      await several(() => client.udp('10.96.0.80', 31415)),
      expected,
      'the ClusterIP by a route',
    );
  });

  it('Cluster: pods keep their address, also towards themselves; the node is served too', async () => {
    await serve({}, [here, there]);
    const [mine] = [podIps.get('one')];
    const answers = await several(() => inPod.tcp(vip, 31415));
    assert.ok(answers.includes(`far ${mine}`), String(answers));
    // Towards itself it must see another address than its own.
    assert.ok(
      answers.some((text) => text.startsWith('one ') && text !== `one ${mine}`),
      String(answers),
    );
    assert.deepEqual(await several(() => node.udp(vip, 31415)), [`far ${nodeIp}`, `one ${nodeIp}`]);
  });

  it('Local: only endpoints of this node, with the client’s own address', async () => {
    await serve({ externalTrafficPolicy: 'Local' }, [here, there]);
    assert.deepEqual(await several(() => client.tcp(vip, 31415)), [`one ${clientIp}`]);
    assert.deepEqual(await several(() => client.udp(vip, 31415)), [`one ${clientIp}`]);
    assert.deepEqual(await several(() => node.tcp(vip, 31415)), [`far ${nodeIp}`, `one ${nodeIp}`]);
  });

  it('Local: one that terminates and serves goes on; none at all is dropped, but not for the cluster’s own', async () => {
    const leaving = { ready: false, serving: true, terminating: true };
    await serve({ externalTrafficPolicy: 'Local' }, [{ ...here, conditions: leaving }, there]);
    assert.deepEqual(await several(() => client.tcp(vip, 31415)), [`one ${clientIp}`]);
    await services.leadTo(there);
    assert.equal(await client.tcp(vip, 31415, soonMs), 'timeout');
    assert.equal(await client.udp(vip, 31415, soonMs), 'timeout');
    assert.equal(await node.tcp(vip, 31415), `far ${nodeIp}`);
    assert.equal(await inPod.tcp(vip, 31415), `far ${podIps.get('one')}`);
    await services.leadTo();
    assert.equal(await client.tcp(vip, 31415), 'error ECONNREFUSED');
  });

  it('many Services share an address, and one that goes leaves the others', async () => {
    await serve({ ports: [{ name: 'tcp', port: 80, protocol: 'TCP' }] }, [here]);
    await services.create({
      name: 'udp',
      spec: {
        clusterIP: '10.96.0.81',
        clusterIPs: ['10.96.0.81'],
        externalTrafficPolicy: 'Local',
        ports: [{ name: 'udp', port: 80, protocol: 'UDP' }],
      },
      addresses: [vip],
      ports: [{ name: 'udp', port: 8080, protocol: 'UDP' }],
      endpoints: [services.endpoint({ name: 'two' })],
    });
    await services.settled();
    assert.equal(await client.tcp(vip, 80), `one ${nodeIp}`);
    assert.equal(await client.udp(vip, 80), `two ${clientIp}`);
    await services.delete('web');
    await services.settled();
    assert.equal(await client.udp(vip, 80), `two ${clientIp}`);
    assert.equal(await client.tcp(vip, 80), 'error ECONNREFUSED');
    assert.equal(await client.ping(vip), 'answered');
    await services.delete('udp');
    await services.settled();
    await until('the end of answers', async () => (await client.ping(vip, soonMs)) === 'timeout');
  });

  it('echo requests to a served address are answered, to others not', async () => {
    await serve({}, [here]);
    // The same request was on its way before there was such a Service.
    await until('answers', async () => (await client.ping(vip, soonMs)) === 'answered');
    assert.equal(await inPod.ping(vip), 'answered');
    assert.equal(await node.ping(vip), 'answered');
    assert.equal(await client.ping('203.0.113.10', soonMs), 'timeout');
    assert.doesNotMatch(ip('addr'), /203\.0\.113/);
  });

  it('what is not served is refused, and nothing goes back to where it came from', async () => {
    await serve({}, [here]);
    const before = segment.cameBack();
    assert.equal(await client.tcp(vip, 22), 'error ECONNREFUSED');
    assert.equal(await client.udp(vip, 53), 'error ECONNREFUSED');
    for (const one of [inPod, node]) assert.equal(await one.tcp(vip, 22), 'error ECONNREFUSED');
    assert.equal(segment.cameBack(), before);
  });

  it('a router that says that a packet is too large is heard by the pod', async () => {
    const far = segment.probe(segment.beyond);
    for (const externalTrafficPolicy of ['Cluster', 'Local']) {
      const ports = [{ name: 'bulk', port: 9, protocol: 'TCP' }];
      await serve({ externalTrafficPolicy, ports }, [here]);
      assert.equal((await far.tcp(vip, 9)).length, bulkBytes);
    }
    assert.match(pods.get('one').run('ip', 'route', 'get', onSegment.beyond), /mtu 1300/);
  });

  it('source ranges keep others out, the cluster’s own too', async () => {
    const ranges = (...loadBalancerSourceRanges: string[]): Promise<void> =>
      serve({ loadBalancerSourceRanges }, [here, there]);
    await ranges('192.0.2.96/28', '192.0.2.100/32', '10.244.1.0/24');
    assert.match(await client.tcp(vip, 31415), /^(one|far) /);
    assert.match(await inPod.udp(vip, 31415), /^(one|far) /);
    assert.equal(await node.tcp(vip, 31415, soonMs), 'timeout');
    await ranges('198.51.100.0/24');
    for (const one of [client, inPod, node]) assert.equal(await one.udp(vip, 31415, soonMs), 'timeout');
    assert.match(await node.tcp('10.96.0.80', 31415), /^(one|far) /, 'the ClusterIP is open');
    await services.change({ loadBalancerSourceRanges: ['192.0.2.0/24', '192.0.0.0/16'] });
    assert.match(await client.tcp(vip, 31415), /^(one|far) /);
  });

  it('affinity keeps a client where it is until its timeout, and moves it when the endpoint goes', async () => {
    const remembered = (): string => nft('list', 'map', 'inet', 'cloudless', 'services-clients4');
    const affinity = (timeoutSeconds: number): object => ({
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds } },
    });
    await serve({ ...affinity(2), externalTrafficPolicy: 'Local' }, [here, { name: 'two' }, there]);
    const seen = await several(async () => (await client.tcp(vip, 31415)).split(' ')[0] as string, 1);
    assert.deepEqual(await several(() => client.tcp(vip, 31415), 12), [`${seen[0]} ${clientIp}`]);
    // Elsewhere it may go as soon as it was silent for so long: at some time it does.
    await until(
      'a change of endpoint',
      async () => {
        await until('the end of its memory', () => !remembered().includes(clientIp));
        return !(await client.tcp(vip, 31415)).startsWith(seen[0] as string);
      },
      60_000,
    );

    await serve(affinity(10_800), [here, { name: 'two' }]);
    const stays = (await client.tcp(vip, 31415)).split(' ')[0] as string;
    assert.deepEqual(await several(() => client.tcp(vip, 31415), 12), [`${stays} ${nodeIp}`]);
    const left = stays === 'one' ? 'two' : 'one';
    await services.leadTo({ name: left });
    assert.equal(await client.tcp(vip, 31415), `${left} ${nodeIp}`);
    await services.leadTo(here, { name: 'two' });
    assert.deepEqual(await several(() => client.tcp(vip, 31415), 12), [`${left} ${nodeIp}`]);
    // A restarted agent builds the table anew, and remembers.
    await network.stop();
    await start();
    assert.deepEqual(await several(() => client.tcp(vip, 31415), 12), [`${left} ${nodeIp}`]);
    assert.match(remembered(), new RegExp(`${clientIp} . 203.0.113.9 . tcp . 31415 `));
  });

  it('node ports answer on the node’s address and open no socket; without any, none is there', async () => {
    const ports = (nodePort?: number): object[] => [{ name: 'tcp', port: 80, protocol: 'TCP', nodePort }];
    await serve({ type: 'NodePort', ports: ports(30080) }, [here, there], []);
    assert.deepEqual(await several(() => client.tcp(nodeIp, 30080)), [`far ${nodeIp}`, `one ${nodeIp}`]);
    assert.match(await node.tcp(nodeIp, 30080), /^(one|far) /);
    assert.match(await inPod.tcp(nodeIp, 30080), /^(one|far) /);
    assert.equal(await client.tcp(vip, 30080, soonMs), 'timeout');
    await serve({ ports: ports(30080), externalTrafficPolicy: 'Local' }, [here, there]);
    assert.deepEqual(await several(() => client.tcp(nodeIp, 30080)), [`one ${clientIp}`]);
    assert.doesNotMatch(execFileSync('ss', ['-Htln'], { encoding: 'utf8' }), /:30080/);
    await serve({ ports: ports(), allocateLoadBalancerNodePorts: false }, [here]);
    assert.equal(await client.tcp(nodeIp, 30080), 'error ECONNREFUSED');
    assert.doesNotMatch(nft('list', 'table', 'inet', 'cloudless'), / 3\d{4} :/);
  });

  it('external addresses are served like a load balancer’s; a node’s own keeps what listens there', async () => {
    await serve({ type: 'ClusterIP', externalIPs: ['203.0.113.77', '192.0.2.12'] }, [here], []);
    assert.equal(await client.tcp('203.0.113.77', 31415), `one ${nodeIp}`);
    assert.equal(await client.tcp('203.0.113.77', 22), 'error ECONNREFUSED');
    assert.equal(await client.ping('203.0.113.77'), 'answered');
    assert.match(await inPod.tcp('192.0.2.12', 8070), /^n2 /);
    assert.match(await inPod.tcp('192.0.2.12', 31415), /^one /);
  });

  it('the health check says whether this node has endpoints, and closes with its Service', async () => {
    const ask = (): Promise<string> =>
      new Promise((resolve) => {
        get(`http://${nodeIp}:32100/healthz`, { agent: false }, (response) => {
          response.resume();
          resolve(
            [response.statusCode, response.headers['x-load-balancing-endpoint-weight']].flat().join(' '),
          );
        }).on('error', (error: NodeJS.ErrnoException) => resolve(String(error.code)));
      });
    const local = { externalTrafficPolicy: 'Local', healthCheckNodePort: 32100 };
    await serve(local, [here, { name: 'two' }, there]);
    await until('an answer', async () => (await ask()) === '200 2');
    await services.leadTo(there);
    assert.equal(await ask(), '503 0');
    await serve({ ...local, externalTrafficPolicy: 'Cluster' }, [here]);
    await until('the end of the port', async () => (await ask()) === 'ECONNREFUSED');

    const blocker = createServer().listen(32100, nodeIp);
    await once(blocker, 'listening');
    await serve(local, [here]);
    await until('an Event', async () =>
      (await cluster.client.list(core.events)).items.some(
        ({ reason, message, involvedObject }) =>
          reason === 'FailedToStartServiceHealthcheck' &&
          /node n1 failed to start healthcheck "shop\/web" on port 32100: .*EADDRINUSE/.test(message ?? '') &&
          involvedObject.name === 'web',
      ),
    );
    assert.equal(await client.tcp(vip, 31415), `one ${clientIp}`);
    blocker.close();
  });

  it('endpoints that move under traffic lose no connect', async () => {
    await serve({}, [here, { name: 'two' }]);
    const synRetries = (): string => {
      const lines = segment.client
        .run('cat', '/proc/net/netstat')
        .split('\n')
        .map((line) => line.split(' '));
      const at = lines[0]?.indexOf('TCPSynRetrans') ?? -1;
      return lines[1]?.[at] ?? '';
    };
    const before = synRetries();
    const answers: string[] = [];
    const moved = new AbortController();
    const load = (async () => {
      while (!moved.signal.aborted) answers.push(await client.tcp(vip, 31415));
    })();
    for (let round = 0; round < 10; round++) {
      await services.leadTo(here);
      await services.leadTo({ name: 'two' });
    }
    moved.abort();
    await load;
    assert.ok(answers.length > 50, `${answers.length} connects`);
    assert.equal(synRetries(), before, 'connects that were tried again');
    assert.deepEqual([...new Set(answers)].sort(), [`one ${nodeIp}`, `two ${nodeIp}`]);
  });

  it('UDP clients of the address leave an endpoint that is gone, whichever policy', async () => {
    for (const externalTrafficPolicy of ['Cluster', 'Local']) {
      await serve({ externalTrafficPolicy }, [here]);
      // One port all the time: the kernel takes it for one flow.
      const socket = segment.client.start(
        process.execPath,
        '-e',
        `const s = require('node:dgram').createSocket('udp4'); s.on('message', (m) => console.log(String(m))); s.bind(40100, () => setInterval(() => s.send('?', 31415, '${vip}'), 20))`,
      );
      const heard: string[] = [];
      socket.stdout?.setEncoding('utf8').on('data', (text: string) => heard.push(...text.trim().split('\n')));
      await until('answers of the first', () => heard.at(-1)?.startsWith('one') === true);
      await services.leadTo({ name: 'two' });
      await until('answers of the second', () => heard.at(-1)?.startsWith('two') === true);
      socket.kill('SIGKILL');
    }
  });

  it('a restart of the agent leaves traffic as it is, also connections that stand', async () => {
    await serve({ ports: [{ name: 'echo', port: 7, protocol: 'TCP' }] }, [here]);
    assert.equal(await client.hold(vip, 7), 'connected');
    assert.equal(await client.say('before'), 'before');
    await network.stop();
    assert.equal(await client.say('while it is away'), 'while it is away');
    assert.equal(await client.ping(vip), 'answered');
    await start();
    assert.equal(await client.say('after'), 'after');
    // Not even when the last endpoint is leaving: only new connections are refused.
    await services.leadTo();
    assert.equal(await client.tcp(vip, 7), 'error ECONNREFUSED');
    assert.equal(await client.say('to the end'), 'to the end');
  });

  it('an IPv6 address leads to IPv6 endpoints on nodes and answers echo requests', async () => {
    await node.serve('n1', 8090, '2001:db8::10');
    const other = segment.probe(segment.other);
    await other.serve('n2', 8090, '2001:db8::12');
    const six = (externalTrafficPolicy: string): Promise<void> =>
      services.create({
        name: 'six',
        spec: {
          clusterIP: 'fd00::80',
          clusterIPs: ['fd00::80'],
          externalTrafficPolicy,
          ports: [{ port: 80, protocol: 'TCP' }],
        },
        addresses: ['2001:DB8:1::9'],
        addressType: 'IPv6',
        ports: [{ port: 8090, protocol: 'TCP' }],
        endpoints: [
          { addresses: ['2001:db8::10'], nodeName: 'n1' },
          { addresses: ['2001:db8::12'], nodeName: 'n2' },
        ],
      });
    await six('Local');
    await services.settled();
    assert.deepEqual(await several(() => client.tcp('2001:db8:1::9', 80)), ['n1 2001:db8::100']);
    assert.equal(await client.ping('2001:db8:1::9'), 'answered');
    assert.equal(await client.ping('2001:db8:1::10', soonMs), 'timeout');
    await services.delete('six');
    writeFileSync('/proc/sys/net/ipv6/conf/all/forwarding', '1');
    await six('Cluster');
    await services.settled();
    assert.deepEqual(await several(() => client.tcp('2001:db8:1::9', 80)), [
      'n1 2001:db8::100',
      'n2 2001:db8::10',
    ]);
    assert.equal(await client.tcp('2001:db8:1::9', 22), 'error ECONNREFUSED');
  });

  it('sends no redirects and hears clients from anywhere while it runs, and gives the settings back', async () => {
    const settings = (): string[] =>
      ['all/send_redirects', 'uplink/send_redirects', 'uplink/rp_filter', 'side/rp_filter'].map(sysctl);
    assert.deepEqual(settings(), ['0', '0', '1', '2']);
    await network.remove();
    assert.deepEqual(settings(), ['1', '1', '1', '1']);
  });
});
