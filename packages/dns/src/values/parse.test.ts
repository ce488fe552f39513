import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type ParsedValues, parseValues, type ValuesSecrets } from './parse.ts';

const talk = join(import.meta.dirname, '../../../../tests/talk');

function good(text: string, secrets?: ValuesSecrets): ParsedValues {
  const parsed = parseValues(text, 'values.yaml', secrets);
  assert.ok(!('problems' in parsed), JSON.stringify(parsed));
  return parsed;
}

/** `LINE severity: message` of everything that is said. */
function said(text: string, secrets?: ValuesSecrets): string[] {
  const parsed = parseValues(text, 'values.yaml', secrets);
  return ('problems' in parsed ? parsed.problems : parsed.warnings).map(
    ({ place, severity, message }) => `${place?.line} ${severity}: ${message}`,
  );
}

describe("the talk's values", () => {
  it('are accepted as they stand, with nothing to say of them', () => {
    const file = join(talk, 'stateless-dns-values.yaml');
    const { config, service, warnings } = good(readFileSync(file, 'utf8'));
    assert.deepEqual(warnings, []);
    assert.deepEqual(
      config.zones.map(({ origin, place }) => [origin, place]),
      [['nadia.moe', { source: 'values.yaml', line: 14 }]],
    );
    assert.match(config.zones[0]?.text ?? '', /^\$ORIGIN \.\nnadia\.moe 900 IN SOA .*\n/);
    assert.deepEqual(config.api, { key: 'hunter2' });
    assert.deepEqual(
      [service.dns?.type, service.dns?.port, service.dns?.transports, service.dns?.annotations],
      [
        'LoadBalancer',
        53,
        ['UDP', 'TCP'],
        { 'external-dns.alpha.kubernetes.io/hostname': 'ns1.nadia.moe,ns2.nadia.moe' },
      ],
    );
    assert.deepEqual(config.sources, ['crd', 'ingress', 'service']);
  });

  it('as the slides have them are refused, with line and remedy', () => {
    assert.deepEqual(said(readFileSync(join(talk, 'as-published/stateless-dns-values.yaml'), 'utf8')), [
      "9 error: 'pdns' stands under 'service', where it means nothing: it belongs at the left margin. Move it, and all lines below it that are indented further, two columns to the left",
      "13 error: 'zones' stands under 'service', where it means nothing: it belongs at the left margin. Move it, and all lines below it that are indented further, two columns to the left",
    ]);
  });
});

describe('keys', () => {
  for (const [what, text, expected] of [
    [
      'without the section that it belongs in',
      'dnsUdp: {enabled: true}',
      /^1 error: 'dnsUdp' means nothing: 'dnsUdp' belongs under 'service'$/,
    ],
    [
      'in another case',
      'externalDns:\n  policy: sync',
      /^1 error: 'externalDns' is unknown: did you mean 'externalDNS'\?$/,
    ],
    [
      'with a wrong letter',
      'service:\n  dnsUpd: {}',
      /^2 error: 'service\.dnsUpd' is unknown: did you mean 'dnsUdp'\?$/,
    ],
    [
      'that nobody knows',
      'service:\n  frobnicate: 1',
      /^2 error: 'service\.frobnicate' is unknown\. Under 'service' are known: api, dnsUdp, dnsTcp, externalDNSMetrics$/,
    ],
    ['twice', 'zones: {}\nzones: {}', /^2 error: no YAML: map keys must be unique$/],
    ['merged', 'service:\n  <<: {}', /^2 error: service\.<<: merge keys are not read: write the keys out$/],
    [
      'of a section that is a list',
      'zones:\n  - nadia.moe',
      /^2 error: zones: expected keys below it, each on a line of its own and indented$/,
    ],
    ['of no map at all', '- a', /^1 error: values: expected keys/],
    ['in no YAML', 'zones: [', /^1 error: no YAML: /],
  ] as Array<[string, string, RegExp]>)
    it(`${what}: line and remedy`, () => {
      const all = said(text);
      assert.equal(all.length, 1, all.join('\n'));
      assert.match(all[0] ?? '', expected);
    });

  it('of the chart that have nothing to set here are accepted, with the reason, once for each reason', () => {
    const all = said(
      'replicaCount: 3\ntolerations: []\nexternalDNS:\n  interval: 30s\n  triggerLoopOnEvent: true\n  txtOwnerId: x\n',
    );
    assert.deepEqual(all, [
      '1 warning: replicaCount: no effect: every node that runs DNS answers, and all agree on each serial',
      '4 warning: externalDNS.interval, externalDNS.triggerLoopOnEvent: no effect: every change is seen and served at once',
      '6 warning: externalDNS.txtOwnerId: no effect: who made a record is kept in the cluster, not in TXT records',
    ]);
  });

  it('that the chart knows and we do otherwise are accepted, and that is said', () => {
    assert.match(
      said('externalDNS: {policy: upsert-only}').join(),
      /^1 warning: externalDNS\.policy: no effect/,
    );
    assert.match(
      said('externalDNS: {sources: [crd, istio-gateway]}').join(),
      /warning: .* istio-gateway is a source/,
    );
  });

  for (const [what, text, expected] of [
    ['a port', 'service: {dnsUdp: {port: x}}', /port: expected a whole number from 1 to 65535, not "x"/],
    ['a truth', 'service: {dnsUdp: {enabled: maybe}}', /enabled: expected true or false, not "maybe"/],
    ['a type', 'service: {dnsUdp: {type: X}}', /type: expected LoadBalancer, NodePort or ClusterIP, not "X"/],
    ['an address', 'service: {dnsUdp: {loadBalancerIP: ns1}}', /loadBalancerIP: expected an IPv4/],
    ['a block', 'access: {allow: [10.0.0.0/33]}', /access\.allow\[0\]: expected an address or a block/],
    ['a source', 'externalDNS: {sources: [servise]}', /sources\[0\]: "servise" is no source/],
    ['a policy', 'externalDNS: {policy: create-only}', /create-only is not there/],
    ['two ports', 'service: {dnsUdp: {port: 5353}}', /dnsTcp\.port: 53 is not dnsUdp's 5353/],
    ['a zone without text', 'zones: {nadia.moe: }', /zones\.nadia\.moe: the zone has no text/],
    [
      'a folded zone',
      'zones:\n  nadia.moe: >\n    a\n    b\n',
      /would be joined into one: begin it with `\|`/,
    ],
    ['a zone twice', 'zones: {a.b: x, A.b.: y}', /zones\.A\.b\.: the zone a\.b is there already, as a\.b/],
    ['a zone without a name', 'zones: {"a..b": x}', /"a\.\.b" is no name of a zone/],
    ['nobody at all', 'updates: {allow: [{zones: [a.b]}]}', /expected a network, a key, or both/],
    ['a primary', 'secondaries: {a.b: {primaries: [ns1]}}', /expected an address like 192\.0\.2\.53/],
    ['no primary', 'secondaries: {a.b: {}}', /expected primaries/],
    ['denial', 'dnssec: {a.b: {denial: none}}', /denial: expected compact or nsec3, not "none"/],
    ['an engine', 'engine: bind', /engine: expected own or powerdns/],
    ['an engine nowhere', 'engine: powerdns', /engine: powerdns needs engine\.url/],
    ['base64', 'pdns: {apiKeySecret: {valueBase64: "*"}}', /valueBase64: is no base64/],
    [
      "somebody else's Secret",
      'pdns: {apiKeySecret: {create: false}}',
      /name it with pdns\.apiKeySecret\.name/,
    ],
    ['a TSIG key', 'tsigKeys: {k: "md5:x"}', /tsigKeys\.k: expected ALGORITHM:BASE64/],
  ] as Array<[string, string, RegExp]>)
    it(`${what} that cannot be: line and what is expected`, () => {
      const parsed = parseValues(text, 'values.yaml');
      assert.ok('problems' in parsed);
      assert.match(parsed.problems.map(({ message }) => message).join('\n'), expected);
      assert.ok(parsed.problems.every(({ place }) => place?.source === 'values.yaml'));
    });
});

describe('values', () => {
  it('of two Services become those of one', () => {
    const { service, warnings } = good(`
service:
  dnsUdp:
    type: LoadBalancer
    loadBalancerIP: 192.0.2.10
    annotations:
      metallb.io/loadBalancerIPs: 192.0.2.10
      external-dns.alpha.kubernetes.io/hostname: ns1.a.b
  dnsTcp:
    annotations:
      metallb.io/loadBalancerIPs: 192.0.2.11
      external-dns.alpha.kubernetes.io/hostname: ns1.a.b, ns2.a.b
      metallb.io/allow-shared-ip: x
`);
    assert.deepEqual(service.dns?.annotations, {
      'metallb.io/loadBalancerIPs': '192.0.2.10',
      'external-dns.alpha.kubernetes.io/hostname': 'ns1.a.b,ns2.a.b',
      'metallb.io/allow-shared-ip': 'x',
    });
    assert.equal(service.dns.loadBalancerIP, '192.0.2.10');
    assert.match(warnings[0]?.message ?? '', /192\.0\.2\.11' does not count: UDP and TCP have one Service/);
  });

  it('keep what one transport alone asks for', () => {
    const { service } = good('service: {dnsTcp: {enabled: no}, api: {enabled: true, port: 8081}}');
    assert.deepEqual(service.dns?.transports, ['UDP']);
    assert.deepEqual([service.api?.port, service.api?.type], [8081, 'ClusterIP']);
  });

  it("take over what PowerDNS's own settings say of transfers and updates", () => {
    const { config, warnings } = good(`
pdns:
  extraArgs:
    - --also-notify=192.0.2.1,[2001:db8::1]:5353
    - --allow-axfr-ips=198.51.100.0/24
    - --loglevel=7
  extraConfig: |
    # who may
    allow-dnsupdate-from=10.0.0.0/8
    resolver=192.0.2.9
`);
    assert.deepEqual(config.transfers, {
      allow: [{ network: '198.51.100.0/24', key: undefined, zones: undefined }],
      notify: [
        { address: '192.0.2.1', port: 53, key: undefined },
        { address: '2001:db8::1', port: 5353, key: undefined },
      ],
    });
    assert.deepEqual(config.updates.allow, [{ network: '10.0.0.0/8', key: undefined, zones: undefined }]);
    assert.deepEqual(
      warnings.map(({ message }) => message.split(':').slice(2).join(':').slice(0, 40)),
      [" PowerDNS's setting loglevel has nothing", " PowerDNS's setting resolver is not know"].map((one) =>
        one.slice(0, 40),
      ),
    );
  });

  it('have keys of our own', () => {
    const { config } = good(`
transfers:
  allow: [192.0.2.53, {key: Xfer., zones: [A.b.]}]
  notify: ['192.0.2.53:5300', {address: 2001:db8::5, key: xfer}]
secondaries: {c.d: {primaries: [192.0.2.1]}}
updates: {allow: [{network: 10.0.0.0/8, key: ddns}]}
tsigKeys: {Xfer.: 'hmac-sha256:c2VjcmV0'}
dnssec: {a.b: , e.f: {denial: nsec3}, g.h: false}
access: {deny: [192.0.2.66]}
rateLimit: {responsesPerSecond: 5, exempt: [192.0.2.0/24]}
engine: {name: powerdns, url: 'http://192.0.2.53:8081', key: k}
`);
    assert.deepEqual(config.transfers.allow, [
      { network: '192.0.2.53/32', key: undefined, zones: undefined },
      { network: undefined, key: 'xfer', zones: ['a.b'] },
    ]);
    assert.deepEqual(config.transfers.notify, [
      { address: '192.0.2.53', port: 5300, key: undefined },
      { address: '2001:db8::5', port: 53, key: 'xfer' },
    ]);
    assert.deepEqual(config.secondaries.get('c.d')?.primaries, [
      { address: '192.0.2.1', port: 53, key: undefined },
    ]);
    assert.deepEqual(config.tsigKeys, [
      { name: 'xfer', algorithm: 'hmac-sha256', secret: Buffer.from('secret') },
    ]);
    assert.deepEqual(
      [...config.dnssec],
      [
        ['a.b', { denial: 'compact' }],
        ['e.f', { denial: 'nsec3' }],
      ],
    );
    assert.deepEqual(config.access, { allow: ['0.0.0.0/0', '::/0'], deny: ['192.0.2.66/32'] });
    assert.equal(config.rateLimit.responsesPerSecond, 5);
    assert.deepEqual(config.engine, { name: 'powerdns', url: 'http://192.0.2.53:8081', key: 'k' });
    assert.equal(good('rateLimit: false').config.rateLimit.responsesPerSecond, 0);
    assert.deepEqual([...good('dnssec: [a.b]').config.dnssec], [['a.b', { denial: 'compact' }]]);
  });

  it("take the cluster's Secrets before what the text has, and no API without a key", () => {
    const text = 'pdns: {apiKeySecret: {name: mine, key: k, valuePlain: plain}}';
    assert.deepEqual(good(text).config.api, { key: 'plain' });
    const withSecret = good(text, {
      secret: (name, key) => (name === 'mine' && key === 'k' ? 'secret' : undefined),
    });
    assert.deepEqual(withSecret.config.api, { key: 'secret' });
    assert.deepEqual(withSecret.apiKeySecret, { name: 'mine', key: 'k', isOurs: true });
    assert.equal(good('zones: {}').config.api, undefined);
    assert.equal(good('service: {api: {enabled: false}}', { secret: () => 'x' }).config.api, undefined);
    assert.deepEqual(good('pdns: {apiKeySecret: {valueBase64: aHVudGVyMgo=, valuePlain: x}}').config.api, {
      key: 'hunter2',
    });
  });

  it('that are wrong are told without their secrets', () => {
    const all = said(
      'pdns: {apiKeySecret: {valuePlain: [hunter2]}, extraArgs: [--api-key=hunter2, hunter2]}\ntsigKeys: {k: "hunter2:hunter2"}\nengine: {name: powerdns, url: x, key: hunter2}',
    );
    assert.ok(all.length >= 4);
    assert.doesNotMatch(all.join('\n'), /hunter2/);
  });

  it('may be empty, hold anchors, and write truth as Helm reads it', () => {
    assert.deepEqual(good('').config.zones, []);
    assert.deepEqual(good('# nothing\n').config.zones, []);
    const { service } = good('service:\n  dnsUdp: &a {enabled: Yes, type: NodePort}\n  dnsTcp: *a\n');
    assert.equal(service.dns?.type, 'NodePort');
  });
});
