import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ResourceRecord } from '../wire/message.ts';
import { printData } from '../wire/rdata/data.ts';
import { rcode, rrType, typeName } from '../wire/types.ts';
import { openImage, zoneImage } from '../zone/image.ts';
import { readZone } from '../zone/text/read.ts';
import type { Zone } from '../zone/zone.ts';
import { type AuthoritativeAnswer, answerQuestion } from './answer.ts';
import type { AnswerSigner, DenialRequest } from './signer.ts';
import { oddZones } from './testing/odd-zones.ts';
import { ZonesByOrigin } from './zone-table.ts';

function zoneFrom(origin: string, text: string): Zone {
  const { zone, problems } = readZone({ origin, text, place: { source: origin, line: 1 } });
  assert.ok(zone, problems.map(({ message }) => message).join('; '));
  return zone;
}

function tableOf(zones: ReadonlyMap<string, string>, signer?: AnswerSigner): ZonesByOrigin {
  const table = new ZonesByOrigin();
  for (const [origin, text] of zones)
    table.set(origin, { zone: openImage(zoneImage(zoneFrom(origin, text))), isExpired: false, signer });
  return table;
}

const odd = tableOf(oddZones);
const ask = (name: string, type: keyof typeof rrType, zones = odd, dnssecOk = false): AuthoritativeAnswer =>
  answerQuestion(zones, { name, type: rrType[type], dnssecOk });
const lines = (records: readonly ResourceRecord[]): string[] =>
  records.map(({ name, type, data }) => `${name} ${typeName(type)} ${printData(type, data)}`);

describe('names and data', () => {
  it('answers in any case, with the name in lower case', () => {
    const answer = ask('WwW.eXample.ORG', 'A');
    assert.deepEqual(lines(answer.answers), ['www.example.org A 192.0.2.10', 'www.example.org A 192.0.2.11']);
    assert.equal(answer.authoritative, true);
  });

  it('says that a name exists without the type, empty non-terminals too, for as long as the SOA says', () => {
    for (const name of ['www', 'empty.non.terminal', 'terminal', 'ent', '*.ent', 'q.ent']) {
      const answer = ask(`${name}.example.org`, 'SRV');
      assert.equal(answer.rcode, rcode.noError, name);
      assert.equal(answer.authorities[0]?.type, rrType.SOA, name);
      assert.equal(answer.authorities[0]?.ttlSeconds, 60, name);
    }
    // The SOA's own TTL, where that is the lower one.
    assert.equal(ask('nothing.child.example.org', 'A').authorities[0]?.ttlSeconds, 30);
  });

  it('expands wildcards to the name asked for, but not past a name that exists, and takes * as it is', () => {
    assert.deepEqual(lines(ask('any.thing.wild.example.org', 'A').answers), [
      'any.thing.wild.example.org A 192.0.2.40',
    ]);
    assert.equal(ask('y.exists.wild.example.org', 'A').rcode, rcode.nxDomain);
    assert.equal(ask('y.blocked.wild.example.org', 'A').rcode, rcode.nxDomain);
    assert.deepEqual(lines(ask('*.wild.example.org', 'A').answers), ['*.wild.example.org A 192.0.2.40']);
    assert.deepEqual(lines(ask('q.wcname.example.org', 'TXT').answers), [
      'q.wcname.example.org CNAME www.example.org.',
      'www.example.org TXT "hello"',
    ]);
  });

  it('gives ANY one record set and no more', () => {
    assert.deepEqual(
      new Set(ask('www.example.org', 'ANY').answers.map(({ type }) => type)),
      new Set([rrType.A]),
    );
    const apex = ask('example.org', 'ANY');
    assert.equal(new Set(apex.answers.map(({ type }) => type)).size, 1);
    assert.equal(apex.additionals.length, 0);
  });

  it('refuses questions for transfers and other things that are no record types', () => {
    assert.equal(ask('example.org', 'AXFR').rcode, rcode.formErr);
    assert.equal(ask('example.org', 'MAILB').rcode, rcode.notImp);
  });
});

describe('chains', () => {
  it('follows aliases into another zone and to their end, with its response code', () => {
    assert.deepEqual(lines(ask('toother.example.org', 'A').answers), [
      'toother.example.org CNAME www.example.net.',
      'www.example.net A 192.0.2.100',
    ]);
    const dangling = ask('dangling.example.org', 'A');
    assert.equal(dangling.rcode, rcode.nxDomain);
    assert.equal(dangling.answers.length, 1);
    assert.deepEqual(lines(ask('out.example.org', 'A').answers), [
      'out.example.org CNAME www.elsewhere.test.',
    ]);
  });

  it('ends loops and chains without an end with SERVFAIL', () => {
    for (const name of ['self', 'loop1', 'x.wloop']) {
      const answer = ask(`${name}.example.org`, 'A');
      assert.equal(answer.rcode, rcode.servFail, name);
      assert.ok(answer.answers.length <= 2, name);
    }
  });

  it('redirects what is below a DNAME, and not the name itself', () => {
    assert.deepEqual(lines(ask('a.d.example.org', 'A').answers), [
      'd.example.org DNAME target.example.net.',
      'a.d.example.org CNAME a.target.example.net.',
      'a.target.example.net A 192.0.2.101',
    ]);
    assert.deepEqual(lines(ask('d.example.org', 'TXT').answers), ['d.example.org TXT "at dname"']);
    const long = ask(`${'e'.repeat(60)}.long.example.org`, 'A');
    assert.equal(long.rcode, rcode.yxDomain);
    assert.deepEqual(
      long.answers.map(({ type }) => type),
      [rrType.DNAME],
    );
  });
});

describe('delegations', () => {
  it('refers with the glue that is needed first, without AA', () => {
    const answer = ask('www.sub.example.org', 'A');
    assert.equal(answer.authoritative, false);
    assert.deepEqual(new Set(answer.authorities.map(({ type }) => type)), new Set([rrType.NS]));
    const glue = lines(answer.additionals);
    assert.equal(answer.requiredAdditionals, 2);
    assert.deepEqual(glue.slice(0, 2), [
      'ns.sub.example.org A 192.0.2.50',
      'ns.sub.example.org AAAA 2001:db8::50',
    ]);
    assert.ok(glue.includes('ns.sub2.example.org A 192.0.2.60'));
  });

  it('answers for DS from above the cut, also where the child is ours', () => {
    assert.equal(ask('sub2.example.org', 'DS').answers.length, 1);
    assert.equal(ask('sub2.example.org', 'DS').authoritative, true);
    const child = ask('child.example.org', 'DS');
    assert.deepEqual([child.rcode, child.authorities[0]?.name], [rcode.noError, 'example.org']);
    assert.equal(ask('example.org', 'DS').authorities[0]?.name, 'example.org');
  });

  it('takes the zone with the longest origin', () => {
    assert.deepEqual(lines(ask('www.child.example.org', 'A').answers), [
      'www.child.example.org A 192.0.2.71',
    ]);
    assert.equal(ask('hidden.sub.example.org', 'TXT').answers.length, 0);
  });
});

describe('zones that cannot answer', () => {
  it('refuses names outside of all zones', () => {
    for (const name of ['org', '', 'example.com', 'xexample.org'])
      assert.deepEqual([ask(name, 'A').rcode, ask(name, 'A').authoritative], [rcode.refused, false], name);
  });

  it('finds zones among each other, the root too, whatever dots are within labels', () => {
    const text = '$TTL 60\n@ SOA ns host 1 2 3 4 5\n NS ns\nns A 192.0.2.1\n';
    const origins = ['a.b.c', 'c', 'b\\.c', 'x\\\\.b.c', 'deep.er.a.b.c'];
    const zones = tableOf(new Map(origins.map((origin) => [origin, text])));
    const originFor = (name: string): string | undefined => zones.find(name)?.zone?.origin;
    for (const origin of origins) assert.equal(originFor(`q.w.${origin}`), origin);
    for (const origin of origins) assert.equal(originFor(origin), origin);
    assert.equal(originFor('b.c'), 'c');
    assert.equal(originFor('x\\.b.c'), 'c');
    assert.equal(originFor('a\\.b\\.c'), undefined);
    assert.equal(originFor('.'.padStart(2, '\\')), undefined);
    zones.delete('deep.er.a.b.c');
    assert.equal(originFor('deep.er.a.b.c'), 'a.b.c');
    const root =
      '$TTL 60\n. SOA ns. host. 1 2 3 4 5\n. NS ns.\nns. A 192.0.2.1\n* TXT "any"\norg NS ns.org.\nns.org. A 192.0.2.2\n';
    const world = tableOf(new Map([['', root]]));
    assert.equal(ask('', 'SOA', world).answers.length, 1);
    assert.equal(ask('ns', 'A', world).answers.length, 1);
    assert.deepEqual(lines(ask('q.w', 'TXT', world).answers), ['q.w TXT "any"']);
    assert.equal(ask('www.org', 'A', world).requiredAdditionals, 1);
    assert.equal(ask('org', 'DS', world).authorities[0]?.name, '');
  });

  it('says SERVFAIL for a zone that is not loaded or has expired, and where a chain leads into one', () => {
    const zones = tableOf(oddZones);
    zones.set('example.net', { zone: undefined, isExpired: false, signer: undefined });
    assert.equal(ask('www.example.net', 'A', zones).rcode, rcode.servFail);
    assert.equal(ask('toother.example.org', 'A', zones).rcode, rcode.servFail);
    zones.set('child.example.org', { ...zones.get('child.example.org')!, isExpired: true });
    assert.equal(ask('www.child.example.org', 'A', zones).rcode, rcode.servFail);
    zones.delete('example.net');
    assert.equal(ask('www.example.net', 'A', zones).rcode, rcode.refused);
  });
});

describe('signed zones', () => {
  const asked: DenialRequest[] = [];
  const signed: (string | undefined)[] = [];
  const signature = (name: string): ResourceRecord => ({
    name,
    type: rrType.RRSIG,
    ttlSeconds: 1,
    data: Buffer.of(),
  });
  const zones = tableOf(oddZones, {
    isCompact: false,
    sign(rrset, wildcard) {
      signed.push(wildcard);
      return [signature(rrset.name)];
    },
    apexRRset: (type) =>
      type === rrType.DNSKEY ? { name: 'example.org', type, ttlSeconds: 1, data: [Buffer.of(1)] } : undefined,
    deny(request) {
      asked.push(request);
      return { records: [{ ...signature(request.name), type: rrType.NSEC }] };
    },
  });
  const denied = (name: string, type: keyof typeof rrType): [string, string, string] | undefined => {
    asked.length = 0;
    ask(name, type, zones, true);
    const [request] = asked;
    return request && [request.kind, request.name, request.closestEncloser];
  };

  it('asks for the proof that each answer needs', () => {
    assert.equal(denied('www.example.org', 'A'), undefined);
    assert.deepEqual(denied('a.nothing.example.org', 'A'), [
      'nxdomain',
      'a.nothing.example.org',
      'example.org',
    ]);
    assert.deepEqual(denied('www.example.org', 'SRV'), ['nodata', 'www.example.org', 'www.example.org']);
    assert.deepEqual(denied('q.wild.example.org', 'A'), [
      'wildcard',
      'q.wild.example.org',
      'wild.example.org',
    ]);
    assert.deepEqual(denied('q.wild.example.org', 'SRV'), [
      'wildcard-nodata',
      'q.wild.example.org',
      'wild.example.org',
    ]);
    assert.deepEqual(denied('x.sub.example.org', 'A'), ['nodata', 'sub.example.org', 'sub.example.org']);
    assert.equal(denied('x.sub2.example.org', 'A'), undefined);
  });

  it('gives signatures that are asked for: those it makes, or those of the text', () => {
    assert.deepEqual(
      ask('www.example.org', 'RRSIG', zones).answers.map(({ type }) => type),
      [rrType.RRSIG],
    );
    const rrsig = 'RRSIG A 13 2 60 20300101000000 20200101000000 12345 a.test. AAAA';
    const text = `$TTL 60\n@ SOA ns host 1 2 3 4 5\n NS ns\nns A 192.0.2.1\n ${rrsig}\n`;
    assert.deepEqual(lines(ask('ns.a.test', 'RRSIG', tableOf(new Map([['a.test', text]]))).answers), [
      `ns.a.test ${rrsig}`,
    ]);
  });

  it('signs what it answers with its wildcard, the DS of a referral, and nothing unless it is wanted', () => {
    signed.length = 0;
    ask('q.wild.example.org', 'A', zones, true);
    assert.deepEqual(signed, ['*.wild.example.org']);
    const referral = ask('x.sub2.example.org', 'A', zones, true);
    assert.deepEqual(
      referral.authorities.map(({ type }) => type),
      [rrType.NS, rrType.DS, rrType.RRSIG],
    );
    signed.length = 0;
    ask('www.example.org', 'A', zones);
    assert.equal(signed.length, 0);
    assert.equal(ask('example.org', 'DNSKEY', zones).answers.length, 1);
  });
});
