import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeObject, Resource } from '@cloudless/kube/object';
import { core } from '@cloudless/kube/resources';
import { Entry } from '../cache/entry.ts';
import { ObjectCodec } from '../storage/codec.ts';
import { readProtobuf } from './lazy-codecs.ts';
import { isSliced, jsonInSlices, shownInSlices } from './slices.ts';

function entries(count: number, codec = new ObjectCodec(core.configmaps, () => {}, readProtobuf)): Entry[] {
  return Array.from({ length: count }, (_, i) => {
    const name = `a-${i}`;
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'b' } } as KubeObject;
    return new Entry(codec, { key: `/${i}`, namespace: 'b', name, revision: i + 1 }, codec.encode(object));
  });
}

describe('an answer in slices', () => {
  it('looks at no object before its slice is due', () => {
    let looked = 0;
    const shown = (entry: Entry): string => (looked++, entry.name);
    const chunks = jsonInSlices({ kind: 'X' }, 'items', shownInSlices(entries(200), shown));
    const texts = [chunks.next().value, chunks.next().value].map(String);
    assert.equal(texts[0], '{"kind":"X","items":[');
    assert.ok(looked > 0 && looked < 50, `${looked}`);
    const whole = texts.join('') + Buffer.concat([...chunks]).toString();
    assert.deepEqual(JSON.parse(whole), { kind: 'X', items: entries(200).map(({ name }) => name) });
  });

  it('is for long ones, and not for those whose conversion may fail half-way', () => {
    const custom: Resource = { ...core.configmaps, group: 'example.org', version: 'v1' };
    const codec = new ObjectCodec(custom, () => {}, readProtobuf, { convert: (object) => object });
    assert.ok(!isSliced(entries(10), core.configmaps));
    assert.ok(isSliced(entries(200), core.configmaps));
    assert.ok(isSliced(entries(200, codec), custom));
    assert.ok(!isSliced(entries(200, codec), { ...custom, version: 'v2' }));
    assert.ok(!isSliced([], core.configmaps));
  });
});
