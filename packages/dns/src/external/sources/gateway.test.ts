import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Gateway, Route } from '../kinds.ts';
import { commonHost, routeEndpoints } from './gateway.ts';
import { annotated, lines } from './testing/objects.ts';

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
