import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FieldPath } from '@cloudless/kube/field';
import {
  compareQuantities,
  formatQuantity,
  isMultipleOf,
  isWhole,
  roundResources,
  validateQuantity,
} from './quantities.ts';

describe('quantities', () => {
  const canonical: Array<[string | number, string]> = [
    ['1000m', '1'],
    ['0.5', '500m'],
    [0.5, '500m'],
    ['1.5Gi', '1536Mi'],
    ['1024Mi', '1Gi'],
    ['1000', '1k'],
    ['1500', '1500'],
    ['1e3', '1e3'],
    ['12E', '12E'],
    ['100Ki', '100Ki'],
    ['1023Ki', '1023Ki'],
    ['0.5Ki', '512'],
    ['0', '0'],
    ['0Mi', '0'],
    ['-1.5', '-1500m'],
    ['.5', '500m'],
    ['1n', '1n'],
    ['0.1n', '1n'],
    [9007199254740993n as unknown as number, '9007199254740993'],
  ];
  for (const [given, expected] of canonical) {
    it(`writes ${given} as ${expected}`, () => assert.equal(formatQuantity(given), expected));
  }

  it('compares across suffixes', () => {
    assert.equal(compareQuantities('1Gi', '1G'), 1);
    assert.equal(compareQuantities('1000m', '1'), 0);
    assert.equal(compareQuantities(undefined, '0'), 0);
  });

  it('knows what is no quantity', () => {
    for (const text of ['', 'x', '1x', '1.2.3', '1 Gi', '--1'])
      assert.equal(validateQuantity(text, FieldPath.of('q')).length, 1, text);
  });

  it('rounds up to milli and canonicalizes in place', () => {
    const resources = { cpu: '0.0001', memory: '2048Mi', tiny: '100u' };
    roundResources(resources);
    assert.deepEqual(resources, { cpu: '1m', memory: '2Gi', tiny: '1m' });
  });

  it('tells whole amounts and multiples', () => {
    for (const text of ['0', '3', '2Gi', '1000m', '30E', undefined])
      assert.equal(isWhole(text), true, String(text));
    for (const text of ['1500m', '1n', '-0.5']) assert.equal(isWhole(text), false, text);
    assert.equal(isMultipleOf('4Mi', '2Mi'), true);
    assert.equal(isMultipleOf('3Mi', '2Mi'), false);
    assert.equal(isMultipleOf('3Mi', '0'), false);
  });
});
