import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import dnsPacket, { type Answer, type Packet } from 'dns-packet';
import * as fc from 'fast-check';
import type { CacheConfig } from '../corefile/config.ts';
import { readCorefile } from '../corefile/read.ts';
import { parseQuery } from '../wire/message.ts';
import { extendedError } from '../wire/types.ts';
import { AnswerCache, cacheKey, type CacheQuestion, type Told } from './cache.ts';
import { readForwarded, writeForwarded } from './forwarded-answer.ts';
import { ForwardError } from './forwarder.ts';
import type { ForwardedQuestion } from './question.ts';
import { questionOf } from './testing.ts';

const cacheConfig = (options = ''): CacheConfig =>
  readCorefile(`. {\ncache 3600 {\n${options}\n}\n}`).servers[0]?.cache as CacheConfig;
const asked = (name: string, type = 'A', more: Partial<ForwardedQuestion> = {}): CacheQuestion => {
  const question = { ...questionOf(name, type), ...more };
  return { question, name: name.toLowerCase(), key: cacheKey(question) };
};
const soa = (ttl: number, minimum: number): Answer => ({
  type: 'SOA',
  name: 'example',
  ttl,
  data: { mname: 'ns.example', rname: 'h.example', serial: 1, refresh: 1, retry: 1, expire: 1, minimum },
});
const address = (name: string, ttl: number, data = '192.0.2.1'): Answer => ({ type: 'A', name, ttl, data });
const flagsOf = (code: number): number => dnsPacket.RECURSION_AVAILABLE | code;

/** A cache over a server that answers by `answers`, on a clock that is stepped. */
class Bench {
  nowMs = 1000;
  fetched: string[] = [];
  answers: (name: string) => Partial<Packet> | Error | Promise<Partial<Packet>> = (name) => ({
    answers: [address(name, 60)],
  });
  readonly cache: AnswerCache;

  constructor(options = '') {
    this.cache = new AnswerCache(
      cacheConfig(options),
      async ({ question, name }, transport) => {
        this.fetched.push(`${name} ${transport}`);
        const more = await this.answers(name);
        if (more instanceof Error) throw more;
        const asking = Buffer.concat([Buffer.of(0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0), question.bytes]);
        const { questions } = dnsPacket.decode(asking);
        const packet = dnsPacket.encode({ type: 'response', id: 0, questions: questions ?? [], ...more });
        return readForwarded(packet, question.bytes);
      },
      () => this.nowMs,
    );
  }

  async ask(name: string, transport: 'udp' | 'tcp' = 'udp'): Promise<Packet & { rcode: string }> {
    return this.tell(await this.cache.answer(asked(name), transport), name);
  }

  tell(told: Told, name: string): Packet & { rcode: string } {
    const query = parseQuery(dnsPacket.encode({ type: 'query', id: 99, questions: [{ type: 'A', name }] }));
    const bytes = writeForwarded(query, told.answer, { ...told, maxBytes: 65535 });
    return dnsPacket.decode(bytes) as unknown as Packet & { rcode: string };
  }

  async ttl(name: string): Promise<number> {
    const packet = await this.ask(name);
    const [record] = [...(packet.answers ?? []), ...(packet.authorities ?? [])];
    return record && 'ttl' in record ? (record.ttl as number) : -1;
  }
}

const silent = new ForwardError('192.0.2.53:53: no answer in 2000 ms', extendedError.networkError);

describe('the cache of forwarded answers', () => {
  it('keeps an answer for its TTL and counts it down', async () => {
    const bench = new Bench();
    assert.equal(await bench.ttl('a.example'), 60);
    bench.nowMs += 20_500;
    assert.equal(await bench.ttl('a.example'), 40);
    bench.nowMs += 39_499;
    assert.equal(await bench.ttl('a.example'), 1);
    assert.equal(bench.fetched.length, 1);
    bench.nowMs += 1;
    assert.equal(await bench.ttl('a.example'), 60);
    assert.equal(bench.fetched.length, 2);
    assert.deepEqual([bench.cache.counts.hits.success, bench.cache.counts.misses], [2, 2]);
  });

  it('holds TTLs within its bounds', async () => {
    const bench = new Bench('success 2000 300 10');
    const ttls: Record<string, number> = {
      'short.example': 0,
      'long.example': 86_400,
      'odd.example': 0x8000_0001,
    };
    bench.answers = (name) => ({ answers: [address(name, ttls[name] ?? 60)] });
    assert.equal(await bench.ttl('short.example'), 0);
    assert.equal(await bench.ttl('long.example'), 300);
    assert.equal(await bench.ttl('odd.example'), 0, 'a TTL with the highest bit is 0 (RFC 2181 section 8)');
    bench.nowMs += 9_900;
    assert.equal(await bench.ttl('short.example'), 0);
    assert.equal(bench.fetched.length, 3, 'what says 0 is kept for the least time');
    bench.nowMs += 200;
    await bench.ttl('short.example');
    assert.equal(bench.fetched.length, 4);
  });

  it('tells each record its own TTL', async () => {
    const bench = new Bench();
    bench.answers = (name) => ({
      answers: [{ type: 'CNAME', name, ttl: 600, data: 'b.example' }, address('b.example', 30)],
    });
    await bench.ask('a.example');
    bench.nowMs += 10_000;
    const { answers } = await bench.ask('a.example');
    assert.deepEqual(
      answers?.map((record) => ('ttl' in record ? record.ttl : 0)),
      [20, 20],
    );
  });

  it('keeps a denial as long as its SOA says (RFC 2308), and none without SOA', async () => {
    const bench = new Bench();
    bench.answers = (name) => ({
      flags: flagsOf(name === 'nodata.example' ? 0 : 3),
      authorities: name === 'bare.example' ? [] : [soa(900, 40)],
    });
    for (const name of ['no.example', 'nodata.example', 'bare.example']) {
      await bench.ask(name);
      bench.nowMs += 39_000;
      await bench.ask(name);
    }
    assert.deepEqual(bench.fetched, [
      'no.example udp',
      'nodata.example udp',
      'bare.example udp',
      'bare.example udp',
    ]);
    assert.equal((await bench.ask('no.example')).rcode, 'NXDOMAIN');
  });

  it('a denial replaces what was there, and the other way', async () => {
    const bench = new Bench('serve_stale 1h immediate');
    await bench.ask('a.example');
    bench.nowMs += 61_000;
    bench.answers = () => ({ flags: flagsOf(3), authorities: [soa(60, 60)] });
    assert.equal((await bench.ask('a.example')).rcode, 'NOERROR', 'what is stale comes at once');
    await new Promise(setImmediate);
    assert.equal((await bench.ask('a.example')).rcode, 'NXDOMAIN');
    assert.deepEqual(bench.cache.sizes, { success: 0, denial: 1 });
  });

  it('does not keep what was cut, and asks by TCP what came by TCP', async () => {
    const bench = new Bench();
    bench.answers = () => ({ flags: dnsPacket.TRUNCATED_RESPONSE, answers: [] });
    await bench.ask('a.example');
    bench.answers = (name) => ({ answers: [address(name, 60)] });
    await bench.ask('a.example', 'tcp');
    await bench.ask('a.example');
    assert.deepEqual(bench.fetched, ['a.example udp', 'a.example tcp']);
  });

  it('tells questions apart by name, type, class and flags, and not by case', () => {
    const key = (name: string, type = 'A', more: Partial<ForwardedQuestion> = {}): string =>
      asked(name, type, more).key;
    assert.equal(key('A.Example'), key('a.example'));
    const others = [
      key('a.example'),
      key('b.example'),
      key('a.example', 'AAAA'),
      key('a.example', 'A', { dnssecOk: true }),
      key('a.example', 'A', { checkingDisabled: true }),
      key('a.example', 'A', { recursionDesired: false }),
    ];
    assert.equal(new Set(others).size, others.length);
    // Type 65 (HTTPS) is the octet of "A", 97 that of "a".
    const typed = (type: number): string => {
      const { bytes } = questionOf('a.example');
      bytes.writeUInt16BE(type, bytes.length - 4);
      return cacheKey({ bytes, recursionDesired: true, checkingDisabled: false, dnssecOk: false });
    };
    assert.notEqual(typed(65), typed(97));
  });

  it('asks once for all who ask the same at one time', async () => {
    const bench = new Bench();
    const gate = Promise.withResolvers<void>();
    bench.answers = async (name) => {
      await gate.promise;
      return { answers: [address(name, 60)] };
    };
    const all = Array.from({ length: 50 }, () => bench.ask('a.example'));
    gate.resolve();
    await Promise.all(all);
    assert.equal(bench.fetched.length, 1);
  });

  it('a failure is told to all, and the same is not asked again within a second (RFC 9520)', async () => {
    const bench = new Bench();
    bench.answers = () => silent;
    await assert.rejects(bench.ask('a.example'), ForwardError);
    await assert.rejects(bench.ask('a.example'), ForwardError);
    assert.equal(bench.fetched.length, 1);
    bench.nowMs += 1001;
    await assert.rejects(bench.ask('a.example'), ForwardError);
    assert.equal(bench.fetched.length, 2);
  });

  it('keeps SERVFAIL from upstream for servfail, and REFUSED not at all', async () => {
    const bench = new Bench('servfail 2s');
    bench.answers = (name) => ({ flags: flagsOf(name === 'fail.example' ? 2 : 5) });
    for (let i = 0; i < 2; i++) for (const name of ['fail.example', 'refused.example']) await bench.ask(name);
    assert.deepEqual(bench.fetched.filter((text) => text.startsWith('fail')).length, 1);
    assert.deepEqual(bench.fetched.filter((text) => text.startsWith('refused')).length, 2);
    bench.nowMs += 2001;
    await bench.ask('fail.example');
    assert.equal(bench.fetched.filter((text) => text.startsWith('fail')).length, 2);
  });

  it('serve_stale verify: what is stale comes only when the servers give nothing (RFC 8767)', async () => {
    const bench = new Bench('serve_stale 1h verify 0s 30s 30s');
    await bench.ask('a.example');
    bench.nowMs += 61_000;
    assert.equal(await bench.ttl('a.example'), 60, 'it was verified');
    bench.nowMs += 61_000;
    bench.answers = () => silent;
    assert.equal(await bench.ttl('a.example'), 30);
    const before = bench.fetched.length;
    assert.equal(await bench.ttl('a.example'), 30);
    assert.equal(bench.fetched.length, before, 'not asked again before the recheck');
    bench.nowMs += 31_000;
    bench.answers = () => ({ flags: flagsOf(2) });
    assert.equal(await bench.ttl('a.example'), 30, 'SERVFAIL is no answer either');
    bench.nowMs += 3_600_000;
    bench.answers = () => silent;
    await assert.rejects(bench.ask('a.example'), ForwardError, 'too old');
    assert.ok(bench.cache.counts.servedStale >= 3);
  });

  it('serve_stale verify: who waits is told what is stale in time, and later what is new', async () => {
    const bench = new Bench('serve_stale 1h verify 20ms 30s');
    await bench.ask('a.example');
    bench.nowMs += 61_000;
    const gate = Promise.withResolvers<void>();
    bench.answers = async (name) => {
      await gate.promise;
      return { answers: [address(name, 60)] };
    };
    assert.equal(await bench.ttl('a.example'), 30);
    gate.resolve();
    await new Promise(setImmediate);
    assert.equal(await bench.ttl('a.example'), 60);
  });

  it('a stale answer says so (RFC 8914)', async () => {
    const bench = new Bench('serve_stale 1h immediate 30s');
    await bench.ask('a.example');
    bench.nowMs += 61_000;
    const told = await bench.cache.answer(asked('a.example'), 'udp');
    const query = dnsPacket.encode({
      type: 'query',
      id: 1,
      questions: [{ type: 'A', name: 'a.example' }],
      additionals: [{ type: 'OPT', name: '.', udpPayloadSize: 1232, flags: 0, options: [] } as never],
    });
    const bytes = writeForwarded(parseQuery(query), told.answer, { ...told, maxBytes: 1232 });
    assert.deepEqual([...bytes.subarray(-6)], [0, 15, 0, 2, 0, extendedError.staleAnswer]);
  });

  it('prefetches what is popular, once, before its time is over', async () => {
    const bench = new Bench('prefetch 3 1m 20%');
    for (let i = 0; i < 4; i++) await bench.ask('popular.example');
    await bench.ask('rare.example');
    bench.nowMs += 49_000;
    await bench.ask('popular.example');
    await bench.ask('rare.example');
    assert.equal(bench.fetched.length, 3);
    await new Promise(setImmediate);
    assert.equal(await bench.ttl('popular.example'), 60);
    assert.equal(bench.cache.counts.prefetches, 1);
  });

  it('disable and zones: nothing is kept there', async () => {
    const bench = new Bench('disable success a.example\ndisable denial');
    await bench.ask('www.a.example');
    await bench.ask('www.a.example');
    await bench.ask('www.b.example');
    await bench.ask('www.b.example');
    assert.equal(bench.fetched.length, 3);
  });

  it('is bounded: what was not asked for longest leaves first', async () => {
    const bench = new Bench('success 1024');
    for (let i = 0; i < 1024; i++) await bench.ask(`n${i}.example`);
    await bench.ask('n0.example');
    for (let i = 0; i < 500; i++) await bench.ask(`m${i}.example`);
    assert.deepEqual(bench.cache.sizes, { success: 1024, denial: 0 });
    assert.equal(bench.cache.counts.evictions.success, 500);
    const before = bench.fetched.length;
    await bench.ask('n0.example');
    assert.equal(bench.fetched.length, before, 'it was asked for lately');
    await bench.ask('n1.example');
    assert.equal(bench.fetched.length, before + 1);
  });

  it('answers to one question never answer another, whatever they hold', async () => {
    const bench = new Bench();
    bench.answers = (name) => ({
      answers: [address(name, 60), address('bank.example', 86_400, '203.0.113.66')],
      additionals: [address('bank.example', 86_400, '203.0.113.66')],
    });
    await bench.ask('evil.example');
    bench.answers = (name) => ({ answers: [address(name, 60)] });
    const { answers } = await bench.ask('bank.example');
    assert.deepEqual(
      answers?.map((record) => ('data' in record ? record.data : '')),
      ['192.0.2.1'],
    );
  });

  it('any bytes from upstream are read or refused, and what is read is written within its limit', () => {
    const question = questionOf('a.example');
    const query = parseQuery(
      dnsPacket.encode({ type: 'query', id: 1, questions: [{ type: 'A', name: 'A.eXample' }] }),
    );
    const good = dnsPacket.encode({
      type: 'response',
      id: 0,
      questions: [{ type: 'A', name: 'a.example' }],
      answers: [address('a.example', 60), { type: 'CNAME', name: 'a.example', ttl: 1, data: 'b.a.example' }],
      authorities: [soa(60, 60)],
      additionals: [{ type: 'OPT', name: '.', udpPayloadSize: 1232, flags: 0, options: [] } as never],
    });
    const changes = fc.array(fc.tuple(fc.nat(good.length - 13), fc.nat(255)), { maxLength: 6 });
    fc.assert(
      fc.property(changes, fc.integer({ min: 512, max: 1232 }), (edits, maxBytes) => {
        const bytes = Buffer.from(good);
        for (const [at, value] of edits) bytes[at + 12] = value;
        bytes.set(question.bytes, 12);
        let answer;
        try {
          answer = readForwarded(bytes, question.bytes);
        } catch (error) {
          assert.equal((error as Error).name, 'WireError');
          return;
        }
        const told = { maxBytes, ageSeconds: 1, lifetimeSeconds: 5 };
        const out = writeForwarded(query, answer, told);
        assert.ok(out.length <= maxBytes);
        assert.equal(out.toString('latin1', 13, 14), 'A');
      }),
      { numRuns: 500 },
    );
  });
});
