/** Expressions made to take long or much: each is refused, or stopped in time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { FieldPath } from '@cloudless/kube/field';
import {
  CelCompileError,
  CelCostError,
  CelEvaluationError,
  checkRules,
  compileCel,
  compileRules,
  CostBudget,
  dynType,
} from './index.ts';

/** Generous: a busy machine; without bounds each of these takes minutes, or all memory. */
const longestMs = 5_000;

function timed<T>(run: () => T): T {
  const start = performance.now();
  const result = run();
  const took = performance.now() - start;
  assert.ok(took < longestMs, `took ${Math.round(took)} ms`);
  return result;
}

const evaluate = (expression: string, x: unknown): unknown =>
  timed(() => compileCel(expression, { x: dynType }).evaluate({ x }, new CostBudget()));

const numbers = Array.from({ length: 10_000 }, (_, i) => i);
const long = 'a'.repeat(1_000_000);

/** `[seed].map(a, step).map(a, step)…[0]` */
const repeated = (seed: string, step: string, times: number): string =>
  `[${seed}]${`.map(a, ${step})`.repeat(times)}[0]`;

const bombs: ReadonlyArray<readonly [name: string, expression: string, x: unknown]> = [
  ['nested loops', 'x.all(a, x.all(b, x.all(c, a + b + c >= 0)))', numbers],
  ['a text that doubles', repeated('"ab"', 'a + a', 60), null],
  ['loops over a list that doubles', `${repeated('[1]', 'a + a', 60)}.all(i, i == 1)`, null],
  ['membership in a list that doubles', `2 in ${repeated('[1]', 'a + a', 60)}`, null],
  [
    'equality of lists that double',
    `${repeated('[1]', 'a + a', 60)} == ${repeated('[1]', 'a + a', 60)}`,
    null,
  ],
  ['a range', 'lists.range(9223372036854775807).size() > 0', null],
  ['flattening what doubles', `${repeated('[[1]]', 'a + a', 60)}.flatten().size() > 0`, null],
  ['sorting what doubles', `${repeated('[dyn(1)]', 'a + a', 60)}.sort().size() > 0`, null],
  ['reversing what doubles', `${repeated('[1]', 'a + a', 60)}.reverse().size() > 0`, null],
  ['distinct values', 'x.distinct().size() > 0', numbers],
  ['replacing nothing by much', 'x.replace("", x).size() > 0', long],
  ['joining much', 'lists.range(100000).map(i, x).join(x).size() > 0', long],
  [
    'formatting much',
    `"${'%s'.repeat(5_000)}".format([${Array.from({ length: 5_000 }, () => 'x').join(',')}])`,
    long,
  ],
  ['a pattern that backtracks, over and over', 'lists.range(100000).exists(i, x.matches("(a+)+$b"))', long],
  ['counted repetitions', `x.matches("${'(a?){1000}'.repeat(4)}b")`, long],
  [
    'patterns made anew',
    `lists.range(10000).all(i, x.matches("${'(a?){1000}'.repeat(4)}" + string(i)) || true)`,
    'a',
  ],
  ['failures by the thousand', 'x.exists(a, x.exists(b, 1 / 0 > a + b))', numbers],
  ['merging sets', 'x.all(a, sets.contains(x, [a]))', numbers],
];

for (const [name, expression, x] of bombs)
  test(`is stopped: ${name}`, () => {
    assert.throws(() => evaluate(expression, x), CelCostError);
  });

test('a backtracking pattern is matched in linear time', () => {
  assert.equal(evaluate('x.matches("^(a+)+$")', `${'a'.repeat(100_000)}!`), false);
  assert.equal(evaluate('x.matches("(x+x+)+y")', 'x'.repeat(100_000)), false);
});

test('patterns that unfold to ever more are refused', () => {
  for (const pattern of ['(a?){1000}'.repeat(10), '((a{100}){100}){100}', 'a{1001}'])
    assert.throws(() => timed(() => compileCel(`x.matches("${pattern}")`, { x: dynType })), CelCompileError);
});

test('many large patterns are refused', () => {
  const many = Array.from({ length: 3_000 }, (_, i) => `x.matches("(a?){1000}${i}")`).join(' || ');
  assert.throws(() => timed(() => compileCel(many, { x: dynType })), /expression takes too long to compile/);
});

test('macros that unfold to ever more are refused', () => {
  assert.throws(
    () => timed(() => compileCel(`optional.of(1)${'.optMap(a, a + a)'.repeat(60)}`, {})),
    /macros unfold to more than 50000 nodes/,
  );
});

test('deep nesting is refused, long chains are not', () => {
  const deep = (open: string, close: string, times: number): string =>
    `${open.repeat(times)}true${close.repeat(times)}`;
  for (const expression of [
    deep('(', ')', 300),
    deep('[', ']', 300),
    deep('!(', ')', 300),
    `x${'.a'.repeat(300)}`,
    `1${'+1'.repeat(300)}`,
    deep('[', ']', 100_000),
    `${'true ? 1 : '.repeat(400)}2`,
  ])
    assert.throws(
      () => compileCel(expression, { x: dynType }),
      (error: Error) =>
        error instanceof CelCompileError && /recursion limit exceeded|code point size/.test(error.message),
    );
  assert.equal(evaluate(`true${' && true'.repeat(5_000)}`, null), true);
  assert.equal(evaluate(`x in [${numbers.join(',')}]`, 9_999), true);
  assert.throws(() => compileCel(`"${long}"`, {}), /expression code point size exceeds limit: size: 1000002/);
});

test('the rules of one request are stopped together', () => {
  const rule = { rule: 'self.all(a, self.all(b, a <= b || a > b))' };
  const list: JSONSchemaProps = {
    type: 'array',
    items: { type: 'integer' },
    'x-kubernetes-validations': [rule],
  };
  const schema: JSONSchemaProps = {
    type: 'object',
    properties: Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`l${i}`, list])),
  };
  const objects = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`l${i}`, numbers.slice(0, 250)]));
  const found = timed(() => compileRules(schema)?.validate(objects, undefined));
  assert.deepEqual(
    found?.map((error) => error.message),
    [
      'Invalid value: "array": validation failed due to running out of cost budget, no further validation rules will be run',
    ],
  );
  const tooMuch = compileRules(schema)?.validate({ l0: numbers }, undefined);
  assert.match(
    tooMuch?.[0]?.message ?? '',
    /actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: self\.all/,
  );
  assert.match(
    checkRules(schema, FieldPath.of('s'))[0]?.message ?? '',
    /estimated rule cost exceeds budget by factor of more than 100x/,
  );
});

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const numRuns = Math.max(10, Number(process.env['ITERATIONS'] ?? 300));

const words =
  'self x a b 1 2u 3.5 "s" b"b" true null [ ] { } ( ) . , ? : + - * / % == != < <= in && || ! .? [? all map has size matches format optional of r" \' \\ # ` é 😀 \n'.split(
    ' ',
  );

test(`whatever is written, only CEL's own errors come of it (SEED=${seed})`, () => {
  const anything = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 60 }),
    fc.array(fc.constantFrom(...words), { maxLength: 25 }).map((parts) => parts.join(' ')),
    fc.array(fc.constantFrom(...words), { maxLength: 25 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(anything, fc.jsonValue(), (expression, x) => {
      try {
        compileCel(expression, { x: dynType }).evaluate({ x }, new CostBudget());
      } catch (error) {
        if (error instanceof CelCompileError || error instanceof CelEvaluationError) return;
        assert.ok(error instanceof CelCostError, String((error as Error).stack));
      }
    }),
    { seed, numRuns },
  );
});
