import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { burstOffsetsMs, Bursts } from './bursts.ts';

/** Runs until nothing is due any more; `time address link` of each announcement. */
function play(bursts: Bursts, most = 1000): string[] {
  const heard: string[] = [];
  for (let next = bursts.nextMs(); next !== Infinity; next = bursts.nextMs())
    for (const { address, link } of bursts.due(next, most)) heard.push(`${next} ${address} ${link}`);
  return heard;
}

describe('announcing after taking over', () => {
  it('at 0, 50, 200, 1000 and 3000 ms', () => {
    const bursts = new Bursts();
    bursts.start('192.0.2.9', 2, 100);
    assert.deepEqual(
      play(bursts),
      [100, 150, 300, 1100, 3100].map((ms) => `${ms} 192.0.2.9 2`),
    );
  });

  it('bursts that overlap each keep their own times', () => {
    const bursts = new Bursts();
    bursts.start('a', 1, 0);
    bursts.start('b', 1, 20);
    const heard = play(bursts);
    assert.equal(heard.length, 2 * burstOffsetsMs.length);
    assert.deepEqual(heard.slice(0, 4), ['0 a 1', '20 b 1', '50 a 1', '70 b 1']);
  });

  it('a stopped one is silent, a started-again one begins anew', () => {
    const bursts = new Bursts();
    bursts.start('a', 1, 0);
    bursts.start('a', 2, 0);
    assert.equal(bursts.due(0, 10).length, 2);
    bursts.stop('a', 1);
    bursts.start('a', 2, 10);
    assert.deepEqual(
      play(bursts),
      [10, 60, 210, 1010, 3010].map((ms) => `${ms} a 2`),
    );
  });

  it('a thousand at once come in portions, none forgotten', () => {
    const bursts = new Bursts();
    for (let i = 0; i < 1000; i++) bursts.start(`a${i}`, 1, 0);
    assert.equal(bursts.due(0, 256).length, 256);
    assert.equal(bursts.nextMs(), 0);
    assert.equal(256 + play(bursts, 256).length, 1000 * burstOffsetsMs.length);
  });
});
