import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { random as seededRandom } from '@cloudless/kube/testing/random';
import { everybody, unlimited } from '../server/server.ts';
import { plainEdns } from '../wire/message.ts';
import { emptyMessage, type Message, parseMessage, writeMessage } from '../wire/message.ts';
import { ednsOption, opcode, rcode, rrClass, rrType } from '../wire/types.ts';
import { mutatedPacket, randomRequest } from '../wire/testing/packets.ts';
import type { RateLimit } from '../server/request.ts';
import { handOver } from './thread.ts';
import { type Asked, Bench, cookie, optionOf, query } from './testing/bench.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
const rounds = Number(process.env['ITERATIONS'] ?? 10);

const limited: RateLimit = {
  ...unlimited,
  responsesPerSecond: 5,
  errorsPerSecond: 5,
  slip: 2,
  exempt: ['198.51.100.0/24'],
};

describe('what a serving thread answers', () => {
  let bench: Bench;
  beforeEach(() => (bench = new Bench()));

  it('a ready answer is the made one, with the id, RD and letters of its own query', () => {
    const made = bench.ask(query('www.example.org', { id: 1 }));
    const ready = bench.ask(query('wWw.EXAMPLE.org', { id: 0xabcd, recursionDesired: true }));
    assert.equal(bench.event('cacheHits'), 1);
    assert.deepEqual(ready?.answers[0]?.data, made?.answers[0]?.data);
    assert.equal(ready?.id, 0xabcd);
    assert.equal(ready?.questions[0]?.name, 'wWw.EXAMPLE.org');
    assert.equal(ready?.recursionDesired, true);
    assert.equal(made?.recursionDesired, false);
    assert.equal(ready?.authoritative, true);
  });

  it('random questions have the same answer when it is made and when it is ready', () => {
    const next = seededRandom(seed);
    console.log(`SEED=${seed}`);
    const names = ['www', 'WWW', 'none', 'x.any', 'alias', 'out', 'big', 'large', 'a.sub', 'sub', 'ns1', ''];
    const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
    for (let i = 0; i < rounds * 15; i++) {
      const name = [pick(names), 'example.org'].filter(Boolean).join('.');
      const asked: Asked = {
        type: pick([rrType.A, rrType.AAAA, rrType.TXT, rrType.NS, rrType.SOA, rrType.ANY, rrType.DS]),
        ...(next() < 0.7 ? { udpSize: pick([512, 600, 900, 1232, 4096]), dnssecOk: next() < 0.5 } : {}),
      };
      bench.from('192.0.2.77', pick([0, 1, 2]));
      const message = query(name, asked);
      const fresh = new Bench();
      fresh.from('192.0.2.77', bench.client.transport);
      const made = fresh.raw(message);
      bench.raw(message);
      assert.deepEqual(bench.raw(message), made, `${name} ${JSON.stringify(asked)}`);
      const limit = bench.client.transport > 0 ? 65_535 : Math.min(asked.udpSize ?? 512, 1232);
      assert.ok((made?.length ?? 0) <= limit, `${name} ${made?.length}`);
    }
    assert.ok(bench.event('cacheHits') > rounds * 7);
  });

  it('a new version of the zone, a zone below it, and its end count for the next query', () => {
    const address = (): string | undefined => bench.ask(query('www.example.org'))?.answers[0]?.data.join('.');
    assert.equal(address(), '192.0.2.1');
    bench.serve('example.org', 'www A 192.0.2.9', 2);
    assert.equal(address(), '192.0.2.9');
    assert.equal(address(), '192.0.2.9');
    bench.serve('www.example.org', '@ A 192.0.2.10');
    assert.equal(address(), '192.0.2.10');
    bench.thread.setZone('www.example.org', undefined);
    assert.equal(address(), '192.0.2.9');
    bench.thread.setZone('example.org', undefined);
    assert.equal(bench.ask(query('www.example.org'))?.rcode, rcode.refused);
  });

  it('an answer that leads into another zone of ours follows that one', () => {
    bench.serve('example.net', 'www A 192.0.2.20');
    const last = (): string | undefined => bench.ask(query('out.example.org'))?.answers[1]?.data.join('.');
    assert.equal(last(), '192.0.2.20');
    bench.serve('example.net', 'www A 192.0.2.21', 2);
    assert.equal(last(), '192.0.2.21');
  });

  it('a flood of random names, types and wildcards leaves ready answers ready', () => {
    bench.raw(query('www.example.org'));
    for (let i = 0; i < 30_000; i++) {
      const name = ['', 'any.', 'sub.'][i % 3];
      bench.respond(query(`r${i}.${name}example.org`));
    }
    for (let type = 1000; type < 3000; type++) bench.respond(query('www.example.org', { type }));
    const hits = bench.event('cacheHits');
    bench.raw(query('www.example.org'));
    assert.equal(bench.event('cacheHits'), hits + 1);
  });

  it('by UDP no answer is longer than the client takes or 1,232 octets; TC leads to TCP', () => {
    const big = (asked: Asked): Message | undefined =>
      bench.ask(query('big.example.org', { type: rrType.TXT, ...asked }));
    assert.equal(big({})?.truncated, true);
    assert.equal(big({ udpSize: 800 })?.truncated, true);
    assert.equal(big({ udpSize: 4096 })?.truncated, false);
    assert.equal(big({ udpSize: 800 })?.truncated, true);
    const large = (): Message | undefined =>
      bench.ask(query('large.example.org', { type: rrType.TXT, udpSize: 4096 }));
    assert.equal(large()?.truncated, true);
    assert.deepEqual(large()?.answers, []);
    bench.from('192.0.2.77', 1);
    assert.equal(large()?.answers.length, 1);
    // Without EDNS a truncated answer is cut to its header and question.
    bench.from('192.0.2.77');
    assert.equal(bench.raw(query('big.example.org', { type: rrType.TXT }))?.length, 12 + 17 + 4);
  });

  it('says nothing to responses, stumps and port 0, and what is wrong to the others', () => {
    const response = query('www.example.org');
    response[2] = 0x80;
    assert.equal(bench.respond(response), 0);
    assert.equal(bench.respond(Buffer.alloc(11)), 0);
    bench.from('192.0.2.77', 0, 0);
    assert.equal(bench.respond(query('www.example.org')), 0);
    bench.from('192.0.2.77', 0, 53);
    assert.equal(bench.ask(query('www.example.org'))?.rcode, rcode.noError);
    const cut = query('www.example.org').subarray(0, 20);
    assert.deepEqual(bench.raw(cut)?.subarray(0, 4), Buffer.from([0, 7, 0x80, rcode.formErr]));
    const status = query('www.example.org');
    status[2] = opcode.status << 3;
    assert.equal(bench.ask(status)?.rcode, rcode.notImp);
    const version = query('www.example.org', { udpSize: 1232 });
    version[version.length - 5] = 1;
    assert.equal(bench.ask(version)?.rcode, rcode.badVers);
    assert.equal(bench.ask(query('www.example.org', { class: rrClass.HS }))?.rcode, rcode.refused);
    assert.equal(bench.ask(query('www.example.net'))?.rcode, rcode.refused);
    const badCookie = query('www.example.org', { options: [cookie(Buffer.alloc(9))] });
    assert.equal(bench.ask(badCookie)?.rcode, rcode.formErr);
  });

  it('who it is: CHAOS names and NSID only where it is told, and only when asked', () => {
    const chaos = (name: string): Message | undefined =>
      bench.ask(query(name, { type: rrType.TXT, class: rrClass.CH }));
    assert.equal(chaos('version.bind')?.rcode, rcode.refused);
    assert.equal(chaos('ID.server')?.answers[0]?.data.toString('latin1'), '\x06node-1');
    const nsid = { code: ednsOption.nsid, data: Buffer.alloc(0) };
    assert.equal(String(optionOf(bench.ask(query('www.example.org', { options: [nsid] })), 3)), 'node-1');
    assert.equal(optionOf(bench.ask(query('www.example.org', { udpSize: 1232 })), 3), undefined);
  });

  it('no question but a cookie: ours, or that theirs is none of ours (RFC 7873 section 5.4)', () => {
    const without = (...parts: Uint8Array[]): Buffer =>
      writeMessage({ ...emptyMessage, id: 9, edns: { ...plainEdns, options: [cookie(...parts)] } });
    const theirs = Buffer.alloc(8, 5);
    const first = bench.ask(without(theirs));
    assert.deepEqual([first?.id, first?.rcode, first?.questions], [9, rcode.noError, []]);
    const given = optionOf(first, ednsOption.cookie) as Buffer;
    assert.deepEqual([given.length, given.subarray(0, 8)], [24, theirs]);
    assert.equal(bench.ask(without(given))?.rcode, rcode.noError);
    bench.from('203.0.113.5');
    const another = bench.ask(without(given));
    assert.equal(another?.rcode, rcode.badCookie);
    assert.notDeepEqual(optionOf(another, ednsOption.cookie), given);
    bench.thread.configure({ access: { allow: ['192.0.2.0/24'], deny: [] } });
    assert.equal(bench.ask(without(theirs))?.rcode, rcode.refused);
    assert.equal(bench.event('accessRefused'), 1);
    // Nothing asked for at all is no query.
    const empty = writeMessage({ ...emptyMessage, edns: plainEdns });
    assert.equal(bench.raw(empty)?.readUInt16BE(2), 0x8000 | rcode.formErr);
    assert.equal(bench.raw(without(Buffer.alloc(9)))?.readUInt16BE(2), 0x8000 | rcode.formErr);
  });

  it('until it is ready it denies nothing, and says that it is not', () => {
    bench.isReady = false;
    const answer = bench.ask(query('none.example.org', { udpSize: 1232 }));
    assert.equal(answer?.rcode, rcode.servFail);
    assert.deepEqual(optionOf(answer, ednsOption.extendedError), Buffer.from([0, 14]));
    bench.isReady = true;
    assert.equal(bench.ask(query('none.example.org'))?.rcode, rcode.nxDomain);
  });

  it('who may not ask is refused, with the reason, and hears of a change at once', () => {
    bench.thread.configure({ access: { allow: ['192.0.2.0/24'], deny: ['192.0.2.77'] } });
    bench.raw(query('www.example.org'));
    const answer = bench.ask(query('www.example.org', { options: [cookie(Buffer.alloc(8, 1))] }));
    assert.equal(answer?.rcode, rcode.refused);
    assert.deepEqual(optionOf(answer, ednsOption.extendedError), Buffer.from([0, 18]));
    assert.equal(optionOf(answer, ednsOption.cookie)?.length, 24);
    bench.from('192.0.2.78');
    assert.equal(bench.ask(query('www.example.org'))?.rcode, rcode.noError);
    bench.thread.configure({ access: everybody });
    bench.from('203.0.113.1');
    assert.equal(bench.ask(query('www.example.org'))?.rcode, rcode.noError);
  });

  it('hands over what is not a plain question', () => {
    for (const kind of [opcode.notify, opcode.update]) {
      const message = query('example.org', { type: rrType.SOA });
      message[2] = kind << 3;
      assert.equal(bench.respond(message), handOver);
    }
    assert.equal(bench.respond(query('example.org', { type: rrType.AXFR })), handOver);
    assert.equal(bench.respond(query('example.org', { type: rrType.IXFR })), handOver);
    const signed = writeMessage({
      ...parseMessage(query('www.example.org')),
      additionals: [
        { name: 'key', type: rrType.TSIG, class: rrClass.ANY, ttlSeconds: 0, data: Buffer.alloc(0) },
      ],
    });
    assert.equal(bench.respond(signed), handOver);
  });

  it('over TLS an answer is padded for a client that asks, and both streams tell how long they stay', () => {
    const padding = { code: ednsOption.padding, data: Buffer.alloc(0) };
    const keepalive = { code: ednsOption.keepalive, data: Buffer.alloc(0) };
    const asked = query('www.example.org', { options: [padding, keepalive] });
    for (const [transport, length] of [
      [0, 12 + 21 + 16 + 11],
      [1, 12 + 21 + 16 + 11 + 6],
      [2, 468],
    ] as const) {
      bench.from('192.0.2.77', transport);
      bench.raw(asked);
      const answer = bench.raw(asked) as Buffer;
      assert.equal(answer.length, length);
      assert.equal(optionOf(parseMessage(answer), ednsOption.keepalive) !== undefined, transport > 0);
    }
  });
});

describe('how often a serving thread answers', () => {
  const count = (bench: Bench, message: () => Buffer, times: number) => {
    const counts = { whole: 0, truncated: 0, none: 0 };
    for (let i = 0; i < times; i++) {
      const answer = bench.ask(message());
      counts[answer ? (answer.truncated ? 'truncated' : 'whole') : 'none'] += 1;
    }
    return counts;
  };

  it('what a network has had enough of comes every second time, truncated and small', () => {
    const bench = new Bench({ rateLimit: limited });
    assert.deepEqual(
      count(bench, () => query('www.example.org'), 25),
      { whole: 5, truncated: 10, none: 10 },
    );
    const truncated = bench.raw(query('www.example.org', { udpSize: 4096 }));
    assert.ok((truncated?.length ?? 0) <= query('www.example.org', { udpSize: 4096 }).length);
    bench.clock.advance(1000);
    assert.equal(count(bench, () => query('www.example.org'), 10).whole, 5);
  });

  it('random names give no new credit, below nothing, a wildcard or a delegation; other names have their own', () => {
    for (const below of ['', 'any.', 'sub.', 'other.']) {
      const bench = new Bench({ rateLimit: limited });
      let i = 0;
      const random = (): Buffer => query(`r${i++}.${below}example.${below === 'other.' ? 'com' : 'org'}`);
      assert.equal(count(bench, random, 40).whole, 5, below);
      assert.equal(count(bench, () => query('www.example.org'), 10).whole, 5);
    }
  });

  it('a malformed flood is limited too; TCP, exempt networks and who has our cookie are not', () => {
    const bench = new Bench({ rateLimit: limited });
    const malformed = (): Buffer => query('www.example.org').subarray(0, 20);
    let answered = 0;
    for (let i = 0; i < 40; i++) answered += bench.respond(malformed()) > 0 ? 1 : 0;
    assert.ok(answered < 25);
    bench.from('198.51.100.1');
    assert.equal(count(bench, () => query('www.example.org'), 40).whole, 40);
    bench.from('192.0.2.77', 1);
    assert.equal(count(bench, () => query('www.example.org'), 40).whole, 40);
    bench.from('192.0.2.77');
    const ours = Buffer.alloc(8, 5);
    const given = optionOf(
      bench.ask(query('www.example.org', { options: [cookie(ours)] })),
      ednsOption.cookie,
    ) as Buffer;
    assert.deepEqual(given.subarray(0, 8), ours);
    assert.equal(count(bench, () => query('www.example.org', { options: [cookie(given)] }), 40).whole, 40);
    assert.ok(bench.event('cookiesValid') >= 40);
    // Another address cannot use it.
    bench.from('203.0.113.5');
    assert.equal(count(bench, () => query('www.example.org', { options: [cookie(given)] }), 40).whole, 5);
  });

  it('whatever comes, nothing is thrown, and no answer by UDP is beyond its limit', () => {
    const next = seededRandom(seed);
    const bench = new Bench();
    for (let i = 0; i < rounds * 300; i++) {
      const names = ['www.example.org', 'none.example.org', 'example.net', ''];
      const message = mutatedPacket(
        [query('www.example.org', { udpSize: 4096 }), randomRequest(next, names)],
        next,
      );
      const length = bench.respond(message);
      assert.ok(length <= 1232, `${length} octets for ${message.toString('hex')}`);
      if (length > 0) {
        assert.deepEqual(bench.out.subarray(0, 2), message.subarray(0, 2));
        assert.equal((bench.out[2] as number) & 0x80, 0x80);
      }
    }
  });
});
