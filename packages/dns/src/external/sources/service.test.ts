import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Node, Pod, Service } from '@cloudless/kube/types/core-v1';
import type { EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import { serviceEndpoints, type ServiceSurroundings, surroundingsOf } from './service.ts';
import { annotated, lines, node } from './testing/objects.ts';

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
