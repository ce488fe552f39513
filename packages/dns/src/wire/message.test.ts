import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import '@cloudless/kube/schema/seed';
import { random as seededRandom } from '@cloudless/kube/testing/random';
import dnsPacket, { type Answer as OracleAnswer } from 'dns-packet';
import * as fc from 'fast-check';
import * as edns from './edns.ts';
import * as messages from './message.ts';
import { WireError, writeName } from './name.ts';
import { addressData, mxData, printData, readTxt, soaData, srvData, tsigData, txtData } from './rdata.ts';
import type { ResourceRecord } from './record.ts';
import { packetNames, randomRecord, randomRequest } from './testing/packets.ts';
import { ednsOption, extendedError, opcode, rrClass, rrType, typeName } from './types.ts';

const { appendRecord, emptyMessage, parseMessage, parseQuery, writeAnswer, writeMessage } = messages;

const label = fc.stringMatching(/^[a-z0-9_]([a-zA-Z0-9_-]{0,15}[a-zA-Z0-9_])?$/);
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));

const record = (owner: string, type: number, data: Buffer): ResourceRecord => ({
  name: owner,
  type,
  ttlSeconds: 5,
  data,
});
const query = (more: Partial<messages.Message> = {}): messages.Query =>
  parseQuery(
    writeMessage({ ...emptyMessage, questions: [{ name: 'www.example', type: 1, class: 1 }], ...more }),
  );
const nothing: messages.Answer = {
  rcode: 0,
  authoritative: true,
  recursionAvailable: false,
  answers: [],
  authorities: [],
  additionals: [],
};

describe('messages', () => {
  it('what is written is read alike, every type, opcode and option', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const random = seededRandom(seed);
        const bytes = randomRequest(random, packetNames);
        const message = parseMessage(bytes);
        const again = writeMessage(message);
        assert.deepEqual({ ...parseMessage(again), tsig: message.tsig }, message);
        const whole = message.tsig ? appendRecord(again, message.tsig.record) : again;
        assert.deepEqual(parseMessage(whole).tsig?.record, message.tsig?.record);
        // All but a UDP size below 512, which means 512.
        assert.equal(whole.length, bytes.length);
      }),
    );
  });

  it('the oracle reads alike what is written', () => {
    const readers: Record<string, (data: never) => Buffer> = {
      A: addressData,
      AAAA: addressData,
      NS: writeName,
      CNAME: writeName,
      PTR: writeName,
      DNAME: writeName,
      TXT: (data: Buffer[]) => Buffer.concat(data.map(txtData)),
      MX: (data: { preference: number; exchange: string }) => mxData(data.preference, data.exchange),
    };
    const data = fc.oneof(
      fc.ipV4().map((ip) => ({ type: rrType.A, data: addressData(ip) })),
      fc.ipV6().map((ip) => ({ type: rrType.AAAA, data: addressData(ip) })),
      fc
        .tuple(fc.constantFrom(rrType.NS, rrType.CNAME, rrType.PTR, rrType.DNAME), name)
        .map(([type, target]) => ({ type, data: writeName(target) })),
      fc.string({ maxLength: 30 }).map((text) => ({ type: rrType.TXT, data: txtData(text) })),
      fc
        .tuple(fc.nat(65_535), name)
        .map(([preference, target]) => ({ type: rrType.MX, data: mxData(preference, target) })),
    );
    const records = fc.array(
      fc.tuple(name, data).map(([owner, { type, data }]) => record(owner, type, data)),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(
        name,
        records,
        records,
        fc.nat(65_535),
        fc.boolean(),
        (asked, answers, authorities, id, flag) => {
          const written = {
            ...emptyMessage,
            id,
            isResponse: true,
            authoritative: flag,
            recursionDesired: !flag,
            rcode: 3,
            questions: [{ name: asked, type: rrType.A, class: 1 }],
            answers,
            authorities,
          };
          const packet = dnsPacket.decode(writeMessage(written));
          assert.deepEqual(
            [packet.id, packet.type, packet.flag_aa, packet.flag_rd],
            [id, 'response', flag, !flag],
          );
          assert.equal(packet.questions?.[0]?.name, asked);
          for (const [theirs, ours] of [
            [packet.answers, answers],
            [packet.authorities, authorities],
          ] as const) {
            assert.equal(theirs?.length, ours.length);
            for (const [i, { name, type, data }] of ours.entries()) {
              const their = theirs?.[i] as { name: string; type: string; data: never };
              assert.deepEqual([their.name, their.type], [name, typeName(type)]);
              assert.deepEqual(readers[their.type]?.(their.data), data);
            }
          }
        },
      ),
    );
  });

  it('reads alike what the oracle writes, its options and compressed names too', () => {
    fc.assert(
      fc.property(name, name, fc.ipV4(), fc.nat(65_535), fc.boolean(), (owner, target, ip, number, flag) => {
        const soa = {
          mname: target,
          rname: owner,
          serial: number,
          refresh: 2,
          retry: 3,
          expire: 4,
          minimum: 5,
        };
        const caa = { flags: 128, tag: 'issue', value: 'ca.example' } as const;
        const bytes = dnsPacket.encode({
          type: 'response',
          id: number,
          flags: flag ? dnsPacket.AUTHORITATIVE_ANSWER : dnsPacket.RECURSION_AVAILABLE,
          questions: [{ type: 'MX', name: owner }],
          answers: [
            { type: 'MX', name: owner, ttl: 30, data: { preference: number, exchange: target } },
            {
              type: 'SRV',
              name: target,
              ttl: 30,
              data: { priority: 1, weight: 2, port: number, target: owner },
            },
            { type: 'CAA', name: owner, ttl: 30, data: caa },
            { type: 'TXT', name: owner, ttl: 30, data: ['a b', 'c'] },
          ],
          authorities: [{ type: 'SOA', name: owner, ttl: 30, data: soa }],
          additionals: [
            { type: 'A', name: target, ttl: 30, data: ip },
            {
              type: 'OPT',
              name: '.',
              udpPayloadSize: 1400,
              flags: dnsPacket.DNSSEC_OK,
              options: [{ code: 'CLIENT_SUBNET', ip: '192.0.2.0', sourcePrefixLength: 24 }],
            } as unknown as OracleAnswer,
          ],
        });
        const message = parseMessage(bytes);
        assert.deepEqual(
          [message.id, message.authoritative, message.recursionAvailable],
          [number, flag, !flag],
        );
        const seconds = { refreshSeconds: 2, retrySeconds: 3, expireSeconds: 4, minimumSeconds: 5 };
        assert.deepEqual(message.answers.map(({ data }) => data).slice(0, 2), [
          mxData(number, target),
          srvData(1, 2, number, owner),
        ]);
        assert.equal(printData(rrType.CAA, message.answers[2]?.data as Buffer), '128 issue "ca.example"');
        assert.deepEqual(readTxt(message.answers[3]?.data as Buffer).map(String), ['a b', 'c']);
        assert.deepEqual(
          message.authorities[0]?.data,
          soaData({ primary: target, mailbox: owner, serial: number, ...seconds }),
        );
        assert.deepEqual(message.additionals[0]?.data, addressData(ip));
        assert.deepEqual([message.edns?.udpSize, message.edns?.dnssecOk], [1400, true]);
        assert.deepEqual(
          edns.findOption(message.edns, ednsOption.clientSubnet),
          Buffer.of(0, 1, 24, 0, 192, 0, 2),
        );
      }),
    );
  });

  it('names are compressed in the owner, and in data of the types of RFC 1035 only', () => {
    const size = (type: number, data: Buffer): number =>
      writeMessage({
        ...emptyMessage,
        questions: [{ name: 'example', type, class: 1 }],
        answers: [record('example', type, data)],
      }).length;
    const rest = 12 + 9 + 4 + 2 + 10;
    const expected: [type: number, data: Buffer, bytes: number][] = [
      [rrType.NS, writeName('ns.example'), 5],
      [rrType.MX, mxData(1, 'mail.example'), 2 + 7],
      [
        rrType.SOA,
        soaData({
          primary: 'ns.example',
          mailbox: 'ns.example',
          serial: 1,
          refreshSeconds: 1,
          retrySeconds: 1,
          expireSeconds: 1,
          minimumSeconds: 1,
        }),
        5 + 2 + 20,
      ],
      [rrType.SRV, srvData(1, 1, 1, 'ns.example'), 6 + 12],
      [rrType.DNAME, writeName('ns.example'), 12],
      [rrType.RRSIG, Buffer.concat([Buffer.alloc(18), writeName('example'), Buffer.of(1)]), 18 + 9 + 1],
    ];
    for (const [type, data, bytes] of expected) assert.equal(size(type, data), rest + bytes, typeName(type));
  });

  it('the case of names is kept, and an answer points to the name as it was asked', () => {
    const message = { ...emptyMessage, questions: [{ name: 'WWW.example', type: 1, class: 1 }] };
    const answers = [record('www.EXAMPLE', rrType.CNAME, writeName('a.Example'))];
    assert.deepEqual(parseMessage(writeMessage({ ...message, answers })).answers, answers);
    const answer = parseMessage(writeAnswer(parseQuery(writeMessage(message)), { ...nothing, answers }, 512));
    assert.deepEqual(answer.answers[0]?.name, 'WWW.example');
  });

  it('large messages: thousands of names, pointers only where they reach', () => {
    const random = seededRandom(1);
    const owners = Array.from({ length: 2000 }, (_, i) => `h${i}.zone${i % 7}.example`);
    const answers = owners.map((owner) => ({ ...randomRecord(random, packetNames), name: owner }));
    const bytes = writeMessage({ ...emptyMessage, isResponse: true, answers });
    const { answers: read, truncated } = parseMessage(bytes);
    assert.equal(truncated, read.length < answers.length);
    assert.ok(read.length > 500);
    assert.deepEqual(read, answers.slice(0, read.length));
    const small = writeMessage({ ...emptyMessage, isResponse: true, answers }, { maxBytes: 1000 });
    assert.ok(small.length <= 1000 && parseMessage(small).truncated);
  });

  it('an update has records without data and of other classes', () => {
    const authorities: ResourceRecord[] = [
      { name: 'a.example', type: rrType.MX, class: rrClass.ANY, ttlSeconds: 0, data: Buffer.alloc(0) },
      {
        name: 'a.example',
        type: rrType.MX,
        class: rrClass.NONE,
        ttlSeconds: 0,
        data: mxData(1, 'm.example'),
      },
    ];
    const update = {
      ...emptyMessage,
      opcode: opcode.update,
      questions: [{ name: 'example', type: rrType.SOA, class: 1 }],
      authorities,
    };
    assert.deepEqual(parseMessage(writeMessage(update)), update);
  });

  it('TSIG must be last, and what it signs ends where it begins', () => {
    const tsig = {
      algorithm: 'hmac-sha256',
      timeSigned: 2 ** 40,
      fudgeSeconds: 300,
      mac: Buffer.alloc(32),
      originalId: 1,
      error: 0,
      other: Buffer.alloc(0),
    };
    const signature = {
      name: 'key',
      type: rrType.TSIG,
      class: rrClass.ANY,
      ttlSeconds: 0,
      data: tsigData(tsig),
    };
    const plain = writeMessage({
      ...emptyMessage,
      questions: [{ name: 'example', type: 6, class: 1 }],
      edns: messages.plainEdns,
    });
    const signed = appendRecord(plain, signature);
    const parsed = parseMessage(signed);
    assert.deepEqual(parsed.tsig, { record: signature, offset: plain.length });
    assert.equal(parseQuery(signed).isSigned, true);
    assert.equal(parseQuery(plain).isSigned, false);
    assert.throws(
      () => parseMessage(appendRecord(signed, record('a', rrType.A, addressData('192.0.2.1')))),
      WireError,
    );
    const asAnswer = Buffer.from(signed);
    asAnswer.writeUInt16BE(0, 10);
    asAnswer.writeUInt16BE(2, 6);
    assert.throws(() => parseMessage(asAnswer), /outside the additional section/);
  });

  it('extended response codes go through OPT', () => {
    const bytes = writeMessage({ ...emptyMessage, isResponse: true, rcode: 23, edns: messages.plainEdns });
    assert.equal(parseMessage(bytes).rcode, 23);
    const answer = writeAnswer(query({ edns: messages.plainEdns }), { ...nothing, rcode: 16 }, 512);
    assert.equal(parseMessage(answer).rcode, 16);
  });
});

describe('answers', () => {
  it('options come with an OPT record only, and padding fills a block', () => {
    const options = [
      edns.extendedErrorOption(extendedError.notReady, 'soon'),
      edns.keepaliveOption(10_000),
      edns.nsidOption('a'),
    ];
    const plain = parseMessage(writeAnswer(query(), { ...nothing, options, paddingBlockBytes: 468 }, 65_535));
    assert.equal(plain.edns, undefined);
    const padded = writeAnswer(
      query({ edns: messages.plainEdns }),
      { ...nothing, options, paddingBlockBytes: edns.responsePaddingBytes },
      65_535,
    );
    assert.equal(padded.length, 468);
    const read = parseMessage(padded).edns;
    assert.deepEqual(edns.readExtendedError(edns.findOption(read, ednsOption.extendedError) as Buffer), {
      infoCode: 14,
      text: 'soon',
    });
    assert.deepEqual(edns.findOption(read, ednsOption.keepalive), Buffer.of(0, 100));
    assert.equal(edns.findOption(read, ednsOption.nsid)?.toString(), 'a');
    assert.ok(edns.asksForPadding(read));
    const short = writeAnswer(
      query({ edns: messages.plainEdns }),
      { ...nothing, paddingBlockBytes: 468 },
      100,
    );
    assert.equal(short.length, 100, 'no longer than it may be');
  });

  it('cookies have 8, or 16 to 40 octets', () => {
    const withCookie = (length: number): edns.Cookie | undefined =>
      edns.readCookie(
        query({
          edns: {
            ...messages.plainEdns,
            options: [{ code: ednsOption.cookie, data: Buffer.alloc(length, 1) }],
          },
        }).edns,
      );
    assert.deepEqual(withCookie(8), { client: Buffer.alloc(8, 1), server: undefined });
    assert.deepEqual(withCookie(24)?.server, Buffer.alloc(16, 1));
    for (const length of [0, 7, 9, 15, 41])
      assert.throws(() => withCookie(length), WireError, String(length));
    assert.equal(edns.readCookie(query().edns), undefined);
  });

  it('additional records go by whole sets; without those that are required, the answer is not whole', () => {
    const set = (owner: string): ResourceRecord[] =>
      [1, 2, 3].map((i) => record(owner, rrType.A, addressData(`192.0.2.${i}`)));
    const additionals = [...set('a.example'), ...set('b.example')];
    const sizes = [0, 1, 2, 3, 4, 5, 6].map(
      (count) => writeAnswer(query(), { ...nothing, additionals: additionals.slice(0, count) }, 512).length,
    );
    const counts = (maxBytes: number, requiredAdditionals?: number): [number, boolean] => {
      const bytes = writeAnswer(
        query(),
        { ...nothing, additionals, ...(requiredAdditionals && { requiredAdditionals }) },
        maxBytes,
      );
      assert.ok(bytes.length <= maxBytes);
      return [parseMessage(bytes).additionals.length, parseMessage(bytes).truncated];
    };
    assert.deepEqual(counts(sizes[6] as number), [6, false]);
    assert.deepEqual(counts((sizes[6] as number) - 1), [3, false]);
    assert.deepEqual(counts((sizes[3] as number) - 1), [0, false]);
    assert.deepEqual(counts((sizes[6] as number) - 1, 3), [3, false]);
    assert.deepEqual(counts((sizes[6] as number) - 1, 4), [0, true]);
  });
});
