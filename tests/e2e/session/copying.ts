import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Chapter } from './session.ts';

const cargoBytes = 24 * 1024 * 1024;

export const copying: Chapter = {
  'cp of a large binary file there and back': async (s) => {
    const pod = await s.value('pods -l app=d', '.items[0].metadata.name');
    const [there, back] = [s.file('cargo'), s.file('cargo-back')];
    const cargo = randomBytes(cargoBytes);
    const sum = createHash('sha256').update(cargo).digest('hex');
    writeFileSync(there, cargo);
    await s.k(`cp ${there} ${pod}:/tmp/large`);
    assert.equal(await s.k(`exec ${pod} -- sha256sum /tmp/large`), `${sum}  /tmp/large\n`);
    await s.k(`cp ${pod}:/tmp/large ${back}`);
    assert.equal(createHash('sha256').update(readFileSync(back)).digest('hex'), sum);
    await s.k(`exec ${pod} -- rm /tmp/large`);
  },

  'cp of a folder there and back': async (s) => {
    const pod = await s.value('pods -l app=d', '.items[0].metadata.name');
    const [there, back] = [s.file('hold'), s.file('hold-back')];
    const deep = join(there, 'deck', 'cabin', 'empty');
    mkdirSync(deep, { recursive: true });
    for (let i = 0; i < 40; i++) writeFileSync(join(there, 'deck', `crate ${i}`), randomBytes(i * 100));
    writeFileSync(join(there, 'deck', 'cabin', 'bell'), '#!/bin/sh\necho ding\n', { mode: 0o755 });
    await s.k(`cp ${there} ${pod}:/tmp/hold`);
    assert.equal(await s.k(`exec ${pod} -- /tmp/hold/deck/cabin/bell`), 'ding\n');
    await s.k(`cp ${pod}:/tmp/hold ${back}`);
    // It ends with 1 and says where when anything differs.
    execFileSync('diff', ['-r', there, back], { stdio: 'pipe' });
    assert.ok(statSync(join(back, 'deck', 'cabin', 'empty')).isDirectory());
    await s.k(`exec ${pod} -- rm -r /tmp/hold`);
  },
};
