import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Pod, Service } from '@cloudless/kube/types/core-v1';
import { fieldValue, resourceValue } from './downward.ts';
import { hostResolver } from '../kubelet/node-facts.ts';
import { hostsFile, podHostname } from './hosts-file.ts';
import { parseResolvConf, podResolver } from './resolv-conf.ts';
import { serviceVariables, visibleServices } from './service-links.ts';

const pod = (spec: Partial<NonNullable<Pod['spec']>> = {}): Pod => ({
  metadata: { name: 'web-0', namespace: 'shop', uid: 'u-1', labels: { b: '2', a: 'x "y"' } },
  spec: { containers: [{ name: 'main' }], ...spec },
});

void describe('resolver configuration', () => {
  const host = parseResolvConf('# comment\nsearch lan. corp\nnameserver 192.0.2.53\noptions edns0\n');
  const of = (spec: Partial<NonNullable<Pod['spec']>>, clusterDns = ['10.96.0.10']) =>
    podResolver({ pod: pod(spec), host, nodeIps: ['192.0.2.1'], clusterDns, clusterDomain: 'cluster.local' });

  void it('reads the host’s', () => {
    assert.deepEqual(host, { servers: ['192.0.2.53'], searches: ['lan', 'corp'], options: ['edns0'] });
  });
  void it('ClusterFirst asks the cluster and searches it first', () => {
    assert.deepEqual(of({}).config, {
      servers: ['10.96.0.10'],
      searches: ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'lan', 'corp'],
      options: ['ndots:5'],
    });
  });
  void it('a pod in the host’s network has the host’s, unless it asks for ClusterFirstWithHostNet', () => {
    assert.deepEqual(of({ hostNetwork: true }).config, host);
    assert.deepEqual(of({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' }).config.servers, [
      '10.96.0.10',
    ]);
  });
  void it('None has what the pod says, and dnsConfig adds to the others', () => {
    const dnsConfig = {
      nameservers: ['1.1.1.1'],
      searches: ['x'],
      options: [{ name: 'ndots', value: '2' }, { name: 'rotate' }],
    };
    assert.deepEqual(of({ dnsPolicy: 'None', dnsConfig }).config, {
      servers: ['1.1.1.1'],
      searches: ['x'],
      options: ['ndots:2', 'rotate'],
    });
    const added = of({ dnsConfig }).config;
    assert.deepEqual(added.servers, ['10.96.0.10', '1.1.1.1']);
    assert.deepEqual(added.options, ['ndots:2', 'rotate']);
  });
  void it('keeps to the limits and says so', () => {
    const servers = ['1.1.1.1', '2.2.2.2', '3.3.3.3', '4.4.4.4'];
    const { config, warnings } = of({ dnsPolicy: 'None', dnsConfig: { nameservers: servers } });
    assert.equal(config.servers.length, 3);
    assert.match(warnings[0]!.message, /^Nameserver limits were exceeded.*1\.1\.1\.1 2\.2\.2\.2 3\.3\.3\.3$/);
  });
  void it('reads as upstream does: the last search, each option once, no search path of a dot alone', () => {
    const text =
      'search a b\n  search . c.\noptions ndots:2 rotate\noptions ndots:3\nnameserver\nnameserver ::1 x\n';
    assert.deepEqual(parseResolvConf(text), {
      servers: ['::1'],
      searches: ['c'],
      options: ['ndots:3', 'rotate'],
    });
  });
  void it('cuts search paths: at most 32, of 253 characters, 2,048 in all', () => {
    const cut = (searches: string[]): { searches: string[]; warnings: number } => {
      const { config, warnings } = of({
        dnsPolicy: 'None',
        dnsConfig: { nameservers: ['1.1.1.1'], searches },
      });
      return { searches: config.searches, warnings: warnings.length };
    };
    const many = Array.from({ length: 40 }, (_, i) => `s${i}`);
    assert.deepEqual(cut(many), { searches: many.slice(0, 32), warnings: 1 });
    const wide = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(200, 'x'));
    assert.deepEqual(cut(wide), { searches: wide.slice(0, 10), warnings: 1 });
    assert.deepEqual(cut(['x'.repeat(254), 'short']), { searches: ['short'], warnings: 1 });
    assert.deepEqual(cut(['same', 'same']), { searches: ['same'], warnings: 0 });
  });
  void it('an empty resolvConf: the machine’s own name server for Default, the cluster’s names alone for others', () => {
    const without = (spec: Partial<NonNullable<Pod['spec']>>) =>
      podResolver({
        pod: pod(spec),
        host: undefined,
        nodeIps: ['192.0.2.1', 'fd00::1'],
        clusterDns: ['10.96.0.10'],
        clusterDomain: 'cluster.local',
      }).config;
    assert.deepEqual(without({ dnsPolicy: 'Default' }), {
      servers: ['127.0.0.1', '::1'],
      searches: ['.'],
      options: [],
    });
    assert.deepEqual(without({}).searches, ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local']);
  });
  void it('a resolvConf that cannot be read is an error with its path', async () => {
    await assert.rejects(
      hostResolver('/nowhere/resolv.conf'),
      /resolvConf cannot be read: .*\/nowhere\/resolv\.conf/,
    );
    assert.equal(await hostResolver(''), undefined);
  });
  void it('falls back to the host’s without cluster DNS', () => {
    const { config, warnings } = of({}, []);
    assert.deepEqual(config, host);
    assert.equal(warnings[0]!.reason, 'MissingClusterDNS');
  });
});

void describe('hosts file and host name', () => {
  void it('names the pod by its subdomain', () => {
    const made = pod({
      hostname: 'web',
      subdomain: 'db',
      hostAliases: [{ ip: '192.0.2.9', hostnames: ['a', 'b'] }],
    });
    const text = hostsFile({ pod: made, podIps: ['10.0.0.5', 'fd00::5'], clusterDomain: 'cluster.local' });
    assert.match(text, /^# Kubernetes-managed hosts file\.\n127\.0\.0\.1\tlocalhost\n/);
    assert.match(text, /\n10\.0\.0\.5\tweb\.db\.shop\.svc\.cluster\.local\tweb\nfd00::5\tweb\.db/);
    assert.match(text, /\n\n# Entries added by HostAliases\.\n192\.0\.2\.9\ta\tb\n$/);
  });
  void it('cuts a long name to 63 characters, not ending in a dash', () => {
    const made = pod();
    made.metadata.name = `${'x'.repeat(62)}-abc`;
    assert.equal(podHostname(made, 'cluster.local').hostname, 'x'.repeat(62));
  });
  void it('can be the full name', () => {
    const made = pod({ subdomain: 'db', setHostnameAsFQDN: true });
    assert.equal(podHostname(made, 'cluster.local').sandboxName, 'web-0.db.shop.svc.cluster.local');
  });
});

void describe('variables of Services', () => {
  const service = (
    name: string,
    namespace: string,
    clusterIP: string,
    ports: NonNullable<Service['spec']>['ports'],
  ): Service => ({
    metadata: { name, namespace },
    spec: { clusterIP, ports: ports! },
  });
  void it('are upstream’s', () => {
    const made = serviceVariables([
      service('my-db', 'shop', '10.96.0.7', [
        { name: 'sql', port: 5432 },
        { port: 9187, protocol: 'UDP' },
      ]),
    ]);
    assert.deepEqual(Object.fromEntries(made), {
      MY_DB_SERVICE_HOST: '10.96.0.7',
      MY_DB_SERVICE_PORT: '5432',
      MY_DB_SERVICE_PORT_SQL: '5432',
      MY_DB_PORT: 'tcp://10.96.0.7:5432',
      MY_DB_PORT_5432_TCP: 'tcp://10.96.0.7:5432',
      MY_DB_PORT_5432_TCP_PROTO: 'tcp',
      MY_DB_PORT_5432_TCP_PORT: '5432',
      MY_DB_PORT_5432_TCP_ADDR: '10.96.0.7',
      MY_DB_PORT_9187_UDP: 'udp://10.96.0.7:9187',
      MY_DB_PORT_9187_UDP_PROTO: 'udp',
      MY_DB_PORT_9187_UDP_PORT: '9187',
      MY_DB_PORT_9187_UDP_ADDR: '10.96.0.7',
    });
  });
  void it('leave out headless Services and other namespaces, but not default/kubernetes', () => {
    const all = [
      service('kubernetes', 'default', '10.96.0.1', [{ port: 443 }]),
      service('headless', 'shop', 'None', [{ port: 1 }]),
      service('theirs', 'other', '10.96.0.9', [{ port: 1 }]),
      service('ours', 'shop', '10.96.0.8', [{ port: 1 }]),
    ];
    const hosts = (links: boolean) =>
      [...serviceVariables(visibleServices(all, 'shop', links)).keys()].filter((key) =>
        key.endsWith('_SERVICE_HOST'),
      );
    assert.deepEqual(hosts(true), ['KUBERNETES_SERVICE_HOST', 'OURS_SERVICE_HOST']);
    assert.deepEqual(hosts(false), ['KUBERNETES_SERVICE_HOST']);
  });
});

void describe('downward API', () => {
  const addresses = { podIps: ['10.0.0.5', 'fd00::5'], hostIps: ['192.0.2.1'] };
  void it('gives fields', () => {
    const values = [
      'metadata.name',
      "metadata.labels['b']",
      'metadata.labels',
      'status.podIPs',
      'status.hostIP',
    ].map((path) => fieldValue(pod(), path, addresses));
    assert.deepEqual(values, ['web-0', '2', 'a="x \\"y\\""\nb="2"', '10.0.0.5,fd00::5', '192.0.2.1']);
    assert.throws(
      () => fieldValue(pod(), 'spec.replicas', addresses),
      /unsupported fieldPath: spec\.replicas/,
    );
  });
  void it('gives resources, rounded up to the divisor, or the node’s', () => {
    const made = pod();
    const container = {
      ...made.spec!.containers[0]!,
      resources: { limits: { cpu: '300m' }, requests: { memory: '100Mi' } },
    };
    const allocatable = new Map([['memory', 2 ** 30]]);
    const value = (resource: string, divisor?: string) =>
      resourceValue(made, container, { resource, ...(divisor ? { divisor } : {}) }, allocatable);
    assert.deepEqual(
      [
        value('limits.cpu'),
        value('limits.cpu', '1m'),
        value('limits.cpu', '100m'),
        value('requests.memory', '1Mi'),
        value('limits.memory'),
        value('requests.cpu', '1m'),
      ],
      ['1', '300', '3', '100', String(2 ** 30), '300'],
    );
  });
});
