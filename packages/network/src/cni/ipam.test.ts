import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import '@cloudless/kube/schema/seed';
import * as fc from 'fast-check';
import { blockContains, parseIpv4Block, PodRange, PodRangeExhaustedError } from './ipam.ts';

describe('addresses of a node’s pods', () => {
  it('none is given out twice, and each is one of the block’s', () => {
    const step = fc.oneof(
      fc.constant({ kind: 'allocate' as const }),
      fc.record({ kind: fc.constant('release' as const), which: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 26, max: 30 }), fc.array(step, { maxLength: 200 }), (prefix, steps) => {
        const cidr = `10.244.7.0/${prefix}`;
        const range = new PodRange(cidr);
        const capacity = 2 ** (32 - prefix) - 3;
        const used: string[] = [];
        for (const next of steps) {
          if (next.kind === 'release') {
            const [ip] = used.splice(next.which % Math.max(1, used.length), 1);
            if (ip !== undefined) range.release(ip);
          } else if (used.length === capacity) assert.throws(() => range.allocate(), PodRangeExhaustedError);
          else {
            const ip = range.allocate();
            assert.ok(!used.includes(ip), `${ip} twice`);
            assert.ok(blockContains(cidr, `${ip}/32`) && ip !== range.gateway && ip !== '10.244.7.0');
            used.push(ip);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('an address rests as long as possible before it is used again', () => {
    const range = new PodRange('10.244.7.0/29');
    const first = range.allocate();
    range.release(first);
    const others = Array.from({ length: 4 }, () => range.allocate());
    assert.ok(!others.includes(first));
    assert.equal(range.allocate(), first);
  });

  it('says how many have one when there is none left', () => {
    const range = new PodRange('10.244.7.0/30');
    range.allocate();
    assert.throws(
      () => range.allocate(),
      new PodRangeExhaustedError("no free address in this node's pod CIDR 10.244.7.0/30: 1 pods have one"),
    );
  });

  it('leaves out what was found in use, also when it lies outside the block', () => {
    const range = new PodRange('10.244.7.0/29');
    for (const ip of ['10.244.7.2', '10.244.7.4', '10.244.9.9']) range.reserve(ip);
    assert.deepEqual(
      Array.from({ length: 3 }, () => range.allocate()),
      ['10.244.7.5', '10.244.7.6', '10.244.7.3'],
    );
  });

  it('refuses what is no block, in a sentence that names it', () => {
    for (const text of ['', '10.244.0.0', '10.244.0/16', '10.244.0.0/33', '256.0.0.0/8', 'fd00::/64'])
      assert.throws(
        () => parseIpv4Block(text),
        new Error(`"${text}" is not an IPv4 block such as 10.244.1.0/24`),
      );
    assert.throws(() => new PodRange('10.244.0.0/31'), /too small: it needs at least a \/30/);
  });

  for (const [outer, inner, contains] of [
    ['10.244.0.0/16', '10.244.3.0/24', true],
    ['10.244.0.0/16', '10.244.0.0/16', true],
    ['10.244.0.0/16', '10.245.0.0/24', false],
    ['10.244.0.0/16', '0.0.0.0/0', false],
    ['10.244.0.0/16', '10.244.0.0/24\nlink del eth0', false],
  ] as const)
    it(`${JSON.stringify(inner)} is ${contains ? '' : 'not '}within ${outer}`, () =>
      assert.equal(blockContains(outer, inner), contains));
});
