import { test } from 'node:test';
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { compareNames, writeName } from '../wire/name.ts';
import { base32HexText, mxData, readRrsig } from '../wire/rdata.ts';
import { rrType } from '../wire/types.ts';
import type { RRset } from '../zone/zone.ts';
import { nsecOf } from './denial.ts';
import { generateKey } from './key.ts';
import { parseKeyText } from './key-text.ts';
import { nextCloserOf, signatureLabels, successorOf } from './name-order.ts';
import { neighbour, nsec3Hash } from './nsec3-hash.ts';
import { activeKey, signRRset, verifyRRset } from './rrsig.ts';
import { signatureTimes, spread, stretchSeconds } from './signature-times.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const numRuns = Number(process.env['ITERATIONS'] ?? 300);

/** RFC 6605 section 6.1. */
const published = parseKeyText(
  `example.net. 3600 IN DNSKEY 257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==
PrivateKey: GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=`,
  'RFC 6605',
);
const www: RRset = {
  name: 'www.example.net',
  type: rrType.A,
  ttlSeconds: 3600,
  data: [Buffer.of(192, 0, 2, 1)],
};

test('the signature that RFC 6605 prints verifies, and so does ours with the same fields', () => {
  const times = {
    signer: 'example.net',
    inceptionSeconds: Date.UTC(2010, 7, 12, 10, 4, 39) / 1000,
    expirationSeconds: Date.UTC(2010, 8, 9, 10, 4, 39) / 1000,
  };
  const key = activeKey({ ...published, isActive: true, isInParent: true });
  const ours = signRRset(www, key, times);
  const theirs = Buffer.concat([
    ours.subarray(0, -64),
    Buffer.from(
      'qx6wLYqmh+l9oCKTN6qIc+bw6ya+KJ8oMz0YP107epXAyGmt+3SNruPFKG7tZoLBLlUzGGus7ZwmwWep666VCw==',
      'base64',
    ),
  ]);
  assert.ok(verifyRRset(www, theirs, published.dnskey));
  assert.ok(verifyRRset(www, ours, published.dnskey));
  assert.ok(!verifyRRset({ ...www, data: [Buffer.of(192, 0, 2, 2)] }, theirs, published.dnskey));
  assert.ok(!verifyRRset({ ...www, name: 'ww.example.net' }, theirs, published.dnskey));
});

test('case and order of data, and the name that a wildcard was expanded to, do not matter to a signature', () => {
  const key = generateKey({ origin: 'example', nowMs: 0 });
  const active = activeKey({ ...key, isActive: true, isInParent: true });
  const data = [mxData(20, 'B.example'), mxData(10, 'A.example')];
  const set: RRset = { name: '*.w.example', type: rrType.MX, ttlSeconds: 300, data };
  const rrsig = signRRset(set, active, { signer: 'example', inceptionSeconds: 0, expirationSeconds: 1 });
  assert.equal(readRrsig(rrsig).labels, 2);
  const lower = [mxData(10, 'a.example'), mxData(20, 'b.example')];
  assert.ok(verifyRRset({ ...set, name: 'x.Y.W.example', ttlSeconds: 5, data: lower }, rrsig, key.dnskey));
  assert.ok(!verifyRRset({ ...set, name: 'x.y.example' }, rrsig, key.dnskey));
});

test('labels are counted as RFC 4034 section 3.1.3 has it', () => {
  assert.deepEqual(
    ['', '*', '*.example', 'www.example', 'a\\.b.example', 'x.*.example'].map(signatureLabels),
    [0, 0, 1, 2, 2, 3],
  );
});

test('hashed names are those of RFC 5155 appendix A, with its salt and iterations', () => {
  const salt = Buffer.from('aabbccdd', 'hex');
  for (const [name, hashed] of [
    ['example', '0p9mhaveqvm6t7vbl5lop2u3t2rp3tom'],
    ['a.example', '35mthgpgcu1qg68fab165klnsnk3dpvl'],
    ['ns1.example', '2t7b4g4vsa5smi47k61mv5bv1a22bojr'],
    ['*.w.example', 'r53bq7cc2uvmubfu5ocmm6pers9tk9en'],
    ['2t7b4g4vsa5smi47k61mv5bv1a22bojr.example', 'kohar7mbb8dc2ce8a9qvl8hon4k53uhi'],
  ] as const)
    assert.equal(base32HexText(nsec3Hash(name, 12, salt)).toLowerCase(), hashed, name);
});

test('the neighbours of a hash go round', () => {
  const [low, high] = [Buffer.alloc(20), Buffer.alloc(20, 0xff)];
  assert.deepEqual(neighbour(low, -1), high);
  assert.deepEqual(neighbour(high, 1), low);
  assert.equal(neighbour(Buffer.from('00ff', 'hex'), 1).toString('hex'), '0100');
  assert.equal(neighbour(Buffer.from('0100', 'hex'), -1).toString('hex'), '00ff');
});

test('the NSEC of RFC 4034 section 4.3 has the octets that the RFC prints', () => {
  const rrset = nsecOf('alfa.example.com', 'host.example.com', [rrType.A, rrType.MX, 1234], 86_400);
  assert.equal(
    rrset.data[0]?.toString('hex'),
    `${writeName('host.example.com').toString('hex')}0006400100000003041b${'00'.repeat(26)}20`,
  );
});

const label = fc
  .uint8Array({ minLength: 1, maxLength: 63 })
  .map((bytes) =>
    [...bytes].map((byte) => `\\${String(byte >= 0x41 && byte <= 0x5a ? 0x61 : byte).padStart(3, '0')}`),
  )
  .map((escaped) => escaped.join(''));
const longName = fc
  .tuple(fc.array(label, { minLength: 0, maxLength: 6 }), fc.boolean())
  .map(([labels]) => [...labels, 'example'].join('.'))
  .filter((name) => {
    try {
      return writeName(name).length <= 255;
    } catch {
      return false;
    }
  });

test('nothing fits between a name and its successor', () => {
  console.log(`SEED=${seed}`);
  fc.assert(
    fc.property(longName, longName, (name, other) => {
      const next = successorOf(name, 'example');
      writeName(next);
      if (next === 'example') return;
      assert.ok(compareNames(name, next) < 0, `${name} < ${next}`);
      const isBetween = compareNames(name, other) < 0 && compareNames(other, next) < 0;
      assert.ok(!isBetween, `${name} < ${other} < ${next}`);
    }),
    { seed, numRuns },
  );
});

test('names too long for another label have successors all the same', () => {
  const origin = 'a'.repeat(63);
  const long = `${'b'.repeat(61)}.${origin}.${origin}.${origin}`;
  assert.equal(writeName(long).length, 255);
  assert.equal(successorOf(long, origin), `${'b'.repeat(60)}c.${long.slice(62)}`);
  const last = `${'\\255'.repeat(61)}.${origin}.${origin}.${origin}`;
  assert.equal(successorOf(last, origin), `${'a'.repeat(62)}b.${origin}.${origin}`);
  const end = ['\\255'.repeat(61), '\\255'.repeat(63), '\\255'.repeat(63), origin].join('.');
  assert.equal(successorOf(end, origin), origin);
});

test('the next closer name is one label longer than the closest encloser', () => {
  assert.equal(nextCloserOf('a.b.c.example', 'example'), 'c.example');
  assert.equal(nextCloserOf('a.b.c.example', 'b.c.example'), 'a.b.c.example');
  assert.equal(nextCloserOf('a.b', ''), 'b');
});

test('at any time and on any replica a signature counts, has a quarter of its time left, and hardly ever changes', () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.integer({ min: 8, max: 10_000_000 }),
      fc.integer({ min: 1_000_000_000, max: 4_000_000_000 }),
      (name, validitySeconds, nowSeconds) => {
        const nowMs = nowSeconds * 1000 + 7;
        const times = signatureTimes(spread(name, 1), validitySeconds, nowMs);
        assert.ok(times.inceptionSeconds <= nowSeconds - 3600);
        assert.ok(times.expirationSeconds - nowSeconds >= Math.floor(validitySeconds / 4));
        assert.ok(times.beginMs <= nowMs && nowMs < times.endMs);
        assert.equal(times.endMs - times.beginMs, stretchSeconds(validitySeconds) * 1000);
        assert.deepEqual(signatureTimes(spread(name, 1), validitySeconds, times.endMs - 1), times);
        assert.equal(signatureTimes(spread(name, 1), validitySeconds, times.endMs).beginMs, times.endMs);
      },
    ),
    { seed, numRuns },
  );
});
