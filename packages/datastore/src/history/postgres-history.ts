import type { LogRecord } from '../log/log.ts';
import { PostgresError } from '../postgres/errors.ts';
import type { ReadingSession } from '../postgres/reading.ts';
import { bytesOf, headOf, selectHead, selectLeases } from '../postgres/statements.ts';
import type { Cell } from '../postgres/session.ts';
import type { History } from './history.ts';

const rowsAtOnce = 500;

/**
 * The history in our tables of a PostgreSQL database, as of the moment in which the connection's transaction began:
 * servers may go on writing. It ends the connection.
 *
 * @throws PostgresError
 */
export async function historyOfPostgres({ session, address }: ReadingSession): Promise<History> {
  const [headRow] = await session.rows(selectHead);
  if (headRow === undefined)
    throw new PostgresError(
      'unusable',
      `the datastore ${address.name} has no head row: restore it from a backup`,
    );
  const { revision, compactRevision } = headOf(headRow);
  const leases = await session.rows(selectLeases);
  const [[count] = []] = await session.rows({ text: 'SELECT count(*) FROM log WHERE key IS NOT NULL' });
  return {
    name: `${address.name} (schema ${address.schema})`,
    revision,
    compactRevision,
    leases: leases.map(([id, ttl]) => ({ id: BigInt(id ?? 0), ttlSeconds: Number(ttl) })),
    recordCount: Number(count),
    async *records() {
      for (let after = 0; ;) {
        const rows = await session.rows({
          name: 'copy',
          text:
            'SELECT position, revision, created, version, lease, key, value FROM log ' +
            'WHERE position > $1 AND key IS NOT NULL ORDER BY position LIMIT $2',
          values: [String(after), String(rowsAtOnce)],
        });
        const records = rows.map(recordOf);
        const last = records.at(-1);
        if (last === undefined) return;
        after = last.position;
        yield records;
      }
    },
    close: async () => session.end(),
  };
}

function recordOf([position, revision, created, version, lease, key, value]: Cell[]): LogRecord {
  return {
    position: Number(position),
    revision: Number(revision),
    key: bytesOf(key as string),
    createRevision: Number(created),
    version: Number(version),
    lease: lease == null ? 0n : BigInt(lease),
    value: value == null ? undefined : bytesOf(value),
  };
}
