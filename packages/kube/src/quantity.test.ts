import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import './schema/seed.ts';
import { Quantity } from './quantity.ts';

interface Vector {
  in: string;
  out?: string;
  err?: string;
  format?: string;
  value?: number;
  milli?: number;
  /** Sum with the vector before. */
  sum?: string;
  /** Comparison with the vector before. */
  cmp?: number;
}

const vectors = JSON.parse(
  readFileSync(new URL('codec/testdata/quantities.json', import.meta.url), 'utf8'),
) as Vector[];

const text = fc
  .tuple(
    fc.constantFrom('', '-'),
    fc.nat({ max: 999_999 }),
    fc.constantFrom('', '.5', '.25', '.001'),
    fc.constantFrom('', 'n', 'u', 'm', 'k', 'M', 'G', 'Ki', 'Mi', 'Gi', 'Ti', 'e3', 'e-2'),
  )
  .map((parts) => parts.join(''));

describe('Quantity', () => {
  it('reads, writes, adds and compares as upstream does', () => {
    let previous = Quantity.parse('1');
    for (const vector of vectors) {
      if (vector.err !== undefined) {
        assert.throws(
          () => Quantity.parse(vector.in),
          { name: 'QuantityError', message: vector.err },
          vector.in,
        );
        continue;
      }
      const quantity = Quantity.parse(vector.in);
      assert.equal(quantity.toString(), vector.out, vector.in);
      assert.equal(quantity.format, vector.format, vector.in);
      assert.equal(quantity.compare(previous), vector.cmp ?? 0, vector.in);
      if (vector.sum !== undefined) assert.equal(previous.add(quantity).toString(), vector.sum, vector.in);
      if (vector.value !== undefined) assert.equal(quantity.value(), BigInt(vector.value), vector.in);
      if (vector.milli !== undefined) assert.equal(quantity.milliValue(), BigInt(vector.milli), vector.in);
      previous = quantity;
    }
  });

  it('means the same amount in its canonical text, kept or made anew', () => {
    fc.assert(
      fc.property(text, (value) => {
        const quantity = Quantity.parse(value);
        assert.ok(Quantity.parse(quantity.toString()).equals(quantity));
        const fresh = quantity.add(Quantity.zero).toString();
        assert.ok(Quantity.parse(fresh).equals(quantity));
        // Without a suffix the text says nothing of a binary format.
        if (/[a-z]/i.test(fresh)) assert.equal(Quantity.parse(fresh).toString(), fresh);
      }),
    );
  });

  it('adds and subtracts exactly, in any order', () => {
    fc.assert(
      fc.property(text, text, text, (a, b, c) => {
        const [x, y, z] = [Quantity.parse(a), Quantity.parse(b), Quantity.parse(c)];
        assert.ok(x.add(y).add(z).equals(z.add(x).add(y)));
        assert.ok(x.add(y).sub(y).equals(x));
        assert.equal(x.compare(y), -y.compare(x) || 0);
        assert.equal(x.sub(y).sign, x.compare(y));
        assert.ok(x.mul(3).equals(x.add(x).add(x)));
      }),
    );
  });

  it('rounds up where whole units are asked for', () => {
    assert.equal(Quantity.parse('1500m').value(), 2n);
    assert.equal(Quantity.parse('1.5Gi').value(), 1_610_612_736n);
    assert.equal(Quantity.parse('100u').milliValue(), 1n);
    assert.equal(Quantity.parse('2k').scaledValue(3), 2n);
  });

  it('gives an int64 only for what is one', () => {
    assert.equal(Quantity.parse('1Ki').asInt64(), 1024n);
    assert.equal(Quantity.parse('2000m').asInt64(), 2n);
    assert.equal(Quantity.parse('1m').asInt64(), undefined);
    assert.equal(Quantity.parse('1e30').asInt64(), undefined);
  });

  it('takes JSON numbers, and doubles come out', () => {
    assert.equal(Quantity.parse(0.5).toString(), '500m');
    assert.equal(Quantity.parse(2n ** 62n).toString(), '4611686018427387904');
    assert.equal(Quantity.parse('100m').toNumber(), 0.1);
    assert.equal(JSON.stringify({ cpu: Quantity.of(1500, 'DecimalSI', -3) }), '{"cpu":"1500m"}');
    assert.equal(Quantity.tryParse('one'), undefined);
    assert.equal(Quantity.tryParse(null), undefined);
  });

  it('writes sums beyond the last suffix whole, where upstream loses the power', () => {
    assert.equal(Quantity.parse('999E').add(Quantity.parse('1E')).toString(), '1000E');
  });

  it('does not compute with numbers of a billion digits', () => {
    assert.throws(() => Quantity.parse('1e1000000000'), /suffix/);
    assert.throws(() => Quantity.parse('1'.repeat(20_000)), /numeric part/);
  });
});
