import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addressIn, overlap, parseOptions, type RawOptions, UsageError } from './options.ts';

const intervalOf = (text: string): number | undefined =>
  parseOptions({ nodeName: 'n', etcdCompactionInterval: text }).compactionIntervalMs;

describe('--etcd-compaction-interval', () => {
  it('takes durations as upstream writes them', () => {
    assert.equal(intervalOf('5m'), 300_000);
    assert.equal(intervalOf('1h30m'), 5_400_000);
    assert.equal(intervalOf('2s'), 2000);
    assert.equal(parseOptions({ nodeName: 'n' }).compactionIntervalMs, undefined);
  });

  it('refuses what is none, too short or too long, and names the flag', () => {
    for (const text of ['', '5', 'm', '0s', '-1s', '1.5m', '10ms', '600h', '5m '])
      assert.throws(() => intervalOf(text), UsageError, text);
    assert.throws(() => intervalOf('soon'), /--etcd-compaction-interval soon: expected/);
  });
});

describe('flags of up and agent', () => {
  const parse = (raw: RawOptions) => parseOptions({ nodeName: 'n', ...raw });

  it('have defaults as kubeadm and Cilium have them', () => {
    const options = parse({});
    assert.deepEqual(
      [options.root, options.podCidr, options.serviceCidr, options.clusterDomain, options.runtime],
      ['/', '10.244.0.0/16', '10.96.0.0/12', 'cluster.local', 'containerd'],
    );
    assert.deepEqual([options.ports.apiserver, options.ports.kubelet, options.disable], [6443, 10250, []]);
  });

  it('paths are made absolute, because processes have working folders of their own', () => {
    assert.equal(parse({ root: 'a/../b' }).root, `${process.cwd()}/b`);
    assert.equal(parse({ kubeletConfig: 'package.json' }).kubeletConfig, `${process.cwd()}/package.json`);
    const etcd = parse({
      etcdServers: 'https://192.0.2.1:2379, https://192.0.2.2:2379',
      etcdCafile: 'package.json',
    }).etcd;
    assert.deepEqual(etcd?.endpoints, ['https://192.0.2.1:2379', 'https://192.0.2.2:2379']);
    assert.equal(etcd.caFile, `${process.cwd()}/package.json`);
  });

  it('--disable takes several, with commas or without', () => {
    assert.deepEqual(parse({ disable: ['network,dns', 'loadbalancer'] }).disable, [
      'network',
      'dns',
      'loadbalancer',
    ]);
  });

  for (const [raw, message] of [
    [{ nodeName: 'Node_1' }, /^--node-name Node_1: expected lower-case letters/],
    [{ nodeName: '-a' }, /^--node-name -a/],
    [{ nodeName: 'a'.repeat(64) }, /^--node-name a+: expected/],
    [{ nodeIp: 'localhost' }, /^--node-ip localhost: expected an IPv4 address$/],
    [{ nodeIp: 'fd00::1' }, /^--node-ip fd00::1: expected an IPv4 address$/],
    [{ runtime: 'docker' }, /^--runtime docker: expected one of containerd, simulated$/],
    [{ podCidr: '10.244.0.0' }, /^--pod-cidr 10\.244\.0\.0: expected an IPv4 block such as/],
    [{ podCidr: '10.244.0.0/28' }, /^--pod-cidr 10\.244\.0\.0\/28: the prefix must be between \/8 and \/24$/],
    [{ podCidr: '10.244.1.0/16' }, /the address has bits beyond the prefix$/],
    [{ podCidr: '300.0.0.0/16' }, /expected an IPv4 block/],
    [{ serviceCidr: '10.96.0.0/30' }, /^--service-cidr .* between \/8 and \/28$/],
    [
      { podCidr: '10.100.0.0/16' },
      /^--pod-cidr 10\.100\.0\.0\/16 and --service-cidr 10\.96\.0\.0\/12 overlap$/,
    ],
    [{ clusterDomain: 'cluster local' }, /^--cluster-domain cluster local: expected a DNS name/],
    [{ clusterDomain: `${'a'.repeat(40)}.${'b'.repeat(40)}` }, /^--cluster-domain/],
    [
      { disable: ['dsn'] },
      /^--disable dsn: expected one of network, dns, loadbalancer, controllers, scheduler$/,
    ],
    [{ auditLogPath: '/tmp/audit.log' }, /^--audit-log-path goes with --audit-policy-file/],
    [
      { auditPolicyFile: '/no/such', auditLogPath: '-' },
      /^--audit-policy-file \/no\/such: there is no such file$/,
    ],
    [{ shutdownDelayDuration: 'soon' }, /^--shutdown-delay-duration soon: expected a duration/],
    [{ apiPort: '0' }, /^--api-port 0: expected a port between 1 and 65535$/],
    [{ apiPort: 'https' }, /^--api-port https/],
    [{ kubeletPort: '6443' }, /^port 6443 is asked for twice: by apiserver and by kubelet$/],
    [{ dnsPort: '10250' }, /^port 10250 is asked for twice/],
    [{ root: '/a b' }, /^--root \/a b: white space/],
    [{ root: '/a:b' }, /^--root/],
    [
      { root: `/${'long/'.repeat(20)}` },
      /the path is too long for the unix sockets below it; at most \d+ characters$/,
    ],
    [{ kubeletConfig: '/none.yaml' }, /^--kubelet-config \/none\.yaml: there is no such file$/],
    [{ datastoreEndpoint: 'sqlite:///x' }, /^--datastore-endpoint: expected postgres:\/\/USER@HOST/],
    [
      { datastoreEndpoint: 'postgres://a:b@c/d' },
      /^--datastore-endpoint: a password there is seen .*PGPASSWORD$/,
    ],
    [{ datastoreEndpoint: 'postgres://a@c/d?x=1' }, /the parameter x is not known/],
    [{ datastoreEndpoint: 'postgres://a@c/d', etcdServers: 'http://a:1' }, /objects are stored in one place/],
    [{ datastorePasswordFile: 'package.json' }, /goes with --datastore-endpoint$/],
    [{ etcdServers: '192.0.2.1:2379' }, /^--etcd-servers 192\.0\.2\.1:2379: expected URLs such as/],
    [{ etcdServers: 'http://a:1,' }, /^--etcd-servers : expected URLs/],
    [
      { etcdServers: 'http://a:1', etcdCertfile: 'package.json' },
      /^--etcd-certfile and --etcd-keyfile go together$/,
    ],
    [{ etcdServers: 'http://a:1', etcdCafile: '/none' }, /^--etcd-cafile \/none: there is no such file$/],
    [{ etcdCafile: 'package.json' }, /go with --etcd-servers$/],
    [{ announcements: '/none.yaml' }, /^--announcements \/none\.yaml: there is no such file$/],
    [
      { strictExclude: true, disable: ['dns,loadbalancer'] },
      /^--strict-exclude is for the load balancer, which --disable loadbalancer leaves out$/,
    ],
  ] as Array<[RawOptions, RegExp]>)
    it(`refuse ${JSON.stringify(raw).slice(0, 80)}`, () =>
      assert.throws(
        () => parse(raw),
        (error) => error instanceof UsageError && message.test(error.message),
      ));

  it('addresses in a block', () => {
    assert.equal(addressIn('10.96.0.0/12', 1), '10.96.0.1');
    assert.equal(addressIn('10.96.0.0/12', 10), '10.96.0.10');
    assert.equal(addressIn('10.96.0.0/29', 10), '10.96.0.6', 'the last one of a small block');
    assert.equal(addressIn('10.255.255.0/24', 300), '10.255.255.254');
  });

  it('blocks that share an address', () => {
    assert.equal(overlap('10.0.0.0/8', '10.96.0.0/12'), true);
    assert.equal(overlap('10.96.0.0/12', '10.112.0.0/16'), false);
    assert.equal(overlap('0.0.0.0/8', '0.0.0.0/24'), true);
  });
});
