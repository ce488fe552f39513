/** Expressions of the whole language and all libraries, with results, costs, estimates and texts (testdata/). */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import {
  CelCompileError,
  CelEvaluationError,
  CelProgramError,
  CostBudget,
  compileCel,
  dynType,
  formatType,
  typeOfSchema,
  unbounded,
} from './index.ts';
import { formatDouble, formatDuration, formatTimestamp } from './run/format.ts';
import {
  CelBytes,
  CelDuration,
  CelList,
  CelMap,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
  typeNameOf,
} from './run/values.ts';

const text: JSONSchemaProps = { type: 'string' };
const integer: JSONSchemaProps = { type: 'integer' };

const schema: JSONSchemaProps = {
  type: 'object',
  required: ['a'],
  properties: {
    a: integer,
    b: integer,
    f: { type: 'number' },
    s: { type: 'string', maxLength: 10 },
    t: text,
    e: { type: 'string', enum: ['one', 'three'] },
    l: { type: 'array', items: { type: 'string', maxLength: 20 }, maxItems: 5 },
    lu: { type: 'array', items: integer },
    m: { type: 'object', additionalProperties: { type: 'string', maxLength: 7 }, maxProperties: 3 },
    mu: { type: 'object', additionalProperties: integer },
    o: { type: 'object', properties: { x: text, namespace: text, 'a-b': integer } },
    set: { type: 'array', 'x-kubernetes-list-type': 'set', items: text },
    ml: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['k'],
      items: { type: 'object', properties: { k: text, v: integer } },
    },
    d: { type: 'string', format: 'date-time' },
    du: { type: 'string', format: 'duration' },
    by: { type: 'string', format: 'byte' },
    ios: { 'x-kubernetes-int-or-string': true },
    n: { type: 'string', nullable: true },
    bo: { type: 'boolean' },
    missing: text,
    deep: { type: 'array', maxItems: 4, items: { type: 'array', maxItems: 3, items: integer } },
    pres: { 'x-kubernetes-preserve-unknown-fields': true },
  },
};
const self = {
  a: 3,
  b: 5,
  f: 1.5,
  s: 'héllo',
  t: 'some text',
  e: 'one',
  l: ['x', 'yy', 'zzz'],
  lu: [3, 1, 2],
  m: { k1: 'v1', k2: 'v2' },
  mu: { a: 1 },
  o: { x: 'y', namespace: 'ns', 'a-b': 7 },
  set: ['p', 'q'],
  ml: [
    { k: 'a', v: 1 },
    { k: 'b', v: 2 },
  ],
  d: '2020-02-03T04:05:06Z',
  du: '1h30m',
  by: 'aGVsbG8=',
  ios: '50%',
  n: null,
  bo: true,
  deep: [[1, 2], [3]],
  pres: { q: 1 },
};

function shown(value: CelValue): string {
  if (value === null) return 'null';
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') return formatDouble(value).replace(/^(-?\d+)$/, '$1.0');
  if (typeof value !== 'object') return String(value);
  if (value instanceof CelUint) return `${value.value}u`;
  if (value instanceof CelBytes) return `b${Buffer.from(value.bytes).toString('hex')}`;
  if (value instanceof CelTimestamp) return formatTimestamp(value);
  if (value instanceof CelDuration) return formatDuration(value);
  if (value instanceof CelOptional)
    return value.value === undefined ? 'none' : `optional(${shown(value.value)})`;
  if (value instanceof CelList) return `[${[...value].map(shown).join(', ')}]`;
  if (value instanceof CelMap) return `map of ${value.size}`;
  return value instanceof CelTypeValue ? value.name : typeNameOf(value);
}

const type = typeOfSchema(schema, { name: 'selfType' });

/** What the file says below an expression. */
function outcome(expression: string): string {
  assert.ok(type);
  try {
    const program = compileCel(expression, { self: type, x: dynType });
    const { min, max } = program.estimateCost();
    const budget = new CostBudget(1e9);
    let result: string;
    try {
      result = shown(program.evaluate({ self, x: self }, budget));
    } catch (error) {
      if (!(error instanceof CelEvaluationError)) throw error;
      result = `fails: ${error.message}`;
    }
    const most = max >= unbounded ? 'unbounded' : String(max);
    return `${result}\n(${formatType(program.outputType)}, cost ${1e9 - budget.remaining}, estimated ${min} to ${most})`;
  } catch (error) {
    if (error instanceof CelProgramError) return `no program: ${error.message}`;
    if (error instanceof CelCompileError) return error.message;
    throw error;
  }
}

const file = new URL('testdata/expressions.txt', import.meta.url);
const cases = readFileSync(file, 'utf8')
  .trimEnd()
  .split('\n\n')
  .map((block) => {
    const [expression, ...rest] = block.split('\n') as [string, ...string[]];
    return { expression, expected: rest.map((line) => line.replace(/^ {2}/, '')).join('\n') };
  });

test('expressions evaluate, cost and fail as cel-go has it', () => {
  assert.ok(cases.length > 500);
  if (process.env['UPDATE']) {
    const blocks = cases.map(({ expression }) =>
      [
        expression,
        ...outcome(expression.replaceAll('⏎', '\n'))
          .split('\n')
          .map((line) => `  ${line}`),
      ].join('\n'),
    );
    writeFileSync(file, `${blocks.join('\n\n')}\n`);
    return;
  }
  const wrong = cases
    .map(({ expression, expected }) => ({
      expression,
      expected,
      found: outcome(expression.replaceAll('⏎', '\n')),
    }))
    .filter(({ expected, found }) => expected !== found);
  assert.deepEqual(wrong, []);
});
