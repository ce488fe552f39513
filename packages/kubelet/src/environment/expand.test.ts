import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { expand, unresolved } from './expand.ts';

const known: Record<string, string> = { A: '1', B: '$(A)', EMPTY: '' };
const lookup = (name: string): string | undefined => known[name];

void describe('expansion of $(NAME)', () => {
  // Upstream's table (third_party/forked/golang/expansion/expand_test.go) by meaning.
  const cases: Array<[string, string]> = [
    ['$(A)', '1'],
    ['x-$(A)-y', 'x-1-y'],
    ['$(B)', '$(A)'],
    ['$(EMPTY)', ''],
    ['$(NONE)', '$(NONE)'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$1'],
    ['$$$$(A)', '$$(A)'],
    ['$A', '$A'],
    ['$(A', '$(A'],
    ['$', '$'],
    ['cost $', 'cost $'],
    ['$(A)$(A)', '11'],
    ['$()', '$()'],
    ['$((A))', '$((A))'],
  ];
  for (const [input, output] of cases)
    void it(`${input} → ${output}`, () => assert.equal(expand(input, lookup), output));

  void it('leaves text without $ alone', () => {
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes('$')),
        (text) => assert.equal(expand(text, lookup), text),
      ),
    );
  });

  void it('gives a text back when every $ in it is doubled', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('$', '(', ')', 'A', 'x') }), (text) => {
        assert.equal(expand(text.replaceAll('$', '$$$$'), lookup), text);
      }),
    );
  });

  void it('expands every known name in any surroundings', () => {
    const surroundings = fc.string({ unit: fc.constantFrom('(', ')', 'A', 'x', '{', ' ') });
    fc.assert(
      fc.property(surroundings, surroundings, (before, after) => {
        assert.equal(expand(`${before}$(A)${after}`, lookup), `${before}1${after}`);
      }),
    );
  });

  void it('names what it cannot resolve', () => {
    assert.deepEqual(unresolved('$(A)/$(NONE)/$$(X)', lookup), ['NONE']);
  });
});
