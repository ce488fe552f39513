import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { logger } from '@cloudless/kube/logger';
import { openDatastore } from '../index.ts';
import { openPostgresDatastore } from '../postgres/open.ts';
import { kinePostgres, kineRows, kineSqlite } from '../testing/kine-schema.ts';
import { RealPostgres } from '../testing/real-postgres.ts';
import { assertSameStore, contentOf, leasesOf, writeRandomly } from '../testing/same-store.ts';
import { checkPlace, openHistory, parsePlace, type PlaceOptions, writeHistory } from './place.ts';

const log = logger('test').child({}, { level: 'silent' });
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
let folder: string;
let postgres: RealPostgres;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'copy-'));
  postgres = await RealPostgres.start({ fsync: 'off' });
  console.log(`SEED=${seed}`);
});
after(async () => {
  await postgres?.stop();
  await rm(folder, { recursive: true });
});

async function copy(
  from: string,
  to: string,
  options: Partial<PlaceOptions & { force: boolean }> = {},
): Promise<void> {
  const history = await openHistory(parsePlace(from), { log, ...options });
  try {
    await writeHistory(parsePlace(to), history, { log, ...options });
  } finally {
    await history.close();
  }
}

const sqlite = (name: string): string => `sqlite://${join(folder, name, 'state.db')}`;
const open = (name: string) => openDatastore({ path: join(folder, name, 'state.db'), log });

describe('a copy', () => {
  test('from SQLite to PostgreSQL, to a snapshot, and back is the same store', async () => {
    let compactRevision: number;
    {
      await using store = await open('first');
      compactRevision = await writeRandomly(store, 200, seed);
    }
    const url = await postgres.database();
    await copy(sqlite('first'), url);
    const snapshot = `snapshot://${join(folder, 'first.snapshot')}`;
    await copy(url, snapshot);
    await copy(snapshot, sqlite('second'));
    await copy(url, sqlite('third'));
    await using expected = await open('first');
    for (const name of ['second', 'third']) {
      await using store = await open(name);
      await assertSameStore(store, expected, compactRevision);
    }
    await using shared = await openPostgresDatastore({ url, log });
    await assertSameStore(shared, expected, compactRevision);
    const ofShared = join(folder, 'shared.snapshot');
    await writeFile(ofShared, shared.snapshot());
    await copy(ofShared, sqlite('fourth'));
    {
      await using store = await open('fourth');
      await assertSameStore(store, expected, compactRevision);
    }
    const key = Buffer.from('/registry/after');
    const [there, here] = [await shared.put({ key, value: key }), await expected.put({ key, value: key })];
    assert.equal(there.revision, here.revision);
    await assert.rejects(
      copy(sqlite('second'), url, { force: true }),
      /datastore servers are connected to postgres:/,
    );
  });

  test('replaces only what it is told to replace, and never shows half of itself', async () => {
    for (const [name, keys] of [
      ['small', 1],
      ['large', 9000],
    ] as const) {
      await using store = await open(name);
      const value = Buffer.alloc(50);
      await Promise.all(
        Array.from({ length: keys }, (_, i) => store.put({ key: Buffer.from(`/${name}/${i}`), value })),
      );
    }
    const url = await postgres.database();
    await copy(sqlite('small'), url);
    const targets = [
      [sqlite('target'), /datastore .*target.state\.db is not empty: .*--force/],
      [`snapshot://${join(folder, 'target.snapshot')}`, /target\.snapshot is there already: .*--force/],
      [url, /datastore postgres:.* is not empty: .*--force/],
    ] as const;
    for (const [target, refusal] of targets) {
      if (target !== url) await copy(sqlite('small'), target);
      await assert.rejects(copy(sqlite('large'), target), refusal);
      const abort = new AbortController();
      const broken = copy(sqlite('large'), target, {
        force: true,
        signal: abort.signal,
        report: () => abort.abort(),
      });
      await assert.rejects(broken, /abort/i);
      const left = await openHistory(parsePlace(target), { log });
      assert.equal(left.recordCount, 1, `what was in ${target} is still there`);
      await left.close();
      await copy(sqlite('large'), target, { force: true });
      const whole = await openHistory(parsePlace(target), { log });
      assert.equal(whole.recordCount, 9000);
      await whole.close();
    }
    assert.equal(existsSync(join(folder, 'target', 'state.db.importing')), false);
    const importing = "SELECT nspname FROM pg_namespace WHERE nspname LIKE '%importing'";
    assert.deepEqual(await postgres.query(importing, url.split('/').at(-1)), []);
  });

  test('is not kept from its place by what a killed one left there', async () => {
    {
      await using store = await open('source');
      await store.put({ key: Buffer.from('k'), value: Buffer.from('v') });
    }
    const url = await postgres.database();
    const name = url.split('/').at(-1);
    await postgres.query(
      'CREATE SCHEMA cloudless_importing; CREATE TABLE cloudless_importing.head (x int)',
      name,
    );
    await mkdir(join(folder, 'after-kill'));
    await writeFile(join(folder, 'after-kill', 'state.db.importing'), 'half a database');
    await writeFile(join(folder, 'after-kill.snapshot.importing'), 'half a snapshot');
    for (const target of [url, sqlite('after-kill'), `snapshot://${join(folder, 'after-kill.snapshot')}`]) {
      await assert.rejects(openHistory(parsePlace(target), { log }), /neither|does not exist/);
      await copy(sqlite('source'), target);
      const { findings, rows } = await checkPlace(parsePlace(target), { log });
      assert.deepEqual([rows, findings], [1, []]);
    }
    assert.deepEqual(
      readdirSync(folder, { recursive: true }).filter((file) => String(file).includes('importing')),
      [],
    );
  });

  test('of a damaged database is known by a check, which names the row', async () => {
    const url = await postgres.database();
    {
      await using store = await openPostgresDatastore({ url, log });
      for (const value of ['1', '2', '3'])
        await store.put({ key: Buffer.from('/a'), value: Buffer.from(value) });
    }
    const place = parsePlace(url);
    assert.deepEqual((await checkPlace(place, { log })).findings, []);
    await postgres.query('UPDATE cloudless.log SET version = 9 WHERE revision = 3', url.split('/').at(-1));
    const { findings } = await checkPlace(place, { log });
    assert.deepEqual(
      findings.map(({ revision, key }) => [revision, key]),
      [
        [3, '/a'],
        [4, '/a'],
      ],
    );
    assert.match(findings[0]?.problem ?? '', /its version is 9 .* before it has version 1/);
  });

  test('from a store that is being served says to use its endpoint', async () => {
    await using store = await open('served');
    await store.put({ key: Buffer.from('k'), value: Buffer.from('v') });
    await assert.rejects(copy(sqlite('served'), sqlite('elsewhere')), /in use|has it|another process/);
    assert.equal(existsSync(join(folder, 'elsewhere', 'state.db')), false);
  });
});

describe("kine's table", () => {
  /** What kine answers for it. */
  async function assertKine(store: EtcdStore): Promise<void> {
    const { revision } = await store.range({ key: Buffer.from('x') });
    assert.equal(revision, 14);
    const content = (await contentOf(store)).map((kv) => {
      const { key, value, ...rest } = kv as { key: string; value: string };
      return {
        key: Buffer.from(key, 'latin1').toString(),
        value: Buffer.from(value, 'hex').toString(),
        ...rest,
      };
    });
    const kv = (
      key: string,
      value: string,
      createRevision: number,
      modRevision: number,
      version: number,
      lease = 0n,
    ) => ({
      key,
      value,
      createRevision,
      modRevision,
      version,
      lease,
    });
    assert.deepEqual(content, [
      kv('/registry/a', 'a3', 3, 13, 3),
      kv('/registry/b', 'b again', 14, 14, 1),
      kv('/registry/leased', 'soon gone', 9, 9, 1, 3600n),
      kv('/registry/ünïcode', '', 12, 12, 1, 15n),
    ]);
    assert.deepEqual(
      await leasesOf(store),
      new Map([
        [15n, { grantedTtlSeconds: 15, keys: [Buffer.from('/registry/ünïcode').toString('latin1')] }],
        [3600n, { grantedTtlSeconds: 3600, keys: ['/registry/leased'] }],
      ]),
    );
    // Behind the last hole (10) history is whole; who asks from before is told to list.
    const before = await store.range({ key: Buffer.from('/registry/b'), revision: 13 });
    assert.equal(before.kvs.length, 0);
    await assert.rejects(store.range({ key: Buffer.from('/registry/a'), revision: 9 }), /has been compacted/);
    const next = await store.put({ key: Buffer.from('/registry/next'), value: Buffer.from('v') });
    assert.equal(next.revision, 15);
  }

  test('in SQLite comes over key by key, with its revisions', async () => {
    const path = join(folder, 'kine.db');
    const db = new DatabaseSync(path);
    db.exec(`PRAGMA journal_mode=WAL; ${kineSqlite}`);
    const insert = db.prepare(
      'INSERT INTO kine (id, name, created, deleted, create_revision, prev_revision, lease, value) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    );
    for (const [id, name, ...rest] of kineRows) {
      const value = rest.pop() as string | null;
      insert.run(id, name, ...(rest as number[]), value === null ? null : Buffer.from(value));
    }
    // kine may go on running.
    await copy(path, sqlite('from-kine'));
    await copy(path, `snapshot://${join(folder, 'kine.snapshot')}`);
    await copy(join(folder, 'kine.snapshot'), sqlite('from-kine-snapshot'));
    db.close();
    for (const name of ['from-kine', 'from-kine-snapshot']) {
      await using store = await open(name);
      await assertKine(store);
    }
  });

  test('in PostgreSQL comes over the same', async () => {
    const [kine, ours] = [await postgres.database('kine'), await postgres.database()];
    await postgres.query(kinePostgres, 'kine');
    for (const row of kineRows) {
      const literals = row.map((cell) =>
        cell === null ? 'NULL' : typeof cell === 'number' ? cell : `'${cell}'`,
      );
      await postgres.query(
        'INSERT INTO kine (id, name, created, deleted, create_revision, prev_revision, lease, value) ' +
          `VALUES (${literals.join(', ')})`,
        'kine',
      );
    }
    await copy(kine, ours);
    await copy(ours, sqlite('from-kine-postgres'));
    await using shared = await openPostgresDatastore({ url: ours, log });
    await assertKine(shared);
    await using store = await open('from-kine-postgres');
    await assertKine(store);
  });

  test('with a row that is none of its own is refused, and the row named', async () => {
    const path = join(folder, 'strange.db');
    const db = new DatabaseSync(path);
    db.exec(
      `${kineSqlite}; INSERT INTO kine (id, name, created, deleted, create_revision, lease) VALUES (5, 'a', 0, 0, 9, 0)`,
    );
    db.close();
    await assert.rejects(
      copy(path, sqlite('none')),
      /row 5 of kine's table in .* was created at 9, after itself/,
    );
  });
});
