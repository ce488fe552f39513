import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { Correlation } from './correlate.ts';
import { formatCheck } from './formats.ts';
import { structuralOf } from './structural.ts';
import { validateAgainst } from './validate.ts';

const root = (a: JSONSchemaProps): JSONSchemaProps => ({
  type: 'object',
  properties: { spec: { type: 'object', properties: { a } } },
});
const texts = (schema: JSONSchemaProps, value: unknown): string[] =>
  validateAgainst({ spec: { a: value } }, root(schema)).map(({ field, message }) => `${field}: ${message}`);

const list: JSONSchemaProps = { type: 'array', minItems: 1, maxItems: 2, items: { type: 'string' } };
const either: JSONSchemaProps = {
  type: 'object',
  properties: { x: { type: 'string' }, y: { type: 'string' } },
  oneOf: [{ required: ['x'] }, { required: ['y'] }],
};
const intOrString: JSONSchemaProps = {
  'x-kubernetes-int-or-string': true,
  anyOf: [{ type: 'integer' }, { type: 'string' }],
};

/** Values of `spec.a`, with what kube-apiserver 1.36.3 says of them. */
const cases: ReadonlyArray<readonly [JSONSchemaProps, unknown, ...string[]]> = [
  [
    { type: 'integer' },
    'x',
    'spec.a: Invalid value: "string": spec.a in body must be of type integer: "string"',
  ],
  [
    { type: 'integer' },
    null,
    'spec.a: Invalid value: "null": spec.a in body must be of type integer: "null"',
  ],
  [{ type: 'integer', nullable: true }, null],
  [{ type: 'string', enum: ['s', 'm'] }, 'x', 'spec.a: Unsupported value: "x": supported values: "s", "m"'],
  [
    { type: 'integer', minimum: 1 },
    0,
    'spec.a: Invalid value: 0: spec.a in body should be greater than or equal to 1',
  ],
  [
    { type: 'number', minimum: 0, exclusiveMinimum: true },
    0,
    'spec.a: Invalid value: 0: spec.a in body should be greater than 0',
  ],
  [
    { type: 'number', multipleOf: 0.5 },
    0.3,
    'spec.a: Invalid value: 0.3: spec.a in body should be a multiple of 0.5',
  ],
  [
    { type: 'integer', format: 'int32' },
    3_000_000_000,
    '<nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.a',
  ],
  [
    { type: 'string', minLength: 2 },
    '\u{1f600}',
    'spec.a: Invalid value: "\u{1f600}": spec.a in body should be at least 2 chars long',
  ],
  [{ type: 'string', maxLength: 2 }, 'abc', 'spec.a: Too long: may not be more than 2 bytes'],
  [
    { type: 'string', pattern: '^[a-z]+$' },
    'AB',
    `spec.a: Invalid value: "AB": spec.a in body should match '^[a-z]+$'`,
  ],
  [
    { type: 'string', format: 'date-time' },
    'x',
    'spec.a: Invalid value: "x": spec.a in body must be of type date-time: "x"',
  ],
  [
    { type: 'string', format: 'date-time' },
    5,
    'spec.a: Invalid value: "int64": spec.a in body must be of type date-time: "int64"',
  ],
  [{ type: 'string', format: 'made-up' }, 'anything'],
  [list, [], 'spec.a: Invalid value: 0: spec.a in body should have at least 1 items'],
  [list, ['a', 'b', 'c'], 'spec.a: Too many: 3: must have at most 2 items'],
  [
    list,
    ['a', 1],
    'spec.a[1]: Invalid value: "integer": spec.a[1] in body must be of type string: "integer"',
  ],
  [
    either,
    {},
    '<nil>: Invalid value: "": "spec.a" must validate one and only one schema (oneOf). Found none valid',
    'spec.a.x: Required value',
  ],
  [
    either,
    { x: '1', y: '2' },
    '<nil>: Invalid value: "": "spec.a" must validate one and only one schema (oneOf). Found 2 valid alternatives',
  ],
  [intOrString, 'http'],
  [
    { type: 'string', not: { enum: ['bad'] } },
    'bad',
    '<nil>: Invalid value: "": "spec.a" must not validate the schema (not)',
  ],
];

describe('a value', () => {
  for (const [schema, value, ...errors] of cases)
    it(`${JSON.stringify(value)} for ${JSON.stringify(schema)}`, () =>
      assert.deepEqual(texts(schema, value), errors));

  it('has no members that it only inherits', () => {
    const schema: JSONSchemaProps = { type: 'object', required: ['constructor'], properties: {} };
    assert.deepEqual(texts(schema, {}), ['spec.a.constructor: Required value']);
  });

  it('stays as it was, item by item of a map', () => {
    const schema: JSONSchemaProps = {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['k'],
      items: { type: 'object', properties: { k: { type: 'string' }, v: { type: 'integer', maximum: 3 } } },
    };
    const old = {
      spec: {
        a: [
          { k: 'x', v: 9 },
          { k: 'y', v: 1 },
        ],
      },
    };
    const errorsOf = (now: object): string[] => {
      const correlation = new Correlation(now, old, structuralOf(root(schema)));
      return validateAgainst(now, root(schema), undefined, correlation).map(({ field }) => field);
    };
    assert.deepEqual(
      errorsOf({
        spec: {
          a: [
            { k: 'y', v: 2 },
            { k: 'x', v: 9 },
          ],
        },
      }),
      [],
    );
    assert.deepEqual(errorsOf({ spec: { a: [{ k: 'x', v: 10 }] } }), ['spec.a[0].v']);
  });
});

describe('formats', () => {
  const valid: Readonly<Record<string, readonly string[]>> = {
    duration: ['1h30m', '2 hours', '1.5s', '0'],
    email: ['a@b', 'A B <a.b@c.d>'],
    cidr: ['10.0.0.0/8', '010.0.0.0/8', 'fd00::/64'],
    date: ['2024-02-29'],
    'date-time': ['2024-02-29T23:59:59.5Z', '2024-02-29t00:00:00+01:00'],
    uri: ['https://x/y', '/path', 'urn:x'],
    isbn: ['978-0321751041', '0321751043'],
    'k8s-short-name': ['a-b'],
  };
  const wrong: Readonly<Record<string, readonly string[]>> = {
    duration: ['x', '5', ''],
    email: ['a', '@b', 'a@'],
    cidr: ['10.0.0.0', '10.0.0.0/33'],
    date: ['2023-02-29', '2024-2-1'],
    'date-time': ['2024-02-29 00:00:00Z', '2024-02-29T24:00:00Z'],
    uri: ['', 'x y', 'relative'],
    isbn: ['0321751044'],
    'k8s-short-name': ['A', '-a', 'a'.repeat(64)],
  };
  for (const name of Object.keys(valid)) {
    it(name, () => {
      for (const text of valid[name] ?? []) assert.equal(formatCheck(name)?.(text), true, text);
      for (const text of wrong[name] ?? []) assert.equal(formatCheck(name)?.(text), false, text);
    });
  }

  it('are judged in no time, whatever comes', () => {
    const bombs = ['1'.repeat(1e6), ' '.repeat(1e6), 'a.'.repeat(5e5), 'a-'.repeat(5e5), ':'.repeat(1e6)];
    const startedMs = performance.now();
    for (const name of [
      'duration',
      'email',
      'hostname',
      'uri',
      'mac',
      'cidr',
      'byte',
      'ipv6',
      'k8s-long-name',
    ])
      for (const bomb of bombs) formatCheck(name)?.(bomb);
    assert.ok(performance.now() - startedMs < 5_000);
  });
});
