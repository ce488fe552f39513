// `UPDATE=1 node --test tests/security/readme.test.ts` writes the table anew.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tablesText } from './report.ts';
import { tables } from './tables/index.ts';

test('README.md lists the attacks that run', () => {
  const path = join(import.meta.dirname, 'README.md');
  const text = readFileSync(path, 'utf8');
  const mark = '<!-- the tables, written by readme.test.ts -->\n';
  const [head] = text.split(mark) as [string];
  const wanted = `${head}${mark}\n${tablesText(tables)}`;
  if (process.env['UPDATE'] === '1') writeFileSync(path, wanted);
  assert.equal(readFileSync(path, 'utf8'), wanted, 'run it with UPDATE=1');
});

test('no attack has the name of another', () => {
  const names = tables.flatMap(({ title, attacks }) => attacks.map(({ name }) => `${title}: ${name}`));
  assert.deepEqual(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
  );
});
