import assert from 'node:assert/strict';
import test from 'node:test';
import * as fc from 'fast-check';
import type { ResourceRecord } from '../wire/message.ts';
import { addressData, soaData } from '../wire/rdata.ts';
import { rrType } from '../wire/types.ts';
import { zoneOf, zoneWith } from './build.ts';
import { differenceOf } from './difference.ts';
import { openImage, zoneImage } from './image.ts';
import { SerialError, ZoneRegistry, type ZoneSnapshot } from './registry.ts';
import type { Zone } from './zone.ts';

const soa = (origin: string, serial: number): ResourceRecord => ({
  name: origin,
  type: rrType.SOA,
  ttlSeconds: 900,
  data: soaData({
    primary: `ns1.${origin}`,
    mailbox: `host.${origin}`,
    serial,
    refreshSeconds: 900,
    retrySeconds: 600,
    expireSeconds: 172_800,
    minimumSeconds: 60,
  }),
});
const a = (name: string, address: string): ResourceRecord => ({
  name,
  type: rrType.A,
  ttlSeconds: 300,
  data: addressData(address),
});
const zone = (serial: number, records: ResourceRecord[] = [], origin = 'example.org'): Zone =>
  zoneOf(origin, [soa(origin, serial), ...records]);
const big = (serial: number, last: string): Zone =>
  zone(serial, [
    ...Array.from({ length: 5000 }, (_, i) => a(`n${i}.example.org`, '192.0.2.1')),
    a(last, '192.0.2.2'),
  ]);

test('a difference is what IXFR says, SOA apart, and a set with another TTL goes whole', () => {
  const [kept, gone, fresh] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((ip) => a('www.example.org', ip));
  const slow = { ...a('ftp.example.org', '192.0.2.9'), ttlSeconds: 60 };
  const from = zone(1, [kept!, gone!, a('ftp.example.org', '192.0.2.9')]);
  const to = zone(2, [kept!, fresh!, slow]);
  const { removed, added } = differenceOf(from, to);
  assert.deepEqual(new Set(removed), new Set([gone, a('ftp.example.org', '192.0.2.9')]));
  assert.deepEqual(new Set(added), new Set([fresh, slow]));
});

test('equal content has one hash, whatever its serial and the order of its records', () => {
  const records = [
    a('b.example.org', '192.0.2.1'),
    a('A.example.org', '192.0.2.2'),
    a('a.example.org', '192.0.2.1'),
  ];
  assert.equal(zone(1, records).contentHash, zone(7, records.reverse()).contentHash);
  assert.equal(zone(1, records).withSerial(9).contentHash, zone(1, records).contentHash);
  assert.equal(zone(1, records).withSerial(9).serial, 9);
  assert.notEqual(zone(1, records).contentHash, zone(1, records.slice(1)).contentHash);
});

test('a zone with sets put in is what it would be if made anew, and shares what it did not touch', (t) => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  t.diagnostic(`SEED=${seed}`);
  const name = fc
    .array(fc.constantFrom('a', 'b', 'c', '*'), { maxLength: 3 })
    .map((labels) => [...labels, 'example.org'].join('.'));
  const set = fc
    .record({
      name,
      type: fc.constantFrom(rrType.A, rrType.NS, rrType.TXT),
      last: fc.integer({ min: 1, max: 9 }),
    })
    .map(({ last, ...key }) => ({ ...key, ttlSeconds: 60, data: [Buffer.of(1, 2, 3, last)] }));
  const sets = fc.array(set, { maxLength: 8 });
  const property = fc.property(sets, sets, sets, (first, second, third) => {
    const withAll = (...all: (typeof first)[]): Zone => {
      const last = new Map(all.flat().map((one) => [`${one.name} ${one.type}`, one]));
      return zone(
        1,
        [...last.values()].flatMap(({ data, ...one }) => data.map((each) => ({ ...one, data: each }))),
      );
    };
    const base = withAll(first);
    const two = zoneWith(base, second);
    const three = zoneWith(two.withSerial(2), third);
    const wanted = withAll(first, second, third);
    assert.equal(three.contentHash, wanted.contentHash);
    assert.equal(three.serial, 2);
    assert.equal(three.recordCount, wanted.recordCount);
    assert.deepEqual([...three.withSerial(1).rrsets()], [...wanted.rrsets()]);
    const image = openImage(zoneImage(three));
    for (const { name, type, data } of wanted.rrsets())
      if (type !== rrType.SOA) assert.deepEqual(image.node(name)?.rrset(type)?.data, data);
    for (const other of [base, two, withAll(first, second)]) {
      const [quick, whole] = [differenceOf(other, three), differenceOf(other, wanted)];
      assert.deepEqual(new Set(quick.removed), new Set(whole.removed));
      assert.deepEqual(new Set(quick.added), new Set(whole.added));
    }
  });
  fc.assert(property, { seed, numRuns: Number(process.env['ITERATIONS'] ?? 100) });
});

test('a serial that does not rise is refused with other content, and the zone before goes on', () => {
  const zones = new ZoneRegistry();
  zones.publish(zone(5));
  zones.publish(zone(5));
  assert.throws(() => zones.publish(zone(5, [a('www.example.org', '192.0.2.1')])), SerialError);
  assert.throws(() => zones.publish(zone(4)), SerialError);
  assert.equal(zones.find('deep.www.example.org')?.zone.serial, 5);
  zones.publish(zone(0x8000_0004));
  zones.publish(zone(3));
  assert.equal(zones.all.get('example.org')?.history.length, 2);
});

test('history is bounded, in steps that follow each other', () => {
  const zones = new ZoneRegistry();
  for (let serial = 1; serial <= 1100; serial++)
    zones.publish(zone(serial, [a('www.example.org', `192.0.2.${serial % 200}`)]));
  const history = zones.all.get('example.org')!.history;
  assert.equal(history.length, 1000);
  for (let i = 1; i < history.length; i++) assert.deepEqual(history[i]!.from.data, history[i - 1]!.to.data);
});

test('the zone with the longest origin is found', () => {
  const zones = new ZoneRegistry();
  zones.publish(zone(1));
  zones.publish(zone(2, [], 'sub.example.org'));
  assert.equal(zones.find('a.sub.example.org')?.zone.serial, 2);
  assert.equal(zones.find('asub.example.org')?.zone.serial, 1);
  assert.equal(zones.find('org'), undefined);
});

test('snapshots come before the change is told, late listeners get what is in force, withdrawal is told', () => {
  const zones = new ZoneRegistry();
  const seen: string[] = [];
  zones.onChange(({ current }) => seen.push(`change ${current?.zone.serial}`));
  const off = zones.onSnapshot((_, snapshot) =>
    seen.push(`snapshot ${snapshot && openImage(snapshot.image).serial}`),
  );
  zones.publish(zone(1));
  zones.onSnapshot((_, snapshot) => seen.push(`late ${snapshot && openImage(snapshot.image).serial}`))();
  zones.withdraw('example.org');
  off();
  zones.publish(zone(1));
  assert.deepEqual(seen, [
    'snapshot 1',
    'change 1',
    'late 1',
    'snapshot undefined',
    'change undefined',
    'change 1',
  ]);
});

test('a large zone is handed out in slices, and of versions that come meanwhile the last one', async () => {
  const zones = new ZoneRegistry();
  const snapshots: ZoneSnapshot[] = [];
  const changes: (number | undefined)[][] = [];
  zones.onSnapshot((_, snapshot) => snapshots.push(snapshot as ZoneSnapshot));
  zones.onChange(({ previous, current }) => changes.push([previous?.zone.serial, current?.zone.serial]));
  zones.publish(big(1, 'first.example.org'));
  await zones.settled();
  for (const serial of [2, 3, 4, 5]) zones.publish(big(serial, `s${serial}.example.org`));
  assert.equal(zones.find('example.org')?.zone.serial, 5);
  await zones.settled();
  assert.deepEqual(changes, [
    [undefined, 1],
    [1, 2],
    [2, 5],
  ]);
  const image = openImage((snapshots.at(-1) as ZoneSnapshot).image);
  assert.equal(image.serial, 5);
  assert.ok(image.node('s5.example.org') && image.node('n4999.example.org') && !image.node('s4.example.org'));
  zones.publish(big(6, 'last.example.org'));
  zones.withdraw('example.org');
  await zones.settled();
  assert.deepEqual(changes.at(-1), [5, undefined]);
  assert.equal(snapshots.at(-1), undefined);
});

test('an image answers as its zone does, empty non-terminals, escapes and the root zone too', () => {
  for (const origin of ['example.org', '']) {
    const below = (name: string): string => (origin === '' ? name : `${name}.${origin}`);
    const names = ['a.b.c', '*.wild', 'x\\.y', 'z\\000\\255', '*'].map(below);
    const whole = zone(
      3,
      names.map((name) => a(name, '192.0.2.7')),
      origin,
    );
    const image = openImage(zoneImage(whole));
    assert.equal(image.origin, origin);
    assert.deepEqual(image.soa.data, whole.soa.data);
    for (const name of [
      origin,
      ...names,
      below('b.c'),
      below('c'),
      below('wild'),
      below('nope'),
      below('y'),
    ]) {
      const [there, wanted] = [image.node(name), whole.node(name)];
      assert.deepEqual(there?.types(), wanted?.types(), name);
      for (const type of wanted?.types() ?? [])
        assert.deepEqual(there!.rrset(type)!.data, wanted!.rrset(type)!.data);
    }
  }
});
