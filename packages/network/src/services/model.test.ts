import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { Endpoint, EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import { frontendsOf, healthCheckOf, type NodeView, servedAddressesOf } from './model.ts';

const node: NodeView = {
  name: 'here',
  addresses: ['192.0.2.10'],
  addressesOfNodes: new Set(['192.0.2.10', '192.0.2.11']),
};

const service = (spec: Service['spec']): Service => ({
  metadata: { name: 'web', namespace: 'shop' },
  spec: { clusterIP: '10.96.0.50', ports: [{ port: 80 }], ...spec },
});
const endpoint = (ip: string, more: Partial<Endpoint> = {}): Endpoint => ({
  addresses: [ip],
  conditions: { ready: true },
  nodeName: 'here',
  ...more,
});
const slice = (endpoints: Endpoint[], more: Partial<EndpointSlice> = {}): EndpointSlice => ({
  metadata: { name: 'web-1', namespace: 'shop' },
  addressType: 'IPv4',
  ports: [{ port: 8080, protocol: 'TCP' }],
  endpoints,
  ...more,
});
const leaving = { ready: false, serving: true, terminating: true };

/** Who gets where, in one line: `10.96.0.50:80/tcp → 10.244.0.1:8080`. */
function lines(of: Service, slices: EndpointSlice[], on = node): string[] {
  const list = (endpoints: readonly { ip: string; port: number }[], none: string): string =>
    endpoints.map((to) => `${to.ip}:${to.port}`).join(' ') || none;
  return frontendsOf(of, slices, on).map(
    ({ ip, port, protocol, endpoints, outside, affinitySeconds, sources }) =>
      [
        `${ip}:${port}/${protocol} → ${list(endpoints, 'refused')}`,
        typeof outside === 'string' ? [] : `outside → ${list(outside, 'dropped')}`,
        outside === 'masqueraded' ? 'masqueraded' : [],
        affinitySeconds === undefined ? [] : `by client ${affinitySeconds} s`,
        sources ? `only ${sources.join(' ')}` : [],
      ]
        .flat()
        .join(', '),
  );
}

describe('what a Service means on a node', () => {
  for (const [sentence, of, slices, expected] of [
    [
      'ready endpoints are used, sorted',
      service({}),
      [slice([endpoint('10.244.0.2'), endpoint('10.244.0.1')])],
      ['10.96.0.50:80/tcp → 10.244.0.1:8080 10.244.0.2:8080'],
    ],
    ['no endpoint: refused', service({}), [], ['10.96.0.50:80/tcp → refused']],
    [
      'an endpoint that is not ready is left out',
      service({}),
      [slice([endpoint('10.244.0.1'), endpoint('10.244.0.2', { conditions: { ready: false } })])],
      ['10.96.0.50:80/tcp → 10.244.0.1:8080'],
    ],
    [
      'unset conditions count as ready',
      service({}),
      [slice([{ addresses: ['10.244.0.1'] }])],
      ['10.96.0.50:80/tcp → 10.244.0.1:8080'],
    ],
    [
      'an endpoint that terminates is not used while another is ready',
      service({}),
      [slice([endpoint('10.244.0.1'), endpoint('10.244.0.2', { conditions: leaving })])],
      ['10.96.0.50:80/tcp → 10.244.0.1:8080'],
    ],
    [
      'the last ones go on serving while they terminate',
      service({}),
      [slice([endpoint('10.244.0.2', { conditions: leaving })])],
      ['10.96.0.50:80/tcp → 10.244.0.2:8080'],
    ],
    [
      'one that terminates and serves no more is not used even alone',
      service({}),
      [slice([endpoint('10.244.0.2', { conditions: { ready: false, serving: false, terminating: true } })])],
      ['10.96.0.50:80/tcp → refused'],
    ],
    [
      'unset serving counts as serving',
      service({}),
      [slice([endpoint('10.244.0.2', { conditions: { ready: false, terminating: true } })])],
      ['10.96.0.50:80/tcp → 10.244.0.2:8080'],
    ],
    [
      'ports are matched by name and protocol',
      service({
        ports: [
          { name: 'dns', port: 53, protocol: 'UDP' },
          { name: 'dns-tcp', port: 53, protocol: 'TCP' },
        ],
      }),
      [
        slice([endpoint('10.244.0.1')], {
          ports: [
            { name: 'dns', port: 10053, protocol: 'UDP' },
            { name: 'dns-tcp', port: 10054, protocol: 'TCP' },
          ],
        }),
      ],
      ['10.96.0.50:53/udp → 10.244.0.1:10053', '10.96.0.50:53/tcp → 10.244.0.1:10054'],
    ],
    [
      'pods with different target ports come in different slices',
      service({}),
      [
        slice([endpoint('10.244.0.1')]),
        slice([endpoint('10.244.0.2')], { ports: [{ port: 9090, protocol: 'TCP' }] }),
      ],
      ['10.96.0.50:80/tcp → 10.244.0.1:8080 10.244.0.2:9090'],
    ],
    [
      'an address that two slices tell counts once',
      service({}),
      [slice([endpoint('10.244.0.1')]), slice([endpoint('10.244.0.1')])],
      ['10.96.0.50:80/tcp → 10.244.0.1:8080'],
    ],
    [
      'internalTrafficPolicy Local keeps to this node',
      service({ internalTrafficPolicy: 'Local' }),
      [slice([endpoint('10.244.0.1'), endpoint('10.244.9.1', { nodeName: 'there' })])],
      ['10.96.0.50:80/tcp → 10.244.0.1:8080'],
    ],
    [
      'sessionAffinity ClientIP',
      service({ sessionAffinity: 'ClientIP' }),
      [slice([endpoint('10.244.0.1')])],
      ['10.96.0.50:80/tcp → 10.244.0.1:8080, by client 10800 s'],
    ],
    [
      'a headless Service has no frontend',
      service({ clusterIP: 'None' }),
      [slice([endpoint('10.244.0.1')])],
      [],
    ],
    ['neither has an ExternalName', service({ type: 'ExternalName', clusterIP: '10.96.0.50' }), [], []],
    [
      'nor one of another proxy',
      {
        ...service({}),
        metadata: { name: 'web', labels: { 'service.kubernetes.io/service-proxy-name': 'theirs' } },
      },
      [slice([endpoint('10.244.0.1')])],
      [],
    ],
    ['nor one without an address yet', service({ clusterIP: '' }), [], []],
    [
      'each address leads to endpoints of its own family',
      service({ clusterIPs: ['FD00:0::50', '10.96.0.50'] }),
      [slice([endpoint('10.244.0.1')]), slice([endpoint('fd00::0:1')], { addressType: 'IPv6' })],
      ['fd00::50:80/tcp → fd00::1:8080', '10.96.0.50:80/tcp → 10.244.0.1:8080'],
    ],
    [
      'texts that are no address or port never get into a script',
      service({
        clusterIPs: ['10.96.0.50', '10.96.0.51 } ; flush ruleset #'],
        ports: [{ port: 80 }, { port: 1.5 }],
      }),
      [
        slice([endpoint('10.244.0.1 }\nflush ruleset\n'), endpoint('10.244.0.2')]),
        slice([endpoint('10.244.0.3')], { ports: [{ port: 70000, protocol: 'TCP' }] }),
      ],
      ['10.96.0.50:80/tcp → 10.244.0.2:8080'],
    ],
  ] as Array<[string, Service, EndpointSlice[], string[]]>)
    it(sentence, () => assert.deepEqual(lines(of, slices), expected));
});

const balanced = (spec: Service['spec'], ip = '203.0.113.9', ipMode = 'VIP'): Service => ({
  ...service({ type: 'LoadBalancer', externalTrafficPolicy: 'Cluster', ...spec }),
  status: { loadBalancer: { ingress: [{ ip, ipMode }] } },
});
const away = (ip: string, more: Partial<Endpoint> = {}): Endpoint =>
  endpoint(ip, { nodeName: 'there', ...more });
const cluster = '10.96.0.50:80/tcp → 10.244.0.1:8080';

describe('what a Service means to clients outside the cluster', () => {
  for (const [sentence, of, slices, expected] of [
    [
      'Cluster: all endpoints, from the node’s address',
      balanced({}),
      [slice([endpoint('10.244.0.1'), away('10.244.9.1')])],
      [`${cluster} 10.244.9.1:8080`, '203.0.113.9:80/tcp → 10.244.0.1:8080 10.244.9.1:8080, masqueraded'],
    ],
    [
      'Local: those of this node; clients in the cluster reach all',
      balanced({ externalTrafficPolicy: 'Local' }),
      [slice([endpoint('10.244.0.1'), away('10.244.9.1')])],
      [
        `${cluster} 10.244.9.1:8080`,
        '203.0.113.9:80/tcp → 10.244.0.1:8080 10.244.9.1:8080, outside → 10.244.0.1:8080',
      ],
    ],
    [
      'Local: one that terminates here serves on, although another is ready elsewhere',
      balanced({ externalTrafficPolicy: 'Local' }),
      [slice([endpoint('10.244.0.1', { conditions: leaving }), away('10.244.9.1')])],
      [
        '10.96.0.50:80/tcp → 10.244.9.1:8080',
        '203.0.113.9:80/tcp → 10.244.9.1:8080, outside → 10.244.0.1:8080',
      ],
    ],
    [
      'Local with no endpoint here: dropped',
      balanced({ externalTrafficPolicy: 'Local' }),
      [slice([away('10.244.9.1')])],
      ['10.96.0.50:80/tcp → 10.244.9.1:8080', '203.0.113.9:80/tcp → 10.244.9.1:8080, outside → dropped'],
    ],
    [
      'an address of a proxy is not served',
      balanced({}, '203.0.113.9', 'Proxy'),
      [slice([endpoint('10.244.0.1')])],
      [cluster],
    ],
    [
      'externalIPs follow the same policy, on a ClusterIP Service too',
      service({ externalIPs: ['198.51.100.7'], externalTrafficPolicy: 'Local' }),
      [slice([endpoint('10.244.0.1')])],
      [cluster, '198.51.100.7:80/tcp → 10.244.0.1:8080, outside → 10.244.0.1:8080'],
    ],
    [
      'a node port answers on this node’s addresses',
      service({ type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] }),
      [slice([endpoint('10.244.0.1')])],
      [cluster, '192.0.2.10:30080/tcp → 10.244.0.1:8080, masqueraded'],
    ],
    [
      'internalTrafficPolicy Local does not restrict who comes by other addresses',
      balanced({ internalTrafficPolicy: 'Local' }),
      [slice([away('10.244.9.1')])],
      ['10.96.0.50:80/tcp → refused', '203.0.113.9:80/tcp → 10.244.9.1:8080, masqueraded'],
    ],
    [
      'source ranges restrict the load balancer’s address alone; nested and foreign ones go',
      balanced({
        externalIPs: ['198.51.100.7'],
        ports: [{ port: 80, nodePort: 30080 }],
        loadBalancerSourceRanges: ['198.51.100.9/24 ', '198.51.100.0/25', 'fd00::/8', '10.0.0.0/8 } ; #'],
      }),
      [slice([endpoint('10.244.0.1')])],
      [
        cluster,
        '198.51.100.7:80/tcp → 10.244.0.1:8080, masqueraded',
        '203.0.113.9:80/tcp → 10.244.0.1:8080, masqueraded, only 198.51.100.0/24',
        '192.0.2.10:30080/tcp → 10.244.0.1:8080, masqueraded',
      ],
    ],
    [
      'a node in the ranges may also come from the virtual address',
      balanced({ loadBalancerSourceRanges: ['192.0.2.0/24'] }),
      [slice([endpoint('10.244.0.1')])],
      [cluster, '203.0.113.9:80/tcp → 10.244.0.1:8080, masqueraded, only 192.0.2.0/24 203.0.113.9/32'],
    ],
    [
      'a range of everybody is none',
      balanced({ loadBalancerSourceRanges: ['192.0.2.0/24', '0.0.0.0/0'] }),
      [slice([endpoint('10.244.0.1')])],
      [cluster, '203.0.113.9:80/tcp → 10.244.0.1:8080, masqueraded'],
    ],
    [
      'an IPv6 address leads to IPv6 endpoints alone',
      balanced({}, '2001:DB8::9'),
      [slice([endpoint('10.244.0.1')])],
      [cluster, '2001:db8::9:80/tcp → refused, masqueraded'],
    ],
    [
      'a timeout of affinity is kept',
      balanced({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 5 } } }),
      [slice([endpoint('10.244.0.1')])],
      [`${cluster}, by client 5 s`, '203.0.113.9:80/tcp → 10.244.0.1:8080, masqueraded, by client 5 s'],
    ],
  ] as Array<[string, Service, EndpointSlice[], string[]]>)
    it(sentence, () => assert.deepEqual(lines(of, slices), expected));

  it('a node port takes nothing from the host in a family that the Service does not have', () => {
    const both = { ...node, addresses: ['192.0.2.10', '2001:db8::10'] };
    const of = (clusterIPs: string[]): string[] =>
      lines(
        service({ type: 'NodePort', clusterIPs, ports: [{ port: 80, nodePort: 30080 }] }),
        [slice([endpoint('10.244.0.1')]), slice([endpoint('2001:db8::1')], { addressType: 'IPv6' })],
        both,
      ).filter((line) => line.includes(':30080/'));
    assert.deepEqual(of(['10.96.0.50']), ['192.0.2.10:30080/tcp → 10.244.0.1:8080, masqueraded']);
    assert.deepEqual(of(['10.96.0.50', 'fd00::50']), [
      '192.0.2.10:30080/tcp → 10.244.0.1:8080, masqueraded',
      '2001:db8::10:30080/tcp → 2001:db8::1:8080, masqueraded',
    ]);
  });

  it('addresses are served, but never those of nodes', () => {
    const of = balanced({ externalIPs: ['198.51.100.7', '192.0.2.11', '203.0.113.9'] });
    assert.deepEqual(servedAddressesOf(of, node), [
      { ip: '203.0.113.9', kind: 'virtual' },
      { ip: '198.51.100.7', kind: 'external' },
    ]);
    assert.deepEqual(servedAddressesOf(balanced({ clusterIP: 'None' }), node), []);
  });

  it('a health check counts the ready pods of this node', () => {
    const of = balanced({ externalTrafficPolicy: 'Local', healthCheckNodePort: 32000 });
    const slices = [
      slice([endpoint('10.244.0.1'), endpoint('10.244.0.2', { conditions: leaving }), away('10.244.9.1')]),
      slice([endpoint('10.244.0.1')], { ports: [{ name: 'other', port: 1, protocol: 'TCP' }] }),
      slice([endpoint('fd00::1')], { addressType: 'IPv6' }),
    ];
    assert.deepEqual(healthCheckOf(of, slices, 'here'), { port: 32000, localEndpoints: 1 });
    assert.equal(healthCheckOf(balanced({ healthCheckNodePort: 32000 }), slices, 'here'), undefined);
    const nodePort = { ...of, spec: { ...of.spec, type: 'NodePort' } };
    assert.equal(healthCheckOf(nodePort, slices, 'here'), undefined);
  });
});
