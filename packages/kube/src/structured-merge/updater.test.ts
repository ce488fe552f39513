import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import '../schema/seed.ts';
import { arbitraryObject } from '../schema/arbitrary.ts';
import { schemaOf } from '../schema/schema.ts';
import { mergeTypeOf } from './built-in-type.ts';
import { compareObjects } from './compare.ts';
import { mergeObjects } from './merge.ts';
import type { MergeType } from './merge-type.ts';
import { PathSet } from './path-set.ts';
import { extractItems, removeItems } from './remove.ts';
import { toFieldSet } from './to-field-set.ts';
import { type TypedObject, Updater } from './updater.ts';
import { validateValue } from './validate.ts';
import { equalValues } from './value.ts';

const runs = { numRuns: Number(process.env['ITERATIONS'] ?? 60) };

const kinds = [
  { group: '', version: 'v1', kind: 'Pod' },
  { group: '', version: 'v1', kind: 'Service' },
  { group: 'apps', version: 'v1', kind: 'Deployment' },
  { group: 'networking.k8s.io', version: 'v1', kind: 'Ingress' },
];

interface Case {
  type: MergeType;
  object: Record<string, unknown>;
}

const isValid = ({ type, object }: Case): boolean => {
  try {
    validateValue(type, object);
    return true;
  } catch {
    // Two items of one key.
    return false;
  }
};

/** Two valid objects of one kind. */
const pair = fc.constantFrom(...kinds).chain((kind) => {
  const schema = schemaOf(kind);
  assert.ok(schema);
  const type = mergeTypeOf(schema);
  const one = arbitraryObject(kind).filter((object) => isValid({ type, object }));
  return fc.tuple(one, one).map(([left, right]) => ({ type, left, right }));
});

const updater = new Updater({ convert: (object) => object, filterOf: () => undefined });
const typed = (type: MergeType, value: unknown): TypedObject => ({ version: 'v1', type, value });

describe('structured merge of built-in kinds', () => {
  it('is idempotent, and holds all that was merged in', () => {
    fc.assert(
      fc.property(pair, ({ type, left, right }) => {
        const merged = mergeObjects(type, left, right);
        assert.ok(equalValues(mergeObjects(type, merged, right), merged));
        assert.ok(equalValues(mergeObjects(type, right, right), right));
        const { removed, modified } = compareObjects(type, right, merged);
        const wanted = toFieldSet(type, right);
        assert.ok(wanted.intersection(removed.union(modified)).isEmpty);
      }),
      runs,
    );
  });

  it('finds nothing between equals, and the mirror image the other way round', () => {
    fc.assert(
      fc.property(pair, ({ type, left, right }) => {
        const same = compareObjects(type, left, structuredClone(left));
        assert.ok(same.added.isEmpty && same.modified.isEmpty && same.removed.isEmpty);
        const forth = compareObjects(type, left, right);
        const back = compareObjects(type, right, left);
        assert.ok(forth.added.equals(back.removed));
        assert.ok(forth.removed.equals(back.added));
        assert.ok(forth.modified.equals(back.modified));
      }),
      runs,
    );
  });

  it('takes out and leaves exactly what it is asked for', () => {
    fc.assert(
      fc.property(pair, ({ type, left }) => {
        const all = toFieldSet(type, left);
        assert.ok(equalValues(removeItems(type, left, PathSet.empty), left));
        // Empty lists of items are nobody's, and so nothing to extract.
        assert.ok(toFieldSet(type, extractItems(type, left, all)).equals(all));
        assert.ok(toFieldSet(type, removeItems(type, left, all.withNamedFields(type))).isEmpty);
      }),
      runs,
    );
  });
});

describe('who owns what', () => {
  it('an applier owns what it applies, and nothing is left when it applies nothing', () => {
    fc.assert(
      fc.property(pair, ({ type, right }) => {
        const first = updater.apply(typed(type, null), typed(type, right), new Map(), 'one', false);
        const live = first.object ?? typed(type, null);
        assert.ok(equalValues(live.value, right));
        assert.ok(first.managers.get('one')?.set.equals(toFieldSet(type, right)));
        const again = updater.apply(live, typed(type, right), first.managers, 'one', false);
        assert.equal(again.object, undefined);
        const { apiVersion, kind } = right;
        const last = updater.apply(live, typed(type, { apiVersion, kind }), first.managers, 'one', false);
        const rest = toFieldSet(type, last.object?.value ?? live.value);
        const own = PathSet.of(['apiVersion'], ['kind']);
        assert.ok(rest.difference(own).intersection(toFieldSet(type, right)).isEmpty);
      }),
      runs,
    );
  });

  it('an update takes what it changed from everybody else', () => {
    fc.assert(
      fc.property(pair, ({ type, left, right }) => {
        const first = updater.apply(typed(type, null), typed(type, left), new Map(), 'one', false);
        const managers = updater.update(typed(type, left), typed(type, right), first.managers, 'two');
        const { added, modified, removed } = compareObjects(type, left, right);
        const one = managers.get('one')?.set ?? PathSet.empty;
        const two = managers.get('two')?.set ?? PathSet.empty;
        assert.ok(one.equals(toFieldSet(type, left).difference(removed).difference(modified.union(added))));
        assert.ok(two.equals(added.union(modified)));
      }),
      runs,
    );
  });

  it('a forced apply conflicts with nobody afterwards', () => {
    fc.assert(
      fc.property(pair, ({ type, left, right }) => {
        const first = updater.apply(typed(type, null), typed(type, left), new Map(), 'one', false);
        const forced = updater.apply(typed(type, left), typed(type, right), first.managers, 'two', true);
        const live = forced.object ?? typed(type, left);
        const again = updater.apply(live, typed(type, right), forced.managers, 'two', false);
        assert.equal(again.object, undefined);
        assert.ok(again.managers.get('two')?.set.equals(toFieldSet(type, right)));
      }),
      runs,
    );
  });
});
