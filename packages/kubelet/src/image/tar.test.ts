import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import * as fc from 'fast-check';
import { tarBuffer, treeEntries, writeTar } from './tar.ts';

const folder = mkdtempSync(join(tmpdir(), 'cl-tar-'));
after(() => rmSync(folder, { recursive: true, force: true }));

describe('tar', () => {
  it('GNU tar reads back any tree, long names included', async () => {
    const name = fc.stringMatching(/^[a-z0-9][a-zA-Z0-9 _.äö-]{0,60}$/);
    const tree = fc.dictionary(name, fc.uint8Array({ maxLength: 3000 }), {
      maxKeys: 5,
      noNullPrototype: true,
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(name, { minLength: 1, maxLength: 4 }), tree, async (deep, files) => {
        run += 1;
        const source = join(folder, `in-${run}`);
        const target = join(folder, `out-${run}`);
        const inner = join(source, ...deep);
        mkdirSync(inner, { recursive: true });
        mkdirSync(target);
        for (const [file, bytes] of Object.entries(files)) writeFileSync(join(inner, `f${file}`), bytes);
        symlinkSync(`${'x'.repeat(90)}/${'y'.repeat(90)}`, join(source, 'zz-link'));
        writeFileSync(join(source, 'zz-one'), 'one', { mode: 0o640 });
        linkSync(join(source, 'zz-one'), join(source, 'zz-two'));
        await writeTar(`${source}.tar`, treeEntries(source));
        execFileSync('tar', ['--extract', '--file', `${source}.tar`, '--directory', target]);
        execFileSync('diff', ['--recursive', '--no-dereference', source, target]);
        assert.equal(execFileSync('stat', ['-c', '%a %h', join(target, 'zz-two')]).toString(), '640 2\n');
      }),
      {
        numRuns: Number(process.env['ITERATIONS'] ?? 10),
        ...(process.env['SEED'] ? { seed: Number(process.env['SEED']) } : {}),
      },
    );
  });

  it('equal trees give equal archives, whenever they were made', async () => {
    const digests = [];
    for (const at of ['a', 'b']) {
      const source = join(folder, `same-${at}`);
      mkdirSync(source);
      for (const name of at === 'a' ? ['1', '2'] : ['2', '1']) writeFileSync(join(source, name), name);
      digests.push((await writeTar(`${source}.tar`, treeEntries(source))).digest);
    }
    assert.equal(digests[0], digests[1]);
  });

  it('in memory and in a file are the same', async () => {
    const entries = [{ path: 'a', type: 'file' as const, mode: 0o644, content: Buffer.from('hello') }];
    const file = join(folder, 'memory.tar');
    await writeTar(file, entries);
    assert.deepEqual(readFileSync(file), tarBuffer(entries));
  });
});
