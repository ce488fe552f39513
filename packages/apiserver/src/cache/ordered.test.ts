import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { core } from '@cloudless/kube/resources';
import { ObjectCodec } from '../storage/codec.ts';
import { resourceKeys } from '../storage/keys.ts';
import { Entry } from './entry.ts';
import { History, type HistoryLimits, Change } from './history.ts';
import { OrderedEntries } from './ordered.ts';

const codec = new ObjectCodec(
  core.pods,
  () => {},
  () => assert.fail('no protobuf here'),
);
const keys = resourceKeys('/registry', core.pods);
const entry = (namespace: string, name: string, revision = 1, size = 2): Entry =>
  new Entry(codec, { key: keys.of(namespace, name), namespace, name, revision }, Buffer.alloc(size, 0x7b));

describe('entries in order', () => {
  const name = fc.stringMatching(/^[ab]-?[ab0]?$/);
  const step = fc.record({ remove: fc.boolean(), namespace: name, name });

  it('are those of a sorted map of keys, whatever the order of changes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), name, name, (steps, ns, from) => {
        const entries = new OrderedEntries();
        const model = new Map<string, Entry>();
        for (const each of steps) {
          const key = keys.of(each.namespace, each.name);
          if (each.remove) {
            assert.equal(entries.delete(each.namespace, each.name), model.get(key));
            model.delete(key);
          } else {
            const made = entry(each.namespace, each.name);
            assert.equal(entries.set(made), model.get(key));
            model.set(key, made);
          }
        }
        const sorted = [...model.keys()]
          .sort((a, b) => (a < b ? -1 : 1))
          .map((key) => model.get(key) as Entry);
        assert.deepEqual(entries.snapshot(), sorted);
        assert.deepEqual([...entries.all()], sorted);
        assert.equal(entries.size, sorted.length);
        const inNamespace = sorted.filter((each) => each.namespace === ns);
        assert.deepEqual(entries.snapshot(ns), inNamespace);
        assert.equal(entries.count(ns), inNamespace.length);
        const start = `${ns}/${from}\0`;
        const after = sorted.filter((each) => `${each.namespace}/${each.name}` >= start);
        assert.deepEqual([...entries.from(start)], after);
      }),
      { numRuns: 300 },
    );
  });
});

describe('the history of changes', () => {
  const limits: HistoryLimits = { minChanges: 2, maxChanges: 5, maxBytes: 100, overheadBytes: 0 };
  const change = (revision: number, size = 2): Change =>
    new Change('added', revision, entry('ns', `n${revision}`, revision, size), undefined);

  it('gives what follows a revision, and says when some of it is gone', () => {
    const history = new History(10, limits);
    for (let revision = 11; revision <= 14; revision++) history.push(change(revision));
    assert.deepEqual(
      history.after(12)?.map((each) => each.revision),
      [13, 14],
    );
    assert.deepEqual(history.after(10)?.length, 4);
    assert.equal(history.after(9), undefined);
    for (let revision = 15; revision <= 20; revision++) history.push(change(revision));
    assert.equal(history.completeFrom, 15);
    assert.equal(history.after(14), undefined);
    assert.deepEqual(
      history.after(15)?.map((each) => each.revision),
      [16, 17, 18, 19, 20],
    );
  });

  it('holds a budget of bytes, but always the latest changes, and never half a transaction', () => {
    const history = new History(0, limits);
    for (let revision = 1; revision <= 4; revision++) history.push(change(revision, 60));
    assert.equal(history.completeFrom, 2);
    const whole = new History(0, { minChanges: 1, maxChanges: 3, maxBytes: 1000, overheadBytes: 0 });
    for (const revision of [1, 1, 1, 2]) whole.push(change(revision));
    assert.equal(whole.completeFrom, 1);
    assert.deepEqual(
      whole.after(1)?.map((each) => each.revision),
      [2],
    );
  });
});
