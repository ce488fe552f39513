import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import { missingPeer } from '@cloudless/kube/testing/peers';
import { zoneOf } from '../zone/build.ts';
import { ZoneRegistry } from '../zone/registry.ts';
import { parseZone } from '../zone/text/parse.ts';
import type { Zone } from '../zone/zone.ts';
import { type PowerDnsEngine, startPowerDnsEngine } from './engine.ts';
import { askApi } from './testing/ask-api.ts';
import { type RealPowerDns, startRealPowerDns } from './testing/real-powerdns.ts';

const path = '/api/v1/servers/localhost/zones';

function zone(origin: string, serial: number, ...lines: string[]): Zone {
  const text = `$ORIGIN ${origin}.\n$TTL 60\n@ SOA ns1 h ${serial} 900 600 172800 60\n@ NS ns1\nns1 A 192.0.2.1\n${lines.join('\n')}\n`;
  return zoneOf(origin, parseZone({ origin, text, place: { source: 'test', line: 1 } }).records);
}

describe('feeding a PowerDNS', { skip: missingPeer('pdns_server') }, () => {
  const zones = new ZoneRegistry();
  const logged: string[] = [];
  const log = logger('test').child({}, { level: 'silent' });
  let real: RealPowerDns;
  let engine: PowerDnsEngine;
  let becomeReady: () => void;
  before(async () => {
    real = await startRealPowerDns();
    const ready = new Promise<void>((resolve) => (becomeReady = resolve));
    zones.publish(zone('a.test', 10, 'www A 192.0.2.7', 't TXT "a b" "c"', 'x TYPE65280 \\# 2 0102'));
    engine = startPowerDnsEngine({
      zones,
      ready,
      url: real.url,
      key: real.key,
      clock: systemClock,
      log: Object.assign(log, { warn: (...all: unknown[]) => logged.push(JSON.stringify(all)) }),
    });
  });
  after(async () => {
    await engine?.stop();
    await real?.stop();
  });

  const sets = async (origin: string): Promise<Map<string, string>> => {
    const { body, status } = await askApi(real, { method: 'GET', path: `${path}/${origin}.` });
    assert.equal(status, 200, JSON.stringify(body));
    const { rrsets } = body as {
      rrsets: Array<{ name: string; type: string; records: Array<{ content: string }> }>;
    };
    return new Map(
      rrsets.map(({ name, type, records }) => [
        `${name} ${type}`,
        records
          .map(({ content }) => content)
          .sort()
          .join(),
      ]),
    );
  };

  it('makes the zone, under our serial', async () => {
    await engine.fed();
    const there = await sets('a.test');
    assert.equal(there.get('www.a.test. A'), '192.0.2.7');
    assert.equal(there.get('t.a.test. TXT'), '"a b" "c"');
    assert.match(there.get('a.test. SOA') ?? '', / 10 900 600 /);
  });

  it('changes what differs: a name may go from a CNAME to addresses, and others may go', async () => {
    zones.publish(zone('a.test', 11, 'www CNAME ns1', 'n A 192.0.2.8'));
    await engine.fed();
    let there = await sets('a.test');
    assert.equal(there.get('www.a.test. CNAME'), 'ns1.a.test.');
    assert.equal(there.has('www.a.test. A'), false);
    assert.equal(there.has('t.a.test. TXT'), false);
    zones.publish(zone('a.test', 12, 'www A 192.0.2.9', 'www A 192.0.2.10'));
    await engine.fed();
    there = await sets('a.test');
    assert.equal(there.get('www.a.test. A'), '192.0.2.10,192.0.2.9');
    assert.match(there.get('a.test. SOA') ?? '', / 12 900 600 /);
  });

  it('brings a PowerDNS that comes back empty up to date, and one that was away', async () => {
    await real.kill();
    zones.publish(zone('a.test', 13, 'www A 192.0.2.11'));
    await real.start({ empty: true });
    await engine.fed();
    assert.equal((await sets('a.test')).get('www.a.test. A'), '192.0.2.11');
    await real.kill();
    await real.start();
    zones.publish(zone('a.test', 14));
    await engine.fed();
    assert.equal((await sets('a.test')).has('www.a.test. A'), false);
  });

  it('mends what somebody changed there', async () => {
    const soa = 'ns1.a.test. h.a.test. 99 900 600 172800 60';
    const rrsets = [
      { name: 'a.test.', type: 'SOA', ttl: 60, changetype: 'REPLACE', records: [{ content: soa }] },
      {
        name: 'evil.a.test.',
        type: 'A',
        ttl: 60,
        changetype: 'REPLACE',
        records: [{ content: '192.0.2.6' }],
      },
    ].map((one) => ({ ...one, records: one.records.map((record) => ({ ...record, disabled: false })) }));
    assert.equal(
      (await askApi(real, { method: 'PATCH', path: `${path}/a.test.`, body: { rrsets } })).status,
      204,
    );
    await engine.fed();
    const there = await sets('a.test');
    assert.equal(there.has('evil.a.test. A'), false);
    assert.match(there.get('a.test. SOA') ?? '', / 14 900 /);
  });

  it('takes away zones of ours that are gone once all are known, and leaves those of others', async () => {
    const others = { name: 'theirs.test.', kind: 'Native', nameservers: ['ns1.theirs.test.'] };
    const orphan = {
      name: 'orphan.test.',
      kind: 'Native',
      account: 'cloudless',
      nameservers: ['ns1.orphan.test.'],
    };
    for (const body of [others, orphan])
      assert.equal((await askApi(real, { method: 'POST', path, body })).status, 201);
    await engine.fed();
    assert.ok(await sets('orphan.test'));
    becomeReady();
    zones.publish(zone('b.test', 1));
    zones.withdraw('a.test');
    await new Promise((resolve) => setImmediate(resolve));
    await engine.fed();
    const { body } = await askApi(real, { method: 'GET', path });
    assert.deepEqual((body as Array<{ name: string }>).map(({ name }) => name).sort(), [
      'b.test.',
      'theirs.test.',
    ]);
  });

  it('leaves a zone of somebody else as it is, says so, feeds the others, and logs no key', async () => {
    zones.publish(zone('theirs.test', 1, 'www A 192.0.2.1'));
    zones.publish(zone('b.test', 2, 'www A 192.0.2.2'));
    while (!engine.problem) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.match(engine.problem, /PowerDNS has a zone theirs\.test\. already that is not ours/);
    assert.equal((await sets('theirs.test')).has('www.theirs.test. A'), false);
    assert.equal((await sets('b.test')).get('www.b.test. A'), '192.0.2.2');
    assert.ok(logged.length > 0);
    assert.doesNotMatch(logged.join('\n'), new RegExp(real.key));
  });
});
