import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { plain } from '@cloudless/kube/etcd/compliance';
import { DatastoreFileError } from '../errors.ts';
import { type Datastore, type DatastoreOptions, openDatastore } from '../index.ts';
import { magicBytes } from './frame.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const everything = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };
const put = (store: Datastore, key: string, value: string | Uint8Array) =>
  store.put({ key: bytes(key), value: typeof value === 'string' ? bytes(value) : value });

describe('a datastore whose process was killed', () => {
  let folder = '';
  let path = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'datastore-segment-'));
    path = join(folder, 'live', 'state.db');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** What a kill at this moment would leave, in a place of its own; the store goes on. */
  let copies = 0;
  const killed = (suffixes = ['', '-wal', '-shm', '-segment-0', '-segment-1']): string => {
    const copy = join(folder, `killed-${copies++}`);
    mkdirSync(copy);
    for (const suffix of suffixes) {
      if (existsSync(path + suffix)) copyFileSync(path + suffix, join(copy, `state.db${suffix}`));
    }
    return join(copy, 'state.db');
  };

  const refuses = async (at: string, segment: number, pattern: RegExp): Promise<void> => {
    await assert.rejects(openDatastore({ path: at }), (error: unknown) => {
      assert.ok(error instanceof DatastoreFileError, String(error));
      assert.equal(error.reason, 'corrupt');
      assert.match(error.message, pattern);
      assert.ok(error.message.includes(`${at}-segment-${segment}`), `names the segment: ${error.message}`);
      assert.match(error.message, /Put the file back as it was, restore the datastore from a backup/);
      return true;
    });
  };

  /** What any SQLite reads there. */
  const query = (at: string, sql: string): number => {
    const db = new DatabaseSync(at);
    try {
      return Number(Object.values(db.prepare(sql).get() ?? {})[0]);
    } finally {
      db.close();
    }
  };
  const rowsOf = (at: string): number => query(at, 'SELECT count(*) FROM log');
  const versionOf = (at: string): number => query(at, 'PRAGMA user_version');

  it('has what only the segments have, its leases, facts and compactions included', async () => {
    await using store = await openDatastore({ path });
    const { id } = await store.leaseGrant(500);
    const gone = await store.leaseGrant(500);
    await store.put({ key: bytes('leased'), value: bytes('1'), lease: id });
    for (let i = 0; i < 50; i++) await put(store, `k${i % 5}`, `${i}`);
    await store.deleteRange({ key: bytes('k3') });
    await store.leaseRevoke(gone.id);
    await store.compact(20);
    const copy = killed();
    assert.equal(rowsOf(killed()), 0, 'the database has nothing yet');
    await using again = await openDatastore({ path: copy, cacheBytes: 0 });
    assert.deepEqual(plain(await again.range(everything)), plain(await store.range(everything)));
    assert.deepEqual(
      plain(await again.range({ ...everything, revision: 30 })),
      plain(await store.range({ ...everything, revision: 30 })),
    );
    assert.deepEqual(await again.leaseLeases(), [id]);
    assert.equal((await again.leaseTimeToLive(id, true)).keys.length, 1);
    assert.equal((await again.status()).compactRevision, 20);
    assert.equal((await put(again, 'more', '1')).revision, (await store.status()).revision + 1);
  });

  it('goes on in segments that were used many times, however often it is killed', async () => {
    const options: DatastoreOptions = { path, segmentBytes: 64 * 1024, checkpointBytes: 128 * 1024 };
    const model = new Map<string, string>();
    let store = await openDatastore(options);
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 150; i++) {
        const [key, value] = [`k${(i * 7) % 40}`, `${round}.${i}:${'x'.repeat((i * 37) % 3000)}`];
        await put(store, key, value);
        model.set(key, value);
      }
      const copy = killed();
      const expected = plain(await store.range(everything));
      await store.close();
      store = await openDatastore({ ...options, path: copy });
      path = copy;
      assert.deepEqual(plain(await store.range(everything)), expected);
    }
    const { kvs } = await store.range(everything);
    assert.deepEqual(
      new Map(kvs.map(({ key, value }) => [Buffer.from(key).toString(), Buffer.from(value).toString()])),
      model,
    );
    await store.close();
  });

  it('drops a last write that was cut off, whole, and says so', async () => {
    const store = await openDatastore({ path });
    for (let i = 0; i < 20; i++) await put(store, `k${i}`, new Uint8Array(9000).fill(i));
    const before = plain(await store.range(everything));
    const sized = statSync(`${path}-segment-0`).size;
    await store.txn({
      compare: [],
      success: ['a', 'b'].map((name) => ({ put: { key: bytes(name), value: new Uint8Array(9000).fill(1) } })),
      failure: [],
    });
    const copy = killed();
    const segment = readFileSync(`${copy}-segment-0`);
    const last = segment.lastIndexOf(magicBytes);
    segment.fill(0, last + 8192, last + 12288);
    writeFileSync(`${copy}-segment-0`, segment);
    assert.equal(segment.length, sized);
    const warnings: unknown[] = [];
    const log = { warn: (fields: unknown) => warnings.push(fields) };
    await using again = await openDatastore({ path: copy, log: log as unknown as DatastoreOptions['log'] });
    assert.deepEqual(plain(await again.range(everything)), before);
    assert.deepEqual(warnings, [{ segment: `${copy}-segment-0`, byte: last }]);
    await put(again, 'c', '1');
    await store.close();
  });

  it('leaves everything as it is when what it finds is damaged', async () => {
    await using store = await openDatastore({ path, segmentBytes: 64 * 1024 });
    for (let i = 0; i < 60; i++) await put(store, `k${i}`, new Uint8Array(3000));
    while (rowsOf(killed()) < 10) await new Promise((resolve) => setTimeout(resolve, 5));
    const copy = killed();
    const db = new DatabaseSync(copy);
    db.exec('DELETE FROM log WHERE revision = 5; PRAGMA wal_checkpoint(TRUNCATE)');
    db.close();
    const before = ['', '-segment-0', '-segment-1'].map((suffix) => readFileSync(copy + suffix));
    await assert.rejects(openDatastore({ path: copy }), /revisions 5 to 5 are missing/);
    assert.deepEqual(
      ['', '-segment-0', '-segment-1'].map((suffix) => readFileSync(copy + suffix)),
      before,
    );
  });

  it('refuses segments that lost acknowledged writes', async () => {
    await using store = await openDatastore({ path });
    for (let i = 0; i < 100; i++) await put(store, `k${i}`, new Uint8Array(9000).fill(i));
    const damages: Array<[(copy: string) => void, number, RegExp]> = [
      [(copy) => flip(`${copy}-segment-0`, 500_000), 0, /a write before byte \d+ cannot be read/],
      [(copy) => flip(`${copy}-segment-0`, 100), 0, /a write before byte \d+ cannot be read/],
      [(copy) => truncateSync(`${copy}-segment-0`, 700_000), 0, /it has 700000 of \d+ bytes/],
      [(copy) => truncateSync(`${copy}-segment-0`, 0), 0, /it is empty/],
      [(copy) => rmSync(`${copy}-segment-0`), 0, /it is missing/],
      [(copy) => rmSync(`${copy}-segment-1`), 1, /it is missing/],
    ];
    for (const [damage, segment, pattern] of damages) {
      const copy = killed();
      damage(copy);
      await refuses(copy, segment, pattern);
    }
  });

  it('does not open an older state when the -wal file is lost', async () => {
    await using store = await openDatastore({ path, segmentBytes: 64 * 1024, checkpointBytes: 1024 * 1024 });
    const outcomes = new Set<string>();
    for (let i = 0; i < 40; i++) {
      for (let j = 0; j < 10; j++) await put(store, `k${j}`, new Uint8Array(1000).fill(i));
      const copy = killed(['', '-segment-0', '-segment-1']);
      try {
        await using again = await openDatastore({ path: copy });
        assert.deepEqual(plain(await again.range(everything)), plain(await store.range(everything)));
        outcomes.add('whole');
      } catch (error) {
        assert.ok(error instanceof DatastoreFileError, String(error));
        assert.equal(error.reason, 'corrupt');
        outcomes.add('refused');
      }
    }
    assert.deepEqual([...outcomes].sort(), ['refused', 'whole']);
  });

  it('leaves a whole database of the first version when it is closed in order', async () => {
    const store = await openDatastore({ path });
    for (let i = 0; i < 30; i++) await put(store, `k${i}`, 'v');
    assert.equal(versionOf(killed()), 2, 'in use: a version that knows no segments must not open it');
    await store.close();
    assert.equal(versionOf(path), 1);
    assert.equal(rowsOf(path), 30);
    // As it was made before there were segments.
    for (const segment of [0, 1]) rmSync(`${path}-segment-${segment}`);
    await using again = await openDatastore({ path });
    assert.equal((await again.range({ ...everything, countOnly: true })).count, 30);
    await put(again, 'more', '1');
  });

  it('takes nothing from segments of another life: a backup of the closed file is what it was', async () => {
    let store = await openDatastore({ path });
    await put(store, 'a', 'then');
    await store.close();
    const backup = readFileSync(path);
    store = await openDatastore({ path });
    for (let i = 0; i < 10; i++) await put(store, 'a', `${i}`);
    const copy = killed(['-segment-0', '-segment-1']);
    await store.close();
    writeFileSync(copy, backup);
    await using again = await openDatastore({ path: copy });
    const { kvs, revision } = await again.range({ key: bytes('a') });
    assert.deepEqual([Buffer.from(kvs[0]?.value ?? []).toString(), revision], ['then', 2]);
    await put(again, 'a', 'now');
    path = copy;
    await using third = await openDatastore({ path: killed() });
    assert.equal(Buffer.from((await third.range({ key: bytes('a') })).kvs[0]?.value ?? []).toString(), 'now');
  });

  it('takes a batch that is larger than a segment, and the segment is small again afterwards', async () => {
    await using store = await openDatastore({ path, segmentBytes: 64 * 1024 });
    const value = new Uint8Array(100_000).fill(7);
    await Promise.all(Array.from({ length: 8 }, (_, i) => put(store, `k${i}`, value)));
    for (let i = 0; i < 200; i++) await put(store, `s${i % 3}`, new Uint8Array(1000));
    await using again = await openDatastore({ path: killed() });
    assert.deepEqual(plain(await again.range(everything)), plain(await store.range(everything)));
    for (const segment of [0, 1]) assert.ok(statSync(`${path}-segment-${segment}`).size <= 64 * 1024);
  });

  it('divides a crowd of large transactions into batches that fit', async () => {
    await using store = await openDatastore({ path });
    const value = new Uint8Array(500_000);
    await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        store.txn({ compare: [], success: [{ put: { key: bytes(`k${i % 4}`), value } }], failure: [] }),
      ),
    );
    assert.ok(store.figures().log.appends >= 6, `${store.figures().log.appends} appends`);
    for (const segment of [0, 1]) assert.ok(statSync(`${path}-segment-${segment}`).size <= 16 * 1024 * 1024);
  });

  it('writes no row that was compacted before it was applied', async () => {
    const store = await openDatastore({ path });
    for (let i = 0; i < 500; i++) await put(store, `k${i % 10}`, `${i}`);
    await store.compact((await store.status()).revision);
    await store.compacted();
    assert.equal(store.figures().log.rowsRemoved, 490);
    await store.close();
    assert.equal(rowsOf(path), 10);
    await using again = await openDatastore({ path });
    assert.equal((await again.range({ ...everything, countOnly: true })).count, 10);
  });
});

function flip(path: string, at: number): void {
  const content = readFileSync(path);
  content[at] = (content[at] as number) ^ 1;
  writeFileSync(path, content);
}
