import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseJson } from '@cloudless/kube/codec/json';
import { encodeProtobuf } from '@cloudless/kube/codec/protobuf';
import type { KubeObject } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { StatusError } from '@cloudless/kube/status';
import { readProtobuf } from '../http/lazy-codecs.ts';
import { Entry } from '../cache/entry.ts';
import { cloneJson, equalJson, ObjectCodec } from './codec.ts';

const defaulted = (object: KubeObject): void => {
  (object as { data?: Record<string, string> }).data ??= { defaulted: 'yes' };
};
const codec = new ObjectCodec(core.configmaps, defaulted, readProtobuf);
const object = {
  kind: 'ConfigMap',
  apiVersion: 'v1',
  metadata: { name: 'a', namespace: 'b', resourceVersion: '7', selfLink: '/x' },
  data: { k: 'v', unicode: 'äß€😀' },
} as unknown as KubeObject;
/** A stored value as the API shows it. */
const jsonOf = (value: Uint8Array, revision: number): Buffer =>
  new Entry(codec, { key: '/registry/configmaps/b/a', namespace: 'b', name: 'a', revision }, value).json;
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

describe('values in the store', () => {
  it('name their version and kind, and hold no resourceVersion or selfLink', () => {
    const stored = JSON.parse(text(codec.encode(object))) as KubeObject;
    assert.equal(stored.apiVersion, 'v1');
    assert.equal(stored.kind, 'ConfigMap');
    assert.deepEqual(Object.keys(stored.metadata), ['name', 'namespace']);
  });

  it('get their resourceVersion without being parsed, as parsing them would give it', () => {
    const stored = codec.encode(object);
    assert.ok(codec.isOwn(stored));
    const json = jsonOf(stored, 42);
    assert.deepEqual(JSON.parse(text(json)), codec.decode(stored, 42));
    assert.deepEqual(jsonOf(stored, 0), stored, 'a dry run has none');
  });

  it('are read as upstream writes them: JSON in another order, and protobuf', () => {
    const foreign = Buffer.from(
      JSON.stringify({ kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'a' } }),
    );
    assert.ok(!codec.isOwn(foreign));
    const shown = JSON.parse(text(jsonOf(foreign, 5))) as KubeObject & { data: object };
    assert.equal(shown.metadata.resourceVersion, '5');
    assert.deepEqual(shown.data, { defaulted: 'yes' }, 'what an older writer left out is defaulted');
    const protobuf = encodeProtobuf({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'p' },
      data: { x: 'y' },
    });
    assert.equal(text(protobuf.subarray(0, 4)), 'k8s\0');
    assert.deepEqual((codec.decode(protobuf, 9) as KubeObject & { data: object }).data, { x: 'y' });
    assert.equal((JSON.parse(text(jsonOf(protobuf, 9))) as KubeObject).metadata.resourceVersion, '9');
  });

  it('keep integers beyond 2^53 exact', () => {
    const big = { ...object, data: undefined, number: 9007199254740993n } as unknown as KubeObject;
    const json = jsonOf(codec.encode(big), 3);
    assert.match(text(json), /"number":9007199254740993/);
    assert.equal((parseJson(json) as { number: bigint }).number, 9007199254740993n);
  });

  it('that are corrupt say so instead of crashing', () => {
    for (const bad of ['', '{', 'null', '{"kind":"ConfigMap"}', 'k8s\0garbage']) {
      assert.throws(
        () => codec.decode(Buffer.from(bad), 1),
        (error) => error instanceof StatusError && error.reason === 'StoreReadError',
        bad,
      );
    }
  });

  it('are shown under another revision when their object is deleted', () => {
    const at = { key: '/registry/configmaps/b/a', namespace: 'b', name: 'a', revision: 4 };
    const entry = new Entry(codec, at, codec.encode(object));
    const before = text(entry.json);
    const gone = entry.at(10);
    assert.equal(gone.object.metadata.resourceVersion, '10');
    assert.equal((JSON.parse(text(gone.json)) as KubeObject).metadata.resourceVersion, '10');
    assert.equal(text(entry.json), before);
    assert.ok(Object.isFrozen(entry.object.metadata));
    const item = Buffer.alloc(entry.itemBytes);
    assert.equal(entry.writeItem(item, 0), item.length);
    assert.equal(`{"apiVersion":"v1","kind":"ConfigMap",${text(item)}`, before);
  });
});

describe('plain JSON', () => {
  it('is equal when unset and undefined members are all that differs', () => {
    assert.ok(equalJson({ a: 1, b: undefined }, { a: 1 }));
    assert.ok(!equalJson({ a: 1 }, { a: 1, b: 0 }));
    assert.ok(!equalJson([1, 2], { 0: 1, 1: 2 }));
    assert.ok(!equalJson({ a: null }, { a: {} }));
    assert.deepEqual(cloneJson({ a: undefined, b: [1, { c: 2 }] }), { b: [1, { c: 2 }] });
  });
});
