import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { DatastoreFileError } from '../errors.ts';
import { openDatastore } from '../index.ts';

describe('opening a datastore file', () => {
  let folder = '';
  let path = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'datastore-file-'));
    path = join(folder, 'sub', 'state.db');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const refusesTo = async (reason: DatastoreFileError['reason'], pattern: RegExp): Promise<void> => {
    await assert.rejects(openDatastore({ path }), (error: unknown) => {
      assert.ok(error instanceof DatastoreFileError, String(error));
      assert.equal(error.reason, reason, error.message);
      assert.match(error.message, pattern);
      assert.ok(error.message.includes(path), 'names the path');
      return true;
    });
  };

  it('creates it for its owner only', async () => {
    await using store = await openDatastore({ path });
    await store.put({ key: Buffer.from('a'), value: Buffer.from('1') });
    for (const suffix of ['', '-wal', '-shm', '-segment-0', '-segment-1', '.lock'])
      assert.equal(statSync(path + suffix).mode & 0o777, 0o600);
    assert.equal(statSync(join(folder, 'sub')).mode & 0o777, 0o700);
  });

  it('refuses a file that is no database, and leaves it as it is', async () => {
    mkdirSync(join(folder, 'sub'));
    writeFileSync(
      path,
      'This is a text file, long enough to be read as a header of a hundred bytes. '.repeat(4),
    );
    const before = readFileSync(path);
    await refusesTo('foreign', /not a Cloudless datastore.*move it away/);
    assert.deepEqual(readFileSync(path), before);
  });

  it("refuses another program's database", async () => {
    mkdirSync(join(folder, 'sub'));
    const db = new DatabaseSync(path);
    db.exec('CREATE TABLE songs (id INTEGER)');
    db.close();
    await refusesTo('foreign', /another program, not a Cloudless datastore: move it away/);
  });

  it("refuses kine's database and says how to take it over", async () => {
    mkdirSync(join(folder, 'sub'));
    const db = new DatabaseSync(path);
    db.exec('CREATE TABLE kine (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)');
    db.close();
    await refusesTo('foreign', /a database of kine's.*cloudless datastore copy --from/);
  });

  it('refuses a newer schema', async () => {
    await (await openDatastore({ path })).close();
    const db = new DatabaseSync(path);
    db.exec('PRAGMA user_version=9');
    db.close();
    await refusesTo('newer-schema', /newer Cloudless \(schema 9, this one reads up to 2\)/);
  });

  it('refuses a file in use', async () => {
    await using _store = await openDatastore({ path });
    await refusesTo('in-use', /in use by another process: stop that one/);
  });

  it('refuses a truncated file', async () => {
    {
      await using store = await openDatastore({ path });
      for (let i = 0; i < 50; i++)
        await store.put({ key: Buffer.from(`k${i}`), value: new Uint8Array(3000) });
    }
    truncateSync(path, 20 * 4096);
    await refusesTo('corrupt', /damaged: .*Restore it from a backup/);
  });

  it('refuses damaged pages, each of them', async () => {
    {
      await using store = await openDatastore({ path });
      for (let i = 0; i < 400; i++) {
        const key = Buffer.from(`a rather long key, so that pages have many cells ${i}`);
        await store.put({ key, value: Buffer.from('1') });
      }
    }
    const whole = readFileSync(path);
    const pages = whole.length / 4096;
    assert.ok(pages > 10);
    let refused = 0;
    for (let page = 0; page < pages; page++) {
      const damaged = Buffer.from(whole);
      damaged.fill(0xa5, page * 4096, (page + 1) * 4096);
      writeFileSync(path, damaged);
      try {
        await using store = await openDatastore({ path });
        // A page that nothing uses (the map of pages, which only vacuuming reads): everything is there.
        const { count } = await store.range({
          key: Buffer.from('a'),
          rangeEnd: Buffer.from('b'),
          countOnly: true,
        });
        assert.equal(count, 400, `page ${page}`);
      } catch (error) {
        assert.ok(error instanceof DatastoreFileError, String(error));
        assert.match(
          error.message,
          /damaged: .*Restore it from a backup|not a Cloudless datastore.*move it away/,
        );
        refused++;
      }
    }
    assert.ok(refused >= pages - 4, `${refused} of ${pages} refused`);
  });

  it('refuses a log with missing revisions', async () => {
    {
      await using store = await openDatastore({ path });
      for (let i = 0; i < 10; i++) await store.put({ key: Buffer.from(`k${i}`), value: Buffer.from('1') });
    }
    const db = new DatabaseSync(path);
    db.exec('DELETE FROM log WHERE revision IN (5, 6)');
    db.close();
    await refusesTo('corrupt', /revisions 5 to 6 are missing/);
  });

  it('refuses a folder in its place', async () => {
    mkdirSync(path, { recursive: true });
    await refusesTo('unusable', /cannot be opened: it is a folder. Name the file in it, such as /);
  });

  it('refuses a file in the place of its folder', async () => {
    writeFileSync(join(folder, 'sub'), '');
    await refusesTo('unusable', /its folder cannot be made: .*sub/);
  });

  it('opens an empty file as a new store', async () => {
    mkdirSync(join(folder, 'sub'));
    writeFileSync(path, '');
    await using store = await openDatastore({ path });
    assert.equal((await store.status()).revision, 1);
  });
});
