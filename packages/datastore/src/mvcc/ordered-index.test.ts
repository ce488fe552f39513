import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { array, assert as assertProperty, integer, oneof, property, record, constant } from 'fast-check';
import { OrderedIndex } from './ordered-index.ts';
import { Version } from './version.ts';

const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

const version = (key: string, revision: number, prev: Version | undefined, deleted = false): Version =>
  new Version(key, revision, revision, deleted ? 0 : 1, deleted ? 0 : 1, 0n, deleted ? -1 : 0, prev);

const step = record({
  do: oneof(
    constant('put' as const),
    constant('put' as const),
    constant('tombstone' as const),
    constant('forget' as const),
  ),
  key: integer({ min: 0, max: 3000 }).map((n) => `k${n}`),
});

describe('the ordered index', () => {
  it(`is a sorted map with counts at every revision (SEED=${seed})`, () => {
    assertProperty(
      property(array(step, { minLength: 1000, maxLength: 4000, size: 'max' }), (steps) => {
        const index = new OrderedIndex();
        const model = new Map<string, Version>();
        let revision = 1;
        for (const { do: action, key } of steps) {
          if (action === 'forget') {
            index.delete(key);
            model.delete(key);
          } else {
            const next = version(key, ++revision, model.get(key), action === 'tombstone');
            index.set(next);
            model.set(key, next);
          }
        }
        assert.equal(index.size, model.size);
        const sorted = [...model.keys()].sort();
        const scanned: string[] = [];
        index.scan('', undefined, (head) => scanned.push(head.key) > 0);
        assert.deepEqual(scanned, sorted);
        for (const [start, end] of [
          ['', undefined],
          ['k1', 'k2'],
          ['k15', 'k1500'],
          ['k2', 'k1'],
        ] as const) {
          const inside = sorted.filter((key) => key >= start && (end === undefined || key < end));
          for (const at of [revision, Math.floor(revision / 2)]) {
            const expected = inside.filter((key) => {
              let found = model.get(key);
              while (found !== undefined && found.revision > at) found = found.prev;
              return found !== undefined && !found.isTombstone;
            });
            assert.equal(index.count(start, end, at), expected.length);
          }
        }
        for (const key of ['k0', 'k1500', 'nothing']) assert.equal(index.get(key), model.get(key));
      }),
      { seed, numRuns: Number(process.env['ITERATIONS'] ?? 10), endOnFailure: true },
    );
  });
});
