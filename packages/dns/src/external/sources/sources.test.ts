import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Node, Pod, Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import type { Ingress } from '@cloudless/kube/types/networking-v1';
import type { Gateway, Route } from '../kinds.ts';
import { isForUs, ttlAnnotation } from './annotations.ts';
import { dnsEndpointEndpoints } from './dns-endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import { commonHost, routeEndpoints } from './gateway.ts';
import { ingressEndpoints } from './ingress.ts';
import { nodeEndpoints } from './node.ts';
import { serviceEndpoints, type ServiceSurroundings, surroundingsOf } from './service.ts';

const older = 'external-dns.alpha.kubernetes.io/';
const newer = 'external-dns.kubernetes.io/';
const annotated = (
  annotations: Record<string, string>,
  name = 'web',
): { name: string; namespace: string; annotations: Record<string, string> } => ({
  name,
  namespace: 'default',
  annotations: Object.fromEntries(Object.entries(annotations).map(([key, value]) => [older + key, value])),
});
const lines = (endpoints: readonly Endpoint[]): string[] =>
  endpoints.map(
    ({ dnsName, recordType, targets, ttlSeconds, setIdentifier }) =>
      `${dnsName} ${recordType} ${targets.join(' ')}${ttlSeconds === undefined ? '' : ` ttl=${ttlSeconds}`}${
        setIdentifier === undefined ? '' : ` set=${setIdentifier}`
      }`,
  );

describe('annotations', () => {
  it('count under both prefixes, the newer one first', () => {
    const metadata = { annotations: { [`${older}ttl`]: '10', [`${newer}ttl`]: '20' } };
    assert.equal(ttlAnnotation({ metadata }), 20);
    assert.equal(ttlAnnotation({ metadata: { annotations: { [`${older}ttl`]: '10' } } }), 10);
  });

  // As upstream's TestTTLFromAnnotations.
  for (const [text, seconds] of [
    ['foo', undefined],
    ['', undefined],
    ['60', 60],
    ['60s', 60],
    ['10m', 600],
    ['1.5s', 1],
    ['0', undefined],
    ['-1', undefined],
    ['0.2s', undefined],
    ['2147483647', 2_147_483_647],
    ['2147483648', undefined],
  ] as const)
    it(`has a TTL of ${seconds ?? 'its own'} for "${text}"`, () => {
      assert.equal(ttlAnnotation({ metadata: annotated({ ttl: text }) }), seconds);
    });

  it('of another controller make an object none of ours', () => {
    assert.equal(isForUs({ metadata: annotated({ controller: 'some-other-tool' }) }), false);
    assert.equal(isForUs({ metadata: annotated({ controller: 'dns-controller' }) }), true);
    assert.equal(isForUs({ metadata: {} }), true);
  });
});

const node = (name: string, addresses: Record<string, string | string[]>): Node => ({
  metadata: { name },
  status: {
    addresses: Object.entries(addresses).flatMap(([type, list]) =>
      [list].flat().map((address) => ({ type, address })),
    ),
  },
});

function around(parts: { slices?: EndpointSlice[]; pods?: Pod[]; nodes?: Node[] } = {}): ServiceSurroundings {
  const { slices = [], pods = [], nodes = [] } = parts;
  return {
    slices: () => slices,
    pods: () => pods,
    pod: (name) => pods.find(({ metadata }) => metadata.name === name),
    nodes: () => nodes,
    node: (name) => nodes.find(({ metadata }) => metadata.name === name),
  };
}

function service(
  annotations: Record<string, string>,
  spec: Service['spec'],
  ingress: Array<{ ip?: string; hostname?: string }> = [],
): Service {
  return {
    metadata: annotated(annotations),
    ...(spec ? { spec } : {}),
    status: { loadBalancer: { ingress } },
  };
}

describe('a Service', () => {
  const cases: Array<[string, Service, string[]]> = [
    ['without annotations asks for nothing', service({}, { type: 'LoadBalancer' }, [{ ip: '1.2.3.4' }]), []],
    [
      'of type LoadBalancer has its address, under each name',
      service({ hostname: 'foo.example.org., bar.example.org' }, { type: 'LoadBalancer' }, [
        { ip: '1.2.3.4' },
      ]),
      ['foo.example.org A 1.2.3.4', 'bar.example.org A 1.2.3.4'],
    ],
    [
      'with several addresses has them all, by family, and a name as CNAME',
      service({ hostname: 'foo.example.org', ttl: '10' }, { type: 'LoadBalancer' }, [
        { ip: '1.2.3.4' },
        { ip: '8.8.8.8' },
        { ip: '2001:db8::1' },
        { hostname: 'lb.example.com.' },
      ]),
      [
        'foo.example.org A 1.2.3.4 8.8.8.8 ttl=10',
        'foo.example.org AAAA 2001:db8::1 ttl=10',
        'foo.example.org CNAME lb.example.com ttl=10',
      ],
    ],
    [
      'without an address yet asks for nothing',
      service({ hostname: 'foo.example.org' }, { type: 'LoadBalancer' }),
      [],
    ],
    [
      'with externalIPs has those instead',
      service(
        { hostname: 'foo.example.org' },
        { type: 'LoadBalancer', externalIPs: ['10.2.3.4', '11.2.3.4'] },
        [{ ip: '1.2.3.4' }],
      ),
      ['foo.example.org A 10.2.3.4 11.2.3.4'],
    ],
    [
      'has its own address under its internal name, if it has one',
      service(
        { hostname: 'foo.example.org', 'internal-hostname': 'foo.internal.example.org' },
        { type: 'LoadBalancer', clusterIP: '1.1.1.1' },
        [{ ip: '1.2.3.4' }],
      ),
      ['foo.example.org A 1.2.3.4', 'foo.internal.example.org A 1.1.1.1'],
    ],
    [
      'of type ClusterIP is published under its internal name alone',
      service(
        { hostname: 'a.example.org', 'internal-hostname': 'b.example.org' },
        { type: 'ClusterIP', clusterIP: '4.5.6.7' },
      ),
      ['b.example.org A 4.5.6.7'],
    ],
    [
      'with targets has those, whatever its type',
      service(
        {
          hostname: '*.example.org',
          target: '203.0.113.2, lb.example.com,2001:db8::2',
          'set-identifier': 'one',
        },
        { type: 'ClusterIP', clusterIP: '4.5.6.7' },
      ),
      [
        '*.example.org A 203.0.113.2 set=one',
        '*.example.org AAAA 2001:db8::2 set=one',
        '*.example.org CNAME lb.example.com set=one',
      ],
    ],
    [
      'of type ExternalName is a CNAME, or an address',
      service({ hostname: 'a.example.org' }, { type: 'ExternalName', externalName: 'remote.example.com' }),
      ['a.example.org CNAME remote.example.com'],
    ],
    [
      'of type ExternalName with externalIPs has those',
      service(
        { hostname: 'a.example.org' },
        { type: 'ExternalName', externalName: 'x', externalIPs: ['10.2.3.4'] },
      ),
      ['a.example.org A 10.2.3.4'],
    ],
  ];
  for (const [sentence, object, expected] of cases)
    it(sentence, () => assert.deepEqual(lines(serviceEndpoints(object, around())), expected));

  const ports = [{ port: 80, nodePort: 30192 }];
  const nodes = [
    node('node1', { ExternalIP: '54.10.11.1', InternalIP: ['10.0.1.1', '2001:db8::1'] }),
    node('node2', { ExternalIP: '54.10.11.2', InternalIP: ['10.0.1.2', '2001:db8::2'] }),
  ];
  const nodePort = (annotations: Record<string, string>, spec: Service['spec'] = {}): Service =>
    service({ hostname: 'foo.example.org.', ...annotations }, { type: 'NodePort', ports, ...spec });
  const server = '_web._tcp.foo.example.org SRV 0 50 30192 foo.example.org.';

  it('of type NodePort has the ExternalIPs of the nodes and a SRV for its port', () => {
    assert.deepEqual(lines(serviceEndpoints(nodePort({}), around({ nodes }))), [
      server,
      'foo.example.org A 54.10.11.1 54.10.11.2',
    ]);
  });

  it('of type NodePort has the InternalIPs where it says so, or there are no others', () => {
    const inside = [
      server,
      'foo.example.org A 10.0.1.1 10.0.1.2',
      'foo.example.org AAAA 2001:db8::1 2001:db8::2',
    ];
    assert.deepEqual(lines(serviceEndpoints(nodePort({ access: 'private' }), around({ nodes }))), inside);
    const internal = nodes.map(({ metadata, status }) => ({
      metadata,
      status: { addresses: (status?.addresses ?? []).filter(({ type }) => type === 'InternalIP') },
    }));
    assert.deepEqual(lines(serviceEndpoints(nodePort({}), around({ nodes: internal }))), inside);
    assert.deepEqual(lines(serviceEndpoints(nodePort({ access: 'public' }), around({ nodes: internal }))), [
      server,
    ]);
  });

  it('of type NodePort with the policy Local has the nodes whose pods are readiest', () => {
    const pod = (name: string, nodeName: string, ready: 'True' | 'False', extra: object = {}): Pod => ({
      metadata: { name, namespace: 'default', ...extra },
      spec: { nodeName, containers: [] },
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready }] },
    });
    const local = nodePort({}, { externalTrafficPolicy: 'Local' });
    const ending = { deletionTimestamp: '2026-01-01T00:00:00Z' };
    const on = (...pods: Pod[]): string => lines(serviceEndpoints(local, around({ nodes, pods })))[1] ?? '';
    assert.equal(
      on(pod('a', 'node1', 'True'), pod('b', 'node2', 'True', ending)),
      'foo.example.org A 54.10.11.1',
    );
    assert.equal(
      on(pod('a', 'node1', 'False'), pod('b', 'node2', 'True', ending)),
      'foo.example.org A 54.10.11.2',
    );
    assert.equal(on(pod('a', 'node1', 'False')), 'foo.example.org A 54.10.11.1');
    assert.equal(on(), '');
    assert.deepEqual(surroundingsOf(local), ['nodes', 'pods']);
  });

  describe('that is headless', () => {
    const pods: Pod[] = ['foo-0', 'foo-1', 'foo-2'].map((name, i) => ({
      metadata: { name, namespace: 'default' },
      spec: { containers: [], nodeName: 'node1', ...(i === 2 ? {} : { hostname: name }) },
      status: { hostIP: '10.0.0.9' },
    }));
    const slice: EndpointSlice = {
      metadata: { name: 'web-x', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      endpoints: pods.map(({ metadata: { name = '' } }, i) => ({
        addresses: [`1.1.1.${i + 1}`],
        conditions: { ready: i !== 1 },
        targetRef: { kind: 'Pod', name, namespace: 'default' },
      })),
    };
    const headless = (annotations: Record<string, string> = {}, spec: Service['spec'] = {}): Service =>
      service(
        { hostname: 'svc.example.org', ...annotations },
        { type: 'ClusterIP', clusterIP: 'None', ...spec },
      );
    const of = (object: Service, parts: Parameters<typeof around>[0] = {}): string[] =>
      lines(serviceEndpoints(object, around({ slices: [slice], pods, nodes, ...parts })));

    it('has its ready pods, and a name for each with a hostname', () => {
      assert.deepEqual(of(headless()), [
        'foo-0.svc.example.org A 1.1.1.1',
        'svc.example.org A 1.1.1.1 1.1.1.3',
      ]);
    });

    it('has those that are not ready where it publishes them', () => {
      assert.deepEqual(of(headless({}, { publishNotReadyAddresses: true })), [
        'foo-0.svc.example.org A 1.1.1.1',
        'foo-1.svc.example.org A 1.1.1.2',
        'svc.example.org A 1.1.1.1 1.1.1.2 1.1.1.3',
      ]);
    });

    it("has the nodes' addresses by endpoints-type, once each", () => {
      assert.deepEqual(of(headless({ 'endpoints-type': 'HostIP' })), [
        'foo-0.svc.example.org A 10.0.0.9',
        'svc.example.org A 10.0.0.9',
      ]);
      assert.deepEqual(of(headless({ 'endpoints-type': 'NodeExternalIP' })), [
        'foo-0.svc.example.org A 54.10.11.1',
        'svc.example.org A 54.10.11.1',
      ]);
      assert.deepEqual(surroundingsOf(headless({ 'endpoints-type': 'NodeExternalIP' })), [
        'endpointslices',
        'pods',
        'nodes',
      ]);
    });

    it('has the targets that a pod names', () => {
      const [first, ...rest] = pods as [Pod, ...Pod[]];
      const told = {
        ...first,
        metadata: { ...first.metadata, ...annotated({ target: '203.0.113.9' }, 'foo-0') },
      };
      assert.deepEqual(of(headless(), { pods: [told, ...rest] }), [
        'foo-0.svc.example.org A 203.0.113.9',
        'svc.example.org A 1.1.1.3 203.0.113.9',
      ]);
    });
  });
});

describe('an Ingress', () => {
  const ingress = (
    annotations: Record<string, string>,
    ...targets: Array<{ ip?: string; hostname?: string }>
  ): Ingress => ({
    metadata: annotated(annotations),
    spec: {
      rules: [{ host: 'rule.example.org' }, {}],
      tls: [{ hosts: ['tls.example.org', 'rule.example.org'] }],
    },
    status: { loadBalancer: { ingress: targets } },
  });
  const cases: Array<[string, Ingress, string[]]> = [
    [
      'has the hosts of rules, of TLS and of its annotation, once each',
      ingress({ hostname: 'note.example.org' }, { ip: '8.8.8.8' }),
      ['rule.example.org A 8.8.8.8', 'tls.example.org A 8.8.8.8', 'note.example.org A 8.8.8.8'],
    ],
    [
      'has only the defined hosts where it says so',
      ingress(
        { hostname: 'note.example.org', 'ingress-hostname-source': 'defined-hosts-only' },
        { hostname: 'lb.com' },
      ),
      ['rule.example.org CNAME lb.com', 'tls.example.org CNAME lb.com'],
    ],
    [
      'has only the annotation where it says so',
      ingress(
        { hostname: 'note.example.org', 'ingress-hostname-source': 'Annotation-Only' },
        { ip: '8.8.8.8' },
      ),
      ['note.example.org A 8.8.8.8'],
    ],
    [
      'has the targets of its annotation, with its TTL and set',
      ingress(
        {
          target: 'lb.com',
          ttl: '1m',
          'set-identifier': 's',
          'ingress-hostname-source': 'defined-hosts-only',
        },
        { ip: '8.8.8.8' },
      ),
      ['rule.example.org CNAME lb.com ttl=60 set=s', 'tls.example.org CNAME lb.com ttl=60 set=s'],
    ],
    ['without an address asks for nothing', ingress({}), []],
  ];
  for (const [sentence, object, expected] of cases)
    it(sentence, () => assert.deepEqual(lines(ingressEndpoints(object)), expected));
});

describe('a Node', () => {
  it('has its name at its ExternalIPs, else at its InternalIPs, else at what it is told', () => {
    const both = node('n.example.org', { InternalIP: ['2.3.4.5', '2001:db8::1'], ExternalIP: '1.2.3.4' });
    assert.deepEqual(lines(nodeEndpoints(both)), ['n.example.org A 1.2.3.4']);
    const inside = node('n.example.org', { InternalIP: ['2.3.4.5', '2001:db8::1'] });
    assert.deepEqual(lines(nodeEndpoints(inside)), [
      'n.example.org A 2.3.4.5',
      'n.example.org AAAA 2001:db8::1',
    ]);
    const told = { ...both, metadata: annotated({ target: '203.2.45.7', ttl: '5' }, 'n.example.org') };
    assert.deepEqual(lines(nodeEndpoints(told)), ['n.example.org A 203.2.45.7 ttl=5']);
    assert.deepEqual(nodeEndpoints(node('n.example.org', {})), []);
  });
});

describe('a DNSEndpoint', () => {
  it('has sets of any type, its type told from the targets where it names none', () => {
    const endpoints = [
      { dnsName: 'a.example.org.', targets: ['1.2.3.4'], recordTTL: 180 },
      {
        dnsName: 'b.example.org',
        recordType: 'mx',
        targets: ['10 mail.example.org', '5 mx.example.org.'],
        recordTTL: 0,
      },
      { dnsName: 'c.example.org', recordType: 'TXT', targets: ['v=spf1 -all'], setIdentifier: 'x' },
      { dnsName: 'd.example.org', recordType: 'A', targets: [] },
      { dnsName: 'e.example.org', targets: ['other.example.org'] },
    ];
    assert.deepEqual(lines(dnsEndpointEndpoints({ metadata: {}, spec: { endpoints } })), [
      'a.example.org A 1.2.3.4 ttl=180',
      'b.example.org MX 10 mail.example.org 5 mx.example.org.',
      'c.example.org TXT v=spf1 -all set=x',
      'e.example.org CNAME other.example.org',
    ]);
    assert.deepEqual(dnsEndpointEndpoints({ metadata: {} }), []);
  });
});

describe('a route', () => {
  const gateway = (name: string, extra: Partial<Gateway> = {}): Gateway => ({
    metadata: { name, namespace: 'default' },
    spec: { listeners: [{ name: 'web', port: 80, protocol: 'HTTP' }] },
    status: { addresses: [{ type: 'IPAddress', value: '1.2.3.4' }] },
    ...extra,
  });
  const parentRef = { name: 'test' };
  const route = (
    hostnames: string[],
    extra: { annotations?: Record<string, string>; namespace?: string } = {},
  ): Route => ({
    metadata: { ...annotated(extra.annotations ?? {}, 'route'), namespace: extra.namespace ?? 'default' },
    spec: { hostnames, parentRefs: [parentRef] },
    status: { parents: [{ parentRef, conditions: [accepted('True')] }] },
  });
  const accepted = (
    status: string,
  ): NonNullable<NonNullable<NonNullable<Route['status']>['parents']>[0]['conditions']>[0] => ({
    type: 'Accepted',
    status,
    reason: 'Accepted',
    message: '',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  });
  const listeners = (
    ...list: Array<Partial<NonNullable<NonNullable<Gateway['spec']>['listeners']>[0]>>
  ): Partial<Gateway> => ({
    spec: { listeners: list.map((one, i) => ({ name: `l${i}`, port: 80, protocol: 'HTTP', ...one })) },
  });
  const of = (
    one: Route,
    gateways: Gateway[],
    kind = 'HTTPRoute',
    labels: Record<string, string> = {},
  ): string[] =>
    lines(
      routeEndpoints(kind, one, {
        gateway: (namespace, name) =>
          gateways.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
        namespaceLabels: () => labels,
      }),
    );

  it('has its hostnames at the addresses of the Gateway that accepted it', () => {
    assert.deepEqual(
      of(route(['a.example.org', '*.example.org'], { annotations: { ttl: '15s' } }), [gateway('test')]),
      ['*.example.org A 1.2.3.4 ttl=15', 'a.example.org A 1.2.3.4 ttl=15'],
    );
  });

  it('has nothing while no Gateway accepts it, or of one that it no longer names', () => {
    const refused = route(['a.example.org']);
    refused.status = { parents: [{ parentRef, conditions: [accepted('False')] }] };
    assert.deepEqual(of(refused, [gateway('test')]), []);
    const moved = route(['a.example.org']);
    moved.spec = { hostnames: ['a.example.org'], parentRefs: [{ name: 'other' }] };
    assert.deepEqual(of(moved, [gateway('test'), gateway('other')]), []);
    assert.deepEqual(of(route(['a.example.org']), []), []);
  });

  it("has what its hostnames and the listeners' have in common", () => {
    const wide = gateway('test', listeners({ hostname: '*.example.org' }, { hostname: 'x.internal' }));
    assert.deepEqual(of(route(['a.example.org', 'b.c.example.org', 'example.org', '*.internal']), [wide]), [
      'a.example.org A 1.2.3.4',
      'b.c.example.org A 1.2.3.4',
      'x.internal A 1.2.3.4',
    ]);
    assert.deepEqual(of(route([]), [wide]), ['*.example.org A 1.2.3.4', 'x.internal A 1.2.3.4']);
    assert.deepEqual(of(route([]), [gateway('test')]), []);
  });

  it('has the names of its annotation, alone or not at all where it says so', () => {
    const noted = (source?: string): Route =>
      route(['a.example.org'], {
        annotations: { hostname: 'b.example.org', ...(source ? { 'gateway-hostname-source': source } : {}) },
      });
    const a = 'a.example.org A 1.2.3.4';
    const b = 'b.example.org A 1.2.3.4';
    assert.deepEqual(of(noted(), [gateway('test')]), [a, b]);
    assert.deepEqual(of(noted('annotation-only'), [gateway('test')]), [b]);
    assert.deepEqual(of(noted('defined-hosts-only'), [gateway('test')]), [a]);
  });

  it('has the targets that the Gateway names, unless that is none of ours', () => {
    const told = gateway('test', { metadata: annotated({ target: '4.3.2.1,lb.com' }, 'test') });
    assert.deepEqual(of(route(['a.example.org']), [told]), [
      'a.example.org A 4.3.2.1',
      'a.example.org CNAME lb.com',
    ]);
    const other = gateway('test', { metadata: annotated({ controller: 'other' }, 'test') });
    assert.deepEqual(of(route(['a.example.org']), [other]), []);
  });

  it('hangs on listeners of its protocol, section and port', () => {
    const mixed = gateway(
      'test',
      listeners(
        { hostname: 'http.test', protocol: 'HTTP' },
        { hostname: 'https.test', protocol: 'HTTPS', port: 443 },
        { hostname: 'tls.test', protocol: 'TLS' },
        { hostname: 'tcp.test', protocol: 'TCP' },
        { hostname: 'udp.test', protocol: 'UDP' },
      ),
    );
    const names = (kind: string, one = route([])): string =>
      of(one, [mixed], kind)
        .map((line) => line.split('.')[0])
        .join(' ');
    assert.equal(names('HTTPRoute'), 'http https');
    assert.equal(names('GRPCRoute'), 'http https');
    assert.equal(names('TLSRoute'), 'tls');
    assert.equal(names('TCPRoute'), 'tcp tls');
    assert.equal(names('UDPRoute'), 'udp');
    const section = route([]);
    section.status = {
      parents: [{ parentRef: { ...parentRef, sectionName: 'l0' }, conditions: [accepted('True')] }],
    };
    assert.equal(names('HTTPRoute', section), 'http');
    const port = route([]);
    port.status = { parents: [{ parentRef: { ...parentRef, port: 443 }, conditions: [accepted('True')] }] };
    assert.equal(names('HTTPRoute', port), 'https');
  });

  it('is allowed by namespace, by labels of its namespace and by kind', () => {
    const from = (from: string, selector?: object): Gateway =>
      gateway(
        'test',
        listeners({ allowedRoutes: { namespaces: { from, ...(selector ? { selector } : {}) } } }),
      );
    const away = route(['a.example.org'], { namespace: 'other' });
    const toDefault = { ...parentRef, namespace: 'default' };
    away.spec = { hostnames: ['a.example.org'], parentRefs: [toDefault] };
    away.status = { parents: [{ parentRef: toDefault, conditions: [accepted('True')] }] };
    assert.deepEqual(of(away, [from('Same')]), []);
    assert.deepEqual(of(away, [from('All')]), ['a.example.org A 1.2.3.4']);
    const selector = { matchLabels: { team: 'a' } };
    assert.deepEqual(of(away, [from('Selector', selector)], 'HTTPRoute', { team: 'a' }), [
      'a.example.org A 1.2.3.4',
    ]);
    assert.deepEqual(of(away, [from('Selector', selector)], 'HTTPRoute', { team: 'b' }), []);
    const kinds = gateway('test', listeners({ allowedRoutes: { kinds: [{ kind: 'GRPCRoute' }] } }));
    assert.deepEqual(of(route(['a.example.org']), [kinds]), []);
    assert.equal(of(route(['a.example.org']), [kinds], 'GRPCRoute').length, 1);
  });

  // As upstream's TestGatewayMatchingHost.
  for (const [a, b, common] of [
    ['', '', ''],
    ['A.com', 'a.com', 'a.com'],
    ['', '*.example.com', '*.example.com'],
    ['example.com', '*.example.com', undefined],
    ['*.example.com', 'test.example.com', 'test.example.com'],
    ['*.foo.example.com', '*.example.com', '*.foo.example.com'],
    ['1.2.3.4', '', undefined],
    ['a_b.example.com', '', undefined],
    ['*.example.com', '*.example.net', undefined],
  ] as const)
    it(`finds that "${a}" and "${b}" have ${common === undefined ? 'nothing' : `"${common}"`} in common`, () => {
      assert.equal(commonHost(a, b), common);
      assert.equal(commonHost(b, a), common);
    });
});
