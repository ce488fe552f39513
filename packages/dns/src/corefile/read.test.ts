import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { ServerConfig } from './config.ts';
import { CorefileError } from './error.ts';
import { readCorefile } from './read.ts';

/** Of kubeadm 1.36 (cmd/kubeadm: phases/addons/dns), for the domain cluster.local. */
const kubeadm = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`;

const only = (text: string): ServerConfig => {
  const { servers, warnings } = readCorefile(text);
  assert.deepEqual(warnings, []);
  assert.equal(servers.length, 1);
  return servers[0] as ServerConfig;
};
/** What a Corefile of one block with these lines is refused for. */
const refusal = (text: string): string => {
  try {
    readCorefile(text);
  } catch (error) {
    if (error instanceof CorefileError) return error.message;
    throw error;
  }
  return 'accepted';
};

describe('a Corefile', () => {
  it('of kubeadm is read whole, without a warning', () => {
    const server = only(kubeadm);
    assert.deepEqual(server.zones, ['']);
    assert.deepEqual(server.kubernetes, {
      zones: ['cluster.local', 'in-addr.arpa', 'ip6.arpa'],
      pods: 'insecure',
      endpointPodNames: false,
      noEndpoints: false,
      ignoreEmptyService: false,
      ttlSeconds: 30,
      namespaces: undefined,
      labels: '',
      namespaceLabels: '',
      fallthrough: ['in-addr.arpa', 'ip6.arpa'],
    });
    const [forward] = server.forwards;
    assert.deepEqual(
      [forward?.from, forward?.to, forward?.maxConcurrent, forward?.policy],
      ['', [{ file: '/etc/resolv.conf' }], 1000, 'random'],
    );
    assert.deepEqual(
      [
        server.cache?.success.maxTtlSeconds,
        server.cache?.denial.maxTtlSeconds,
        server.cache?.success.disabled,
      ],
      [30, 30, ['cluster.local']],
    );
    assert.deepEqual([server.loop, server.loadbalance], [true, true]);
  });

  it('has several server blocks, keys by comma, ports, networks as zones, comments, quotes and variables', () => {
    const { servers, warnings } = readCorefile(
      `# first
example.org, dns://Example.NET.:53 10.0.0.0/23 2001:db8::/32 { # here
  forward . {$DNS_SERVER} {%OTHER%}
  log . "{remote} says \\"{name}\\""
}
. {
  forward . 192.0.2.1
}
`,
      { DNS_SERVER: '192.0.2.7', OTHER: '[fd00::1]:5353' },
    );
    assert.deepEqual(warnings, []);
    assert.deepEqual(servers[0]?.zones, [
      'example.org',
      'example.net',
      '0.0.10.in-addr.arpa',
      '1.0.10.in-addr.arpa',
      '8.b.d.0.1.0.0.2.ip6.arpa',
    ]);
    const hosts = servers[0]?.forwards[0]?.to.map((server) =>
      'host' in server ? [server.host, server.port] : [],
    );
    assert.deepEqual(hosts, [
      ['192.0.2.7', 53],
      ['fd00::1', 5353],
    ]);
    assert.equal(servers[0]?.logs[0]?.format, '{remote} says "{name}"');
    assert.deepEqual(servers[1]?.zones, ['']);
  });

  it('may leave the braces of its only block out', () => {
    assert.equal(only('example.org\nforward . 192.0.2.1\ncache 5\n').cache?.success.maxTtlSeconds, 5);
  });

  it('names what is not done here once each, with its line and what happens instead', () => {
    const { servers, warnings } = readCorefile(`.:53 {
  autopath @kubernetes
  kubernetes cluster.local {
    endpoint https://x
    zonal
  }
  rewrite ttl example.org 30
  rewrite name a.example b.example
  template IN A example {
    expr "true"
    answer "{{ .Name }} 60 IN A 192.0.2.1"
  }
  template IN A example {
    answer "{{ if .Name }}x{{ end }}"
  }
  forward . tls://192.0.2.1
  nonsense a b
}
tls://example.org {
  forward . 192.0.2.1
}
`);
    assert.deepEqual(
      warnings.map(({ line, message }) => `${line}: ${message}`),
      [
        '2: plugin autopath is not done here: names of the search path are answered from memory anyway; the rest is served without it',
        "4: kubernetes: endpoint is not used; the API is read with this process's own credentials",
        '5: kubernetes: zonal is not done here; those names do not exist',
        '7: rewrite ttl is not done here (only rewrite name); the rule is left out',
        '10: template: expr is not done here; this template is left out',
        '14: template: {{ if .Name }} is not done here; this template is left out',
        '16: forward: tls://192.0.2.1 without tls_servername: its certificate must be for that address',
        '17: plugin nonsense is not done here; the rest is served without it',
        '19: tls://example.org: only plain DNS on port 53 is served here; this address is left out',
      ],
    );
    assert.equal(servers[0]?.rewrites.length, 1);
    assert.equal(servers[0]?.templates.length, 0);
  });

  const wrong: ReadonlyArray<readonly [text: string, message: RegExp]> = [
    ['', /^line 1: there is no server block/],
    ['. {\n', /line 1: a block is not closed/],
    ['. {\n}\n}\n', /line 3: a brace is closed that was not opened/],
    ['. {\n  import other\n}', /line 2: import: there are no files here/],
    ['(snippet) {\n}', /line 1: \(snippet\): snippets are not read/],
    ['. {\n  log . "abc\n}', /line 2: a quote is not closed/],
    ['. {\n}\n.:53 {\n}', /line 3: zone "\." is served by the block of line 1 already/],
    ['. {\n cache\n cache\n}', /line 3: cache stands twice/],
    ['. {\n kubernetes in-addr.arpa\n}', /line 2: kubernetes needs a zone that is not a reverse zone/],
    [
      '. {\n kubernetes {\n  pods maybe\n }\n}',
      /line 3: pods: "maybe" is none of disabled, insecure, verified/,
    ],
    ['. {\n kubernetes {\n  ttl 4000\n }\n}', /line 3: ttl: "4000" is no number from 0 to 3600/],
    ['. {\n kubernetes {\n  shiny\n }\n}', /line 3: kubernetes has no option "shiny"/],
    ['. {\n forward .\n}', /line 2: forward takes 2 to 16 arguments/],
    ['. {\n forward . dns.example\n}', /line 2: forward: "dns\.example" is no IP address/],
    ['. {\n forward . https://192.0.2.1\n}', /only dns:\/\/ and tls:\/\/ are spoken here/],
    ['. {\n forward . 192.0.2.1 {\n  policy first\n }\n}', /line 3: policy: "first" is none of random/],
    ['. {\n forward . tls://192.0.2.1%a {\n  tls_servername b\n }\n}', /two names/],
    ['. {\n cache {\n  prefetch 10 1m 95%\n }\n}', /line 3: prefetch: "95%" is not from 10% to 90%/],
    ['. {\n cache {\n  servfail 6m\n }\n}', /5 minutes at most/],
    ['. {\n hosts {\n  192.0.2.1\n }\n}', /line 3: hosts: 192\.0\.2\.1 has no name/],
    ['. {\n rewrite name regex ( x\n}', /line 2: "\(" is no pattern/],
    ['. {\n template IN NOPE\n}', /"NOPE" is no record type/],
    [`. {\n ${'a {\n'.repeat(20)}`, /nested more than 8 deep/],
  ];
  for (const [text, message] of wrong)
    it(`is refused: ${message.source}`, () => assert.match(refusal(text), message));

  it('cache and forward take all their options', () => {
    const { cache, forwards } = only(`. {
  cache 120 example.org {
    success 5000 300 10
    denial 2000
    prefetch 5 30s 20%
    serve_stale 2h verify 100ms 30s 1m
    servfail 1s
    keepttl
  }
  forward example.org 192.0.2.1 tls://192.0.2.2%dns.example:8853 {
    except private.example.org 10.0.0.0/8
    force_tcp
    prefer_udp
    expire 20s
    max_fails 3
    policy round_robin
    health_check 1s no_rec domain example.org
    failfast_all_unhealthy_upstreams
    failover SERVFAIL REFUSED
    next NXDOMAIN
  }
}`);
    assert.deepEqual(cache, {
      zones: ['example.org'],
      success: { entries: 5000, maxTtlSeconds: 300, minTtlSeconds: 10, disabled: [] },
      denial: { entries: 2000, maxTtlSeconds: 120, minTtlSeconds: 5, disabled: [] },
      servfailMs: 1000,
      keepTtl: true,
      prefetch: { amount: 5, durationMs: 30_000, percentage: 20 },
      serveStale: {
        durationMs: 7_200_000,
        mode: 'verify',
        verifyTimeoutMs: 100,
        ttlSeconds: 30,
        failureRecheckMs: 60_000,
      },
    });
    const [forward] = forwards;
    assert.deepEqual(forward?.to[1], {
      host: '192.0.2.2',
      port: 8853,
      transport: 'tls',
      serverName: 'dns.example',
    });
    assert.deepEqual(
      [forward?.except, forward?.healthCheck, forward?.failover, forward?.next],
      [
        ['private.example.org', '10.in-addr.arpa'],
        { intervalMs: 1000, recursionDesired: false, domain: 'example.org' },
        [2, 5],
        [3],
      ],
    );
  });

  it('whatever stands in it, it is read or refused', () => {
    const word = fc.constantFrom(
      '.',
      '{',
      '}',
      '\n',
      '"',
      '#',
      'cache',
      'forward',
      '192.0.2.1',
      'kubernetes',
      'rewrite',
      'name',
      '30',
      '{$A}',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(word, fc.string({ maxLength: 6 })), { maxLength: 40 }), (words) => {
        refusal(words.join(' '));
      }),
      { numRuns: 500 },
    );
  });
});
