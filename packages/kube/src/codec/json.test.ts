import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import '../schema/seed.ts';
import { JsonSyntaxError, duplicateFields, inReadingOrder, parseJson, stringifyJson } from './json.ts';

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

/** What parseJson gives for an integer. */
const asValue = (value: bigint): number | bigint => {
  const near = Number(value);
  return Number.isSafeInteger(near) ? near : value;
};

/** A large double that happens to be whole is written like an integer. */
const rounded = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_key, member: unknown) => (typeof member === 'bigint' ? Number(member) : member)),
  );

describe('parseJson', () => {
  it('keeps every int64 exact', () => {
    fc.assert(
      fc.property(int64, (value) => {
        const text = `{"metadata":{"generation":${value}},"list":[${value}]}`;
        assert.deepEqual(parseJson(text), {
          metadata: { generation: asValue(value) },
          list: [asValue(value)],
        });
        assert.equal(stringifyJson(parseJson(text)), text);
      }),
    );
  });

  it('gives a number inside the safe range and a bigint outside, both signs', () => {
    assert.deepEqual(parseJson('[9007199254740991,9007199254740992,-9007199254740991,-9007199254740993]'), [
      9007199254740991,
      9007199254740992n,
      -9007199254740991,
      -9007199254740993n,
    ]);
  });

  it('reads integers beyond int64 as doubles, as upstream does', () => {
    assert.deepEqual(parseJson('[9223372036854775807,9223372036854775808]'), [9223372036854775807n, 2 ** 63]);
  });

  it('agrees with the built-in reader on every value, also by the slow path', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const expected: unknown = JSON.parse(text);
        assert.deepEqual(rounded(parseJson(text)), expected);
        // A neighbour with sixteen digits forces the exact reader.
        assert.deepEqual(rounded(parseJson(`["1234567890123456", ${text}]`)), ['1234567890123456', expected]);
      }),
    );
  });

  it('accepts and refuses exactly the texts that the built-in reader does', () => {
    const noise = fc.array(
      fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        '"',
        ':',
        ',',
        '\\',
        'u00e9',
        '1',
        '-',
        '.',
        'e',
        '+',
        'true',
        'nul',
        ' ',
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(noise, (parts) => {
        const text = parts.join('');
        let expected: unknown;
        try {
          expected = JSON.parse(text);
        } catch {
          assert.throws(() => parseJson(text), JsonSyntaxError);
          return;
        }
        assert.deepEqual(parseJson(text), expected);
        assert.deepEqual((parseJson(`[1234567890123456789,${text}]`) as unknown[])[1], expected);
      }),
      { numRuns: 3000 },
    );
  });

  it('reads bytes as UTF-8', () => {
    assert.deepEqual(parseJson(Buffer.from('{"a":"é"}')), { a: 'é' });
  });

  const wrong: Array<[string, string]> = [
    ['', 'unexpected end of JSON input (line 1, column 1)'],
    ['{"a":1', 'unexpected end of JSON input (line 1, column 7)'],
    ['{"a" 1}', "invalid character '1' after object key (line 1, column 6)"],
    ['{"a":1 "b":2}', `invalid character '"' after object key:value pair (line 1, column 8)`],
    ['{a:1}', "invalid character 'a' looking for beginning of object key string (line 1, column 2)"],
    ['{"a":1,}', "invalid character '}' looking for beginning of object key string (line 1, column 8)"],
    ['[1,]', "invalid character ']' looking for beginning of value (line 1, column 4)"],
    ['[1\n 2]', "invalid character '2' after array element (line 2, column 2)"],
    ['{} x', "invalid character 'x' after top-level value (line 1, column 4)"],
    ['[trux]', "invalid character 'x' in literal true (expecting 'e') (line 1, column 5)"],
    ['[-]', "invalid character ']' in numeric literal (line 1, column 3)"],
    ['[1.x]', "invalid character 'x' after decimal point in numeric literal (line 1, column 4)"],
    ['[1e+]', "invalid character ']' in exponent of numeric literal (line 1, column 5)"],
    ['["\\q"]', "invalid character 'q' in string escape code (line 1, column 4)"],
    ['["\\u00g0"]', "invalid character 'g' in \\u hexadecimal character escape (line 1, column 7)"],
    ['["a\nb"]', "invalid character '\\n' in string literal (line 1, column 4)"],
    ["'a'", "invalid character '\\'' looking for beginning of value (line 1, column 1)"],
    ['[1e400]', 'json: cannot unmarshal number 1e400 into Go value of type float64 (line 1, column 2)'],
  ];
  for (const [text, message] of wrong) {
    it(`refuses ${JSON.stringify(text)} in Go's words with the place`, () => {
      assert.throws(() => parseJson(text), { name: 'JsonSyntaxError', message });
    });
  }

  it('refuses nesting beyond the limit, and only brackets outside strings count', () => {
    const deep = (n: number): string => '['.repeat(n) + ']'.repeat(n);
    assert.doesNotThrow(() => parseJson(deep(1_000)));
    assert.throws(() => parseJson(deep(1_001)), /^JsonSyntaxError: exceeded max depth/);
    assert.throws(() => parseJson('['.repeat(1_500_000)), /exceeded max depth/);
    assert.doesNotThrow(() => parseJson(JSON.stringify({ text: '[{\\"'.repeat(2_000) })));
    assert.doesNotThrow(() => parseJson(deep(5_000), { maxDepth: Infinity }));
  });

  it('keeps a member called __proto__ a member', () => {
    for (const text of ['{"__proto__":{"x":1}}', '{"__proto__":{"x":1234567890123456789}}']) {
      const value = parseJson(text) as object;
      assert.deepEqual(Object.keys(value), ['__proto__']);
      assert.equal(Object.getPrototypeOf(value), Object.prototype);
    }
  });
});

describe('duplicateFields', () => {
  it('names each repeated key once by its path', () => {
    const text = '{"spec":{"ports":[{"port":1},{"port":2,"port":3,"port":4}],"a":1},"spec":{}}';
    assert.deepEqual(duplicateFields(text), ['spec.ports[1].port', 'spec']);
    assert.deepEqual(duplicateFields('{"a":{"b":1},"c":{"b":1}}'), []);
  });
});

describe('stringifyJson', () => {
  it('writes bigints as integers and leaves the rest to the built-in', () => {
    assert.equal(
      stringifyJson({ a: 2n ** 62n, b: undefined, c: [1.5] }),
      '{"a":4611686018427387904,"c":[1.5]}',
    );
    assert.equal(stringifyJson({ a: 1 }, 2), '{\n  "a": 1\n}');
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    assert.throws(() => stringifyJson(cycle), TypeError);
  });

  it('repeated and unknown fields are told in the order of the text', () => {
    const text = '{"spec":{"unknown":1,"replicas":2,"replicas":3,"list":[{"other":1}]}}';
    const found = ['duplicate field "spec.replicas"', 'unknown field "spec.list[0].other"'];
    assert.deepEqual(inReadingOrder(text, [...found, 'unknown field "spec.unknown"', 'else']), [
      'unknown field "spec.unknown"',
      ...found,
      'else',
    ]);
  });
});
