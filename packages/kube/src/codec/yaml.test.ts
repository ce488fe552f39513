import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import '../schema/seed.ts';
import { parseJson, stringifyJson } from './json.ts';
import { YamlSyntaxError, parseYaml, parseYamlDocuments, stringifyYaml } from './yaml.ts';

describe('parseYaml', () => {
  const words: Array<[string, unknown]> = [
    ['yes', true],
    ['Off', false],
    ['y', true],
    ['~', null],
    ['', null],
    ['0644', 420],
    ['0o17', 15],
    ['0x1F', 31],
    ['0b101', 5],
    ['-010', -8],
    ['1_000', 1000],
    ['+5', 5],
    ['09', 9],
    ['1e3', 1000],
    ['.5', 0.5],
    ['12:30:45', '12:30:45'],
    ['8080:80', '8080:80'],
    ['2024-01-02', '2024-01-02'],
    ['1.2.3', '1.2.3'],
    ['9007199254740993', 9007199254740993n],
    ['-9223372036854775808', -(2n ** 63n)],
    ['18446744073709551615', 2 ** 64],
    ['"yes"', 'yes'],
    ["'0644'", '0644'],
    ['!!str 5', '5'],
    ['!!float 5', 5],
    ['100m', '100m'],
    ['-', null],
  ];
  for (const [text, value] of words)
    it(`reads ${text === '' ? 'nothing' : text} as go-yaml does`, () => {
      if (text !== '-') assert.deepEqual(parseYaml(`key: ${text}`), { key: value });
      else assert.deepEqual(parseYaml('-'), [null]);
    });

  it('reads block scalars as strings', () => {
    assert.deepEqual(parseYaml('a: |\n  yes\n  no\nb: >-\n  1\n'), { a: 'yes\nno\n', b: '1' });
  });

  it('turns keys into strings', () => {
    assert.deepEqual(parseYaml('1: a\ny: b\n1.5: c\n'), { 1: 'a', true: 'b', 1.5: 'c' });
    assert.throws(() => parseYaml('? [a]\n: b\n'), /yaml: line 1: unsupported map key: a list/);
  });

  it('expands anchors and merge keys, explicit members first', () => {
    const text = 'base: &b {x: 1, z: 2}\nlist: [*b, *b]\nuse:\n  <<: *b\n  z: 3\n';
    assert.deepEqual(parseYaml(text), {
      base: { x: 1, z: 2 },
      list: [
        { x: 1, z: 2 },
        { x: 1, z: 2 },
      ],
      use: { x: 1, z: 3 },
    });
    assert.throws(() => parseYaml('a: *nowhere\n'), /yaml: line 1: /);
    assert.throws(() => parseYaml('a: &a [*a]\n'), /contains itself/);
  });

  it('stops a document that grows by aliases', () => {
    let text = 'a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n';
    for (let i = 1; i < 9; i++)
      text += `a${i}: &a${i} [${Array(10)
        .fill(`*a${i - 1}`)
        .join(',')}]\n`;
    assert.throws(() => parseYaml(text), /excessive aliasing/);
  });

  it('stops nesting', () => {
    assert.throws(() => parseYaml('['.repeat(1_001) + ']'.repeat(1_001)), /exceeded max depth/);
    assert.throws(() => parseYaml('['.repeat(100_000)), YamlSyntaxError);
  });

  it('names the line of an error, and of a repeated key', () => {
    assert.throws(() => parseYaml('a: 1\nb: [1, 2\nc: 3\n'), {
      name: 'YamlSyntaxError',
      message: /^yaml: line [34]: /,
    });
    assert.throws(() => parseYaml('a: 1\n\tb: 2\n'), /^YamlSyntaxError: yaml: line 2: /);
    assert.throws(() => parseYaml('a: .inf'), /unsupported value: \+Inf/);
    const seen: string[] = [];
    assert.deepEqual(parseYaml('a: 1\nb:\n  c: 1\n  c: 2\n', { onDuplicate: (text) => seen.push(text) }), {
      a: 1,
      b: { c: 2 },
    });
    assert.deepEqual(seen, ['line 4: key "c" already set in map']);
  });

  it('reads JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false, maxDepth: 3 }), (value) => {
        assert.deepEqual(parseYaml(JSON.stringify(value)), parseJson(JSON.stringify(value)));
      }),
    );
  });
});

describe('parseYamlDocuments', () => {
  it('gives every document that holds something', () => {
    assert.deepEqual(parseYamlDocuments('---\nkind: A\n---\n# nothing\n---\nkind: B\n...\n'), [
      { kind: 'A' },
      { kind: 'B' },
    ]);
  });
});

describe('stringifyYaml', () => {
  it('is read back as it was, whatever the strings look like', () => {
    const tricky = fc.constantFrom(
      'yes',
      'n',
      '0644',
      '1e3',
      '~',
      '',
      '12:30',
      '2024-01-02',
      '<<',
      '- a',
      ' x',
      'a: b',
      '#',
      "'",
      '.5',
      '_1',
      '0x1',
      'a\nb\n',
      '=',
    );
    const leaf = fc.oneof(
      tricky,
      fc.string(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.bigInt({ min: 2n ** 60n, max: 2n ** 63n - 1n }),
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(fc.oneof(tricky, fc.string()), tie('tree'), { maxKeys: 3, noNullPrototype: true }),
      ),
    }));
    assert.equal(stringifyYaml({ n: undefined, b: 1 }), 'b: 1\n');
    fc.assert(
      fc.property(tree, (value) => {
        assert.equal(stringifyJson(parseYaml(stringifyYaml(value))), stringifyJson(value));
      }),
      { numRuns: 300 },
    );
  });

  it('writes what people write', () => {
    assert.equal(
      stringifyYaml({ a: 'x', b: 'yes', c: [1, { d: true }] }),
      'a: x\nb: "yes"\nc:\n  - 1\n  - d: true\n',
    );
  });
});
