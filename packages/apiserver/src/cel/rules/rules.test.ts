/** x-kubernetes-validations: what a definition may say, and how objects are judged. Texts are those of upstream 1.36. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FieldPath } from '@cloudless/kube/field';
import type { JSONSchemaProps, ValidationRule } from '@cloudless/kube/types/apiextensions-v1';
import { CostBudget } from '../budget.ts';
import { checkRules } from './check.ts';
import { compileRules } from './rule-set.ts';

const text: JSONSchemaProps = { type: 'string' };
const rules = 'x-kubernetes-validations';

const objectOf = (
  properties: Record<string, JSONSchemaProps>,
  validations: ValidationRule[] = [],
): JSONSchemaProps => ({ type: 'object', properties, [rules]: validations });
const specOf = (
  properties: Record<string, JSONSchemaProps>,
  validations: ValidationRule[] = [],
): JSONSchemaProps => ({ type: 'object', properties: { spec: objectOf(properties, validations) } });

const check = (schema: JSONSchemaProps, old?: JSONSchemaProps): string[] =>
  checkRules(schema, FieldPath.of('s'), old).map((error) => `${error.field}: ${error.message}`);
const own = 's.properties[spec].x-kubernetes-validations';
const advice =
  '(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)';

test('a malformed rule is told, and nothing is compiled beside it', () => {
  const validations: ValidationRule[] = [
    { rule: ' ' },
    { rule: 'true', message: ' ' },
    { rule: 'true', message: 'a\nb' },
    { rule: 'true\n&& true' },
    { rule: 'self.nope', reason: 'Nope' },
    { rule: 'true', fieldPath: '.b' },
    { rule: 'true', messageExpression: ' ' },
  ];
  assert.deepEqual(check(specOf({ a: text }, validations)), [
    `${own}[0].rule: Required value: rule is not specified`,
    `${own}[1].message: Invalid value: " ": must be non-empty if specified`,
    `${own}[2].message: Invalid value: "a\\nb": must not contain line breaks`,
    `${own}[3].message: Required value: message must be specified if rule contains line breaks`,
    `${own}[4].reason: Unsupported value: "Nope": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"`,
    `${own}[5].fieldPath: Invalid value: ".b": must be a valid path`,
    `${own}[6].messageExpression: Required value: messageExpression must be non-empty if specified`,
  ]);
});

test('what does not compile is told with the rule', () => {
  const shown = (rule: string, expression = ''): string =>
    `Invalid value: {"Rule":${rule},"Message":"","MessageExpression":"${expression}","Reason":null,"FieldPath":"","OptionalOldSelf":null}`;
  assert.deepEqual(
    check(
      specOf({ a: text }, [
        { rule: 'self.nope < "<"' },
        { rule: 'self.a' },
        { rule: 'true', messageExpression: '1' },
        { rule: 'int("x") == 1' },
      ]),
    ),
    [
      `${own}[0].rule: ${shown('"self.nope \\u003c \\"\\u003c\\""')}: compilation failed: ERROR: <input>:1:5: undefined field 'nope'\n | self.nope < "<"\n | ....^`,
      `${own}[1].rule: ${shown('"self.a"')}: cel expression must evaluate to a bool`,
      `${own}[2].messageExpression: ${shown('"true"', '1')}: messageExpression must evaluate to a string`,
      `${own}[3].rule: ${shown('"int(\\"x\\") == 1"')}: program instantiation failed: type conversion error from 'string' to 'int'`,
    ],
  );
});

test('oldSelf needs an old value that can be told, and optionalOldSelf needs oldSelf', () => {
  const transition: ValidationRule[] = [{ rule: 'self == oldSelf' }];
  const item: JSONSchemaProps = { ...text, [rules]: transition };
  const keyed: JSONSchemaProps = {
    type: 'array',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['k'],
    items: objectOf({ k: item }),
  };
  const schema = specOf({ l: { type: 'array', maxItems: 3, items: item }, m: keyed }, [
    { rule: 'true', optionalOldSelf: true },
    { rule: 'oldSelf.hasValue()', optionalOldSelf: true },
  ]);
  const l = 's.properties[spec].properties[l]';
  assert.deepEqual(
    check(schema).filter((error) => !error.includes('estimated')),
    [
      `${l}.items.x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within ${l}`,
      `${own}[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule`,
    ],
  );
});

test('costs are bounded for each rule and for all together; an unchanged schema keeps what it has', () => {
  const quadratic: ValidationRule[] = [{ rule: 'self.all(a, self.all(b, a == b))' }];
  const list = (maxItems?: number, maxLength?: number): JSONSchemaProps => ({
    type: 'array',
    ...(maxItems === undefined ? {} : { maxItems }),
    items: { type: 'string', ...(maxLength === undefined ? {} : { maxLength }) },
    [rules]: quadratic,
  });
  const at = 's.properties[spec].properties[l].x-kubernetes-validations[0].rule';
  const unbounded = check(specOf({ l: list() }));
  assert.equal(
    unbounded[0],
    `${at}: Forbidden: estimated rule cost exceeds budget by factor of more than 100x ${advice}`,
  );
  assert.deepEqual(unbounded.slice(1), [
    `${at}: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema`,
    `s: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of more than 100x ${advice}`,
  ]);
  assert.deepEqual(check(specOf({ l: list(100, 100) })), []);
  const [slightly] = check(specOf({ l: list(1_100, 10) }));
  assert.match(
    slightly ?? '',
    /^[^:]*: Forbidden: estimated rule cost exceeds budget by factor of 1\.\d{6}x \(try/,
  );
  assert.deepEqual(check(specOf({ l: list(1_100, 10) }), specOf({ l: list(1_100, 10) })), []);
});

const item: JSONSchemaProps = {
  ...objectOf({ k: text, v: { type: 'integer', [rules]: [{ rule: 'self >= oldSelf' }] } }, [
    { rule: 'self.v < 10', fieldPath: '.v' },
  ]),
};

const schema = specOf(
  {
    replicas: { type: 'integer' },
    max: { type: 'integer' },
    name: { ...text, [rules]: [{ rule: 'self == oldSelf', message: ' immutable ' }] },
    list: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['k'],
      items: item,
    },
    counts: {
      type: 'object',
      additionalProperties: {
        type: 'integer',
        [rules]: [{ rule: 'self > 0', reason: 'FieldValueDuplicate' }],
      },
    },
    either: { 'x-kubernetes-int-or-string': true, [rules]: [{ rule: 'self > 5' }] },
    part: objectOf({ x: text }, [
      { rule: 'has(self.x)', reason: 'FieldValueRequired', fieldPath: '.x', message: 'need x' },
      { rule: '!has(self.x)', reason: 'FieldValueForbidden' },
    ]),
    nothing: { ...text, nullable: true, [rules]: [{ rule: 'self == "q"' }] },
    first: {
      ...text,
      [rules]: [{ rule: 'oldSelf.orValue("first") == self', optionalOldSelf: true }],
    },
  },
  [
    {
      rule: 'self.replicas <= self.max',
      messageExpression: '"%d replicas, at most %d".format([self.replicas, self.max])',
    },
    { rule: 'self.max != 7', messageExpression: 'string(1 / 0)', message: 'not seven' },
    { rule: 'self.max != 8', messageExpression: '"two\\nlines"' },
  ],
);
const compiled = compileRules(schema);
assert.ok(compiled);

const object = (spec: object): object => ({
  apiVersion: 'example.com/v1',
  kind: 'Foo',
  metadata: { name: 'x' },
  spec: { replicas: 1, max: 2, ...spec },
});

function judge(spec: object, old?: object): { errors: string[]; warnings: string[] } {
  const warnings: string[] = [];
  const found = compiled?.validate(object(spec), old && object(old), {
    warn: (warning) => warnings.push(warning),
  });
  return { errors: (found ?? []).map((error) => `${error.field}: ${error.message}`), warnings };
}

const cases: ReadonlyArray<readonly [name: string, spec: object, old: object | undefined, errors: string[]]> =
  [
    ['all is well', {}, undefined, []],
    ['a message is computed', { replicas: 3 }, undefined, ['spec: Invalid value: 3 replicas, at most 2']],
    [
      'a message that fails gives way to the fixed one',
      { max: 7 },
      undefined,
      ['spec: Invalid value: not seven'],
    ],
    [
      'a message of two lines gives way to the rule',
      { max: 8 },
      undefined,
      ['spec: Invalid value: failed rule: self.max != 8'],
    ],
    [
      'a rule that fails',
      { replicas: null },
      undefined,
      ['spec: Invalid value: "object": no such key: replicas evaluating rule: self.replicas <= self.max'],
    ],
    ['a transition', { name: 'b' }, { name: 'a' }, ['spec.name: Invalid value: "b": immutable']],
    ['no transition at creation', { name: 'b' }, undefined, []],
    [
      'an element by its key',
      {
        list: [
          { k: 'a', v: 1 },
          { k: 'b', v: 3 },
        ],
      },
      {
        list: [
          { k: 'b', v: 3 },
          { k: 'a', v: 2 },
        ],
      },
      ['spec.list[0].v: Invalid value: 1: failed rule: self >= oldSelf'],
    ],
    [
      'a field path',
      { list: [{ k: 'a', v: 11 }] },
      undefined,
      ['spec.list[0].v: Invalid value: failed rule: self.v < 10'],
    ],
    ['values of a map', { counts: { a: 0, b: 1 } }, undefined, ['spec.counts[a]: Duplicate value: 0']],
    [
      'an operator that the value does not have',
      { either: '7' },
      undefined,
      [
        `spec.either: Invalid value: "": 'no such overload': call arguments did not match a supported operator, function or macro signature for rule: self > 5`,
      ],
    ],
    ['reasons', { part: {} }, undefined, ['spec.part.x: Required value: need x']],
    ['other reasons', { part: { x: 'y' } }, undefined, ['spec.part: Forbidden: failed rule: !has(self.x)']],
    ['null is not judged', { nothing: null }, undefined, []],
    [
      'an optional old value at creation',
      { first: 'second' },
      undefined,
      ['spec.first: Invalid value: "second": failed rule: oldSelf.orValue("first") == self'],
    ],
    ['an optional old value at update', { first: 'second' }, { first: 'second' }, []],
  ];

for (const [name, spec, old, errors] of cases)
  test(`objects: ${name}`, () => {
    assert.deepEqual(judge(spec, old).errors, errors);
  });

test('what was wrong before and did not change is only warned of', () => {
  const bad = { list: [{ k: 'a', v: 20 }], replicas: 3 };
  const { errors, warnings } = judge(bad, bad);
  assert.deepEqual(errors, []);
  assert.deepEqual(warnings, [
    'spec: Invalid value: 3 replicas, at most 2',
    'spec.list[0].v: Invalid value: failed rule: self.v < 10',
  ]);
  assert.deepEqual(judge({ ...bad, max: 1 }, bad).errors, ['spec: Invalid value: 3 replicas, at most 1']);
});

test('rules of the whole object see its name, and errors about it have no field', () => {
  const root = compileRules(
    objectOf({}, [{ rule: 'self.metadata.name.startsWith("a") && self.kind == "Foo"' }]),
  );
  const [error] = root?.validate(object({}), undefined) ?? [];
  assert.equal(error?.field, '<nil>');
  assert.equal(compileRules(objectOf({ a: text })), undefined);
});

test('the budget of a request is shared', () => {
  const budget = new CostBudget(3);
  const found = compiled.validate(object({}), undefined, { budget });
  assert.deepEqual(
    found.map((error) => error.message),
    [
      'Invalid value: "object": validation failed due to running out of cost budget, no further validation rules will be run',
    ],
  );
});
