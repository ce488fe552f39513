import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Nft } from './libnftables.ts';
import {
  baseChains,
  type BaseChainName,
  buildTable,
  NftOwnershipError,
  openTable,
  type PartContent,
} from './table.ts';

const content = (more: Partial<PartContent>): PartContent => ({
  part: 'pods',
  declarations: '',
  rules: {},
  elements: [],
  ...more,
});

/** Records scripts instead of running them. */
function recorder(): Nft & { scripts: string[] } {
  const scripts: string[] = [];
  return {
    scripts,
    run: (script) => (scripts.push(script), ''),
    hasTable: () => false,
    listMap: () => undefined,
    close: () => {},
  };
}

describe('the one owner of the nft table (ARCHITECTURE, wall 9)', () => {
  for (const [sentence, broken] of [
    [
      'a map without the part’s prefix',
      content({ declarations: '  map services-x { type ipv4_addr : verdict; }' }),
    ],
    ['a set without any prefix', content({ declarations: '  set blocked { type ipv4_addr; }' })],
    ['a chain of another part', content({ declarations: '  chain policy-forward-1 { accept }' })],
    ['a counter of another part', content({ declarations: '  counter egress-bytes { }' })],
    ['a base chain as its own', content({ declarations: '  chain pods-postrouting { accept }' })],
    [
      'a second declaration after its own',
      content({ declarations: '  set pods-a { type mark; }\n  set egress-a { type mark; }' }),
    ],
    ['rules for another part’s base chain', content({ rules: { 'services-prerouting': ['accept'] } })],
    [
      'a base chain that nobody has',
      content({ rules: { 'pods-input': ['accept'] } as PartContent['rules'] }),
    ],
  ] as const)
    it(`refuses a part that declares ${sentence}`, () =>
      assert.throws(() => buildTable([content({ part: 'services' }), broken]), NftOwnershipError));

  for (const script of [
    'add element inet cloudless services-frontends4 { 10.96.0.1 . tcp . 80 : goto services-spread-1 }',
    'flush ruleset',
    'delete table inet cloudless',
    'add rule inet filter input accept',
    'add element inet cloudless pods-hairpin4 { 10.0.0.1 . 10.0.0.1 }\nflush set inet cloudless policy-peers4',
    'flush chain inet cloudless services-output',
    ' add element inet cloudless pods-hairpin4 { 10.0.0.1 . 10.0.0.1 }',
  ])
    it(`refuses to run for part pods: ${script.replace('\n', ' / ')}`, () => {
      const nft = recorder();
      assert.throws(() => openTable(nft).change('pods', script), NftOwnershipError);
      assert.deepEqual(nft.scripts, [], 'nothing of it may have run');
    });

  it('runs what is a part’s own, as one transaction', () => {
    const nft = recorder();
    const script =
      'delete element inet cloudless pods-hairpin4 { 10.0.0.1 . 10.0.0.1 }\nadd element inet cloudless pods-hairpin4 { 10.0.0.2 . 10.0.0.2 }';
    openTable(nft).change('pods', script);
    assert.deepEqual(nft.scripts, [script]);
  });

  it('replaces and removes its own table only', () => {
    const script = buildTable([content({ declarations: '  set pods-a { type mark; }' })]);
    assert.deepEqual(
      [...script.matchAll(/^(?:add|delete|flush|table)\b.*$/gm)].map(([line]) => line),
      ['add table inet cloudless', 'delete table inet cloudless', 'table inet cloudless {'],
    );
    const nft = recorder();
    openTable(nft).remove();
    assert.deepEqual(nft.scripts, ['add table inet cloudless\ndelete table inet cloudless']);
  });

  it('every base chain carries its owner’s name, and no two of a hook meet at one priority', () => {
    const places = new Set<string>();
    for (const name of Object.keys(baseChains) as BaseChainName[]) {
      const chain = baseChains[name];
      assert.ok(name.startsWith(`${chain.part}-`), name);
      const place = `${chain.type} ${chain.hook} ${chain.priority}`;
      assert.ok(!places.has(place), `${name} stands at ${place}, as another does`);
      places.add(place);
    }
  });
});
