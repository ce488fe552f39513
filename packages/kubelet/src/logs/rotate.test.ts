import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { rotateLog } from './rotate.ts';

const folder = mkdtempSync(join(tmpdir(), 'cl-logs-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const limits = { maxBytes: 10, maxFiles: 3 };
const at = (second: number): number => Date.UTC(2026, 0, 31, 12, 0, second);

void describe('log rotation', () => {
  const path = join(folder, '0.log');
  const write = (text: string): void => writeFileSync(path, text);
  const reopen = async (): Promise<void> => write('');

  void it('leaves a small log alone', async () => {
    write('short');
    assert.equal(await rotateLog(path, limits, at(0), reopen), false);
  });

  void it('keeps as many files as allowed, the older compressed', async () => {
    for (const second of [1, 2, 3]) {
      write(`line of second ${second}`);
      assert.equal(await rotateLog(path, limits, at(second), reopen), true);
    }
    assert.deepEqual(readdirSync(folder).sort(), [
      '0.log',
      '0.log.20260131-120002.gz',
      '0.log.20260131-120003',
    ]);
    assert.equal(
      gunzipSync(readFileSync(join(folder, '0.log.20260131-120002.gz'))).toString(),
      'line of second 2',
    );
  });

  void it('gives the file its name back when the runtime does not reopen', async () => {
    write('a line that is long');
    await assert.rejects(
      rotateLog(path, limits, at(9), () => Promise.reject(new Error('no'))),
      /no/,
    );
    assert.equal(readFileSync(path, 'utf8'), 'a line that is long');
  });
});
