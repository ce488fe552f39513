import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { elect, Ranking, type Standing } from './election.ts';

const standing = (of: Record<string, Standing>) => (node: string) => of[node];

describe('the election', () => {
  it('goes by sha256 of node and first address, as MetalLB does', () => {
    // By upstream's speaker/layer2_controller_test.go: the order of three nodes for one address is that of the digests.
    const nodes = ['iris1', 'iris2', 'iris3'];
    for (const address of ['10.20.30.1', '10.20.30.4', '2001:db8::1']) {
      const digest = (node: string) => createHash('sha256').update(`${node}#${address}`).digest();
      const expected = nodes.toSorted((a, b) => Buffer.compare(digest(a), digest(b)));
      assert.deepEqual(new Ranking(address).of(nodes), expected);
    }
  });

  it('gives the address to the first that is live, and says of each other why it is not', () => {
    const order = ['a', 'b', 'c', 'd', 'e'];
    const known = standing({ a: 'silent', b: 'joining', d: 'live', e: 'live', f: 'live' });
    assert.deepEqual(elect({ order, standing: known, members: ['a', 'b', 'd', 'e', 'f'] }), {
      owner: 'd',
      others: [
        { node: 'a', why: 'silent' },
        { node: 'b', why: 'joining' },
        { node: 'c', why: 'no-such-member' },
        { node: 'e', why: 'later-in-election' },
        { node: 'f', why: 'not-a-candidate' },
      ],
    });
  });

  it('lets a holder keep it, while that is a live candidate', () => {
    const election = { order: ['a', 'b'], members: ['a', 'b'] };
    const both = standing({ a: 'live', b: 'live' });
    assert.equal(elect({ ...election, standing: both, holder: 'b' }).owner, 'b');
    assert.equal(elect({ ...election, standing: both, holder: 'c' }).owner, 'a');
    assert.equal(
      elect({ ...election, standing: standing({ a: 'live', b: 'silent' }), holder: 'b' }).owner,
      'a',
    );
    assert.equal(elect({ order: [], members: [], standing: both }).owner, undefined);
  });

  it('moves no address but those of nodes that come or go', () => {
    const name = fc.stringMatching(/^[a-z]{1,8}$/);
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 2, maxLength: 8 }), fc.ipV4(), (nodes, address) => {
        const ranking = new Ranking(address);
        const all = ranking.of(nodes);
        const gone = nodes[0] as string;
        const rest = ranking.of(nodes.slice(1));
        assert.deepEqual(
          rest,
          all.filter((node) => node !== gone),
        );
        assert.deepEqual(ranking.of(nodes.toReversed()), all);
        assert.ok(all.every((node, i) => i === 0 || ranking.precedes(all[i - 1] as string, node)));
      }),
    );
  });
});
