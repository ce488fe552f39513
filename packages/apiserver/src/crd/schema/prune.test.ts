import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import * as fc from 'fast-check';
import { cloneJson, equalJson } from '../../storage/codec.ts';
import { applyDefaults, prune, pruneNulls } from './prune.ts';
import { structuralOf } from './structural.ts';

const names = ['a', 'b', 'c', 'constructor'];

/** Structural schemas of few names, so that values meet them. */
const { schema } = fc.letrec<{ schema: JSONSchemaProps }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 3 },
    fc.record(
      { type: fc.constant('string'), default: fc.string({ maxLength: 2 }), nullable: fc.boolean() },
      { requiredKeys: ['type'] },
    ),
    fc.record({ type: fc.constant('array'), items: tie('schema') }),
    fc.record(
      {
        type: fc.constant('object'),
        properties: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'constructor'), tie('schema'), {
          maxKeys: 3,
        }),
        nullable: fc.boolean(),
        default: fc.constant({}),
        'x-kubernetes-preserve-unknown-fields': fc.constant(true),
      },
      { requiredKeys: ['type', 'properties'] },
    ),
    fc.record({ type: fc.constant('object'), additionalProperties: tie('schema') }),
  ),
}));
const value = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.string({ maxLength: 2 }),
    fc.integer(),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...names), tie('value'), { maxKeys: 4 }),
  ),
})).value;

const seed = process.env['SEED'] === undefined ? undefined : Number(process.env['SEED']);
const options = {
  numRuns: Number(process.env['ITERATIONS'] ?? 200),
  ...(seed === undefined ? {} : { seed }),
};

describe('pruning and defaulting', () => {
  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(schema, value, (source, given) => {
        const structural = structuralOf(source);
        const object = cloneJson(given);
        const pass = (): void => {
          prune(object, structural);
          pruneNulls(object, structural);
          applyDefaults(object, structural);
        };
        pass();
        // What a default brings is pruned like anything else.
        pass();
        const once = cloneJson(object);
        pass();
        assert.ok(equalJson(object, once));
      }),
      options,
    );
  });

  it('names exactly the fields that it removes', () => {
    fc.assert(
      fc.property(schema, value, (source, given) => {
        const structural = structuralOf(source);
        const silent = cloneJson(given);
        const told = cloneJson(given);
        const unknown: string[] = [];
        prune(silent, structural);
        prune(told, structural, (path) => unknown.push(path));
        assert.ok(equalJson(silent, told));
        assert.equal(unknown.length === 0, equalJson(told, given));
      }),
      options,
    );
  });

  it('gives paths as a strict decoder does', () => {
    const structural = structuralOf({
      type: 'object',
      properties: {
        list: { type: 'array', items: { type: 'object', properties: { a: { type: 'string' } } } },
      },
    });
    const unknown: string[] = [];
    const object = { list: [{ a: 'x', b: 1 }, { c: { d: 1 } }], other: 1 };
    prune(object, structural, (path) => unknown.push(path));
    assert.deepEqual(unknown, ['list[0].b', 'list[1].c', 'other']);
    assert.deepEqual(object, { list: [{ a: 'x' }, {}] });
  });
});
