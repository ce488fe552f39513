import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Ingress } from '@cloudless/kube/types/networking-v1';
import { ingressEndpoints } from './ingress.ts';
import { annotated, lines } from './testing/objects.ts';

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
