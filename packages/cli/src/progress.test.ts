import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatMs, Progress } from './progress.ts';

const recorded = (isTerminal: boolean): { text: () => string; progress: Progress } => {
  let written = '';
  const progress = new Progress({ write: (text) => void (written += text), isTerminal });
  return { text: () => written.replace(/\(\d+ ms\)/g, '(N ms)'), progress };
};

describe('progress', () => {
  it('is a line a step where no terminal is', () => {
    const { text, progress } = recorded(false);
    progress.step('look at this machine');
    progress.done('node-1');
    progress.step('certificates');
    progress.note('a note');
    progress.step('start the processes');
    progress.fail('port 6443 is taken');
    progress.done();
    assert.equal(
      text(),
      '✓ look at this machine: node-1 (N ms)\na note\n✓ certificates (N ms)\n✗ start the processes: port 6443 is taken (N ms)\n',
    );
  });

  it('says on a terminal how far a step is, and keeps it out of the line that stays', () => {
    const { text, progress } = recorded(true);
    progress.step('copy');
    progress.detail('3 of 4 records');
    progress.note('a note');
    progress.done();
    assert.match(text(), /copy: 3 of 4 records … \d+ ms/);
    assert.match(text(), /✓ copy \(N ms\)\n$/);
  });

  it('is one line that is drawn again on a terminal, and leaves no timer', () => {
    const { text, progress } = recorded(true);
    progress.step('wait');
    progress.note('a note');
    progress.done();
    const lines = text().split('\n');
    assert.match((lines[0] ?? '').replaceAll('\r\x1b[K', '|'), /^\|. wait … \d+ ms\|a note$/);
    assert.equal(lines[1]?.split('\r\x1b[K').at(-1), '✓ wait (N ms)');
    assert.deepEqual(
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout'),
      [],
    );
  });

  it('times are written as people read them', () => {
    assert.deepEqual([0, 40.4, 999, 1000, 12_345].map(formatMs), [
      '0 ms',
      '40 ms',
      '999 ms',
      '1.0 s',
      '12.3 s',
    ]);
  });
});
