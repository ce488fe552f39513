import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { random } from '@cloudless/kube/testing/random';
import { checkLinearizable, type Model, type Operation } from './checker.ts';

type Input = { put: number } | 'get';
type Register = Operation<Input, number>;

/** One register that begins as 0; a put answers with its value. */
const register: Model<number, Input, number> = {
  initial: 0,
  step: (state, { input, output }) => {
    if (input === 'get') return output === state ? state : undefined;
    return input.put;
  },
  fingerprint: String,
};

/** `put 1 | 0-3` is called at 0 and answered at 3; `get 1 | 2-5`; without an end there was no answer. */
function historyOf(text: string): Register[] {
  return text.split(',').map((line, client) => {
    const [, kind, value, from, to] = /(put|get) (\d+) \| (\d+)-(\d*)/.exec(line) ?? [];
    const isKnown = to !== '';
    return {
      client,
      input: kind === 'put' ? { put: Number(value) } : 'get',
      output: isKnown ? Number(value) : undefined,
      calledAt: Number(from),
      returnedAt: isKnown ? Number(to) : Infinity,
    };
  });
}

const verdictOf = (text: string): string => checkLinearizable(historyOf(text), register).type;

/** The definition itself: some order that respects time explains every answer. Only for short histories. */
function isLinearizable(history: readonly Register[], state: number): boolean {
  if (history.every(({ output }) => output === undefined)) return true;
  const firstAnswer = Math.min(...history.map(({ returnedAt }) => returnedAt));
  return history.some((operation, i) => {
    if (operation.calledAt > firstAnswer) return false;
    if (operation.input === 'get' && operation.output === undefined) return false;
    const after = register.step(state, operation);
    return after !== undefined && isLinearizable(history.toSpliced(i, 1), after);
  });
}

/** Answers are now and then made up, so that about half of the histories are wrong. */
function randomHistory(next: () => number): Register[] {
  const times = Array.from({ length: 14 }, (_, i) => ({ i, at: next() }));
  const clock = times.sort((a, b) => a.at - b.at).map(({ i }) => i);
  return Array.from({ length: 7 }, (_, client): Register => {
    const [one, other] = [clock.indexOf(client * 2), clock.indexOf(client * 2 + 1)];
    const isKnown = next() < 0.8;
    const value = Math.floor(next() * 3);
    return {
      client,
      input: next() < 0.5 ? { put: value } : 'get',
      output: isKnown ? value : undefined,
      calledAt: Math.min(one, other),
      returnedAt: isKnown ? Math.max(one, other) : Infinity,
    };
  });
}

describe('the linearizability checker', () => {
  it('accepts what has an order', () => {
    const good = [
      'put 1 | 0-1,get 1 | 2-3',
      'get 0 | 0-1,put 1 | 2-3,get 1 | 4-5',
      // While a write is under way either value may be read, but not the old one after the new one.
      'put 1 | 0-9,get 0 | 1-2,get 1 | 3-4,get 1 | 5-6',
      'put 1 | 0-5,put 2 | 1-6,get 1 | 7-8',
      'put 1 | 0-5,put 2 | 1-6,get 2 | 7-8',
      // Without an answer: never, or much later.
      'put 1 | 0-,get 0 | 1-2,get 0 | 3-4',
      'put 1 | 0-,get 0 | 1-2,get 1 | 8-9,put 2 | 3-4,get 2 | 5-6',
    ];
    for (const text of good) assert.equal(verdictOf(text), 'linearizable', text);
  });

  it('refuses what has none', () => {
    const bad = [
      'put 1 | 0-1,get 0 | 2-3',
      'get 1 | 0-1,put 1 | 2-3',
      'put 1 | 0-9,get 1 | 1-2,get 0 | 3-4',
      'put 1 | 0-1,put 2 | 2-3,get 1 | 4-5',
      'put 1 | 0-5,put 2 | 1-6,get 1 | 7-8,get 2 | 9-10',
      // An unknown write happens at most once.
      'put 1 | 0-,get 1 | 1-2,put 2 | 3-4,get 2 | 5-6,get 1 | 7-8,put 3 | 9-10,get 1 | 11-12',
    ];
    for (const text of bad) assert.equal(verdictOf(text), 'not-linearizable', text);
  });

  it('tells the longest order that explains something, and what does not fit behind it', () => {
    const verdict = checkLinearizable(historyOf('put 1 | 0-1,get 1 | 2-3,get 0 | 4-5'), register);
    assert.ok(verdict.type === 'not-linearizable');
    assert.deepEqual(
      [verdict.longest.map(({ client }) => client), verdict.stuck.map(({ client }) => client), verdict.state],
      [[0, 1], [2], 1],
    );
  });

  it('gives up when told to, and says so', () => {
    const history = historyOf(Array.from({ length: 30 }, (_, i) => `put ${i} | ${i}-${99 + i}`).join(','));
    const impossible = [...history, ...historyOf('get 77 | 200-201')];
    assert.equal(checkLinearizable(impossible, register, 10_000).type, 'too-long');
  });

  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  const runs = Number(process.env['ITERATIONS'] ?? 10) * 100;
  it(`agrees with the definition on short random histories (SEED=${seed}, ${runs} of them)`, (t) => {
    const next = random(seed);
    const count = { linearizable: 0, 'not-linearizable': 0, 'too-long': 0 };
    for (let i = 0; i < runs; i++) {
      const history = randomHistory(next);
      const { type } = checkLinearizable(history, register);
      assert.equal(type === 'linearizable', isLinearizable(history, 0), JSON.stringify(history));
      count[type]++;
    }
    t.diagnostic(JSON.stringify(count));
    assert.ok(count.linearizable > runs / 20 && count['not-linearizable'] > runs / 20);
  });
});
