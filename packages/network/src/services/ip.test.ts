import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import '@cloudless/kube/schema/seed';
import * as fc from 'fast-check';
import { canonicalIp, formatBlock, inBlock, parseBlock, withoutNested } from './ip.ts';

describe('addresses and blocks', () => {
  for (const [text, expected] of [
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.01', undefined],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['fe80::1%eth0', undefined],
    ['::ffff:192.0.2.1', undefined],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['1.2.3.4 } ; flush ruleset', undefined],
    ['', undefined],
  ])
    it(`${text} is ${expected ?? 'none'}`, () => assert.equal(canonicalIp(text as string), expected));

  for (const [text, expected] of [
    ['10.1.2.3/8', '10.0.0.0/8'],
    [' 192.0.2.0/24 ', '192.0.2.0/24'],
    ['2001:db8:ffff::1/32', '2001:db8::/32'],
    ['::/0', '::/0'],
    ['255.255.255.255/32', '255.255.255.255/32'],
    ['10.0.0.0/33', undefined],
    ['10.0.0.0', undefined],
  ])
    it(`the block ${text} is ${expected ?? 'none'}`, () => {
      const block = parseBlock(text as string);
      assert.equal(block && formatBlock(block), expected);
    });

  it('blocks without the nested ones hold the same addresses, each in one of them', () => {
    const ip = fc.integer({ min: 0, max: 255 }).map((octet) => `10.0.0.${octet}`);
    const block = fc.tuple(ip, fc.integer({ min: 22, max: 32 })).map(([base, bits]) => `${base}/${bits}`);
    fc.assert(
      fc.property(fc.array(block, { maxLength: 8 }), fc.array(ip), (texts, ips) => {
        const all = texts.flatMap((text) => parseBlock(text) ?? []);
        const kept = withoutNested(all);
        for (const one of ips) {
          const holders = kept.filter((candidate) => inBlock(candidate, one)).length;
          assert.equal(holders, all.some((candidate) => inBlock(candidate, one)) ? 1 : 0);
        }
      }),
    );
  });
});
