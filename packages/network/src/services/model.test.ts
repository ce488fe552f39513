import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Service } from '@cloudless/kube/types/core-v1';
import type { Endpoint, EndpointSlice } from '@cloudless/kube/types/discovery-v1';
import { frontendsOf } from './model.ts';

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

/** What each frontend leads to, in one line: `10.96.0.50:80/tcp → 10.244.0.1:8080`. */
function lines(of: Service, slices: EndpointSlice[]): string[] {
  return frontendsOf(of, slices, 'here').map(
    ({ ip, port, protocol, endpoints, affinity }) =>
      `${ip}:${port}/${protocol} → ${endpoints.map((to) => `${to.ip}:${to.port}`).join(' ') || 'refused'}${affinity === 'client' ? ' (by client)' : ''}`,
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
      ['10.96.0.50:80/tcp → 10.244.0.1:8080 (by client)'],
    ],
    [
      'a headless Service has no frontend',
      service({ clusterIP: 'None' }),
      [slice([endpoint('10.244.0.1')])],
      [],
    ],
    ['neither has an ExternalName', service({ type: 'ExternalName', clusterIP: '10.96.0.50' }), [], []],
    ['nor one without an address yet', service({ clusterIP: '' }), [], []],
    [
      'of two addresses the IPv4 one is served',
      service({ clusterIPs: ['fd00::50', '10.96.0.50'] }),
      [slice([endpoint('10.244.0.1')]), slice([endpoint('fd00::1')], { addressType: 'IPv6' })],
      ['10.96.0.50:80/tcp → 10.244.0.1:8080'],
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
