import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeObject } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { readProtobuf } from '../http/lazy-codecs.ts';
import { cloneJson, ObjectCodec } from '../storage/codec.ts';
import { Entry } from './entry.ts';

const codec = new ObjectCodec(core.configmaps, () => {}, readProtobuf);
const at = { key: '/registry/configmaps/b/a', namespace: 'b', name: 'a', revision: 7 };
const managedFields = [
  {
    manager: 'kubectl],"name":"',
    operation: 'Apply',
    apiVersion: 'v1',
    time: '2026-01-01T00:00:00Z',
    fieldsType: 'FieldsV1',
    fieldsV1: { 'f:data': { '.': {}, 'f:k': {}, 'k:{"name":"x"}': {} } },
  },
];
const managed = (fields: unknown, annotations: Record<string, string> = {}): KubeObject =>
  ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: 'b', annotations, managedFields: fields, name: 'a', labels: { l: 'äß€' } },
    data: { k: 'v', text: '"managedFields":[],"name":"' },
  }) as unknown as KubeObject;

/** What the object of an entry must be: the stored one with its revision. */
const expected = (object: KubeObject): KubeObject => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: '7' },
});

describe('an entry', () => {
  const shapes: Array<[string, KubeObject]> = [
    ['with managedFields', managed(managedFields)],
    ['with fields that look like the end of them', managed([{ fieldsV1: { a: [1], name: 'x' } }])],
    ['with none', managed(undefined)],
    ['with an empty list', managed([])],
    ['with annotations that look like them', managed(undefined, { x: '"managedFields":[' })],
  ];
  for (const [what, object] of shapes) {
    it(`${what} shows all of its object, from its value, its JSON, and what was written`, () => {
      const plain = JSON.parse(JSON.stringify(expected(object))) as KubeObject;
      const value = codec.encode(object);
      const entries = [
        new Entry(codec, at, value),
        new Entry(codec, at, value),
        new Entry(codec, at, value, object),
      ];
      assert.deepEqual(JSON.parse(entries[1]?.json.toString() ?? ''), plain);
      for (const entry of entries) {
        // Each way in which objects are copied and compared.
        assert.deepEqual(JSON.parse(JSON.stringify(entry.object)), plain);
        assert.deepEqual(cloneJson(entry.object), plain);
        assert.deepEqual(structuredClone(entry.object), plain);
        assert.deepEqual({ ...entry.object.metadata }, plain.metadata);
        assert.equal('managedFields' in entry.object.metadata, 'managedFields' in plain.metadata);
        assert.ok(Object.isFrozen(entry.object) && Object.isFrozen(entry.object.metadata));
        const later = entry.at(9);
        assert.deepEqual(cloneJson(later.object), {
          ...plain,
          metadata: { ...plain.metadata, resourceVersion: '9' },
        });
        assert.equal((JSON.parse(later.json.toString()) as KubeObject).metadata.resourceVersion, '9');
      }
    });
  }

  it('keeps no parsed managedFields', () => {
    const entry = new Entry(codec, at, codec.encode(managed(managedFields)), managed(managedFields));
    const field = Object.getOwnPropertyDescriptor(entry.object.metadata, 'managedFields');
    assert.equal(typeof field?.get, 'function');
    assert.equal(entry.object.metadata.managedFields, entry.managedFields, 'the same list for a while');
  });

  it('reads managedFields of a value that upstream wrote, in any place', () => {
    const foreign = Buffer.from(JSON.stringify(managed(managedFields)));
    assert.ok(codec.isOwn(foreign));
    assert.deepEqual(new Entry(codec, at, foreign).object.metadata.managedFields, managedFields);
    const other = Buffer.from(JSON.stringify({ kind: 'ConfigMap', ...managed(managedFields) }));
    assert.deepEqual(new Entry(codec, at, other).object.metadata.managedFields, managedFields);
  });
});
