// What kine does to a database, in our own words after its documented columns: a row for each change, which repeats the
// value that it replaces, five indexes, and one statement a transaction. Only as much of it as is measured.
import { DatabaseSync } from 'node:sqlite';
import type { Subject, Target } from './subject.ts';

const columns = 'name, created, deleted, create_revision, prev_revision, lease, value, old_value';
const keyType = { sqlite: 'TEXT', postgres: 'TEXT COLLATE "C"' };
const idType = { sqlite: 'INTEGER PRIMARY KEY AUTOINCREMENT', postgres: 'BIGSERIAL PRIMARY KEY' };
const bytesType = { sqlite: 'BLOB', postgres: 'BYTEA' };

const schema = (of: 'sqlite' | 'postgres'): string[] => [
  `CREATE TABLE kine (id ${idType[of]}, name ${keyType[of]}, created INTEGER, deleted INTEGER,
    create_revision BIGINT, prev_revision BIGINT, lease INTEGER, value ${bytesType[of]}, old_value ${bytesType[of]})`,
  'CREATE INDEX kine_name_index ON kine (name)',
  'CREATE INDEX kine_name_id_index ON kine (name, id)',
  'CREATE INDEX kine_id_deleted_index ON kine (id, deleted)',
  'CREATE INDEX kine_prev_revision_index ON kine (prev_revision)',
  'CREATE UNIQUE INDEX kine_name_prev_revision_uindex ON kine (name, prev_revision)',
];

const latest = (parameter: string): string =>
  `SELECT id, create_revision, value FROM kine WHERE name = ${parameter} ORDER BY id DESC LIMIT 1`;
const list = (from: string, to: string): string =>
  `SELECT kv.id, kv.name, kv.value FROM kine AS kv JOIN (SELECT MAX(id) AS id FROM kine
    WHERE name >= ${from} AND name < ${to} GROUP BY name) AS newest ON newest.id = kv.id
    WHERE kv.deleted = 0 ORDER BY kv.name`;
const compact = (revision: string): string =>
  `DELETE FROM kine WHERE id IN (SELECT prev_revision FROM kine WHERE prev_revision <> 0 AND id <= ${revision}
    UNION SELECT id FROM kine WHERE deleted <> 0 AND id <= ${revision})`;

/** SQLite as kine uses it, but with every commit flushed. */
export const kineSqlite: Subject = {
  name: 'kine’s way, SQLite',
  async start(folder) {
    const db = new DatabaseSync(`${folder}/kine.db`);
    db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-20000');
    for (const statement of schema('sqlite')) db.exec(statement);
    const find = db.prepare(latest('?'));
    const insert = db.prepare(`INSERT INTO kine (${columns}) VALUES (?, ?, 0, ?, ?, 0, ?, ?)`);
    const listAll = db.prepare(list('?', '?'));
    const remove = db.prepare(compact('?'));
    const target: Target = {
      async put(key, value) {
        const before = find.get(key) as
          | { id: number; create_revision: number; value: Uint8Array }
          | undefined;
        insert.run(
          key,
          before === undefined ? 1 : 0,
          before === undefined ? 0 : before.create_revision || before.id,
          before?.id ?? 0,
          value,
          before?.value ?? null,
        );
      },
      get: async (key) => (find.get(key)?.['value'] as Uint8Array | undefined)?.length ?? 0,
      list: async (prefix) => listAll.all(prefix, `${prefix}~`).length,
      compactTo: async (puts) => void remove.run(puts),
    };
    return { target, stop: async () => db.close() };
  },
};

/** PostgreSQL as kine uses it, by as many connections as there are clients, up to 64. */
export const kinePostgres: Subject = {
  name: 'kine’s way, PostgreSQL',
  async start(folder) {
    const [{ default: pg }, { RealPostgres }] = await Promise.all([
      import('pg'),
      import('@cloudless/datastore/testing/real-postgres'),
    ]);
    const server = await RealPostgres.start({ max_connections: 100 }, folder);
    const pool = new pg.Pool({ connectionString: await server.database(), max: 64 });
    for (const statement of schema('postgres')) await pool.query(statement);
    const insert = {
      name: 'insert',
      text: `INSERT INTO kine (${columns}) VALUES ($1, $2, 0, $3, $4, 0, $5, $6) RETURNING id`,
    };
    const target: Target = {
      async put(key, value) {
        const { rows } = await pool.query({ name: 'find', text: latest('$1'), values: [key] });
        const [before] = rows as Array<{ id: string; create_revision: string; value: Buffer }>;
        const created = before === undefined ? '0' : before.create_revision;
        const createRevision = created === '0' ? (before?.id ?? 0) : created;
        const values = [key, before ? 0 : 1, createRevision, before?.id ?? 0, value, before?.value ?? null];
        await pool.query({ ...insert, values });
      },
      get: async (key) =>
        (await pool.query({ name: 'find', text: latest('$1'), values: [key] })).rows[0]?.value.length ?? 0,
      list: async (prefix) =>
        (await pool.query({ name: 'list', text: list('$1', '$2'), values: [prefix, `${prefix}~`] })).rows
          .length,
      compactTo: async (puts) => void (await pool.query({ text: compact('$1'), values: [puts] })),
    };
    return {
      target,
      async stop() {
        await pool.end();
        await server.stop();
      },
    };
  },
};
