import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isOpenToAll, openProgramPrefix } from './open-program.ts';

describe('a program in a folder that is closed to others', () => {
  let above: string;
  let program: string;
  before(() => {
    above = mkdtempSync('/tmp/open-program-');
    program = join(above, 'checkout');
    mkdirSync(program, { mode: 0o755 });
    writeFileSync(join(program, 'later.mjs'), `export const said = 'loaded later';`, { mode: 0o644 });
    writeFileSync(
      join(program, 'main.mjs'),
      `process.setgid(65534); process.setuid(65534);
       const { said } = await import('./later.mjs');
       console.log(said, process.getuid(), import.meta.dirname);`,
      { mode: 0o644 },
    );
  });
  after(() => rmSync(above, { recursive: true }));
  const start = (): string => {
    const [command, ...args] = [...openProgramPrefix(program), process.execPath, 'main.mjs'];
    return execFileSync(command, args, { cwd: program, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  };

  it('is found open or closed by all folders on the way', () => {
    assert.equal(isOpenToAll('/usr/bin'), true);
    assert.equal(isOpenToAll(program), false);
    chmodSync(above, 0o711);
    assert.equal(isOpenToAll(program), true);
    chmodSync(program, 0o700);
    assert.equal(isOpenToAll(program), false);
    chmodSync(program, 0o755);
    chmodSync(above, 0o700);
  });

  it('loads its parts after it gave root away', () => {
    assert.equal(start(), 'loaded later 65534 /mnt\n');
  });

  it('starts as it is where it is open', () => {
    chmodSync(above, 0o711);
    assert.deepEqual(openProgramPrefix(program), []);
    assert.equal(start(), `loaded later 65534 ${program}\n`);
    chmodSync(above, 0o700);
  });
});
