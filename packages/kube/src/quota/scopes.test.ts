import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PersistentVolumeClaim, Pod, ResourceQuotaSpec } from '../generated/types/core-v1.ts';
import { isInScopes } from './scopes.ts';

const claim = (wanted: string | undefined, current?: string, target?: string): PersistentVolumeClaim => ({
  metadata: { name: 'data' },
  spec: wanted === undefined ? {} : { volumeAttributesClassName: wanted },
  status: {
    ...(current === undefined ? {} : { currentVolumeAttributesClassName: current }),
    ...(target === undefined
      ? {}
      : { modifyVolumeStatus: { status: 'InProgress', targetVolumeAttributesClassName: target } }),
  },
});
const scoped = (operator: string, values?: string[]): ResourceQuotaSpec => ({
  scopeSelector: {
    matchExpressions: [{ scopeName: 'VolumeAttributesClass', operator, ...(values ? { values } : {}) }],
  },
});
const holds = (quota: ResourceQuotaSpec, object: PersistentVolumeClaim): boolean =>
  isInScopes(quota, 'persistentvolumeclaims', object);

describe('scopes of a quota', () => {
  it('hold a claim by the class it asks for, has, or is on its way to', () => {
    const gold = scoped('In', ['gold']);
    assert.ok(holds(gold, claim('gold')));
    assert.ok(holds(gold, claim('silver', 'gold')));
    assert.ok(holds(gold, claim('silver', 'silver', 'gold')));
    assert.ok(!holds(gold, claim('silver')));
    assert.ok(!holds(gold, claim(undefined)));
  });

  it('tell claims with a class from those without', () => {
    assert.ok(holds(scoped('Exists'), claim('gold')));
    assert.ok(!holds(scoped('Exists'), claim('')));
    assert.ok(holds(scoped('DoesNotExist'), claim(undefined)));
    assert.ok(holds(scoped('NotIn', ['gold']), claim(undefined)));
    assert.ok(!holds(scoped('NotIn', ['gold']), claim('gold')));
  });

  it('of pods never hold a claim, nor those of claims a pod', () => {
    const pod: Pod = { metadata: { name: 'web' }, spec: { containers: [{ name: 'web' }] } };
    assert.ok(!holds({ scopes: ['BestEffort'] }, claim('gold')));
    assert.ok(!isInScopes(scoped('Exists'), 'pods', pod));
    assert.ok(isInScopes({ scopes: ['BestEffort'] }, 'pods', pod));
  });

  it('that there are none of hold everything', () => {
    assert.ok(isInScopes({}, 'configmaps', { metadata: { name: 'a' } }));
    assert.ok(!isInScopes({ scopes: ['BestEffort'] }, 'configmaps', { metadata: { name: 'a' } }));
  });
});
