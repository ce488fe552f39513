import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { groupResourceOf, type KubeObject, type Resource } from '@cloudless/kube/object';
import { apiextensions, core, discovery } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-cluster';
import type { SourceName } from '../config.ts';
import { gateways, type Route, routes } from '../kinds.ts';
import { RevisionTracker } from '../revisions.ts';
import { shown } from '../why.ts';
import type { SourceSet } from './source-set.ts';
import { watchSources } from './sources.ts';

const log = logger('test').child({}, { level: 'silent' });
const hostname = 'external-dns.alpha.kubernetes.io/hostname';
const sets: SourceSet[] = [];
afterEach(() => Promise.all(sets.splice(0).map((set) => set.stop())));

/** Watches, and keeps what everything asks for as `NAME TYPE DATA`. */
function watch(
  cluster: FakeCluster,
  sources: SourceName[],
  filters: { annotationFilter?: string; labelFilter?: string } = {},
) {
  const tracker = new RevisionTracker();
  const wishes = new Map<string, string[]>();
  const set = watchSources({
    client: cluster.client,
    namespace: 'cloudless-dns',
    settings: {
      sources,
      policy: 'sync',
      managedRecordTypes: ['A', 'AAAA', 'CNAME', 'SRV'],
      annotationFilter: filters.annotationFilter,
      labelFilter: filters.labelFilter,
      defaultTtlSeconds: 300,
    },
    tracker,
    log,
    onChange: () => {},
  });
  sets.push(set);
  const now = (): string[] => {
    for (const [id, wish] of set.take())
      wishes.set(
        id,
        (wish?.wanted ?? []).map(({ rrset }) => {
          const { name, type, data } = shown(rrset);
          return `${name} ${type} ${data.join(' ')}`;
        }),
      );
    return [...wishes.values()].flat().sort();
  };
  const until = async (expected: string[]): Promise<void> => {
    await cluster
      .until(() => set.waitingFor === undefined && JSON.stringify(now()) === JSON.stringify(expected))
      .catch(() => assert.deepEqual(now(), expected));
  };
  const watched = (): string[] =>
    [...new Set(cluster.calls.map(({ resource }) => groupResourceOf(resource)))].sort();
  return { set, tracker, until, watched };
}

function define(cluster: FakeCluster, resource: Resource, version = resource.version): void {
  cluster.seed(apiextensions.customresourcedefinitions, {
    metadata: { name: groupResourceOf(resource) },
    spec: {
      group: resource.group,
      names: { kind: resource.kind, plural: resource.plural },
      scope: 'Namespaced',
      versions: [{ name: version, served: true, storage: true }],
    },
    status: { conditions: [{ type: 'Established', status: 'True' }] },
  });
}

describe('sources', () => {
  it('watch pods, slices and nodes only once a Service depends on them', async () => {
    const cluster = new FakeCluster();
    cluster.seed(core.nodes, {
      metadata: { name: 'one' },
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    });
    cluster.seed(core.services, {
      metadata: { name: 'web', namespace: 'default', annotations: { [hostname]: 'web.a.test' } },
      spec: { type: 'LoadBalancer' },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
    });
    const { until, watched, tracker } = watch(cluster, ['service']);
    await until(['web.a.test A 192.0.2.1']);
    assert.deepEqual(watched(), ['customresourcedefinitions.apiextensions.k8s.io', 'services']);
    cluster.seed(core.services, {
      metadata: { name: 'port', namespace: 'default', annotations: { [hostname]: 'port.a.test' } },
      spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] },
    });
    await until([
      '_port._tcp.port.a.test SRV 0 50 30080 port.a.test.',
      'port.a.test A 10.0.0.1',
      'web.a.test A 192.0.2.1',
    ]);
    cluster.change(core.nodes, 'one', undefined, (copy) => {
      copy.status = { addresses: [{ type: 'InternalIP', address: '10.0.0.2' }] };
    });
    await until([
      '_port._tcp.port.a.test SRV 0 50 30080 port.a.test.',
      'port.a.test A 10.0.0.2',
      'web.a.test A 192.0.2.1',
    ]);
    assert.ok(watched().includes('nodes') && !watched().includes('pods'));
    assert.deepEqual(Object.keys(tracker.own()).sort(), [
      'customresourcedefinitions/dnsendpoints.externaldns.k8s.io',
      'nodes',
      'services',
    ]);
  });

  it('follow the pods of a headless Service', async () => {
    const cluster = new FakeCluster();
    cluster.seed(core.services, {
      metadata: { name: 'db', namespace: 'default', annotations: { [hostname]: 'db.a.test' } },
      spec: { clusterIP: 'None', selector: { app: 'db' } },
    });
    const { until } = watch(cluster, ['service', 'node']);
    await until([]);
    const slice = (ready: boolean): object[] => [
      { addresses: ['10.1.0.1'], conditions: { ready }, targetRef: { kind: 'Pod', name: 'db-0' } },
    ];
    cluster.seed(discovery.endpointslices, {
      metadata: { name: 'db-x', namespace: 'default', labels: { 'kubernetes.io/service-name': 'db' } },
      addressType: 'IPv4',
      endpoints: slice(true) as [],
    });
    cluster.seed(core.pods, {
      metadata: { name: 'db-0', namespace: 'default' },
      spec: { hostname: 'db-0', containers: [] },
    });
    await until(['db-0.db.a.test A 10.1.0.1', 'db.a.test A 10.1.0.1']);
    cluster.change(discovery.endpointslices, 'db-x', 'default', (copy) => {
      copy.endpoints = slice(false) as [];
    });
    await until([]);
  });

  it('find the Gateway API when it comes, follow Gateways and namespaces, and forget it when it goes', async () => {
    const cluster = new FakeCluster();
    const { until, watched, set } = watch(cluster, ['gateway-httproute', 'gateway-tcproute']);
    await cluster.until(() => set.waitingFor === undefined);
    assert.deepEqual(watched(), ['customresourcedefinitions.apiextensions.k8s.io']);
    const accepted = [
      {
        type: 'Accepted',
        status: 'True',
        reason: '',
        message: '',
        lastTransitionTime: '2026-01-01T00:00:00Z',
      },
    ] as const;
    const parentRef = { name: 'gw', namespace: 'infra' };
    const route: Route = {
      metadata: { name: 'r', namespace: 'team' },
      spec: { hostnames: ['www.a.test'], parentRefs: [parentRef] },
      status: { parents: [{ parentRef, conditions: [...accepted] }] },
    };
    define(cluster, routes.httproutes, 'v1beta1');
    cluster.seed(routes.httproutes, route);
    cluster.seed<KubeObject>(core.namespaces, { metadata: { name: 'team', labels: { dns: 'no' } } });
    await until([]);
    define(cluster, gateways);
    const selector = { matchLabels: { dns: 'yes' } };
    cluster.seed(gateways, {
      metadata: { name: 'gw', namespace: 'infra' },
      spec: {
        listeners: [
          {
            name: 'web',
            port: 80,
            protocol: 'HTTP',
            allowedRoutes: { namespaces: { from: 'Selector', selector } },
          },
        ],
      },
      status: { addresses: [{ value: '192.0.2.7' }] },
    });
    await until([]);
    cluster.change(core.namespaces, 'team', undefined, (copy) => {
      copy.metadata.labels = { dns: 'yes' };
    });
    await until(['www.a.test A 192.0.2.7']);
    cluster.change(gateways, 'gw', 'infra', (copy) => {
      copy.status = { addresses: [{ value: '192.0.2.8' }] };
    });
    await until(['www.a.test A 192.0.2.8']);
    assert.ok(
      cluster.calls.every(
        ({ resource }) => resource.plural !== 'httproutes' || resource.version === 'v1beta1',
      ),
    );
    cluster.remove(apiextensions.customresourcedefinitions, groupResourceOf(routes.httproutes));
    await until([]);
    assert.ok(!set.status().some(({ resource }) => resource.startsWith('httproutes')));
  });

  it('leave out what filters do not match and what is of another controller', async () => {
    const cluster = new FakeCluster();
    const balancer = (
      name: string,
      labels: Record<string, string>,
      more: Record<string, string> = {},
    ): KubeObject =>
      ({
        metadata: {
          name,
          namespace: 'default',
          labels,
          annotations: { [hostname]: `${name}.a.test`, ...more },
        },
        spec: { type: 'LoadBalancer' },
        status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
      }) as KubeObject;
    const wanted = { 'dns/class': 'public' };
    cluster.seed<KubeObject>(
      core.services,
      balancer('yes', { team: 'a' }, wanted),
      balancer('label', { team: 'b' }, wanted),
      balancer('note', { team: 'a' }),
      balancer('other', { team: 'a' }, { ...wanted, 'external-dns.kubernetes.io/controller': 'route53' }),
    );
    const { until } = watch(cluster, ['service'], {
      labelFilter: 'team in (a, c)',
      annotationFilter: 'dns/class=public',
    });
    await until(['yes.a.test A 192.0.2.1']);
    cluster.change(core.services, 'label', 'default', (copy) => {
      copy.metadata.labels = { team: 'c' };
    });
    await until(['label.a.test A 192.0.2.1', 'yes.a.test A 192.0.2.1']);
    assert.throws(() => watch(cluster, ['service'], { labelFilter: 'team in' }));
  });
});
