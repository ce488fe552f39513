import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RetryAfter } from './retry-after.ts';

/** What clients are told at the end of each second, with so many refused in it; a second without any is passed over. */
function told(refusals: readonly number[]): number[] {
  const retryAfter = new RetryAfter();
  return refusals.map((count, i) => {
    for (let n = 0; n < count; n++) retryAfter.refused(1_000 + i);
    return retryAfter.seconds;
  });
}

describe('who is refused', () => {
  it('is to wait a second while few are', () => assert.deepEqual(told([1, 2, 2, 2, 1]), [1, 1, 1, 1, 1]));

  it('is to wait twice as long while many are, but each time only after that long', () =>
    assert.deepEqual(told([9, 9, 9, 9, 9, 9, 9, 9]), [1, 2, 2, 4, 4, 4, 4, 8]));

  it('is never to wait for more than 32 seconds', () => {
    const last = told(Array.from({ length: 200 }, () => 1_000)).at(-1);
    assert.equal(last, 32);
  });

  it('is to wait a second less with each second in which few were', () =>
    assert.deepEqual(
      told([9, 9, 9, 9, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1]),
      [1, 2, 2, 4, 4, 4, 4, 4, 4, 3, 2, 2, 2, 2, 1],
    ));
});
