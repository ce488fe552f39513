import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { addressText } from '../speaker/address.ts';
import { parseRange, shortestPrefix } from './ranges.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const numRuns = Number(process.env['ITERATIONS'] ?? 300);

describe('ranges of pools', () => {
  console.log(`SEED=${seed}`);
  const ends = fc
    .record({
      family: fc.constantFrom(4 as const, 6 as const),
      base: fc.nat(0xffff_ff00),
      a: fc.nat(300),
      b: fc.nat(300),
    })
    .map(({ family, base, a, b }) => {
      const at = (offset: number): bigint =>
        BigInt(base) + BigInt(offset) + (family === 6 ? 0x2001_0db8n << 96n : 0n);
      const [first, last] = [at(Math.min(a, b)), at(Math.max(a, b))];
      const limit = family === 4 ? 0xffff_ffffn : (1n << 128n) - 1n;
      return { family, first, last: last > limit ? limit : last };
    })
    .filter(({ first, last }) => first <= last);

  it('are read as they are written', () => {
    fc.assert(
      fc.property(ends, ({ family, first, last }) => {
        const text = `${addressText(family, first)} - ${addressText(family, last)}`;
        assert.deepEqual(parseRange(text), { family, first, last, text, prefixLength: undefined });
        if (first < last)
          assert.match(
            parseRange(`${addressText(family, last)}-${addressText(family, first)}`) as string,
            /reversed/,
          );
      }),
      { seed, numRuns },
    );
  });

  it('have as shortest prefix that of the largest aligned block in them', () => {
    fc.assert(
      fc.property(ends, ({ family, first, last }) => {
        const bits = family === 4 ? 32 : 128;
        let largest = 0;
        for (let hostBits = 0; hostBits <= 10; hostBits++) {
          const size = 1n << BigInt(hostBits);
          const start = ((first + size - 1n) / size) * size;
          if (start + size - 1n <= last) largest = hostBits;
        }
        const range = { family, first, last, text: '', prefixLength: undefined };
        assert.equal(shortestPrefix(range), bits - largest);
      }),
      { seed, numRuns },
    );
    const all = { family: 6 as const, first: 0n, last: (1n << 128n) - 1n, text: '', prefixLength: undefined };
    assert.equal(shortestPrefix(all), 0);
    assert.equal(shortestPrefix({ ...all, first: 1n }), 1);
  });

  it('are networks with host bits too', () => {
    const range = parseRange('192.0.2.77/26');
    assert.ok(typeof range === 'object');
    assert.deepEqual([range.first, range.last, range.prefixLength], [0xc000_0240n, 0xc000_027fn, 26]);
    for (const text of [
      '192.0.2.0/',
      '/24',
      '192.0.2.0/-1',
      '192.0.2.0/24/24',
      '2001:db8::/129',
      '',
      '-',
      'a-b',
      '192.0.2.1-',
    ])
      assert.equal(typeof parseRange(text), 'string', text);
  });
});
