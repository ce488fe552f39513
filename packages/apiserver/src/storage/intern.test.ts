import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as fc from 'fast-check';
import { freezeInterned } from './intern.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const seed = process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) };

/** Equal down to the order of members and the sign of zero. */
function same(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Object.is(a, b);
  if (!Object.isFrozen(a) || Array.isArray(a) !== Array.isArray(b)) return false;
  const left = Object.entries(a);
  const right = Object.entries(b);
  return (
    left.length === right.length &&
    left.every(([key, value], i) => key === right[i]?.[0] && same(value, right[i]?.[1]))
  );
}

describe('objects that are frozen for a cache', () => {
  it('stay as they were, frozen all the way down', () => {
    const make = (): object =>
      JSON.parse(
        JSON.stringify({ a: 'x', long: 'y'.repeat(300), list: ['x', 1, null, { b: 'x' }], n: 2, t: true }),
      ) as object;
    const frozen = freezeInterned(make()) as { list: readonly object[] };
    assert.deepEqual(frozen, make());
    assert.ok([frozen, frozen.list, frozen.list[3]].every(Object.isFrozen));
    assert.deepEqual(freezeInterned(['__proto__']), ['__proto__']);
    assert.deepEqual(
      freezeInterned(JSON.parse('{"__proto__":{"a":"x"}}')),
      JSON.parse('{"__proto__":{"a":"x"}}'),
    );
  });

  it('share their strings', () => {
    const text = JSON.stringify(
      Array.from({ length: 50 }, (_, i) => `a setting with the number ${i} and a value`),
    );
    const heapOf = (keep: (value: unknown) => unknown): number => {
      collect();
      const before = getHeapStatistics().used_heap_size;
      const kept = Array.from({ length: 2_000 }, () => keep(JSON.parse(text)));
      collect();
      const bytes = getHeapStatistics().used_heap_size - before;
      assert.equal(kept.length, 2_000);
      return bytes;
    };
    const plain = heapOf(Object.freeze);
    const shared = heapOf(freezeInterned);
    assert.ok(shared < plain / 3, `${shared} bytes instead of ${plain}`);
  });

  it('share lists and objects that are equal, and only those', () => {
    const make = (name: string, containers: unknown): { spec: { containers: unknown; node: string } } =>
      freezeInterned(
        JSON.parse(JSON.stringify({ metadata: { name }, spec: { containers, node: name } })) as {
          spec: { containers: unknown; node: string };
        },
      );
    const containers = [
      { name: 'main', ports: [{ containerPort: 80 }], ready: true, weight: 0.5, none: null },
    ];
    const a = make('a', containers);
    const b = make('b', containers);
    assert.notEqual(a.spec, b.spec);
    assert.equal(a.spec.containers, b.spec.containers);
    assert.deepEqual(b.spec, { containers, node: 'b' });
    const order = make('c', [
      { ports: [{ containerPort: 80 }], name: 'main', ready: true, weight: 0.5, none: null },
    ]);
    assert.equal(
      JSON.stringify(order.spec.containers),
      JSON.stringify([
        { ports: [{ containerPort: 80 }], name: 'main', ready: true, weight: 0.5, none: null },
      ]),
    );
    assert.notEqual(order.spec.containers, a.spec.containers);
  });

  it('stay what they were, whatever else is frozen', () => {
    const leaf = fc.constantFrom<unknown>(
      0,
      -0,
      1,
      2 ** 53,
      0.1,
      0.2,
      '',
      'a',
      'b',
      '0',
      true,
      false,
      null,
      9n,
      10n,
      'x'.repeat(300),
    );
    const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('a', 'b', 'ab', '0', 'metadata', '__proto__'), tie('tree'), {
          maxKeys: 3,
        }),
      ),
    }));
    const copy = (value: unknown): unknown => structuredClone(value);
    fc.assert(
      fc.property(fc.array(tree, { minLength: 2, maxLength: 8 }), (values) => {
        const frozen = values.map((value) => freezeInterned({ value: copy(value) }));
        for (const [i, { value }] of frozen.entries()) assert.ok(same(value, values[i]));
      }),
      { numRuns: Number(process.env['ITERATIONS'] ?? 2_000), ...seed },
    );
  });
});
