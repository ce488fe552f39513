import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import '@cloudless/kube/schema/seed';
import dnsPacket, { type Answer as OracleAnswer, type Packet } from 'dns-packet';
import * as fc from 'fast-check';
import { type Answer, formErrFor, parseQuery, readRecords, writeAnswer } from './message.ts';
import { readName, WireError, writeName } from './name.ts';
import { addressData, reverseName, soaData, srvData, txtData, uncompressedData } from './rdata.ts';
import { rrType } from './types.ts';

const label = fc.stringMatching(/^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,20}[a-zA-Z0-9_])?$/);
const name = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'));
const types = ['A', 'AAAA', 'SRV', 'TXT', 'PTR', 'MX', 'NS'] as const;
const empty: Answer = {
  rcode: 0,
  authoritative: true,
  recursionAvailable: true,
  answers: [],
  authorities: [],
  additionals: [],
};
const query = (question: { name: string; type: string }, more: Partial<Packet> = {}): Buffer =>
  dnsPacket.encode({
    type: 'query',
    id: 1234,
    flags: dnsPacket.RECURSION_DESIRED,
    questions: [{ type: question.type as 'A', name: question.name }],
    ...more,
  });

describe('the DNS codec, with dns-packet as oracle', () => {
  it('reads the queries that the oracle writes', () => {
    fc.assert(
      fc.property(name, fc.constantFrom(...types), fc.nat(65535), fc.boolean(), (asked, type, id, edns) => {
        const additionals = edns
          ? [{ type: 'OPT' as const, name: '.' as const, udpPayloadSize: 4096, flags: 0x8000 }]
          : [];
        const parsed = parseQuery(
          query({ name: asked, type }, { id, additionals: additionals as unknown as OracleAnswer[] }),
        );
        assert.equal(parsed.id, id);
        assert.deepEqual(parsed.question, {
          name: asked,
          type: (rrType as Record<string, number>)[type],
          class: 1,
        });
        assert.deepEqual(
          parsed.edns,
          edns ? { udpSize: 4096, version: 0, dnssecOk: true, compactOk: false, options: [] } : undefined,
        );
      }),
    );
  });

  it('writes answers that the oracle reads alike', () => {
    fc.assert(
      fc.property(name, name, fc.ipV4(), fc.ipV6(), fc.nat(65535), (owner, target, v4, v6, port) => {
        const record = (type: number, data: Buffer) => ({ name: owner, type, ttlSeconds: 5, data });
        const bytes = writeAnswer(
          parseQuery(query({ name: owner, type: 'A' })),
          {
            ...empty,
            answers: [
              record(rrType.A, addressData(v4)),
              record(rrType.AAAA, addressData(v6)),
              record(rrType.SRV, srvData(0, 100, port, target)),
              record(rrType.TXT, txtData('1.1.0')),
              record(rrType.PTR, writeName(target)),
            ],
            additionals: [{ name: target, type: rrType.A, ttlSeconds: 5, data: addressData(v4) }],
          },
          65535,
        );
        const packet = dnsPacket.decode(bytes);
        assert.equal(packet.id, 1234);
        const data = (packet.answers ?? []).map((answer) => ('data' in answer ? answer.data : undefined));
        assert.equal(data[0], v4);
        assert.deepEqual(addressData(data[1] as string), addressData(v6), 'however it is shortened');
        assert.deepEqual(data[2], { priority: 0, weight: 100, port, target }, 'SRV is not compressed');
        assert.deepEqual((data[3] as Buffer[]).map(String), ['1.1.0']);
        // A pointer takes over the case of the name that it leads to.
        assert.equal((data[4] as string).toLowerCase(), target.toLowerCase());
        assert.equal(packet.additionals?.[0]?.name.toLowerCase(), target.toLowerCase());
      }),
    );
  });

  it('reads the oracle’s compressed answers, with names written out', () => {
    fc.assert(
      fc.property(name, name, (owner, target) => {
        const soa = {
          mname: `ns.${owner}`,
          rname: `mail.${owner}`,
          serial: 7,
          refresh: 1,
          retry: 2,
          expire: 3,
          minimum: 4,
        };
        const bytes = dnsPacket.encode({
          type: 'response',
          id: 1,
          questions: [{ type: 'A', name: owner }],
          answers: [
            { type: 'CNAME', name: owner, ttl: 30, data: target },
            { type: 'MX', name: target, ttl: 30, data: { preference: 10, exchange: `mx.${owner}` } },
            { type: 'SOA', name: owner, ttl: 30, data: soa },
            { type: 'A', name: target, ttl: 30, data: '192.0.2.1' },
          ],
        });
        const records = readRecords(bytes);
        assert.deepEqual(
          records.map((record) => [record.name, record.type, record.ttlSeconds]),
          [
            [owner, rrType.CNAME, 30],
            [target, rrType.MX, 30],
            [owner, rrType.SOA, 30],
            [target, rrType.A, 30],
          ],
        );
        assert.deepEqual(records[0]?.data, writeName(target));
        assert.deepEqual(records[1]?.data, Buffer.concat([Buffer.of(0, 10), writeName(`mx.${owner}`)]));
        assert.deepEqual(
          records[2]?.data,
          soaData({
            primary: soa.mname,
            mailbox: soa.rname,
            serial: 7,
            refreshSeconds: 1,
            retrySeconds: 2,
            expireSeconds: 3,
            minimumSeconds: 4,
          }),
        );
      }),
    );
  });

  it('follows pointers in records', () => {
    const message = Buffer.concat([
      Buffer.alloc(12),
      writeName('a.example'),
      Buffer.of(0, 5, 1, 0x62, 0xc0, 12),
    ]);
    const start = message.length - 4;
    assert.deepEqual(
      uncompressedData(message, rrType.CNAME, start, message.length),
      writeName('b.a.example'),
    );
  });

  it('survives any damage to a message, and never reads past its end', () => {
    const whole = query(
      { name: 'web.shop.svc.cluster.local', type: 'A' },
      { additionals: [{ type: 'OPT', name: '.' } as unknown as OracleAnswer] },
    );
    const damage = fc.array(fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) }), { maxLength: 6 });
    fc.assert(
      fc.property(damage, fc.nat(whole.length), (changes, length) => {
        const message = Buffer.from(whole);
        for (const { at, byte } of changes) message[at] = byte;
        for (const read of [parseQuery, readRecords])
          try {
            read(message.subarray(0, length));
          } catch (error) {
            assert.ok(error instanceof WireError, String(error));
          }
        formErrFor(message.subarray(0, length));
      }),
      { numRuns: 3000 },
    );
  });

  it('a pointer that does not go back, or a name without an end, is no name', () => {
    for (const bytes of [
      [0xc0, 0],
      [0xc0, 5],
      [1, 0x61, 0xc0, 0],
      [0xc0],
      [0x80, 1],
      [3, 0x61],
      [1, 0x61],
      Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? 1 : 0x61)),
    ])
      assert.throws(() => readName(Buffer.from(bytes), 0), WireError, bytes.join(' '));
  });

  it('names round trip, dots inside labels too', () => {
    for (const text of ['', 'a', 'a.b.c', 'a\\.b.c', 'x'.repeat(63), '_sql._tcp.db'])
      assert.deepEqual(readName(writeName(text), 0).name, text);
    assert.throws(() => writeName('x'.repeat(64)), WireError);
    assert.throws(() => writeName(Array(5).fill('x'.repeat(60)).join('.')), WireError);
  });

  it('an answer that does not fit loses its courtesies first, then everything, and says so', () => {
    const asked = parseQuery(query({ name: 'a.example', type: 'A' }));
    const records = Array.from({ length: 20 }, (_, i) => ({
      name: 'a.example',
      type: rrType.A,
      ttlSeconds: 5,
      data: addressData(`192.0.2.${i}`),
    }));
    const answer = { ...empty, answers: records, additionals: records };
    const size = writeAnswer(asked, { ...empty, answers: records }, 65535).length;
    const fitting = dnsPacket.decode(writeAnswer(asked, answer, size));
    assert.deepEqual([fitting.answers?.length, fitting.additionals?.length, fitting.flag_tc], [20, 0, false]);
    const cut = dnsPacket.decode(writeAnswer(asked, answer, size - 1));
    assert.deepEqual([cut.answers?.length, cut.flag_tc], [0, true]);
  });

  it('two OPT records are a format error (RFC 6891 section 6.1.1)', () => {
    const opt = { type: 'OPT', name: '.' } as unknown as OracleAnswer;
    assert.throws(() => parseQuery(query({ name: 'a', type: 'A' }, { additionals: [opt, opt] })), WireError);
  });

  it('reverse names', () => {
    assert.equal(reverseName('10.96.0.10'), '10.0.96.10.in-addr.arpa');
    assert.equal(reverseName('fd00::a'), `a.${'0.'.repeat(27)}0.0.d.f.ip6.arpa`);
  });
});
