// The names of Kubernetes DNS-Based Service Discovery 1.1.0 as programs in pods get them: asked through the GNU C library
// (getent, res_query, res_search) and the /etc/resolv.conf that the kubelet made, of a whole cluster.
//
// What of it the C library cannot ask: nothing. getent knows addresses and PTR only; CNAME, SRV and TXT go through res_query.
// What this cluster does not have: IPv6 addresses of Services (its range is IPv4), see packages/dns/src/cluster.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import packet from 'dns-packet';
import { isolate } from '../../packages/network/src/testing/namespaces.ts';
import { addUplink, builtImage, eventually, TestCluster } from './cluster.ts';

const image = builtImage('tests/e2e/images/resolver/image.yaml');
isolate();
addUplink();

const upstreamIp = '192.0.2.53';
/** Names beyond the cluster; every other one is denied. */
const outside = new Map([
  ['www.example.test', '198.51.100.7'],
  ['ftp.example.test', '198.51.100.8'],
]);
const typeNumbers = { A: 1, CNAME: 5, MX: 15, PTR: 12, SRV: 33, TXT: 16, AAAA: 28 } as const;
const zone = 'shop.svc.cluster.local.';
/** The last part of names that say an address. */
const dashed = (ip: string): string => ip.replaceAll(/[.:]/g, '-');

describe('the names of a cluster, asked by pods through the C library', () => {
  const cluster = new TestCluster();
  const kubectl = cluster.kubectl();
  const shop = (...args: string[]): Promise<string> => kubectl.run(['-n', 'shop', ...args]);
  const folder = mkdtempSync('/tmp/dns-cluster-');
  const upstream = createSocket('udp4');
  /** Which names' addresses the cluster asked beyond itself, in order. */
  const forwarded: string[] = [];
  const podIps: Record<string, string> = {};
  let webIp: string;

  const answerUpstream = (): Promise<void> => {
    upstream.on('message', (bytes, from) => {
      const { id = 0, questions = [] } = packet.decode(bytes);
      const name = (questions[0]?.name ?? '').toLowerCase();
      if (questions[0]?.type === 'A') forwarded.push(name);
      const address = outside.get(name);
      const answers =
        address !== undefined && questions[0]?.type === 'A'
          ? [{ type: 'A' as const, name, ttl: 60, data: address }]
          : [];
      const rcode = address === undefined ? 3 : 0;
      const flags = packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | rcode;
      upstream.send(
        packet.encode({ type: 'response', id, flags, questions, answers }),
        from.port,
        from.address,
      );
    });
    return new Promise((resolve) => upstream.bind(53, upstreamIp, resolve));
  };

  type Question = readonly [how: 'query' | 'search', name: string, type: keyof typeof typeNumbers];
  /** Records of the answers as the C library writes them, sorted; or the one word of h_errno. */
  const resolve = async (pod: string, questions: readonly Question[]): Promise<string[][]> => {
    const args = questions.flatMap(([how, name, type]) => [how, name, String(typeNumbers[type])]);
    const output = await shop('exec', pod, '--', 'luajit', '/bin/resolve.lua', ...args);
    const lines = output.split('\n').slice(0, -1);
    assert.equal(lines.length, questions.length);
    return lines.map((line) => line.split('\t').sort());
  };
  const check = async (
    pod: string,
    table: ReadonlyArray<readonly [...Question, expected: readonly string[]]>,
  ): Promise<void> => {
    const answers = await resolve(
      pod,
      table.map(([how, name, type]) => [how, name, type] as const),
    );
    table.forEach(([how, name, type, expected], i) =>
      assert.deepEqual(answers[i], [...expected].sort(), `${how} ${type} ${name}`),
    );
  };
  /** What `getent DATABASE KEY` prints for each key, without repetitions, sorted and with single spaces. */
  const getent = async (pod: string, database: string, ...keys: string[]): Promise<string[][]> => {
    const script = 'd=$1; shift; for key; do getent $d $key | tr "\\n" "\\t"; echo; done';
    const output = await shop('exec', pod, '--', 'sh', '-c', script, '-', database, ...keys);
    return output
      .split('\n')
      .slice(0, -1)
      .map((line) => [
        ...new Set(
          line
            .split('\t')
            .filter((entry) => entry !== '')
            .map((entry) => entry.replaceAll(/ +/g, ' ').trim()),
        ),
      ])
      .map((entries) => entries.sort());
  };
  const addresses = async (pod: string, ...names: string[]): Promise<string[][]> =>
    (await getent(pod, 'ahostsv4', ...names)).map((entries) => [
      ...new Set(entries.map((entry) => entry.split(' ')[0] as string)),
    ]);

  before(async () => {
    // The machine's own resolver, which pods of policy Default and forwarded questions use.
    execFileSync('ip', ['address', 'add', `${upstreamIp}/32`, 'dev', 'lo']);
    await answerUpstream();
    const resolvConf = join(folder, 'resolv.conf');
    writeFileSync(resolvConf, `nameserver ${upstreamIp}\nsearch example.test\noptions timeout:2\n`);
    execFileSync('mount', ['--bind', resolvConf, '/etc/resolv.conf']);
    await cluster.up();
    await cluster.cloudless('image', 'load', image);
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await kubectl.run(['apply', '-f', '-'], { input: JSON.stringify(list) });
    await shop('wait', '--for=condition=Ready', 'pod/client', 'pod/db-0', '--timeout=60s');
    for (const pod of ['client', 'db-0', 'late'])
      podIps[pod] = await eventually(`${pod} has an address`, () =>
        shop('get', 'pod', pod, '-o', 'jsonpath={.status.podIP}'),
      );
    webIp = await shop('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}');
    await eventually('the pods have names', async () => {
      const [db, early] = await addresses('client', 'db', 'early');
      return db?.length === 2 && early?.length === 3;
    });
  });
  after(async () => {
    try {
      await cluster.remove();
    } finally {
      upstream.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('the kubelet writes each pod’s /etc/resolv.conf by its policy', async () => {
    const resolvConf = (pod: string): Promise<string> => shop('exec', pod, '--', 'cat', '/etc/resolv.conf');
    assert.equal(
      await resolvConf('client'),
      'search shop.svc.cluster.local svc.cluster.local cluster.local example.test\nnameserver 10.96.0.10\noptions ndots:5\n',
    );
    assert.equal(
      await resolvConf('db-0'),
      'search svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:1 edns0\n',
    );
    assert.equal(
      await resolvConf('late'),
      `search example.test\nnameserver ${upstreamIp}\noptions timeout:2\n`,
    );
  });

  it('getent finds Services by short names along the search path', async () => {
    const names = ['web', 'WEB', 'web.shop', 'web.shop.svc', 'web.shop.svc.cluster.local', `web.${zone}`];
    assert.deepEqual(
      await addresses('client', ...names),
      names.map(() => [webIp]),
    );
    assert.deepEqual(
      await addresses('client', 'kubernetes.default', 'kubernetes.default.svc', 'inside', 'far', 'www'),
      [['10.96.0.1'], ['10.96.0.1'], [webIp], ['198.51.100.7'], ['198.51.100.7']],
    );
    assert.deepEqual(await addresses('client', '1-2-3-4.shop.pod', 'none', 'web.nowhere'), [
      ['1.2.3.4'],
      [],
      [],
    ]);
    // The policies' own search paths: the cluster's without the pod's namespace, and none of it.
    assert.deepEqual(await addresses('db-0', 'web', 'web.shop'), [[], [webIp]]);
    assert.deepEqual(await addresses('late', `web.${zone}`, 'www'), [[], ['198.51.100.7']]);
  });

  it('ndots says which names are tried as they are first', async () => {
    const asked = async (pod: string, name: string): Promise<string[]> => {
      forwarded.length = 0;
      await addresses(pod, name);
      return forwarded.filter((each) => each.startsWith(name));
    };
    assert.deepEqual(await asked('client', 'ftp.example.test'), [
      'ftp.example.test.example.test',
      'ftp.example.test',
    ]);
    assert.deepEqual(await asked('db-0', 'mail.example.test'), ['mail.example.test']);
    assert.deepEqual(await asked('client', 'db-0.db'), [], 'names of the cluster stay in it');
    assert.deepEqual(await asked('db-0', 'kubernetes.default'), ['kubernetes.default']);
  });

  it('a headless Service has its ready pods’ addresses, names and ways back', async () => {
    const { client, 'db-0': db0, late } = podIps as { client: string; 'db-0': string; late: string };
    assert.deepEqual(
      await addresses('client', 'db', 'db-0.db', `${dashed(client)}.db`, `${dashed(late)}.db`, 'early'),
      [[client, db0].sort(), [db0], [client], [], [client, db0, late].sort()],
    );
    assert.deepEqual(await addresses('client', `${dashed(late)}.early`, 'late.early'), [[late], []]);
    assert.deepEqual(
      await getent('client', 'hosts', webIp, '10.1.0.1', '10.1.0.2', '10.1.0.3', 'fd00:1::1'),
      [
        [`${webIp} web.shop.svc.cluster.local`],
        ['10.1.0.1 one.manual.shop.svc.cluster.local'],
        ['10.1.0.2 10-1-0-2.manual.shop.svc.cluster.local'],
        [],
        ['fd00:1::1 one.manual.shop.svc.cluster.local'],
      ],
    );
    // Both families' question: IPv6 first, whatever addresses the pod has.
    assert.deepEqual(await getent('client', 'hosts', 'one.manual', '10-1-0-2.manual'), [
      ['fd00:1::1 one.manual.shop.svc.cluster.local'],
      ['10.1.0.2 10-1-0-2.manual.shop.svc.cluster.local'],
    ]);
    const [back = []] = await getent('db-0', 'hosts', client);
    assert.match(
      back[0] ?? '',
      new RegExp(`^${client} ${dashed(client)}\\.(db|early)\\.shop\\.svc\\.cluster\\.local`),
    );
  });

  it('res_query and res_search get every kind of record', async () => {
    const web = `web.${zone}`;
    const manual = `manual.${zone}`;
    const reverse = `${webIp.split('.').reverse().join('.')}.in-addr.arpa.`;
    await check('client', [
      ['query', 'dns-version.cluster.local', 'TXT', ['dns-version.cluster.local. TXT "1.1.0"']],
      ['search', 'web', 'A', [`${web} A ${webIp}`]],
      ['search', '_http._tcp.web', 'SRV', [`_http._tcp.${web} SRV 0 100 80 ${web}`]],
      ['search', '_dns._udp.web.shop', 'SRV', [`_dns._udp.${web} SRV 0 100 53 ${web}`]],
      [
        'search',
        '_https._tcp.kubernetes.default.svc',
        'SRV',
        [
          '_https._tcp.kubernetes.default.svc.cluster.local. SRV 0 100 443 kubernetes.default.svc.cluster.local.',
        ],
      ],
      ['query', reverse, 'PTR', [`${reverse} PTR ${web}`]],
      [
        'search',
        '_sql._tcp.db',
        'SRV',
        ['db-0', dashed(podIps['client'] as string)].map(
          (host) => `_sql._tcp.db.${zone} SRV 0 50 5432 ${host}.db.${zone}`,
        ),
      ],
      ['search', 'manual', 'A', [`${manual} A 10.1.0.1`, `${manual} A 10.1.0.2`]],
      ['search', 'manual', 'AAAA', [`${manual} AAAA fd00:1::1`, `${manual} AAAA fd00:1::2`]],
      ['search', 'one.manual', 'A', [`one.${manual} A 10.1.0.1`]],
      ['search', 'one.manual', 'AAAA', [`one.${manual} AAAA fd00:1::1`]],
      ['search', '10-1-0-2.manual', 'A', [`10-1-0-2.${manual} A 10.1.0.2`]],
      ['search', 'fd00-1--2.manual', 'AAAA', [`fd00-1--2.${manual} AAAA fd00:1::2`]],
      [
        'search',
        '_sql._tcp.manual',
        'SRV',
        ['one', '10-1-0-2', 'fd00-1--2'].map((host) => `_sql._tcp.${manual} SRV 0 25 5432 ${host}.${manual}`),
      ],
      [
        'query',
        '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa',
        'PTR',
        [`1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa. PTR one.${manual}`],
      ],
      ['search', 'far', 'CNAME', [`far.${zone} CNAME www.example.test.`]],
      ['search', 'far', 'A', [`far.${zone} CNAME www.example.test.`, 'www.example.test. A 198.51.100.7']],
      ['search', 'inside', 'A', [`inside.${zone} CNAME ${web}`, `${web} A ${webIp}`]],
      ['search', '1-2-3-4.shop.pod', 'A', ['1-2-3-4.shop.pod.cluster.local. A 1.2.3.4']],
    ]);
  });

  it('what is not there is told apart: no such name, no such type', async () => {
    const [noName, noType] = [['HOST_NOT_FOUND'], ['NO_DATA']];
    await check('client', [
      ['query', `none.${zone}`, 'A', noName],
      ['search', 'none', 'A', noName],
      ['query', 'web.nowhere.svc.cluster.local', 'A', noName],
      ['query', `10-1-0-3.manual.${zone}`, 'A', noName],
      ['query', `10-1-0-1.manual.${zone}`, 'A', noName],
      ['query', `empty.${zone}`, 'A', noName],
      ['query', `_http._udp.web.${zone}`, 'SRV', noName],
      ['query', '1-2-3-4.nowhere.pod.cluster.local', 'A', noName],
      ['query', '3.0.1.10.in-addr.arpa', 'PTR', noName],
      ['query', `web.${zone}`, 'AAAA', noType],
      ['query', `web.${zone}`, 'MX', noType],
      ['query', `_http._tcp.web.${zone}`, 'A', noType],
      ['query', '1-2-3-4.shop.pod.cluster.local', 'AAAA', noType],
      ['query', 'dns-version.cluster.local', 'A', noType],
      ['query', zone, 'A', noType],
    ]);
  });
});

const service = (name: string, spec: object): object => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'shop' },
  spec,
});
const pod = (name: string, spec: object, container: object = {}): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', labels: { app: 'db' } },
  spec: {
    terminationGracePeriodSeconds: 0,
    automountServiceAccountToken: false,
    ...spec,
    containers: [
      { name: 'main', image: 'cloudless.local/resolver:1', command: ['sleep', '600'], ...container },
    ],
  },
});
const slice = (name: string, addressType: string, endpoints: object[]): object => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'manual' } },
  addressType,
  endpoints,
  ports: [{ name: 'sql', port: 5432, protocol: 'TCP' }],
});

const objects = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } },
  service('web', {
    ports: [
      { name: 'http', port: 80 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ],
  }),
  service('db', { clusterIP: 'None', selector: { app: 'db' }, ports: [{ name: 'sql', port: 5432 }] }),
  service('early', { clusterIP: 'None', selector: { app: 'db' }, publishNotReadyAddresses: true }),
  service('empty', { clusterIP: 'None', selector: { app: 'nobody' } }),
  service('manual', { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] }),
  slice('manual-4', 'IPv4', [
    { addresses: ['10.1.0.1'], hostname: 'one', conditions: { ready: true } },
    { addresses: ['10.1.0.2'] },
    { addresses: ['10.1.0.3'], conditions: { ready: false } },
  ]),
  slice('manual-6', 'IPv6', [{ addresses: ['fd00:1::1'], hostname: 'one' }, { addresses: ['fd00:1::2'] }]),
  service('inside', { type: 'ExternalName', externalName: 'web.shop.svc.cluster.local' }),
  service('far', { type: 'ExternalName', externalName: 'www.example.test' }),
  pod('client', {}),
  pod('db-0', {
    hostname: 'db-0',
    subdomain: 'db',
    dnsPolicy: 'None',
    dnsConfig: {
      nameservers: ['10.96.0.10'],
      searches: ['svc.cluster.local'],
      options: [{ name: 'ndots', value: '1' }, { name: 'edns0' }],
    },
  }),
  pod(
    'late',
    { dnsPolicy: 'Default' },
    { readinessProbe: { exec: { command: ['false'] }, periodSeconds: 60 } },
  ),
];
