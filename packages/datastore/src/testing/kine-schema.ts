/** kine's tables by their documented columns, for tests of importing them. */
export const kineSqlite = `
  CREATE TABLE kine (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT,
    created INTEGER,
    deleted INTEGER,
    create_revision INTEGER,
    prev_revision INTEGER,
    lease INTEGER,
    value BLOB,
    old_value BLOB
  );
  CREATE INDEX kine_name_index ON kine (name);
  CREATE UNIQUE INDEX kine_name_prev_revision_uindex ON kine (name, prev_revision);`;

export const kinePostgres = `
  CREATE TABLE kine (
    id SERIAL PRIMARY KEY,
    name text COLLATE "C",
    created INTEGER,
    deleted INTEGER,
    create_revision INTEGER,
    prev_revision INTEGER,
    lease INTEGER,
    value bytea,
    old_value bytea
  );
  CREATE UNIQUE INDEX kine_name_prev_revision_uindex ON kine (name, prev_revision);`;

/** A row as kine inserts it: id, name, created, deleted, create_revision, prev_revision, lease, value. */
export type KineInsert = [number, string, number, number, number, number, number, string | null];

/** A database that has been used, compacted up to 6, and has holes: one filled by kine, one not. */
export const kineRows: readonly KineInsert[] = [
  [1, 'compact_rev_key', 1, 0, 0, 6, 0, ''],
  // 2 was replaced by 4, and compacted.
  [3, '/registry/a', 1, 0, 0, 0, 0, 'a1'],
  [4, '/registry/b', 0, 0, 2, 2, 0, 'b2'],
  [7, '/registry/a', 0, 0, 3, 3, 0, 'a2'],
  [8, 'gap-8', 0, 1, 0, 0, 0, null],
  [9, '/registry/leased', 1, 0, 0, 0, 3600, 'soon gone'],
  [11, '/registry/b', 0, 1, 2, 4, 0, 'b2'],
  [12, '/registry/ünïcode', 1, 0, 0, 0, 15, ''],
  [13, '/registry/a', 0, 0, 3, 7, 0, 'a3'],
  [14, '/registry/b', 1, 0, 0, 11, 0, 'b again'],
];
