import type { ReadingSession } from '../postgres/reading.ts';
import type { Cell } from '../postgres/session.ts';
import { bytesOf } from '../postgres/statements.ts';
import type { KineRow, KineTable } from './kine-history.ts';

const rowsAtOnce = 500;

/** kine's table in PostgreSQL, as of the moment in which the connection's transaction began: kine may go on running. */
export function kineInPostgres({ session, address }: ReadingSession, table: string): KineTable {
  const columns = "id, convert_to(name, 'UTF8'), created, deleted, create_revision, prev_revision, lease";
  return {
    name: `kine's table ${table} in ${address.name}`,
    async *rows(withValues) {
      for (let after = 0; ;) {
        const rows = await session.rows({
          text:
            `SELECT ${columns}${withValues ? ', value' : ''} FROM ${table} ` +
            'WHERE id > $1 ORDER BY id LIMIT $2',
          values: [String(after), String(rowsAtOnce)],
        });
        const found = rows.map(rowOf);
        const last = found.at(-1);
        if (last === undefined) return;
        after = last.id;
        yield found;
      }
    },
    close: async () => session.end(),
  };
}

function rowOf([id, name, created, deleted, createRevision, prevRevision, lease, value]: Cell[]): KineRow {
  return {
    id: Number(id),
    name: name == null ? new Uint8Array(0) : bytesOf(name),
    created: created === '1',
    deleted: deleted === '1',
    createRevision: Number(createRevision ?? 0),
    prevRevision: Number(prevRevision ?? 0),
    lease: Number(lease ?? 0),
    value: value == null ? undefined : bytesOf(value),
  };
}
