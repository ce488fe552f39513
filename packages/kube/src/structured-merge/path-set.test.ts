import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import '../schema/seed.ts';
import { fromFieldsV1, toFieldsV1 } from './fields-v1.ts';
import {
  compareElements,
  elementText,
  fieldElement,
  indexElement,
  keyElement,
  PathElementError,
  readElement,
  sortElements,
  valueElement,
} from './path-element.ts';
import { PathSet } from './path-set.ts';
import { canonicalJson, compareValues } from './value.ts';

const runs = { numRuns: Number(process.env['ITERATIONS'] ?? 100) };

const scalar = fc.oneof(fc.string(), fc.integer(), fc.double({ noNaN: true }), fc.boolean());
const element = fc.oneof(
  fc.constantFrom('a', 'b', 'c', 'é', '𝒜', '\uffee').map(fieldElement),
  fc.dictionary(fc.constantFrom('name', 'port', 'id'), scalar, { minKeys: 1 }).map(keyElement),
  scalar.map(valueElement),
  fc.nat(20).map(indexElement),
);
const paths = fc.array(fc.array(element, { minLength: 1, maxLength: 4 }), { maxLength: 40 });
const set = paths.map((all) => {
  const built = new PathSet();
  for (const path of all) built.addPath(path);
  return built;
});
const texts = (of: PathSet): Set<string> => new Set([...of.paths()].map((path) => path.join('\n')));

describe('sets of paths', () => {
  it('are sets: union, intersection and difference hold for every path', () => {
    fc.assert(
      fc.property(set, set, (a, b) => {
        const [left, right] = [texts(a), texts(b)];
        assert.deepEqual(texts(a.union(b)), left.union(right));
        assert.deepEqual(texts(a.intersection(b)), left.intersection(right));
        assert.deepEqual(texts(a.difference(b)), left.difference(right));
        assert.equal(a.union(b).size, left.union(right).size);
      }),
      runs,
    );
  });

  it('take everything below a path away by a recursive difference', () => {
    fc.assert(
      fc.property(set, set, (a, b) => {
        const others = [...b.paths()];
        const left = [...a.paths()].filter(
          (path) => !others.some((other) => other.every((step, i) => step === path[i])),
        );
        assert.deepEqual(texts(a.recursiveDifference(b)), new Set(left.map((path) => path.join('\n'))));
      }),
      runs,
    );
  });

  it('give the very set where nothing changes', () => {
    fc.assert(
      fc.property(set, (a) => {
        assert.equal(a.difference(PathSet.empty), a);
        assert.equal(a.union(PathSet.empty), a);
        assert.equal(a.difference(PathSet.of(['absent', 'here'])), a);
        assert.ok(a.difference(a).isEmpty);
        assert.ok(a.union(a).equals(a));
      }),
      runs,
    );
  });

  it('go through fieldsV1 and back', () => {
    fc.assert(
      fc.property(set, (a) => {
        const fields: unknown = JSON.parse(JSON.stringify(toFieldsV1(a)));
        assert.ok(fromFieldsV1(fields).equals(a));
        assert.deepEqual(toFieldsV1(fromFieldsV1(fields)), toFieldsV1(a));
      }),
      runs,
    );
  });

  it('know every path that was put in, and no other', () => {
    fc.assert(
      fc.property(paths, fc.array(element), (all, other) => {
        const built = new PathSet();
        for (const path of all) built.addPath(path);
        for (const path of all) assert.ok(built.has(path));
        const known = all.some((path) => path.join('\n') === other.join('\n'));
        assert.equal(built.has(other), other.length > 0 && known);
      }),
      runs,
    );
  });
});

describe('path elements', () => {
  it('have one order, whichever way they are sorted', () => {
    fc.assert(
      fc.property(fc.array(element), (all) => {
        assert.deepEqual(sortElements([...all]), [...all].sort(compareElements));
      }),
      runs,
    );
  });

  it('are ordered by kind, then by amount, bytes and keys', () => {
    const ordered = [
      'f:B',
      'f:a',
      'f:a.b',
      'f:\uffee',
      'f:𝒜',
      'k:{"id":9}',
      'k:{"id":10}',
      'k:{"name":"a"}',
      'k:{"name":"a","port":1}',
      'v:2.5',
      'v:10',
      'v:"a"',
      'v:false',
      'v:true',
      'i:2',
      'i:10',
    ];
    assert.deepEqual(sortElements([...ordered].reverse()), ordered);
  });

  it('are read in one form, however they were written', () => {
    assert.equal(readElement('k:{"port": 80, "name": "w\\u0065b"}'), 'k:{"name":"web","port":80}');
    assert.equal(readElement('v:1.0'), 'v:1');
    assert.equal(readElement('i:+3'), 'i:3');
    assert.equal(readElement('k:{"a":"<&>"}'), 'k:{"a":"\\u003c\\u0026\\u003e"}');
    assert.equal(readElement('x:of a later version'), undefined);
    for (const wrong of ['', 'f', 'fa', 'i:a', 'k:[]', 'k:{', 'v:']) {
      assert.throws(() => readElement(wrong), PathElementError, wrong);
    }
  });

  it('are shown as upstream shows them', () => {
    assert.equal(elementText(fieldElement('spec')), '.spec');
    assert.equal(elementText(keyElement({ port: 80, name: 'a"b' })), '[name="a\\"b",port=80]');
    assert.equal(elementText(valueElement('a')), '[="a"]');
    assert.equal(elementText(indexElement(3)), '[3]');
  });

  it('escape what Go escapes', () => {
    assert.equal(
      canonicalJson({ b: '\b\n\u2028', a: '<\\"' }),
      '{"a":"\\u003c\\\\\\"","b":"\\u0008\\n\\u2028"}',
    );
    fc.assert(
      fc.property(fc.json(), (text) => {
        const value: unknown = JSON.parse(text);
        assert.deepEqual(JSON.parse(canonicalJson(value)), value);
        assert.equal(compareValues(value, JSON.parse(text)), 0);
      }),
      runs,
    );
  });
});
