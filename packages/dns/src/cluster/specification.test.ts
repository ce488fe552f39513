import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { defaultCorefile } from '../corefile/default.ts';
import { service, short, slice, TestCluster } from './testing.ts';

const text = defaultCorefile('cluster.local', '/nowhere/resolv.conf');
const corefile = (option: string): string => text.replace('pods insecure', `pods insecure\n${option}`);

/** A cluster with one Service of each kind. */
function cluster(corefileText?: string): TestCluster {
  const made = new TestCluster(corefileText);
  made.put(
    service('web', {
      clusterIP: '10.96.0.20',
      clusterIPs: ['10.96.0.20', 'fd00::20'],
      ports: [{ name: 'http', port: 80 }, { name: 'dns', port: 53, protocol: 'UDP' }, { port: 9000 }],
    }),
    slice('web', [{ ip: '10.244.0.30' }], [{ name: 'http', port: 8080, protocol: 'TCP' }]),
  );
  made.put(
    service('db', { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] }),
    slice('db', [
      { ip: '10.244.0.5', hostname: 'db-0', pod: 'db-0' },
      { ip: '10.244.0.6', pod: 'db-1', ready: true },
      { ip: '10.244.0.7', ready: false },
    ]),
    slice('db', [
      { ip: 'fd00::5', hostname: 'db-0' },
      { ip: 'fd00:0:0:0::6' },
      { ip: 'fd00:1::', ready: true },
    ]),
  );
  made.put(
    service('starting', { clusterIP: 'None', publishNotReadyAddresses: true }),
    slice('starting', [{ ip: '10.244.0.7', ready: false, hostname: 'first' }]),
  );
  made.put(service('empty', { clusterIP: 'None' }), slice('empty', [{ ip: '10.244.0.8', ready: false }]));
  made.put(service('four', { clusterIP: 'None' }), slice('four', [{ ip: '10.244.0.9' }]));
  made.put(service('inside', { type: 'ExternalName', externalName: 'web.shop.svc.cluster.local' }));
  made.put(service('round', { type: 'ExternalName', externalName: 'round.shop.svc.cluster.local' }));
  made.put(service('far', { type: 'ExternalName', externalName: 'far.example.org' }));
  return made;
}

/** name, type, what is answered (sorted), response code where it is not NOERROR. */
type Row = readonly [name: string, type: string, answers: readonly string[], code?: string];

const db = 'db.shop.svc.cluster.local';
const web = 'web.shop.svc.cluster.local';

/** Section by section of Kubernetes DNS-Based Service Discovery 1.1.0. */
const table: Record<string, readonly Row[]> = {
  '2.1: comparisons do not look at case': [['WEB.Shop.sVc.Cluster.LOCAL', 'A', ['10.96.0.20']]],
  '2.2: the version of the schema': [['dns-version.cluster.local', 'TXT', ['1.1.0']]],
  '2.3.1: A and AAAA of ClusterIPs': [
    [web, 'A', ['10.96.0.20']],
    [web, 'AAAA', ['fd00::20']],
  ],
  '2.3.2: SRV of named ports, none of unnamed ones': [
    [`_http._tcp.${web}`, 'SRV', [`0 100 80 ${web}`]],
    [`_dns._udp.${web}`, 'SRV', [`0 100 53 ${web}`]],
    [`_http._udp.${web}`, 'SRV', [], 'NXDOMAIN'],
    [`_._tcp.${web}`, 'SRV', [], 'NXDOMAIN'],
    [`_http._tcp.${web}`, 'A', []],
    [`_tcp.${web}`, 'SRV', []],
  ],
  '2.3.3: PTR of ClusterIPs': [
    ['20.0.96.10.in-addr.arpa', 'PTR', [web]],
    ['0.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa', 'PTR', [web]],
  ],
  '2.4.1: addresses of a headless Service’s ready endpoints, and of their hostnames': [
    [db, 'A', ['10.244.0.5', '10.244.0.6']],
    [db, 'AAAA', ['fd00:1::', 'fd00::5', 'fd00::6']],
    [`db-0.${db}`, 'A', ['10.244.0.5']],
    [`db-0.${db}`, 'AAAA', ['fd00::5']],
    [`10-244-0-6.${db}`, 'A', ['10.244.0.6']],
    [`fd00--6.${db}`, 'AAAA', ['fd00::6']],
    [`fd00-1--0.${db}`, 'AAAA', ['fd00:1::']],
    [`10-244-0-7.${db}`, 'A', [], 'NXDOMAIN'],
    [`10-244-0-5.${db}`, 'A', [], 'NXDOMAIN'],
    ['four.shop.svc.cluster.local', 'AAAA', []],
    ['empty.shop.svc.cluster.local', 'A', [], 'NXDOMAIN'],
    ['starting.shop.svc.cluster.local', 'A', ['10.244.0.7']],
    ['first.starting.shop.svc.cluster.local', 'A', ['10.244.0.7']],
  ],
  '2.4.2: SRV of each endpoint and named port': [
    [
      `_sql._tcp.${db}`,
      'SRV',
      [
        `0 20 5432 10-244-0-6.${db}`,
        `0 20 5432 db-0.${db}`,
        `0 20 5432 fd00--6.${db}`,
        `0 20 5432 fd00-1--0.${db}`,
      ],
    ],
  ],
  '2.4.3: PTR of each ready endpoint': [
    ['5.0.244.10.in-addr.arpa', 'PTR', [`db-0.${db}`]],
    ['6.0.244.10.in-addr.arpa', 'PTR', [`10-244-0-6.${db}`]],
    ['8.0.244.10.in-addr.arpa', 'PTR', [], 'NXDOMAIN'],
    ['5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa', 'PTR', [`db-0.${db}`]],
  ],
  '2.5: ExternalName': [
    ['far.shop.svc.cluster.local', 'CNAME', ['far.example.org']],
    ['inside.shop.svc.cluster.local', 'AAAA', ['fd00::20', web]],
    [
      'inside.shop.svc.cluster.local',
      'SRV',
      [`0 100 53 ${web}`, `0 100 80 ${web}`, `0 100 9000 ${web}`, web],
    ],
    ['far.shop.svc.cluster.local', 'A', ['far.example.org']],
  ],
  '2.6: names of pods that say their address': [
    ['10-1-2-3.shop.pod.cluster.local', 'A', ['10.1.2.3']],
    ['fd00--1.shop.pod.cluster.local', 'AAAA', ['fd00::1']],
    ['10-1-2-3.shop.pod.cluster.local', 'AAAA', []],
    ['10-1-2-3.nowhere.pod.cluster.local', 'A', [], 'NXDOMAIN'],
    ['10-1-2-300.shop.pod.cluster.local', 'A', [], 'NXDOMAIN'],
    ['x.10-1-2-3.shop.pod.cluster.local', 'A', [], 'NXDOMAIN'],
  ],
  'as CoreDNS has it: SRV of all ports at a Service’s own name, and names of the endpoints of any Service': [
    [web, 'SRV', [`0 100 53 ${web}`, `0 100 80 ${web}`, `0 100 9000 ${web}`]],
    [`db-0.${db}`, 'SRV', [`0 100 5432 db-0.${db}`]],
    [`10-244-0-30.${web}`, 'A', ['10.244.0.30']],
    ['30.0.244.10.in-addr.arpa', 'PTR', [`10-244-0-30.${web}`]],
  ],
  'names without records exist when something is below them (RFC 8020), others do not': [
    ['cluster.local', 'A', []],
    ['svc.cluster.local', 'A', []],
    ['pod.cluster.local', 'A', []],
    ['shop.svc.cluster.local', 'A', []],
    ['shop.pod.cluster.local', 'A', []],
    ['dns.cluster.local', 'A', []],
    [web, 'TXT', []],
    [web, 'HTTPS', []],
    ['nowhere.svc.cluster.local', 'A', [], 'NXDOMAIN'],
    ['none.shop.svc.cluster.local', 'A', [], 'NXDOMAIN'],
    [`x.y.${web}`, 'A', [], 'NXDOMAIN'],
    ['other.cluster.local', 'A', [], 'NXDOMAIN'],
    ['*.shop.svc.cluster.local', 'A', [], 'NXDOMAIN'],
    // What a search path makes of names outside: denied here, at once.
    ['www.example.org.shop.svc.cluster.local', 'A', [], 'NXDOMAIN'],
    ['www.example.org.cluster.local', 'A', [], 'NXDOMAIN'],
  ],
  'the zone itself': [
    ['cluster.local', 'SOA', ['ns.dns.cluster.local']],
    ['cluster.local', 'NS', ['ns.dns.cluster.local']],
    ['ns.dns.cluster.local', 'A', ['10.96.0.10']],
  ],
  'reverse names of the cluster’s own networks are denied here': [
    ['77.0.96.10.in-addr.arpa', 'PTR', [], 'NXDOMAIN'],
    ['0.96.10.in-addr.arpa', 'PTR', []],
  ],
};

describe('Kubernetes DNS-Based Service Discovery 1.1.0', () => {
  const made = cluster();
  after(() => made.stop());

  for (const [title, rows] of Object.entries(table))
    it(title, async () => {
      for (const [name, type, expected, code = 'NOERROR'] of rows) {
        const packet = await made.ask(name, type, { transport: 'tcp' });
        assert.deepEqual(short(packet).sort(), [...expected].sort(), `${type} ${name}`);
        assert.equal(packet.rcode, code, `${type} ${name}`);
        assert.equal(packet.flag_aa, true, `${type} ${name}`);
        if (expected.length === 0) assert.equal(packet.authorities?.[0]?.type, 'SOA', `${type} ${name}`);
      }
    });

  it('addresses of SRV targets stand beside them', async () => {
    const packet = await made.ask(`_sql._tcp.${db}`, 'SRV', { transport: 'tcp' });
    assert.deepEqual(short(packet, 'additionals').sort(), [
      '10.244.0.5',
      '10.244.0.6',
      'fd00:1::',
      'fd00::5',
      'fd00::6',
    ]);
  });

  it('an alias of itself ends', async () => {
    assert.ok(short(await made.ask('round.shop.svc.cluster.local')).length < 12);
  });

  it('nothing but its own is said in any answer, and all of it with the TTL', async () => {
    for (const name of [web, db]) {
      const packet = await made.ask(name);
      for (const record of packet.answers ?? []) {
        assert.equal(record.name, name);
        assert.equal('ttl' in record ? record.ttl : undefined, 5);
      }
    }
  });

  it('a wide answer is cut for UDP and whole by TCP', async () => {
    const endpoints = Array.from({ length: 60 }, (_, i) => ({ ip: `10.244.1.${i + 1}` }));
    made.put(service('big', { clusterIP: 'None' }), slice('big', endpoints));
    const udp = await made.ask('big.shop.svc.cluster.local');
    assert.equal(udp.flag_tc, true);
    assert.equal(udp.answers?.length, 0);
    assert.equal(
      (await made.ask('big.shop.svc.cluster.local', 'A', { transport: 'tcp' })).answers?.length,
      60,
    );
  });

  it('a Service that goes takes its names with it', async () => {
    made.put(service('gone', { clusterIP: '10.96.0.66', clusterIPs: ['10.96.0.66'] }));
    assert.deepEqual(short(await made.ask('66.0.96.10.in-addr.arpa', 'PTR')), [
      'gone.shop.svc.cluster.local',
    ]);
    made.services.set('shop', 'gone', undefined, []);
    assert.equal((await made.ask('gone.shop.svc.cluster.local')).rcode, 'NXDOMAIN');
    assert.equal((await made.ask('66.0.96.10.in-addr.arpa', 'PTR')).rcode, 'NXDOMAIN');
  });

  it('before the first sync no name of the cluster is denied', async () => {
    made.isSynced = false;
    for (const name of [web, 'none.shop.svc.cluster.local', 'cluster.local'])
      assert.equal((await made.ask(name)).rcode, 'SERVFAIL');
    made.isSynced = true;
  });

  it('who is not of the cluster is refused, in no more bytes than were sent', async () => {
    const packet = await made.ask(web, 'A', { from: '192.0.2.1' });
    assert.equal(packet.rcode, 'REFUSED');
    assert.deepEqual([packet.answers, packet.authorities, packet.additionals], [[], [], []]);
  });
});

describe('options of the kubernetes plugin', () => {
  /** [name, type, answers, code] with a Corefile of the option. */
  const check = async (option: string, rows: readonly Row[], prepare?: (made: TestCluster) => void) => {
    const made = cluster(corefile(option));
    prepare?.(made);
    for (const [name, type, expected, code = 'NOERROR'] of rows) {
      const packet = await made.ask(name, type);
      assert.deepEqual(short(packet).sort(), [...expected].sort(), `${option}: ${type} ${name}`);
      assert.equal(packet.rcode, code, `${option}: ${type} ${name}`);
    }
    await made.stop();
  };

  it('pods disabled', () =>
    check('pods disabled', [['10-1-2-3.shop.pod.cluster.local', 'A', [], 'NXDOMAIN']]));
  it('pods verified', () =>
    check(
      'pods verified',
      [
        ['10-244-0-5.shop.pod.cluster.local', 'A', ['10.244.0.5']],
        ['10-244-0-6.shop.pod.cluster.local', 'A', [], 'NXDOMAIN'],
        ['10-244-0-5.other.pod.cluster.local', 'A', [], 'NXDOMAIN'],
      ],
      (made) => made.pods.add('shop 10.244.0.5'),
    ));
  it('endpoint_pod_names', () =>
    check('endpoint_pod_names', [
      [`db-1.${db}`, 'A', ['10.244.0.6']],
      ['6.0.244.10.in-addr.arpa', 'PTR', [`db-1.${db}`]],
    ]));
  it('noendpoints', () =>
    check('noendpoints', [
      [db, 'A', [], 'NXDOMAIN'],
      [web, 'A', ['10.96.0.20']],
    ]));
  it('ignore empty_service', () =>
    check(
      'ignore empty_service',
      [
        ['idle.shop.svc.cluster.local', 'A', [], 'NXDOMAIN'],
        [web, 'A', ['10.96.0.20']],
      ],
      (made) => made.put(service('idle', { clusterIP: '10.96.0.70', clusterIPs: ['10.96.0.70'] })),
    ));
  it('namespaces', () => check('namespaces other', [[web, 'A', [], 'NXDOMAIN']]));
  it('labels', () =>
    check(
      'labels tier=front',
      [
        [web, 'A', [], 'NXDOMAIN'],
        ['front.shop.svc.cluster.local', 'A', ['10.96.0.71']],
        ['20.0.96.10.in-addr.arpa', 'PTR', [], 'NXDOMAIN'],
      ],
      (made) =>
        made.put(
          service('front', { clusterIP: '10.96.0.71', clusterIPs: ['10.96.0.71'] }, { tier: 'front' }),
        ),
    ));
  it('namespace_labels', () =>
    check('namespace_labels team=a', [[web, 'A', [], 'NXDOMAIN']], (made) =>
      made.namespaces.set('shop', { team: 'b' }),
    ));
  it('ttl', async () => {
    const made = cluster(text.replace('ttl 5', 'ttl 30'));
    const [record] = (await made.ask(web)).answers ?? [];
    assert.equal(record && 'ttl' in record ? record.ttl : undefined, 30);
    await made.stop();
  });
});
