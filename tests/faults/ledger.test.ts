import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConfigMap } from '@cloudless/kube/types/core-v1';
import { configMapOf, Ledger } from './ledger.ts';

function item(name: string, seq: number, revision: number): ConfigMap {
  const object = configMapOf('n', name, seq);
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}

/** a: created at 5, updated at 6; b: created at 7 and deleted. */
function sample(): { ledger: Ledger; a: number } {
  const ledger = new Ledger();
  ledger.begin('a', 'create');
  ledger.acknowledge('a', 5);
  const a = ledger.begin('a', 'update');
  ledger.acknowledge('a', 6);
  ledger.begin('b', 'create');
  ledger.acknowledge('b', 7);
  ledger.begin('b', 'delete');
  ledger.acknowledge('b', undefined);
  return { ledger, a };
}

describe('the ledger of the fault tests', () => {
  it('accepts what was acknowledged', () => {
    const { ledger, a } = sample();
    assert.deepEqual(ledger.settle([item('a', a, 6)], 8), []);
    assert.deepEqual(ledger.forgetDeleted(), ['b']);
  });

  it('accepts a request without answer as done or as not done, and from then on as settled', () => {
    for (const done of [true, false]) {
      const { ledger, a } = sample();
      const open = ledger.begin('a', 'update');
      const found = done ? item('a', open, 9) : item('a', a, 6);
      assert.deepEqual(ledger.settle([found], 9), ['a']);
      assert.deepEqual(ledger.settle([found], 9), []);
      assert.throws(() => ledger.settle([done ? item('a', a, 6) : item('a', open, 9)], 9), /a: last/);
    }
  });

  it('notices every kind of damage', () => {
    const damage: Array<[RegExp, (ledger: Ledger, a: number) => void]> = [
      [/a: last acknowledged: update/, (ledger) => ledger.settle([], 8)],
      [/a: last acknowledged: update/, (ledger, a) => ledger.settle([item('a', a - 1, 5)], 8)],
      [/b: last acknowledged: delete/, (ledger, a) => ledger.settle([item('a', a, 6), item('b', 3, 7)], 8)],
      [/nobody made c/, (ledger, a) => ledger.settle([item('a', a, 6), item('c', 9, 8)], 8)],
      [/at version 6, after 7/, (ledger, a) => ledger.settle([item('a', a, 6)], 6)],
      [/version 9, its list 8/, (ledger, a) => ledger.settle([item('a', a, 9)], 8)],
      [/keeps the version/, (ledger, a) => ledger.settle([item('a', a, 8)], 8)],
      [/listed twice/, (ledger, a) => ledger.settle([item('a', a, 6), item('a', a, 6)], 8)],
      [
        /half written/,
        (ledger, a) => {
          const half = item('a', a, 6);
          ledger.settle([{ ...half, data: { ...half.data, last: '1' } }], 8);
        },
      ],
      [
        /has version 7, after 7 was answered/,
        (ledger) => {
          ledger.begin('a', 'update');
          ledger.acknowledge('a', 7);
        },
      ],
    ];
    for (const [expected, harm] of damage) {
      const { ledger, a } = sample();
      assert.throws(() => harm(ledger, a), expected);
    }
  });
});
