import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import type { Clock } from '@cloudless/kube/clock';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { FakeCluster } from '@cloudless/kube/testing/fake-cluster';
import { startKeeperZone } from '../powerdns/testing/keeper-zone.ts';
import type { RRset, Zone } from '../zone/zone.ts';
import { parseData } from '../wire/rdata/data.ts';
import { tokensOf } from '../wire/rdata/token.ts';
import { rrType } from '../wire/types.ts';
import { endpointKeeper, keeperObjectName } from './keeper.ts';
import { dnsEndpoints } from './kinds.ts';

const namespace = 'cloudless-dns';
const stops: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

const set = (name: string, type: keyof typeof rrType, ttlSeconds: number, ...texts: string[]): RRset => ({
  name,
  type: rrType[type],
  ttlSeconds,
  data: texts.map((text) => parseData(rrType[type], tokensOf(text))),
});
const replace = (...rest: Parameters<typeof set>) => ({ kind: 'replace' as const, rrset: set(...rest) });

async function start(clock?: Clock) {
  const started = await startKeeperZone(
    'a.test',
    '$ORIGIN a.test.\n@ 300 IN SOA ns1 h 1 900 600 172800 60\n@ 300 IN NS ns1\nns1 300 IN A 192.0.2.1\nsub 300 IN NS ns.other.test.\n',
    clock,
  );
  stops.push(started.stop);
  return started;
}

describe('records made through an API', () => {
  it('are kept in one object of their zone, and served when the call resolves', async () => {
    const { cluster, keeper, zones } = await start();
    const { serial } = await keeper.apply(
      'a.test',
      [replace('www.a.test', 'A', 60, '192.0.2.7'), replace('t.a.test', 'TXT', 0, '"a b" "c"')],
      'test',
    );
    assert.equal(zones.all.get('a.test')?.zone.serial, serial);
    assert.ok(serial > 1);
    const object = await cluster.client.get(dnsEndpoints, keeperObjectName('a.test'), { namespace });
    assert.deepEqual(
      object.spec?.endpoints?.map(({ dnsName, recordType, recordTTL, targets }) => [
        dnsName,
        recordType,
        recordTTL,
        targets,
      ]),
      [
        ['www.a.test', 'A', 60, ['192.0.2.7']],
        ['t.a.test', 'TXT', 1, ['"a b" "c"']],
      ],
    );
    assert.equal(cluster.calls.filter(({ verb }) => verb === 'create' || verb === 'update').length, 1);
    // Again the same: nothing is written, the serial stays.
    assert.deepEqual(await keeper.apply('a.test', [replace('www.a.test', 'A', 60, '192.0.2.7')], 'test'), {
      serial,
    });
    const gone = await keeper.apply(
      'a.test',
      [{ kind: 'delete', name: 't.a.test', type: undefined }],
      'test',
    );
    assert.ok(gone.serial > serial);
    assert.equal(zones.all.get('a.test')?.zone.node('t.a.test'), undefined);
  });

  it('are all made, or none', async () => {
    const { keeper, zones, cluster } = await start();
    const refused = keeper.apply(
      'a.test',
      [replace('www.a.test', 'A', 60, '192.0.2.7'), replace('ns1.a.test', 'A', 60, '192.0.2.8')],
      'test',
    );
    await assert.rejects(refused, { name: 'ChangeRefusedError', reason: 'conflict' });
    assert.equal(zones.all.get('a.test')?.zone.node('www.a.test'), undefined);
    assert.equal(
      cluster.calls.some(({ verb }) => verb === 'create'),
      false,
    );
  });

  for (const [what, change, reason, message] of [
    [
      'of the text',
      replace('ns1.a.test', 'A', 60, '192.0.2.8'),
      'conflict',
      /written in the text of zone a\.test\./,
    ],
    ['the SOA', replace('a.test', 'SOA', 60, 'a. b. 1 1 1 1 1'), 'conflict', /SOA belongs to the text/],
    [
      'below a delegation',
      replace('x.sub.a.test', 'A', 60, '192.0.2.8'),
      'conflict',
      /delegated to other servers/,
    ],
    ['CNAME beside others', replace('ns1.a.test', 'CNAME', 60, 'b.test.'), 'conflict', /cannot be beside/],
    ['out of zone', replace('b.test', 'A', 60, '192.0.2.8'), 'invalid', /Name is out of zone/],
    ['without data', replace('x.a.test', 'A', 60), 'invalid', /it has no records/],
    [
      'of the text, deleted',
      { kind: 'delete', name: 'ns1.a.test', type: rrType.A },
      'conflict',
      /change it there/,
    ],
  ] as const)
    it(`${what}: refused, with the reason`, async () => {
      const { keeper } = await start();
      await assert.rejects(keeper.apply('a.test', [change], 'test'), { reason, message });
    });

  it('are refused where nothing can keep them, with the remedy', async () => {
    const { zones, objects, clock } = await start();
    const alone = endpointKeeper({ client: undefined, namespace, zones, objects, clock });
    await assert.rejects(alone.apply('a.test', [], 'test'), { reason: 'unavailable', message: /edit those/ });
    const { keeper } = await start();
    await assert.rejects(keeper.apply('b.test', [], 'test'), { reason: 'not-found' });
  });

  describe('judged where the zone is behind what is stored', () => {
    const name = keeperObjectName('a.test');
    const lock = replace('lock.a.test', 'TXT', 60, 'mine');
    const unlessLocked = (zone: Zone) => {
      if (zone.node('lock.a.test')) throw new Error('it is locked');
      return [lock];
    };
    const lockAsAnother = (cluster: FakeCluster): void =>
      void cluster.change(dnsEndpoints, name, namespace, (copy) => {
        const theirs = { dnsName: 'lock.a.test', recordType: 'TXT', recordTTL: 60, targets: ['theirs'] };
        copy.spec = { endpoints: [...(copy.spec?.endpoints ?? []), theirs] };
      });
    const reads = (cluster: FakeCluster): number =>
      cluster.calls.filter(({ verb, resource }) => verb === 'get' && resource.kind === 'DNSEndpoint').length;

    it('wait until it is not, and are judged by that', async () => {
      const { keeper, cluster, holdBack } = await start();
      await keeper.apply('a.test', [replace('w.a.test', 'A', 60, '192.0.2.1')], 'test');
      holdBack(true);
      lockAsAnother(cluster);
      const before = reads(cluster);
      const refused = assert.rejects(keeper.apply('a.test', unlessLocked, 'test'), /it is locked/);
      await cluster.until(() => reads(cluster) > before, 'the keeper to read what is stored');
      holdBack(false);
      await refused;
      const object = await cluster.client.get(dnsEndpoints, name, { namespace });
      assert.deepEqual(object.spec?.endpoints?.at(-1)?.targets, ['theirs']);
    });

    it('wait where others have deleted all of it, too', async () => {
      const { keeper, cluster, holdBack } = await start();
      await keeper.apply('a.test', [lock], 'test');
      holdBack(true);
      cluster.remove(dnsEndpoints, name, namespace);
      const before = reads(cluster);
      const made = keeper.apply('a.test', unlessLocked, 'test');
      await cluster.until(() => reads(cluster) > before, 'the keeper to read what is stored');
      holdBack(false);
      await made;
      assert.ok(await cluster.client.get(dnsEndpoints, name, { namespace }));
    });

    it('are judged again when others change it between the check and the write', async () => {
      const { keeper, cluster } = await start();
      await keeper.apply('a.test', [replace('w.a.test', 'A', 60, '192.0.2.1')], 'test');
      let checks = 0;
      const refused = keeper.apply(
        'a.test',
        (zone) => {
          const changes = unlessLocked(zone);
          if (checks++ === 0) lockAsAnother(cluster);
          return changes;
        },
        'test',
      );
      await assert.rejects(refused, /it is locked/);
      assert.equal(checks, 1);
    });

    it('are refused after a while, and nothing is written', async () => {
      const clock = new FakeClock();
      const { keeper, cluster, holdBack } = await start(clock);
      await keeper.apply('a.test', [replace('w.a.test', 'A', 60, '192.0.2.1')], 'test');
      holdBack(true);
      lockAsAnother(cluster);
      const calls = cluster.calls.length;
      const refused = assert.rejects(keeper.apply('a.test', unlessLocked, 'test'), {
        reason: 'unavailable',
        message: /another version than is stored.*cloudless dns status/,
      });
      await cluster.until(() => clock.pendingTimers > 0, 'the keeper to wait');
      clock.advance(10_000);
      await refused;
      assert.equal(clock.pendingTimers, 0);
      assert.deepEqual([...new Set(cluster.calls.slice(calls).map(({ verb }) => verb))], ['get']);
    });
  });

  it('survive changes of others at the same time', async () => {
    const { keeper, cluster, zones } = await start();
    let left = 2;
    cluster.intercept(({ verb, resource }) => {
      if (verb === 'get' && resource.plural === 'dnsendpoints' && left-- > 0)
        cluster.change(dnsEndpoints, keeperObjectName('a.test'), namespace, (copy) => {
          copy.metadata.annotations = { ...copy.metadata.annotations, other: String(left) };
        });
      return undefined;
    });
    left = 0;
    await keeper.apply('a.test', [replace('w.a.test', 'A', 60, '192.0.2.1')], 'test');
    left = 2;
    await Promise.all(
      [1, 2, 3].map((i) => keeper.apply('a.test', [replace(`w${i}.a.test`, 'A', 60, '192.0.2.1')], 'test')),
    );
    for (const name of ['w', 'w1', 'w2', 'w3'])
      assert.ok(zones.all.get('a.test')?.zone.node(`${name}.a.test`));
  });

  it('have objects with valid names, whatever the zone is called', () => {
    assert.equal(keeperObjectName('example.org'), 'api.example.org');
    for (const origin of ['_tcp.example.org', '', `${'a'.repeat(60)}.`.repeat(4) + 'abcdefg'])
      assert.match(keeperObjectName(origin), /^api-[0-9a-f]{32}$/);
  });

  it('need a cluster that answers', async () => {
    const { keeper, cluster } = await start();
    cluster.intercept(({ verb }) => (verb === 'create' ? new Error('connect ECONNREFUSED') : undefined));
    await assert.rejects(keeper.apply('a.test', [replace('w.a.test', 'A', 60, '192.0.2.1')], 'test'), {
      reason: 'unavailable',
      message: /did not store the change/,
    });
    assert.ok(cluster instanceof FakeCluster);
  });
});
