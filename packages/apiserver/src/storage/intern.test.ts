import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { freezeInterned } from './intern.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

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
});
