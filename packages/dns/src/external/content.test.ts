import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { eventRecorder } from '@cloudless/kube/events/recorder';
import { logger } from '@cloudless/kube/logger';
import { apiextensions, core } from '@cloudless/kube/resources';
import { FakeCluster } from '@cloudless/kube/testing/fake-cluster';
import type { Event, Service } from '@cloudless/kube/types/core-v1';
import type { CustomResourceDefinition } from '@cloudless/kube/types/apiextensions-v1';
import { ZoneRegistry } from '../zone/registry.ts';
import { type Content, startContent } from './content.ts';
import { customResourceDefinitions } from './definitions.ts';
import { dnsEndpoints } from './kinds.ts';
import { servedRecords, whyOf } from './why.ts';

const namespace = 'cloudless-dns';
const log = logger('test').child({}, { level: process.env['TEST_LOG'] ?? 'silent' });
const text = (serial: number, extra = ''): string =>
  `$TTL 900\n@ IN SOA ns1 hostmaster ${serial} 900 600 172800 60\n@ IN NS ns1\n@ IN NS ns2\n${extra}`;

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Replica {
  readonly content: Content;
  readonly zones: ZoneRegistry;
  serial: (origin: string) => number | undefined;
  /** `TYPE NAME DATA`, without the SOA. */
  records: (origin: string) => string[];
}

function replica(cluster: FakeCluster): Replica {
  const zones = new ZoneRegistry();
  const events = eventRecorder({ client: cluster.client, component: 'cloudless-dns', log });
  const content = startContent({
    client: cluster.client,
    config: { from: 'cluster' },
    namespace,
    zones,
    keysFolder: undefined,
    events,
    onConfig: () => {},
    log,
  });
  ends.push(
    () => events.stop(),
    () => content.stop(),
  );
  return {
    content,
    zones,
    serial: (origin) => zones.all.get(origin)?.zone.serial,
    records(origin) {
      const served = zones.all.get(origin);
      if (!served) return [];
      return [...servedRecords(served, content.composer)]
        .filter(({ type }) => type !== 'SOA')
        .flatMap(({ type, name, data }) => data.map((one) => `${type} ${name} ${one}`))
        .sort();
    },
  };
}

function cluster(zones: Record<string, string>, values = ''): FakeCluster {
  const fake = new FakeCluster();
  fake.seed(core.configmaps, {
    metadata: { name: 'zones', namespace, labels: { 'dns.cloudless.dev/zones': 'true' } },
    data: zones,
  });
  if (values !== '')
    fake.seed(core.configmaps, { metadata: { name: 'values', namespace }, data: { 'values.yaml': values } });
  return fake;
}

function defineDnsEndpoint(fake: FakeCluster): void {
  const [definition] = customResourceDefinitions() as [CustomResourceDefinition];
  fake.seed(apiextensions.customresourcedefinitions, {
    ...definition,
    status: { conditions: [{ type: 'Established', status: 'True' }] },
  });
}

function balancer(name: string, hostname: string, ip: string, created = '2026-01-01T00:00:00Z'): Service {
  return {
    metadata: {
      name,
      namespace: 'default',
      creationTimestamp: created,
      annotations: { 'external-dns.alpha.kubernetes.io/hostname': hostname },
    },
    spec: { type: 'LoadBalancer' },
    status: { loadBalancer: { ingress: [{ ip }] } },
  };
}

describe('what the authoritative DNS serves', () => {
  it('is the text and the records of Services, from the first answer', async () => {
    const fake = cluster({ 'nadia.moe': text(1) });
    fake.seed(core.services, balancer('dns', 'ns1.nadia.moe,ns2.nadia.moe', '192.0.2.53'));
    const { content, records, serial } = replica(fake);
    await content.publisher.ready;
    assert.deepEqual(records('nadia.moe'), [
      'A ns1.nadia.moe 192.0.2.53',
      'A ns2.nadia.moe 192.0.2.53',
      'NS nadia.moe ns1.nadia.moe.',
      'NS nadia.moe ns2.nadia.moe.',
    ]);
    assert.ok((serial('nadia.moe') ?? 0) >= 1_700_000_000);
  });

  it('publishes a change under a higher serial that is recorded before', async () => {
    const fake = cluster({ 'a.test': text(1) });
    const { content, records, serial, zones } = replica(fake);
    await content.publisher.ready;
    const before = serial('a.test') as number;
    const recorded: number[] = [];
    zones.onChange(({ current }) => {
      const entry = JSON.parse(
        fake.object(core.configmaps, 'serials', namespace)?.data?.['a.test'] ?? '{}',
      ) as {
        serial: number;
      };
      recorded.push(entry.serial, current?.zone.serial ?? 0);
    });
    fake.seed(core.services, balancer('web', '*.a.test', '192.0.2.1'));
    await fake.until(() => records('a.test').includes('A *.a.test 192.0.2.1'));
    const after = serial('a.test') as number;
    assert.ok(after > before);
    assert.deepEqual(recorded, [after, after]);
    fake.change(core.services, 'web', 'default', (copy) => {
      copy.status = { loadBalancer: { ingress: [{ hostname: 'lb.example.org' }] } };
    });
    await fake.until(() => records('a.test').includes('CNAME *.a.test lb.example.org.'));
    fake.remove(core.services, 'web', 'default');
    await fake.until(() => !records('a.test').some((one) => one.startsWith('CNAME')));
    assert.ok((serial('a.test') as number) > after);
  });

  it('has the same serial on replicas that come and go, and never a lower one', async () => {
    const fake = cluster({ 'a.test': text(1), 'b.test': text(1) });
    const one = replica(fake);
    const two = replica(fake);
    await Promise.all([one.content.publisher.ready, two.content.publisher.ready]);
    assert.equal(one.serial('a.test'), two.serial('a.test'));
    for (let i = 0; i < 20; i++) {
      const before = one.serial('a.test') as number;
      if (i === 0) fake.seed(core.services, balancer('web', 'www.a.test', '192.0.2.0'));
      else
        fake.change(core.services, 'web', 'default', (copy) => {
          copy.status = { loadBalancer: { ingress: [{ ip: `192.0.2.${i}` }] } };
        });
      const wanted = `A www.a.test 192.0.2.${i}`;
      await fake.until(() => [one, two].every(({ records }) => records('a.test').includes(wanted)));
      assert.equal(one.serial('a.test'), two.serial('a.test'));
      assert.ok((one.serial('a.test') as number) > before);
    }
    const last = one.serial('a.test');
    const three = replica(fake);
    await three.content.publisher.ready;
    assert.equal(three.serial('a.test'), last);
    assert.equal(three.serial('b.test'), one.serial('b.test'));
  });

  it('keeps the last good text, says what is wrong with the new one at its ConfigMap, and takes the next good one', async () => {
    const fake = cluster({ 'a.test': text(1, 'www IN A 192.0.2.1\n') });
    const { content, records, serial } = replica(fake);
    await content.publisher.ready;
    const before = serial('a.test');
    fake.change(core.configmaps, 'zones', namespace, (copy) => {
      copy.data = { 'a.test': text(2, 'www IN A 192.0.2.300\n') };
    });
    await fake.until(() => fake.objects(core.events).length > 0, 'an Event');
    const [event] = fake.objects(core.events);
    assert.deepEqual(
      [event?.reason, event?.involvedObject.kind, event?.involvedObject.name],
      ['ZoneRefused', 'ConfigMap', 'zones'],
    );
    assert.match(event?.message ?? '', /ConfigMap cloudless-dns\/zones key a\.test line 5: .*192\.0\.2\.300/);
    assert.ok(records('a.test').includes('A www.a.test 192.0.2.1'));
    assert.equal(serial('a.test'), before);
    fake.change(core.configmaps, 'zones', namespace, (copy) => {
      copy.data = { 'a.test': text(2, 'www IN A 192.0.2.3\n') };
    });
    await fake.until(() => records('a.test').includes('A www.a.test 192.0.2.3'));
  });

  it('is SERVFAIL for a zone whose text was never good, and ready nevertheless', async () => {
    const fake = cluster({ 'a.test': 'www IN A 192.0.2.300\n', 'b.test': text(7) });
    const { content, zones, records } = replica(fake);
    await content.publisher.ready;
    assert.equal(zones.all.get('a.test')?.isExpired, true);
    assert.equal(zones.all.get('b.test')?.isExpired, false);
    fake.change(core.configmaps, 'zones', namespace, (copy) => {
      copy.data = { 'a.test': text(1, 'www IN A 192.0.2.3\n'), 'b.test': text(7) };
    });
    await fake.until(() => records('a.test').includes('A www.a.test 192.0.2.3'));
    assert.equal(zones.all.get('a.test')?.isExpired, false);
  });

  it('tells the younger of two Services that it lost, and to whom; the loser follows when the winner goes', async () => {
    const fake = cluster({ 'a.test': text(1) });
    fake.seed(core.services, balancer('young', 'www.a.test', '192.0.2.2', '2026-02-01T00:00:00Z'));
    fake.seed(core.services, balancer('old', 'www.a.test', '192.0.2.1', '2026-01-01T00:00:00Z'));
    const { content, records, zones } = replica(fake);
    await content.publisher.ready;
    assert.ok(records('a.test').includes('A www.a.test 192.0.2.1'));
    assert.ok(!records('a.test').includes('A www.a.test 192.0.2.2'));
    const lost = (): Event | undefined =>
      fake.objects(core.events).find(({ reason }) => reason === 'RecordLost');
    await fake.until(() => lost() !== undefined, 'an Event');
    const event = lost();
    assert.deepEqual(
      [event?.involvedObject.name, event?.message],
      ['young', 'www.a.test A is already that of Service default/old, which is older'],
    );
    const why = whyOf('WWW.a.test.', content.composer, zones);
    assert.equal(why.message, 'www.a.test has A by Service default/old; one record set lost');
    assert.deepEqual(why.lost[0]?.winner?.name, 'old');
    fake.remove(core.services, 'old', 'default');
    await fake.until(() => records('a.test').includes('A www.a.test 192.0.2.2'));
  });

  it('has DNSEndpoints as soon as the kind is there, ours whatever the sources are', async () => {
    const fake = cluster({ 'a.test': text(1) }, 'externalDNS: {sources: [service], managedRecordTypes: [A]}');
    const { content, records } = replica(fake);
    await content.publisher.ready;
    defineDnsEndpoint(fake);
    const endpoint = (dnsName: string): object => ({
      dnsName,
      recordType: 'TXT',
      recordTTL: 60,
      targets: ['"a text" "in two"', 'v=spf1 -all'],
    });
    fake.seed(dnsEndpoints, {
      metadata: { name: 'api', namespace },
      spec: { endpoints: [endpoint('x.a.test')] },
    });
    fake.seed(dnsEndpoints, {
      metadata: { name: 'no', namespace: 'b' },
      spec: { endpoints: [endpoint('y.a.test')] },
    });
    await fake.until(() => records('a.test').some((one) => one.startsWith('TXT')), 'the TXT record');
    assert.deepEqual(
      records('a.test').filter((one) => one.startsWith('TXT')),
      ['TXT x.a.test "a text" "in two"', 'TXT x.a.test "v=spf1 -all"'],
    );
    fake.remove(apiextensions.customresourcedefinitions, 'dnsendpoints.externaldns.k8s.io');
    await fake.until(() => !records('a.test').some((one) => one.startsWith('TXT')), 'no TXT record');
  });

  it('signs with keys that it makes once, for all replicas, and raises the serial when signatures are renewed', async () => {
    const fake = cluster({ 'a.test': text(1) }, 'dnssec: [a.test]');
    const [one, two] = [replica(fake), replica(fake)];
    await Promise.all([one.content.publisher.ready, two.content.publisher.ready]);
    const signing = ({ zones }: Replica): string | undefined =>
      zones.all
        .get('a.test')
        ?.signing?.keys.map(({ dnskey }) => dnskey.toString('hex'))
        .join();
    assert.ok(signing(one));
    assert.equal(signing(one), signing(two));
    assert.equal(Object.keys(fake.object(core.secrets, 'dnssec-keys', namespace)?.data ?? {}).length, 1);
    assert.equal(one.serial('a.test'), two.serial('a.test'));
    const before = one.serial('a.test') as number;
    fake.change(core.configmaps, 'values', namespace, (copy) => {
      copy.data = { 'values.yaml': 'dnssec: {a.test: {denial: nsec3}}' };
    });
    await fake.until(() =>
      [one, two].every(({ zones }) => zones.all.get('a.test')?.signing?.denial === 'nsec3'),
    );
    assert.ok((one.serial('a.test') as number) > before, 'secondaries have to fetch the other chain');
    assert.equal(one.serial('a.test'), two.serial('a.test'));
    fake.change(core.configmaps, 'values', namespace, (copy) => {
      copy.data = { 'values.yaml': '{}' };
    });
    await fake.until(() => one.zones.all.get('a.test')?.signing === undefined, 'no signatures');
  });

  it('keeps what is gone under the policy upsert-only, through restarts, until somebody else asks for it', async () => {
    const fake = cluster({ 'a.test': text(1) }, 'externalDNS: {policy: upsert-only, sources: [service]}');
    defineDnsEndpoint(fake);
    fake.seed(core.services, balancer('web', 'www.a.test', '192.0.2.1'));
    const { content, records } = replica(fake);
    await content.publisher.ready;
    const kept = (): string =>
      JSON.stringify(fake.object(dnsEndpoints, 'kept.a.test', namespace)?.spec ?? '');
    await fake.until(() => kept().includes('192.0.2.1'), 'the note');
    fake.change(core.services, 'web', 'default', (copy) => {
      copy.status = { loadBalancer: { ingress: [{ ip: '192.0.2.2' }] } };
    });
    await fake.until(
      () => records('a.test').includes('A www.a.test 192.0.2.2') && kept().includes('192.0.2.2'),
    );
    fake.remove(core.services, 'web', 'default');
    const again = replica(fake);
    await again.content.publisher.ready;
    assert.ok(again.records('a.test').includes('A www.a.test 192.0.2.2'));
    fake.seed(core.services, balancer('new', 'www.a.test', '192.0.2.3'));
    await fake.until(() => again.records('a.test').includes('A www.a.test 192.0.2.3'));
    assert.deepEqual(again.records('a.test'), records('a.test'));
    assert.ok(!records('a.test').includes('A www.a.test 192.0.2.2'));
    fake.change(core.configmaps, 'values', namespace, (copy) => {
      copy.data = { 'values.yaml': 'externalDNS: {sources: [service]}' };
    });
    fake.remove(core.services, 'new', 'default');
    await fake.until(() => again.records('a.test').length === 2, 'the record to go');
  });

  it('tells which version of a DNSEndpoint it serves, and nothing while newer content waits', async () => {
    const fake = cluster({ 'a.test': text(1), 'b.test': text(1) });
    defineDnsEndpoint(fake);
    const { content, records } = replica(fake);
    await content.publisher.ready;
    const version = (origin = 'a.test'): string | undefined =>
      content.servedObjects.versionIn(origin, 'api.a.test');
    const stored = (): string | undefined =>
      fake.object(dnsEndpoints, 'api.a.test', namespace)?.metadata.resourceVersion;
    const seen: Array<[version: string | undefined, records: number]> = [];
    content.servedObjects.onChange(() => seen.push([version(), records('a.test').length]));
    assert.equal(version(), '');
    const endpoint = { dnsName: 'w.a.test', recordType: 'A', targets: ['192.0.2.1'] };
    fake.seed(dnsEndpoints, { metadata: { name: 'api.a.test', namespace }, spec: { endpoints: [endpoint] } });
    const created = stored();
    await fake.until(() => version() === created && records('a.test').length === 3);
    const restore = fake.intercept(({ verb }) => (verb !== 'watch' ? new Error('no') : undefined));
    fake.change(dnsEndpoints, 'api.a.test', namespace, (copy) => {
      copy.spec = { endpoints: [] };
    });
    await fake.until(() => content.publisher.waitingFor !== undefined, 'a write of serials that fails');
    assert.equal(version(), undefined);
    assert.equal(version('b.test'), stored());
    restore();
    // It asks for nothing any more, and is there.
    await fake.until(() => version() === stored() && version() !== created);
    assert.equal(records('a.test').length, 2);
    fake.remove(dnsEndpoints, 'api.a.test', namespace);
    await fake.until(() => version() === '');
    // Never a version before it was served.
    assert.ok(seen.every(([at, count]) => at !== created || count === 3));
  });

  it('goes on serving while the API is away, and catches up', async () => {
    const fake = cluster({ 'a.test': text(1) });
    const { content, records } = replica(fake);
    await content.publisher.ready;
    const restore = fake.intercept(() => new Error('connection refused'));
    fake.seed(core.services, balancer('web', 'www.a.test', '192.0.2.1'));
    await fake.until(
      () => content.publisher.waitingFor?.includes('connection refused') === true,
      'a failed write',
    );
    assert.equal(records('a.test').length, 2);
    restore();
    await fake.until(() => records('a.test').includes('A www.a.test 192.0.2.1'));
  });

  it('withdraws a zone that is gone, and serves one that comes under a serial that is not lower', async () => {
    const fake = cluster({ 'a.test': text(1), 'b.test': text(1) });
    const { content, zones, serial } = replica(fake);
    await content.publisher.ready;
    const before = serial('b.test') as number;
    const set = (data: Record<string, string>): void => {
      fake.change(core.configmaps, 'zones', namespace, (copy) => (copy.data = data));
    };
    set({ 'a.test': text(1) });
    await fake.until(() => !zones.all.has('b.test'));
    await fake.until(
      () => !fake.object(core.configmaps, 'serials', namespace)?.data?.['b.test'],
      'no serial',
    );
    set({ 'a.test': text(1), 'b.test': text(1, 'x IN A 192.0.2.1\n') });
    await fake.until(() => zones.all.has('b.test'));
    assert.ok((serial('b.test') as number) >= before);
  });
});
