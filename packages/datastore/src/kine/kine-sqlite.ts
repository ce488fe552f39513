import { DatabaseSync } from 'node:sqlite';
import type { KineRow, KineTable } from './kine-history.ts';

const rowsAtOnce = 1000;

const columns = 'id, CAST(name AS BLOB) AS name, created, deleted, create_revision, prev_revision, lease';

type Row = [number, Uint8Array, number, number, number, number, number, Uint8Array | null | undefined];

/** Whether the SQLite file holds kine's table. False for what is no SQLite file: others say what that is. */
export function isKineSqlite(path: string): boolean {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path, { readOnly: true });
    return (
      db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'kine'").get() !== undefined
    );
  } catch {
    return false;
  } finally {
    db?.close();
  }
}

/** kine's table in its SQLite file, read in one transaction: kine may go on running. */
export function openKineSqlite(path: string): KineTable {
  const db = new DatabaseSync(path, { readOnly: true });
  db.exec('PRAGMA busy_timeout=10000; BEGIN');
  const statement = (values: string) => {
    const select = db.prepare(`SELECT ${columns}${values} FROM kine WHERE id > ? ORDER BY id LIMIT ?`);
    select.setReturnArrays(true);
    return select;
  };
  const [bare, whole] = [statement(''), statement(', CAST(value AS BLOB) AS value')];
  return {
    name: `kine's table in ${path}`,
    async *rows(withValues) {
      for (let after = 0; ;) {
        const rows = (withValues ? whole : bare).all(after, rowsAtOnce) as unknown as Row[];
        const last = rows[rows.length - 1];
        if (last === undefined) return;
        after = last[0];
        yield rows.map(rowOf);
      }
    },
    close: async () => db.close(),
  };
}

function rowOf([id, name, created, deleted, createRevision, prevRevision, lease, value]: Row): KineRow {
  return {
    id,
    name: name ?? new Uint8Array(0),
    created: created === 1,
    deleted: deleted === 1,
    createRevision: createRevision ?? 0,
    prevRevision: prevRevision ?? 0,
    lease: lease ?? 0,
    value: value ?? undefined,
  };
}
