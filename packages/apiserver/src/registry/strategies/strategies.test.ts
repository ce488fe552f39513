import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import * as fc from 'fast-check';
import type { KubeObject } from '@cloudless/kube/object';
import { catalogue } from '@cloudless/kube/schema/catalogue';
import { DecodeError, decodeObject } from '@cloudless/kube/schema/decode';
import { schemaOf, type StructSchema } from '@cloudless/kube/schema/schema';
import type { Caches } from '../../cache/cache.ts';
import type { StrategyContext } from '../strategy.ts';
import { strategies } from './index.ts';
import { samples } from './samples.ts';

const parameters = {
  numRuns: Number(process.env['ITERATIONS'] ?? 60),
  ...(process.env['SEED'] === undefined ? {} : { seed: Number(process.env['SEED']) }),
};
const context: StrategyContext = {
  user: { name: 'alice', groups: ['system:authenticated'] },
  namespace: 'default',
  group: '',
  verb: 'update',
  refusalOf: () => undefined,
  subresource: '',
  caches: undefined as unknown as Caches,
  nowMs: Date.parse('2026-01-01T01:00:00Z'),
  dryRun: false,
};
/** The schema of the newest version of a kind. */
function schemaOfKey(key: string): StructSchema {
  const [group = '', kind = ''] = key.split('/');
  const resource = catalogue.find((one) => one.group === group && one.kind === kind);
  assert.ok(resource, `${key} is in no catalogue`);
  const schema = schemaOf(resource);
  assert.ok(schema);
  return schema;
}
/** As a request's body arrives: typed, without nulls, with the structs that Go always has. */
const decoded = (key: string, object: KubeObject): KubeObject =>
  decodeObject(schemaOfKey(key), object).object as unknown as KubeObject;
/** `object` as decoded, or `sound` when decoding refuses it: then no strategy sees it. */
function decodedOrSame(key: string, object: KubeObject, sound: KubeObject): KubeObject {
  try {
    return decoded(key, object);
  } catch (error) {
    if (error instanceof DecodeError) return sound;
    throw error;
  }
}
const sampleOf = (key: string): KubeObject => decoded(key, structuredClone(samples[key]) as KubeObject);
const texts = (errors: ReadonlyArray<{ field: string; message: string }>): string[] =>
  errors.map((error) => `${error.field}: ${error.message}`);

/** Every object and array inside `value`. */
function* containersIn(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return;
  yield value as Record<string, unknown>;
  for (const inner of Object.values(value)) yield* containersIn(inner);
}

/**
 * Takes away or empties a few members, never metadata.name, which the registry has seen to. Nulls do not get past
 * decoding.
 */
function damage(object: KubeObject, choices: readonly number[]): void {
  for (let i = 0; i + 2 < choices.length; i += 3) {
    const all = [...containersIn(object)].filter((one) => Object.keys(one).length > 0);
    const container = all[(choices[i] as number) % all.length];
    if (!container) return;
    const keys = Object.keys(container).filter((key) => key !== 'metadata' && key !== 'name');
    const key = keys[(choices[i + 1] as number) % Math.max(keys.length, 1)];
    if (key === undefined) continue;
    const value = container[key];
    const how = (choices[i + 2] as number) % 2;
    if (Array.isArray(container)) container.splice(Number(key), 1);
    else if (how === 0) delete container[key];
    else if (Array.isArray(value)) container[key] = [];
    else if (typeof value === 'object' && value !== null) container[key] = {};
    else if (typeof value === 'number') container[key] = -7;
    else if (typeof value === 'string') container[key] = '';
  }
}

for (const [key, strategy] of strategies) {
  describe(`strategy of ${key}`, () => {
    before(() => strategy.load?.());
    it('defaults once and for all', () => {
      const object = sampleOf(key);
      assert.ok(object, `${key} has no sample`);
      strategy.defaults?.(object);
      const again = structuredClone(object);
      strategy.defaults?.(again);
      assert.deepEqual(again, object);
    });

    it('finds nothing wrong with a good object, new or unchanged', () => {
      const object = sampleOf(key);
      strategy.beforeDefaults?.(context, object);
      strategy.defaults?.(object);
      strategy.prepareForCreate?.(context, object);
      assert.deepEqual(texts(strategy.validate?.(context, object) ?? []), []);
      const old = structuredClone(object);
      strategy.prepareForUpdate?.(context, object, old);
      assert.deepEqual(texts(strategy.validateUpdate?.(context, object, old) ?? []), []);
      const status = { ...context, subresource: 'status' };
      if (strategy.validateStatusUpdate) {
        strategy.prepareForUpdate?.(status, object, old);
        assert.deepEqual(texts(strategy.validateStatusUpdate(status, object, old)), []);
      }
    });

    it('has a cell for every column', () => {
      const { table } = strategy;
      if (!table) return;
      const object = sampleOf(key);
      strategy.defaults?.(object);
      for (const one of [object, decoded(key, { metadata: { name: 'bare' } })]) {
        const cells = table.cells(one, context.nowMs);
        // Upstream's rows of addresses have an age that no column names.
        const unnamed = key === 'networking.k8s.io/IPAddress' ? 1 : 0;
        assert.equal(cells.length, table.columns.length + unnamed, JSON.stringify(cells));
        for (const cell of cells) assert.notEqual(cell, undefined, JSON.stringify(cells));
        assert.doesNotMatch(JSON.stringify(cells), /undefined|NaN|\[object/);
      }
    });

    it('answers every damaged object with errors, not with a crash', () => {
      const choices = fc.array(fc.nat(), { minLength: 3, maxLength: 18 });
      fc.assert(
        fc.property(choices, choices, (first, second) => {
          let object = sampleOf(key);
          const old = sampleOf(key);
          strategy.defaults?.(old);
          damage(object, first);
          object = decodedOrSame(key, object, sampleOf(key));
          strategy.beforeDefaults?.(context, object);
          strategy.defaults?.(object);
          const defaulted = structuredClone(object);
          strategy.defaults?.(defaulted);
          assert.deepEqual(defaulted, object, 'defaults are idempotent');
          const created = structuredClone(object);
          strategy.prepareForCreate?.(context, created);
          for (const error of strategy.validate?.(context, created) ?? []) {
            assert.equal(typeof error.message, 'string');
            assert.doesNotMatch(error.field, /undefined/);
          }
          strategy.prepareForUpdate?.(context, object, old);
          strategy.validateUpdate?.(context, object, old);
          const sound = structuredClone(object);
          damage(object, second);
          object = decodedOrSame(key, object, sound);
          strategy.validateUpdate?.(context, object, old);
          strategy.validateStatusUpdate?.({ ...context, subresource: 'status' }, object, old);
          strategy.warnings?.(context, object, old);
          strategy.table?.cells(object, context.nowMs);
          for (const select of Object.values(strategy.selectableFields ?? {}))
            assert.equal(typeof select(object), 'string');
        }),
        parameters,
      );
    });
  });
}

describe('the strategies together', () => {
  it('have a sample each', () =>
    assert.deepEqual(Object.keys(samples).sort(), [...strategies.keys()].sort()));
});
