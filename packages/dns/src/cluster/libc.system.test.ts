import assert from 'node:assert/strict';
import { execFile, type ChildProcess, spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { Logger } from '@cloudless/kube/logger';
import { core, discovery } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-client';
import { findPeer, missingPeer } from '@cloudless/kube/testing/peers';
import { isolate } from '@cloudless/network/testing/namespaces';
import { type ClusterDns, startClusterDns } from '../index.ts';
import { parseMessage } from '../wire/message.ts';
import { printData } from '../wire/rdata.ts';
import { typeNumber } from '../wire/types.ts';
import { service, slice } from './testing.ts';

isolate();
const run = promisify(execFile);
const silent = { error: () => {}, warn: () => {}, debug: () => {}, info: () => {} } as unknown as Logger;
const dnsIp = '10.96.0.10';

/** kubeadm's, with times that a test can wait for. */
const corefile = (upstreams: string): string => `.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
    }
    forward . ${upstreams} {
       policy sequential
       read_timeout 400ms
    }
    cache 30 {
       success 2000 30 1
       serve_stale 1h verify 200ms 30s 30s
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    loadbalance
}
`;

/** The test's process has a network and a mount namespace of its own: it is the pod, with a kubelet's resolv.conf. */
describe('cluster DNS as the C library’s resolver sees it', { skip: missingPeer('unbound', 'named') }, () => {
  const cluster = new FakeCluster();
  const folder = mkdtempSync('/tmp/cluster-libc-');
  const servers: ChildProcess[] = [];
  let dns: ClusterDns;

  const getent = async (database: string, ...keys: string[]): Promise<string[]> => {
    const { stdout } = await run('getent', [database, ...keys]).catch(() => ({ stdout: '' }));
    return stdout
      .trim()
      .split('\n')
      .map((line) => line.replaceAll(/\s+/g, ' '))
      .filter(Boolean);
  };
  type Question = readonly [how: 'query' | 'search', name: string, type: string];
  /** Records of the answer sections as text; undefined: the resolver says there are none. */
  const resolveAll = async (questions: readonly Question[]): Promise<Array<string[] | undefined>> => {
    const program = join(import.meta.dirname, '..', 'testing', 'res-query.ts');
    const texts = questions.map(([how, name, type]) => [how, name, typeNumber(type)].join());
    const { stdout } = await run(process.execPath, [program, ...texts], { maxBuffer: 16 * 1024 * 1024 });
    const lines = stdout.split('\n');
    return questions.map((_, i) => {
      if (!lines[i]) return undefined;
      const { answers } = parseMessage(Buffer.from(lines[i], 'hex'));
      return answers.map((record) => printData(record.type, record.data)).sort();
    });
  };
  const resolve = async (...question: Question): Promise<string[] | undefined> =>
    (await resolveAll([question]))[0];
  const until = async (what: string, check: () => Promise<boolean>): Promise<void> => {
    const endMs = performance.now() + 10_000;
    while (!(await check())) {
      if (performance.now() > endMs) throw new Error(`not within 10 s: ${what}`);
      await new Promise((wait) => setTimeout(wait, 50));
    }
  };
  const startPeer = (name: string, ...args: string[]): ChildProcess => {
    const peer = findPeer(name) as NonNullable<ReturnType<typeof findPeer>>;
    const child = spawn(peer.program, args, { env: peer.env, stdio: 'ignore' });
    servers.push(child);
    return child;
  };
  let unbound: ChildProcess;

  before(async () => {
    // The C library asks for the families only that the machine has.
    execFileSync('ip', ['link', 'add', 'pod0', 'type', 'veth', 'peer', 'name', 'pod1']);
    execFileSync('ip', ['link', 'set', 'pod1', 'up']);
    execFileSync('ip', ['link', 'set', 'pod0', 'up']);
    for (const address of ['10.244.0.9/24', 'fd00:244::9/64'])
      execFileSync('ip', [
        'address',
        'add',
        address,
        'dev',
        'pod0',
        ...(address.includes(':') ? ['nodad'] : []),
      ]);
    for (const address of [dnsIp, '127.0.1.1', '127.0.1.2'])
      execFileSync('ip', ['address', 'add', `${address}/32`, 'dev', 'lo']);
    writeFileSync(
      join(folder, 'resolv.conf'),
      `nameserver ${dnsIp}\nsearch shop.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5 timeout:2 attempts:1\n`,
    );
    execFileSync('mount', ['--bind', join(folder, 'resolv.conf'), '/etc/resolv.conf']);
    // Names come from DNS alone, whatever this machine does otherwise.
    writeFileSync(join(folder, 'nsswitch.conf'), 'hosts: dns\nservices: files\n');
    execFileSync('mount', ['--bind', join(folder, 'nsswitch.conf'), '/etc/nsswitch.conf']);
    writeFileSync(join(folder, 'upstream.conf'), 'nameserver 127.0.1.1\nnameserver 127.0.1.2\n');
    const records = ['www.example.org. 60 A 198.51.100.7', 'short.example.org. 1 A 198.51.100.8'];
    writeFileSync(
      join(folder, 'unbound.conf'),
      `server:\n  interface: 127.0.1.1\n  do-daemonize: no\n  username: ""\n  chroot: ""\n  directory: "${folder}"\n  pidfile: ""\n  use-syslog: no\n  do-not-query-localhost: no\n  local-zone: "example.org." static\n${records.map((record) => `  local-data: "${record}"\n`).join('')}`,
    );
    mkdirSync(join(folder, 'named'));
    const texts = Array.from({ length: 40 }, (_, i) => `big TXT "${`${i}`.padEnd(100, 'x')}"`);
    writeFileSync(
      join(folder, 'named', 'zone'),
      `$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.1.2\nwww A 198.51.100.7\nshort 1 A 198.51.100.8\n${texts.join('\n')}\n`,
    );
    writeFileSync(
      join(folder, 'named.conf'),
      `options { directory "${folder}/named"; listen-on { 127.0.1.2; }; listen-on-v6 { none; }; pid-file none; session-keyfile none; recursion no; };\ncontrols {};\nzone "example.org" { type primary; file "zone"; };\n`,
    );
    unbound = startPeer('unbound', '-d', '-c', join(folder, 'unbound.conf'));
    startPeer('named', '-f', '-c', join(folder, 'named.conf'));
    const objects = [
      service('web', {
        clusterIP: '10.96.0.20',
        clusterIPs: ['10.96.0.20', 'fd00::20'],
        ports: [{ name: 'http', port: 80 }],
      }),
      service('db', { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] }),
      service('far', { type: 'ExternalName', externalName: 'www.example.org' }),
    ];
    for (const object of objects) await cluster.client.create(core.services, object);
    await cluster.client.create(
      discovery.endpointslices,
      slice('db', [{ ip: '10.244.0.5', hostname: 'db-0' }, { ip: '10.244.0.6' }]),
    );
    await cluster.client.create(core.namespaces, { metadata: { name: 'shop' } });
    await cluster.client.create(core.configmaps, {
      metadata: { name: 'coredns', namespace: 'kube-system' },
      data: { Corefile: corefile(join(folder, 'upstream.conf')) },
    });
    dns = await startClusterDns({
      client: cluster.client,
      addresses: [dnsIp],
      port: 53,
      healthPort: 10_054,
      clusterDomain: 'cluster.local',
      resolvConf: join(folder, 'none'),
      clusterIp: dnsIp,
      clusterNetworks: ['10.96.0.0/12', '10.244.0.0/16'],
      log: silent,
    });
    await dns.ready;
    await until('unbound answers', async () => (await getent('ahostsv4', 'www.example.org')).length > 0);
  });
  after(async () => {
    await dns?.stop();
    for (const server of servers) server.kill('SIGKILL');
    for (const file of ['/etc/resolv.conf', '/etc/nsswitch.conf']) execFileSync('umount', [file]);
    rmSync(folder, { recursive: true });
  });

  it('getent finds Services by short names along the search path, in both families, and back', async () => {
    const first = (lines: string[]): string[] =>
      [...new Set(lines.map((line) => line.split(' ')[0] as string))].sort();
    assert.deepEqual(first(await getent('ahosts', 'web')), ['10.96.0.20', 'fd00::20']);
    for (const name of [
      'web.shop',
      'web.shop.svc',
      'web.shop.svc.cluster.local',
      'web.shop.svc.cluster.local.',
    ])
      assert.deepEqual(first(await getent('ahostsv4', name)), ['10.96.0.20'], name);
    assert.deepEqual(first(await getent('ahostsv4', 'db')), ['10.244.0.5', '10.244.0.6']);
    assert.deepEqual(first(await getent('ahostsv4', 'db-0.db')), ['10.244.0.5']);
    assert.deepEqual(first(await getent('ahostsv4', '10-1-2-3.shop.pod')), ['10.1.2.3']);
    assert.deepEqual(await getent('hosts', '10.96.0.20'), ['10.96.0.20 web.shop.svc.cluster.local']);
    assert.deepEqual(await getent('hosts', '10.244.0.5'), ['10.244.0.5 db-0.db.shop.svc.cluster.local']);
    assert.deepEqual(await getent('hosts', 'fd00::20'), ['fd00::20 web.shop.svc.cluster.local']);
    assert.deepEqual(await getent('hosts', '10.96.0.77'), []);
    assert.deepEqual(await getent('ahosts', 'none'), []);
    assert.deepEqual(first(await getent('ahostsv4', 'far')), ['198.51.100.7']);
  });

  it('res_query and res_search get every kind of record of the specification', async () => {
    const table: ReadonlyArray<readonly ['query' | 'search', string, string, string[] | undefined]> = [
      ['query', 'dns-version.cluster.local', 'TXT', ['"1.1.0"']],
      ['search', 'web', 'A', ['10.96.0.20']],
      ['search', 'web', 'AAAA', ['fd00::20']],
      ['search', '_http._tcp.web', 'SRV', ['0 100 80 web.shop.svc.cluster.local.']],
      [
        'query',
        '_sql._tcp.db.shop.svc.cluster.local',
        'SRV',
        ['0 50 5432 10-244-0-6.db.shop.svc.cluster.local.', '0 50 5432 db-0.db.shop.svc.cluster.local.'],
      ],
      ['query', '20.0.96.10.in-addr.arpa', 'PTR', ['web.shop.svc.cluster.local.']],
      ['query', 'far.shop.svc.cluster.local', 'CNAME', ['www.example.org.']],
      ['query', 'far.shop.svc.cluster.local', 'A', ['198.51.100.7', 'www.example.org.']],
      ['query', 'cluster.local', 'NS', ['ns.dns.cluster.local.']],
      ['query', 'none.shop.svc.cluster.local', 'A', undefined],
      ['query', 'web.shop.svc.cluster.local', 'MX', undefined],
    ];
    const answers = await resolveAll(table.map(([how, name, type]) => [how, name, type] as const));
    table.forEach(([, name, type, expected], i) => assert.deepEqual(answers[i], expected, `${type} ${name}`));
  });

  it('an answer that UDP cannot carry comes by TCP', async () => {
    unbound.kill('SIGSTOP');
    try {
      // The first server is silent; the second has the name, and its answer is cut by UDP.
      const answers = await resolve('query', 'big.example.org', 'TXT');
      assert.equal(answers?.length, 40);
    } finally {
      unbound.kill('SIGCONT');
    }
  });

  it('with every server silent what was known is served, and new names fail', async () => {
    assert.deepEqual(await resolve('query', 'short.example.org', 'A'), ['198.51.100.8']);
    for (const server of servers) server.kill('SIGSTOP');
    try {
      await new Promise((wait) => setTimeout(wait, 1100));
      assert.deepEqual(
        await resolve('query', 'short.example.org', 'A'),
        ['198.51.100.8'],
        'stale (RFC 8767)',
      );
      assert.deepEqual(
        await resolve('search', 'web', 'A'),
        ['10.96.0.20'],
        'names of the cluster do not wait',
      );
    } finally {
      for (const server of servers) server.kill('SIGCONT');
    }
  });
});
