import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { addressData } from '../../wire/rdata.ts';
import type { RateLimit } from '../request.ts';
import { Access } from './access.ts';
import { Cookies } from './cookies.ts';
import { parseNetwork } from './networks.ts';
import { rateBuckets, RateLimiter } from './rate-limiter.ts';
import { SipHash } from './siphash.ts';

const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));

describe('access rules', () => {
  const may = (access: Access, ip: string): boolean => {
    const bytes = addressData(ip);
    return access.isAllowed(bytes, 0, bytes.length);
  };

  it('the longest prefix decides, and who is in no network may not ask', () => {
    const access = new Access({
      allow: ['10.0.0.0/8', '10.1.2.3', '2001:db8::/32', '192.0.2.128/25'],
      deny: ['10.1.0.0/16', '2001:db8:0:1::/64'],
    });
    for (const [ip, expected] of [
      ['10.2.0.1', true],
      ['10.1.0.1', false],
      ['10.1.2.3', true],
      ['11.0.0.1', false],
      ['192.0.2.127', false],
      ['192.0.2.128', true],
      ['2001:db8::1', true],
      ['2001:db8:0:1::1', false],
      ['2001:db9::1', false],
    ] as const)
      assert.equal(may(access, ip), expected, ip);
  });

  it('everybody is both families, less those that are denied', () => {
    assert.ok(may(new Access({ allow: ['0.0.0.0/0', '::/0'], deny: [] }), '192.0.2.1'));
    assert.ok(!may(new Access({ allow: ['0.0.0.0/0'], deny: [] }), '::1'));
    assert.ok(!may(new Access({ allow: ['0.0.0.0/0', '::/0'], deny: ['192.0.2.1'] }), '192.0.2.1'));
    assert.ok(!may(new Access({ allow: ['192.0.2.0/24'], deny: ['192.0.2.0/24'] }), '192.0.2.1'));
  });

  it('a network that is none is refused with what it should look like', () => {
    for (const text of [
      'here',
      '10.0.0.0/33',
      '::/129',
      '10.0.0.0/',
      '10.0.0.0/8/8',
      '10.0.0',
      'fe80::%eth0',
    ])
      assert.throws(() => parseNetwork(text), {
        name: 'RangeError',
        message: new RegExp(text.split('/')[0] ?? ''),
      });
  });
});

describe('response rate limiting', () => {
  const limit: RateLimit = {
    responsesPerSecond: 10,
    errorsPerSecond: 2,
    slip: 2,
    ipv4PrefixLength: 24,
    ipv6PrefixLength: 56,
    exempt: ['198.51.100.0/24'],
  };
  const spend = (
    limiter: RateLimiter,
    ip: string,
    kind: number,
    isError: boolean,
    nowMs: number,
    times: number,
  ) => {
    const bytes = addressData(ip);
    const counts = { send: 0, truncate: 0, drop: 0 };
    for (let i = 0; i < times; i++) counts[limiter.spend(bytes, 0, bytes.length, kind, isError, nowMs)] += 1;
    return counts;
  };

  it('a second’s answers go out, of the others every second one truncated', () => {
    const limiter = new RateLimiter(limit, rateBuckets(), 7);
    assert.deepEqual(spend(limiter, '192.0.2.1', 1, false, 1000, 30), { send: 10, truncate: 10, drop: 10 });
    assert.deepEqual(spend(limiter, '192.0.2.1', 1, true, 1000, 4), { send: 2, truncate: 1, drop: 1 });
    assert.deepEqual(spend(limiter, '192.0.2.1', 1, false, 1500, 7), { send: 5, truncate: 1, drop: 1 });
    assert.deepEqual(spend(limiter, '192.0.2.1', 1, false, 60_000, 11), { send: 10, truncate: 0, drop: 1 });
  });

  it('counts by network and by kind, for IPv6 too', () => {
    const limiter = new RateLimiter(limit, rateBuckets(), 7);
    spend(limiter, '192.0.2.1', 1, false, 0, 10);
    assert.equal(spend(limiter, '192.0.2.200', 1, false, 0, 10).send, 0);
    assert.equal(spend(limiter, '192.0.3.1', 1, false, 0, 10).send, 10);
    assert.equal(spend(limiter, '192.0.2.1', 2, false, 0, 10).send, 10);
    spend(limiter, '2001:db8::1', 1, false, 0, 10);
    assert.equal(spend(limiter, '2001:db8:0:ff::1', 1, false, 0, 10).send, 0);
    assert.equal(spend(limiter, '2001:db8:0:100::1', 1, false, 0, 10).send, 10);
  });

  it('slip 0 truncates none, slip 1 all; without a limit of its own an error counts as others do; 0 is no limit', () => {
    const with_ = (changes: Partial<RateLimit>): RateLimiter =>
      new RateLimiter({ ...limit, ...changes }, rateBuckets(), 7);
    assert.deepEqual(spend(with_({ slip: 0 }), '192.0.2.1', 1, false, 0, 20), {
      send: 10,
      truncate: 0,
      drop: 10,
    });
    assert.deepEqual(spend(with_({ slip: 1 }), '192.0.2.1', 1, false, 0, 20), {
      send: 10,
      truncate: 10,
      drop: 0,
    });
    assert.equal(spend(with_({ errorsPerSecond: 0 }), '192.0.2.1', 1, true, 0, 20).send, 10);
    assert.equal(spend(with_({ responsesPerSecond: 0 }), '192.0.2.1', 1, false, 0, 20).send, 20);
    assert.equal(spend(with_({ responsesPerSecond: 0 }), '192.0.2.1', 1, true, 0, 20).send, 2);
  });

  it('the limit counts for all threads together, and outlives the wrap of the clock', () => {
    const shared = rateBuckets();
    const [one, other] = [new RateLimiter(limit, shared, 7), new RateLimiter(limit, shared, 7)];
    const lastMs = 2 ** 31 - 200;
    assert.equal(spend(one, '192.0.2.1', 1, false, lastMs, 10).send, 10);
    assert.equal(spend(other, '192.0.2.1', 1, false, lastMs, 10).send, 0);
    assert.equal(spend(other, '192.0.2.1', 1, false, lastMs + 500, 10).send, 5);
  });

  it('a flood from everywhere does not lift the limit of one who keeps asking', () => {
    const limiter = new RateLimiter(limit, rateBuckets(), 7);
    let sent = 0;
    for (let i = 0; i < 200_000; i++) {
      const ip = `${(i >> 16) + 1}.${(i >> 8) & 255}.${i & 255}.1`;
      const bytes = addressData(ip);
      limiter.spend(bytes, 0, 4, 1, false, i / 1000);
      if (i % 20 === 0) sent += spend(limiter, '192.0.2.1', 1, false, i / 1000, 1).send;
    }
    // 10 of the first credit and 2 earned in a fifth of a second; without the choice of the oldest it would be thousands.
    assert.ok(sent <= 40, `${sent} were sent`);
  });

  it('exempt networks are told', () => {
    const limiter = new RateLimiter(limit, rateBuckets(), 7);
    assert.ok(limiter.isExempt(addressData('198.51.100.9'), 0, 4));
    assert.ok(!limiter.isExempt(addressData('198.51.101.9'), 0, 4));
  });
});

describe('server cookies', () => {
  it('SipHash-2-4 as its authors print it', () => {
    const key = hex('000102030405060708090a0b0c0d0e0f');
    const input = Uint8Array.from({ length: 64 }, (_, i) => i);
    const out = new Uint8Array(8);
    for (const [length, expected] of [
      [0, '310e0edd47db6f72'],
      [1, 'fd67dc93c539f874'],
      [7, '37d1018bf50002ab'],
      [8, '6224939a79f5f593'],
      [15, 'e545be4961ca29a1'],
    ] as const) {
      new SipHash(key).hash(input, 0, length, out, 0);
      assert.equal(Buffer.from(out).toString('hex'), expected, `${length} octets`);
    }
  });

  // RFC 9018 appendix A.
  const secret = hex('e5e973e5a6b2a43f48e7dc849e37bfcf');
  const address = addressData('198.51.100.100');

  it('the cookies of RFC 9018', () => {
    const cookies = new Cookies({ current: secret, previous: undefined });
    const out = new Uint8Array(24);
    cookies.write(hex('2464c4abcf10c957'), 0, address, 0, 4, 1559731985, out, 0);
    assert.equal(Buffer.from(out).toString('hex'), '2464c4abcf10c957010000005cf79f111f8130c3eee29480');
    // Appendix A.3: reserved octets count too; given on 1559727985.
    const other = hex('fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5');
    const from = addressData('203.0.113.203');
    assert.ok(cookies.isValid(other, 0, 24, from, 0, 4, 1559727985 + 60));
  });

  it('hold for an hour, for one address, and over one change of the secret', () => {
    const cookie = hex('2464c4abcf10c957010000005cf79f111f8130c3eee29480');
    const now = 1559731985;
    const valid = (cookies: Cookies, seconds: number, from = address, bytes = cookie): boolean =>
      cookies.isValid(bytes, 0, bytes.length, from, 0, from.length, seconds);
    const cookies = new Cookies({ current: secret, previous: undefined });
    assert.ok(valid(cookies, now));
    assert.ok(valid(cookies, now + 3600));
    assert.ok(!valid(cookies, now + 3601));
    assert.ok(valid(cookies, now - 300));
    assert.ok(!valid(cookies, now - 301));
    // Given back as it is for half an hour, then a new one.
    assert.ok(cookies.isYoung(cookie, 0, now + 1799));
    assert.ok(!cookies.isYoung(cookie, 0, now + 1800));
    assert.ok(!valid(cookies, now, addressData('198.51.100.101')));
    assert.ok(!valid(cookies, now, addressData('2001:db8::1')));
    assert.ok(!valid(cookies, now, address, cookie.slice(0, 16)));
    const broken = cookie.slice();
    broken[23] = (broken[23] as number) ^ 1;
    assert.ok(!valid(cookies, now, address, broken));
    const next = new Uint8Array(16).fill(9);
    assert.ok(valid(new Cookies({ current: next, previous: secret }), now));
    assert.ok(!valid(new Cookies({ current: next, previous: undefined }), now));
  });

  it('IPv6 addresses are in the hash whole (RFC 9018 appendix A.4)', () => {
    const cookies = new Cookies({ current: hex('445536bcd2513298075a5d379663c962'), previous: undefined });
    const out = new Uint8Array(24);
    cookies.write(
      hex('22681ab97d52c298'),
      0,
      addressData('2001:db8:220:1:59de:d0f4:8769:82b8'),
      0,
      16,
      1559741961,
      out,
      0,
    );
    assert.equal(Buffer.from(out).toString('hex'), '22681ab97d52c298010000005cf7c609a6bb79d16625507a');
  });
});
