import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { startTestServer } from './testing/test-server.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

describe("this package's README", () => {
  it('names every folder', () => {
    const folders = readdirSync(new URL('.', import.meta.url), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== 'testing')
      .map(({ name }) => name);
    const missing = folders.filter((name) => !readme.includes(`\`${name}\``));
    assert.deepEqual(missing, []);
  });

  it('lists every metric, and no other', async () => {
    await using test = await startTestServer();
    await test.server.clientFor({ name: 'a', groups: ['system:masters'] }).raw('GET', '/version');
    const served = [...test.server.metrics().matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    const [, table = ''] = /## Metrics\n([^]*?)\n## /.exec(readme) ?? [];
    const listed = [...table.matchAll(/`([a-z_]+)`/g)].map(([, name]) => name);
    assert.deepEqual(new Set(listed), new Set(served));
  });
});
