import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseOptions, UsageError } from './options.ts';

const intervalOf = (text: string): number | undefined =>
  parseOptions({ nodeName: 'n', etcdCompactionInterval: text }).compactionIntervalMs;

describe('--etcd-compaction-interval', () => {
  it('takes durations as upstream writes them', () => {
    assert.equal(intervalOf('5m'), 300_000);
    assert.equal(intervalOf('1h30m'), 5_400_000);
    assert.equal(intervalOf('2s'), 2000);
    assert.equal(parseOptions({ nodeName: 'n' }).compactionIntervalMs, undefined);
  });

  it('refuses what is none, too short or too long, and names the flag', () => {
    for (const text of ['', '5', 'm', '0s', '-1s', '1.5m', '10ms', '600h', '5m '])
      assert.throws(() => intervalOf(text), UsageError, text);
    assert.throws(() => intervalOf('soon'), /--etcd-compaction-interval soon: expected/);
  });
});
