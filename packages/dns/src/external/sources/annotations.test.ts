import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isForUs, ttlAnnotation } from './annotations.ts';
import { annotated, newer, older } from './testing/objects.ts';

describe('annotations', () => {
  it('count under both prefixes, the newer one first', () => {
    const metadata = { annotations: { [`${older}ttl`]: '10', [`${newer}ttl`]: '20' } };
    assert.equal(ttlAnnotation({ metadata }), 20);
    assert.equal(ttlAnnotation({ metadata: { annotations: { [`${older}ttl`]: '10' } } }), 10);
  });

  // As upstream's TestTTLFromAnnotations.
  for (const [text, seconds] of [
    ['foo', undefined],
    ['', undefined],
    ['60', 60],
    ['60s', 60],
    ['10m', 600],
    ['1.5s', 1],
    ['0', undefined],
    ['-1', undefined],
    ['0.2s', undefined],
    ['2147483647', 2_147_483_647],
    ['2147483648', undefined],
  ] as const)
    it(`has a TTL of ${seconds ?? 'its own'} for "${text}"`, () => {
      assert.equal(ttlAnnotation({ metadata: annotated({ ttl: text }) }), seconds);
    });

  it('of another controller make an object none of ours', () => {
    assert.equal(isForUs({ metadata: annotated({ controller: 'some-other-tool' }) }), false);
    assert.equal(isForUs({ metadata: annotated({ controller: 'dns-controller' }) }), true);
    assert.equal(isForUs({ metadata: {} }), true);
  });
});
