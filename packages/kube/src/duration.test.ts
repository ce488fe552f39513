import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { durationMs } from './duration.ts';

describe('durations', () => {
  it('are those of Go', () => {
    const cases: Array<[string, number | undefined]> = [
      ['0', 0],
      ['90s', 90_000],
      ['1m30s', 90_000],
      ['1.5s', 1500],
      ['1h', 3_600_000],
      ['250ms', 250],
      ['500us', 0.5],
      ['.5s', 500],
      ['', undefined],
      ['10', undefined],
      ['-3s', undefined],
      ['3 s', undefined],
      ['3d', undefined],
      ['s', undefined],
    ];
    for (const [text, ms] of cases) assert.equal(durationMs(text), ms, text);
  });
});
