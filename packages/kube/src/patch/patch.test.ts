import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import '../schema/seed.ts';
import { parseJson } from '../codec/json.ts';
import { type StructSchema, schemaOf, schemaOfObject } from '../schema/schema.ts';
import { StatusError } from '../status.ts';
import { applyJsonPatch } from './json-patch.ts';
import { applyMergePatch, createMergePatch } from './merge-patch.ts';
import { preparePatch, unsupportedPatchType } from './patch.ts';
import { applyStrategicMergePatch } from './strategic-merge.ts';
import type { JsonObject } from '../codec/json-value.ts';
import { clone, equal } from './value.ts';

interface Vector {
  mode: 'json' | 'merge' | 'strategic';
  object: JsonObject;
  patch: unknown;
  result?: unknown;
  error?: string;
}

const apply = ({ mode, object, patch }: Vector): unknown => {
  if (mode === 'json') return applyJsonPatch(object, patch as JsonObject[]);
  if (mode === 'merge') return applyMergePatch(object, patch);
  return applyStrategicMergePatch(schemaOfObject(object) as StructSchema, object, patch as JsonObject);
};

describe('patches made and applied by upstream', () => {
  const vectors = readFileSync(new URL('testdata/vectors.jsonl', import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => parseJson(line) as Vector);
  for (const [index, vector] of vectors.entries())
    it(`${index + 1}: ${vector.mode} ${vector.error ?? 'applies'}`, () => {
      const before = clone(vector);
      if (vector.error === undefined)
        assert.ok(equal(apply(vector), vector.result), JSON.stringify(vector.result));
      else assert.throws(() => apply(vector), { message: vector.error });
      assert.deepEqual(vector, before, 'object and patch are not changed');
    });
});

describe('applyJsonPatch', () => {
  // RFC 6902, appendix A.
  const examples: Array<[string, unknown, JsonObject[], unknown]> = [
    [
      'A.1 add a member',
      { foo: 'bar' },
      [{ op: 'add', path: '/baz', value: 'qux' }],
      { baz: 'qux', foo: 'bar' },
    ],
    [
      'A.2 add an element',
      { foo: ['bar', 'baz'] },
      [{ op: 'add', path: '/foo/1', value: 'qux' }],
      { foo: ['bar', 'qux', 'baz'] },
    ],
    ['A.3 remove a member', { baz: 'qux', foo: 'bar' }, [{ op: 'remove', path: '/baz' }], { foo: 'bar' }],
    [
      'A.4 remove an element',
      { foo: ['bar', 'qux', 'baz'] },
      [{ op: 'remove', path: '/foo/1' }],
      { foo: ['bar', 'baz'] },
    ],
    [
      'A.5 replace',
      { baz: 'qux', foo: 'bar' },
      [{ op: 'replace', path: '/baz', value: 'boo' }],
      { baz: 'boo', foo: 'bar' },
    ],
    [
      'A.6 move',
      { foo: { bar: 'baz', waldo: 'fred' }, qux: { corge: 'grault' } },
      [{ op: 'move', from: '/foo/waldo', path: '/qux/thud' }],
      { foo: { bar: 'baz' }, qux: { corge: 'grault', thud: 'fred' } },
    ],
    [
      'A.7 move an element',
      { foo: ['all', 'grass', 'cows', 'eat'] },
      [{ op: 'move', from: '/foo/1', path: '/foo/3' }],
      { foo: ['all', 'cows', 'eat', 'grass'] },
    ],
    [
      'A.8 test',
      { baz: 'qux', foo: ['a', 2, 'c'] },
      [
        { op: 'test', path: '/baz', value: 'qux' },
        { op: 'test', path: '/foo/1', value: 2 },
      ],
      { baz: 'qux', foo: ['a', 2, 'c'] },
    ],
    ['A.14 escapes', { '/': 9, '~1': 10 }, [{ op: 'test', path: '/~01', value: 10 }], { '/': 9, '~1': 10 }],
    [
      'A.16 append',
      { foo: ['bar'] },
      [{ op: 'add', path: '/foo/-', value: ['abc', 'def'] }],
      { foo: ['bar', ['abc', 'def']] },
    ],
  ];
  for (const [name, document, patch, result] of examples)
    it(name, () => assert.deepEqual(applyJsonPatch(document, patch), result));

  it('applies all or nothing', () => {
    const document = { a: 1 };
    const patch = [
      { op: 'replace', path: '/a', value: 2 },
      { op: 'test', path: '/a', value: 3 },
    ];
    assert.throws(() => applyJsonPatch(document, patch), { message: 'testing value /a failed: test failed' });
    assert.deepEqual(document, { a: 1 });
  });

  it('limits what copies may add, however they nest', () => {
    const double = Array.from({ length: 40 }, () => ({ op: 'copy', from: '/a', path: '/a/-' }));
    assert.throws(
      () => applyJsonPatch({ a: ['x'.repeat(100)] }, double),
      /accumulated size increase of copy is \d+, exceeding the limit 3145728|exceeded max depth/,
    );
  });

  it('treats __proto__ as data', () => {
    const result = applyJsonPatch({}, [
      { op: 'add', path: '/__proto__', value: { polluted: true } },
    ]) as object;
    assert.deepEqual(Object.keys(result), ['__proto__']);
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
    assert.throws(
      () => applyJsonPatch({}, [{ op: 'add', path: '/constructor/prototype/x', value: 1 }]),
      /missing path/,
    );
  });
});

describe('applyMergePatch', () => {
  // RFC 7386, appendix A, as far as kube-apiserver follows it.
  const table: Array<[unknown, unknown, unknown]> = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [document, patch, result] of table)
    it(`${JSON.stringify(document)} + ${JSON.stringify(patch)}`, () =>
      assert.deepEqual(applyMergePatch(document, patch), result));

  it('undoes createMergePatch', () => {
    const leaf = fc.oneof(fc.integer(), fc.constantFrom('a', 'b'), fc.boolean());
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value'), { maxLength: 3 }), tie('object')),
      object: fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__'), tie('value'), {
        noNullPrototype: true,
      }),
    }));
    const object = fc.dictionary(fc.constantFrom('x', 'y', 'z'), value, {
      noNullPrototype: true,
    }) as fc.Arbitrary<JsonObject>;
    fc.assert(
      fc.property(object, object, (a, b) => {
        assert.ok(equal(applyMergePatch(a, createMergePatch(a, b)), b));
        assert.deepEqual(createMergePatch(a, clone(a)), {});
      }),
    );
  });
});

describe('preparePatch', () => {
  const pod = schemaOf({ group: '', version: 'v1', kind: 'Pod' }) as StructSchema;
  const statusOf = (run: () => unknown): StatusError => {
    let thrown: unknown;
    try {
      run();
    } catch (error) {
      thrown = error;
    }
    assert.ok(thrown instanceof StatusError, String(thrown));
    return thrown;
  };

  it('reads once and applies again to another object', () => {
    const patch = preparePatch('merge', '{"a":{"b":1}}', undefined);
    assert.deepEqual(patch.apply({ a: { c: 2 } }), { a: { c: 2, b: 1 } });
    assert.deepEqual(patch.apply({}), { a: { b: 1 } });
  });

  it('keeps int64 exact', () => {
    const patch = preparePatch('merge', '{"spec":{"n":9223372036854775807}}', undefined);
    assert.deepEqual(patch.apply({}), { spec: { n: 9223372036854775807n } });
  });

  it('answers 400 to what is no patch', () => {
    const cases: Array<['json' | 'merge' | 'strategic', string, RegExp]> = [
      [
        'json',
        '{"op":"add"}',
        /^error decoding patch: json: cannot unmarshal object into Go value of type \[\]handlers.jsonPatchOp$/,
      ],
      ['json', '[1]', /cannot unmarshal number into Go value of type handlers.jsonPatchOp/],
      [
        'merge',
        '[]',
        /^error decoding patch: json: cannot unmarshal array into Go value of type map\[string\]interface {}$/,
      ],
      ['merge', '{"a"', /^error decoding patch: unexpected end of JSON input/],
      ['strategic', '"x"', /^json: cannot unmarshal string into Go value of type map\[string\]interface {}$/],
    ];
    for (const [type, body, message] of cases) {
      const status = statusOf(() => preparePatch(type, body, pod));
      assert.equal(status.code, 400, body);
      assert.match(status.message, message);
    }
    const noKey = statusOf(() =>
      preparePatch('strategic', '{"spec":{"containers":[{}]}}', pod).apply({
        spec: { containers: [{ name: 'a' }] },
      }),
    );
    assert.equal(noKey.code, 400);
    assert.equal(
      statusOf(() => preparePatch('strategic', '{}', undefined)).message,
      'strategic merge patch format is not supported',
    );
  });

  it('answers 422 to a JSON patch that does not apply, with the cause', () => {
    const patch = preparePatch('json', '[{"op":"test","path":"/a","value":1}]', undefined);
    const status = statusOf(() => patch.apply({ a: 2 }));
    assert.equal(status.code, 422);
    assert.equal(status.message, 'the server rejected our request due to an error in our request');
    assert.equal(status.details?.causes?.[0]?.message, 'testing value /a failed: test failed');
    assert.equal(
      statusOf(() => preparePatch('json', '[{"op":"replace","path":"","value":[]}]', undefined).apply({}))
        .code,
      422,
    );
  });

  it('answers 413 to too many operations', () => {
    const body = JSON.stringify(Array.from({ length: 10_001 }, () => ({ op: 'remove', path: '/a' })));
    const status = statusOf(() => preparePatch('json', body, undefined));
    assert.equal(status.code, 413);
    assert.equal(status.message, 'The allowed maximum operations in a JSON patch is 10000, got 10001');
  });

  it('tells what a strict server refuses', () => {
    assert.deepEqual(preparePatch('merge', '{"a":1,"a":2}', undefined).strictErrors, ['duplicate field "a"']);
    assert.deepEqual(
      preparePatch('json', '[{"op":"add","path":"/a","value":1,"foo":2}]', undefined).strictErrors,
      ['json patch unknown field "[0].foo"'],
    );
    assert.deepEqual(preparePatch('strategic', '{"spec":{"x":1}}', pod).strictErrors, []);
  });

  it('answers 415 with what the resource takes', () => {
    const status = unsupportedPatchType(['application/json-patch+json', 'application/merge-patch+json']);
    assert.equal(status.code, 415);
    assert.equal(
      status.message,
      'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json',
    );
  });
});
