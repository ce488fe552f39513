/** What programs promise to those who embed them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Answer,
  authorizerType,
  authorizerValue,
  CelCompileError,
  CelCostError,
  CelEvaluationError,
  compileCel,
  CostBudget,
  dynType,
  formatType,
  intType,
  listType,
  objectOf,
  type QuestionedAuthorizer,
  resourceCheckType,
  resourceCheckValue,
  stringType,
  toJson,
  typeOfKind,
} from './index.ts';
import { escapeName, unescapeName } from './schema/escape.ts';

const budget = (): CostBudget => new CostBudget();

test('variables are read when they are needed, once, and may be evaluations themselves', () => {
  const inner = compileCel('x.map(i, i * 2)', { x: listType(intType) });
  const spent = budget();
  let reads = 0;
  const variables = {
    get doubled() {
      reads++;
      return inner.evaluate({ x: [1, 2, 3] }, spent);
    },
    get never(): unknown {
      throw new Error('read');
    },
  };
  const declared = { doubled: listType(intType), never: dynType };
  const program = compileCel('doubled.sum() + doubled.max() > 100 && never', declared);
  assert.equal(program.evaluate(variables, spent), false);
  assert.equal(reads, 1);
  assert.ok(spent.remaining < 10_000_000);
  assert.deepEqual([...program.variables], ['doubled', 'never']);
  assert.equal(formatType(program.outputType), 'bool');
});

test('an absent variable fails, an undeclared one does not compile', () => {
  assert.throws(
    () => compileCel('x + 1', { x: intType }).evaluate({}, budget()),
    (error: Error) => error instanceof CelEvaluationError && error.message === 'no such attribute(s): x',
  );
  assert.throws(() => compileCel('y', { x: intType }), CelCompileError);
});

test('the cost is taken from the budget, after a failure too', () => {
  const some = budget();
  assert.throws(() => compileCel('x / 0', { x: intType }).evaluate({ x: 1 }, some), /division by zero/);
  assert.equal(some.remaining, 10_000_000 - 2);
  const little = new CostBudget(1);
  assert.throws(
    () => compileCel('x + x', { x: intType }).evaluate({ x: 1 }, little),
    (error: Error) => error instanceof CelCostError && error.limit === 'budget',
  );
  const limited = compileCel('x.all(i, i > 0)', { x: listType(intType) }, { perCallLimit: 10 });
  assert.throws(
    () => limited.evaluate({ x: [1, 2, 3, 4, 5] }, budget()),
    (error: Error) => error instanceof CelCostError && error.limit === 'call',
  );
});

test('dotted names are variables before they are fields', () => {
  const declared = { a: objectOf('A', { b: intType }), 'a.c': stringType };
  assert.equal(compileCel('a.c', declared).evaluate({ a: { b: 1 }, 'a.c': 'whole' }, budget()), 'whole');
  assert.equal(compileCel('a.b', declared).evaluate({ a: { b: 1 }, 'a.c': 'whole' }, budget()), 1n);
});

test('int64 stays exact', () => {
  const program = compileCel('x + 1', { x: intType });
  assert.equal(program.evaluate({ x: 2n ** 62n }, budget()), 2n ** 62n + 1n);
  assert.throws(() => program.evaluate({ x: 2n ** 63n - 1n }, budget()), /integer overflow/);
});

test('types of built-in kinds', () => {
  const deployment = typeOfKind({ group: 'apps', version: 'v1', kind: 'Deployment' });
  assert.ok(deployment);
  const typed = (expression: string): string =>
    formatType(compileCel(expression, { object: deployment }).outputType);
  assert.equal(typed('object.spec.replicas'), 'int');
  assert.equal(typed('object.spec.template.spec.containers[0].ports[0].containerPort'), 'int');
  assert.equal(typed('object.metadata.labels'), 'map(string, string)');
  assert.equal(typed('object.metadata.namespace'), 'string');
  assert.equal(typed('object.spec.strategy.rollingUpdate.maxSurge'), 'dyn');
  assert.throws(() => typed('object.spec.replica'), /undefined field 'replica'/);
  assert.equal(typeOfKind({ group: 'example.com', version: 'v1', kind: 'Foo' }), undefined);
});

test('the authorizer is asked what the expression asks', () => {
  const asked: unknown[] = [];
  const questioned = (user: string): QuestionedAuthorizer => {
    const answer = (question: unknown): Answer => {
      asked.push([user, question]);
      return { allowed: user === 'me', reason: `for ${user}` };
    };
    return {
      resource: answer,
      path: answer,
      serviceAccount: (namespace, name) => questioned(`${namespace}/${name}`),
    };
  };
  const declared = { authorizer: authorizerType, 'authorizer.requestResource': resourceCheckType };
  const variables = {
    authorizer: authorizerValue(questioned('me')),
    'authorizer.requestResource': resourceCheckValue(questioned('me'), {
      group: 'apps',
      resource: 'deployments',
    }),
  };
  const ask = (expression: string): unknown => compileCel(expression, declared).evaluate(variables, budget());
  assert.equal(ask("authorizer.group('').resource('pods').namespace('x').check('get').allowed()"), true);
  assert.equal(ask("authorizer.requestResource.subresource('scale').check('update').reason()"), 'for me');
  assert.equal(
    ask("authorizer.serviceAccount('ns', 'robot').path('/healthz').check('get').allowed()"),
    false,
  );
  const none = { subresource: '', namespace: '', name: '', fieldSelector: '', labelSelector: '' };
  assert.deepEqual(asked, [
    ['me', { ...none, group: '', resource: 'pods', namespace: 'x', verb: 'get' }],
    ['me', { ...none, group: 'apps', resource: 'deployments', subresource: 'scale', verb: 'update' }],
    ['ns/robot', { verb: 'get', path: '/healthz' }],
  ]);
  assert.throws(() => ask("authorizer.group('').resource(' ')"), /resource must not be empty/);
  assert.throws(() => ask("authorizer.serviceAccount('ns', 'No')"), /Invalid service account name/);
  // Two checks are all that one expression may afford.
  const three = Array.from({ length: 3 }, () => "authorizer.path('/x').check('get').allowed()").join(' && ');
  assert.throws(() => ask(three), CelCostError);
});

test('names of fields are escaped and back', () => {
  const names: ReadonlyArray<readonly [string, string | undefined]> = [
    ['plain', 'plain'],
    ['a-b', 'a__dash__b'],
    ['c.d/e', 'c__dot__d__slash__e'],
    ['x__y', 'x__underscores__y'],
    ['namespace', '__namespace__'],
    ['1a', undefined],
    ['a$b', undefined],
    ['', undefined],
  ];
  for (const [name, escaped] of names) {
    assert.equal(escapeName(name), escaped, name);
    if (escaped !== undefined) assert.equal(unescapeName(escaped), name);
  }
  assert.equal(unescapeName('__nope__'), undefined);
});

test('results are turned into JSON', () => {
  const program = compileCel('x.map(i, {"twice": string(i * 2), "text": string(i)})', {
    x: listType(intType),
  });
  assert.deepEqual(toJson(program.evaluate({ x: [1, 2] }, budget())), [
    { twice: '2', text: '1' },
    { twice: '4', text: '2' },
  ]);
});
