import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { random as seededRandom } from '@cloudless/kube/testing/random';
import { emptyMessage, parseQuery, plainEdns, writeMessage } from '../wire/message.ts';
import { lowerName } from '../wire/name.ts';
import { Inquiry } from './inquiry.ts';
import { queryOf } from './plain-query.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
const rounds = Number(process.env['ITERATIONS'] ?? 10);

describe('a query as the inquiry found it', () => {
  it('is the one that the parser finds, but for the letters’ case and the options', () => {
    console.log(`SEED=${seed}`);
    const next = seededRandom(seed);
    const below = (most: number): number => Math.floor(next() * most);
    const inquiry = new Inquiry();
    let taken = 0;
    for (let i = 0; i < rounds * 100; i++) {
      const letters = i % 4 === 0 ? ['a', 'Z', '\\.', '\\000', '\\@'] : ['a', 'Z', '0', '-', '_', '*'];
      const label = (): string =>
        Array.from({ length: 1 + below(63) }, () => letters[below(letters.length)]).join('');
      const name = Array.from({ length: below(4) }, label).join('.');
      const edns = {
        ...plainEdns,
        udpSize: 512 + below(4000),
        dnssecOk: next() < 0.5,
        compactOk: next() < 0.5,
      };
      const message = writeMessage({
        ...emptyMessage,
        id: below(65_536),
        recursionDesired: next() < 0.5,
        questions: [{ name, type: 1 + below(100), class: 1 }],
        edns: next() < 0.5 ? edns : undefined,
      });
      if (inquiry.look(message, 0, message.length, true) !== 'plain') continue;
      const found = queryOf(inquiry, message);
      if (!found) {
        assert.match(name, /\\/);
        continue;
      }
      taken += 1;
      const parsed = parseQuery(message);
      assert.deepEqual(found, {
        ...parsed,
        question: { ...parsed.question, name: lowerName(parsed.question.name) },
      });
    }
    assert.ok(taken > rounds * 40);
  });
});
