import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const modules = JSON.stringify(new URL('./outlive.ts', import.meta.url).href);
const mistakes = `
  void Promise.reject(new Error('rejected'));
  setTimeout(() => { throw new Error('thrown'); }, 1);
  setTimeout(() => console.log('goes on'), 20);
`;
const inProcess = (script: string) =>
  run(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script]);

describe('a process that outlives mistakes', () => {
  it('tells of what is rejected or thrown where nobody looks, and goes on', async () => {
    const { stdout } = await inProcess(`
      import { outliveMistakes } from ${modules};
      outliveMistakes({ error: ({ err }, text) => console.log(err.message + ': ' + text) });
      ${mistakes}`);
    assert.deepEqual(stdout.trim().split('\n'), [
      'rejected: nobody waited for what failed',
      'thrown: nobody caught what was thrown',
      'goes on',
    ]);
  });

  it('would have ended without', async () => {
    await assert.rejects(inProcess(mistakes), /Error: rejected/);
  });
});
