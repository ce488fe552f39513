import assert from 'node:assert/strict';
import { cp, mkdtemp, open, rm } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { logger } from '@cloudless/kube/logger';
import { openDatastore } from '../index.ts';
import { writeRandomly } from '../testing/same-store.ts';
import { checkPlace } from './place.ts';

const log = logger('test').child({}, { level: 'silent' });
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'check-'));
  console.log(`SEED=${seed}`);
});
after(() => rm(folder, { recursive: true }));

let count = 0;

/** A store of a few rows: /a 1, 2, 3; /b put, deleted, put again; /leased; compacted at 4. */
async function damagedStore(damage: string): Promise<string> {
  const path = join(folder, String(count++), 'state.db');
  {
    await using store = await openDatastore({ path, log });
    const put = (key: string, value: string, lease = 0n) =>
      store.put({ key: Buffer.from(key), value: Buffer.from(value), lease });
    const { id } = await store.leaseGrant(3600, 0x77n);
    await put('/a', '1'); // revision 2
    await put('/b', '1');
    await put('/a', '2'); // 4
    await store.deleteRange({ key: Buffer.from('/b') });
    await put('/b', '2'); // 6
    await put('/leased', 'x', id);
    await put('/a', '3'); // 8
    await store.compact(4);
    await store.compacted();
  }
  const db = new DatabaseSync(path);
  db.exec(damage);
  db.close();
  return path;
}

const row = '(SELECT position FROM log WHERE revision = 6)';

const damages: Array<[string, string, RegExp]> = [
  ['nothing', '', /^$/],
  [
    'a row that is gone',
    'DELETE FROM log WHERE revision = 6',
    /row \d+ \(revision 7, \/leased\): revision 6 is missing before it/,
  ],
  [
    'a version',
    `UPDATE log SET version = 7 WHERE revision = 8`,
    /revision 8, \/a\): its version is 7 .* before it has version 2/,
  ],
  [
    'a create revision',
    'UPDATE log SET created = 3 WHERE revision = 8',
    /revision 8, \/a\): .* created at revision 3/,
  ],
  [
    'a create revision in the future',
    'UPDATE log SET created = 99 WHERE revision = 8',
    /created at revision 99/,
  ],
  [
    'a first version that is not 1',
    `UPDATE log SET version = 2 WHERE position = ${row}`,
    /revision 6, \/b\): its version is 2/,
  ],
  [
    'a deletion with a version',
    'UPDATE log SET version = 1 WHERE revision = 5',
    /revision 5, \/b\): it deletes the key, yet has/,
  ],
  [
    'a deletion of nothing',
    `UPDATE log SET key = CAST('/zzz' AS BLOB) WHERE revision = 5`,
    /revision 5, \/zzz\): it deletes a key that does not exist/,
  ],
  [
    'a lease that is gone',
    'DELETE FROM lease',
    /revision 7, \/leased\): it names the lease 77, which does not exist/,
  ],
  ['a lease without time', 'UPDATE lease SET ttl = 0', /lease 77 has 0 seconds to live/],
  ['revisions out of order', 'UPDATE log SET revision = 5 WHERE revision = 8', /it follows revision 7/],
  ['an empty key', `UPDATE log SET key = x'' WHERE revision = 7`, /revision 7, \): it has no key/],
  [
    'a value that is gone',
    'UPDATE log SET value = NULL WHERE revision = 7',
    /revision 7, \/leased\): it deletes the key, yet has create revision 7/,
  ],
  [
    'a compaction that never was',
    "DELETE FROM fact WHERE name = 'compact_revision'",
    /revisions? \d.* missing before it/,
  ],
];

describe('a check of a file', () => {
  for (const [what, damage, expected] of damages) {
    test(`with ${what} says so, and names the row`, async () => {
      const path = await damagedStore(damage);
      const { findings } = await checkPlace({ kind: 'sqlite', path }, { log });
      const text = findings.map(({ row: at, revision, key, problem }) =>
        at === undefined ? problem : `row ${at} (revision ${revision}, ${key}): ${problem}`,
      );
      assert.match(text.join('\n'), expected);
      if (damage !== '' && expected.source !== '^$') assert.ok(findings.length > 0);
    });
  }

  test('finds a page that was overwritten', async () => {
    const path = join(folder, 'pages', 'state.db');
    {
      await using store = await openDatastore({ path, log });
      for (let i = 0; i < 400; i++)
        await store.put({ key: Buffer.from(`/k/${i}`), value: Buffer.alloc(300, i) });
    }
    const file = await open(path, 'r+');
    await file.write(Buffer.alloc(600, 0xee), 0, 600, 4096 * 12);
    await file.close();
    const { findings } = await checkPlace({ kind: 'sqlite', path }, { log });
    assert.ok(findings.length > 0);
    assert.match(findings.map(({ problem }) => problem).join('\n'), /SQLite: .*page 13|malformed|damaged/i);
  });

  test('sees what a killed server left in its segments only', async () => {
    const path = join(folder, 'killed', 'state.db');
    const copy = join(folder, 'killed-copy', 'state.db');
    {
      await using store = await openDatastore({ path, log });
      for (let i = 0; i < 100; i++) await store.put({ key: Buffer.from(`/k/${i}`), value: Buffer.from('v') });
      // As a kill would leave it.
      await cp(join(folder, 'killed'), join(folder, 'killed-copy'), { recursive: true });
    }
    const report = await checkPlace({ kind: 'sqlite', path: copy }, { log });
    assert.deepEqual([report.rows, report.revision, report.findings.length], [100, 101, 0]);
  });

  test('finds nothing wrong with any history', async () => {
    for (let round = 0; round < 10; round++) {
      const path = join(folder, 'sound', String(round), 'state.db');
      {
        await using store = await openDatastore({ path, log });
        await writeRandomly(store, 60, seed + round);
      }
      const { findings, rows } = await checkPlace({ kind: 'sqlite', path }, { log });
      assert.deepEqual(findings, []);
      assert.ok(rows > 0);
    }
  });
});
