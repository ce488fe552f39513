import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { StatusError } from '@cloudless/kube/status';
import { FakeClock } from '@cloudless/kube/testing/fake-clock';
import { Deadlines, requestTimeoutMs } from './deadlines.ts';

const timeoutOf = (text: string): number => requestTimeoutMs(new URLSearchParams({ timeout: text }), 60_000);

describe('the timeout of a request', () => {
  it('is what the client asks for, within what the server allows', () => {
    assert.equal(requestTimeoutMs(new URLSearchParams(), 60_000), 60_000);
    for (const [text, ms] of [
      ['', 60_000],
      ['0', 60_000],
      ['0s', 60_000],
      ['-5s', 60_000],
      ['3m', 60_000],
      ['32s', 32_000],
      ['1.5s', 1_500],
      ['250us', 0.25],
    ] as const)
      assert.equal(timeoutOf(text), ms, text);
  });

  it("is refused in Go's words when it is none", () => {
    for (const [text, why] of [
      ['invalid', 'invalid duration "invalid"'],
      ['-', 'invalid duration "-"'],
      ['.s', 'invalid duration ".s"'],
      ['10', 'missing unit in duration "10"'],
      ['1s2', 'missing unit in duration "1s2"'],
      ['1.5.5s', 'missing unit in duration "1.5.5s"'],
      ['1d', 'unknown unit "d" in duration "1d"'],
      ['1h 2m', 'unknown unit "h " in duration "1h 2m"'],
      ['9223372036854775808ns', 'invalid duration "9223372036854775808ns"'],
    ] as const) {
      assert.throws(
        () => timeoutOf(text),
        (error: unknown) =>
          error instanceof StatusError &&
          error.code === 400 &&
          error.message === `invalid timeout specified in the request URL - time: ${why}`,
        text,
      );
    }
  });
});

describe('deadlines', () => {
  it('pass in their order, but for those that were cancelled, and share a timer', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(60_000, clock);
    const passed: string[] = [];
    const set = (name: string, ms = 60_000) => deadlines.set(ms, () => passed.push(name));
    set('a');
    clock.advance(1_000);
    const cancelled = set('b');
    set('c');
    set('quick', 500);
    assert.equal(clock.pendingTimers, 2);
    clock.advance(500);
    cancelled.cancel();
    clock.advance(58_500);
    assert.deepEqual(passed, ['quick', 'a']);
    clock.advance(1_000);
    assert.deepEqual(passed, ['quick', 'a', 'c']);
    assert.equal(clock.pendingTimers, 0);
    set('d');
    deadlines.stop();
    assert.equal(clock.pendingTimers, 0);
  });
});
