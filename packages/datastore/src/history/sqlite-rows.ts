import { DatabaseSync } from 'node:sqlite';
import type { Logger } from '@cloudless/kube/logger';
import { DatastoreFileError } from '../errors.ts';
import { explain } from '../log/sqlite-file.ts';
import type { LogRecord } from '../log/log.ts';
import type { Finding } from './check.ts';
import type { History } from './history.ts';
import { openSqliteLog } from './sqlite.ts';

const rowsAtOnce = 500;
const maxPageFindings = 20;

type Row = [number, number, Uint8Array, number, number, string | null, Uint8Array | null];

/**
 * The rows of our SQLite file as they lie there, for checking: nothing is taken for granted about them. What SQLite
 * itself finds wrong with the file comes along.
 *
 * @throws DatastoreFileError when a server has the file open, or it is no datastore
 */
export async function openSqliteRows(
  path: string,
  log: Logger,
): Promise<{ history: History; findings: Finding[] }> {
  const findings = await bringTogether(path, log);
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    db.exec('PRAGMA busy_timeout=5000; BEGIN');
    findings.push(...integrityOf(db));
    return { history: rowsOf(path, db), findings };
  } catch (error) {
    db.close();
    throw explain(path, error);
  }
}

/** An orderly opening and closing leaves everything in the one file; it also tells whether a server has it. */
async function bringTogether(path: string, log: Logger): Promise<Finding[]> {
  try {
    const opened = openSqliteLog({ path, log });
    try {
      for await (const _ of opened.load().records);
    } finally {
      await opened.close();
    }
    return [];
  } catch (error) {
    if (error instanceof DatastoreFileError && error.reason === 'corrupt')
      return [{ problem: error.message }];
    throw error;
  }
}

function integrityOf(db: DatabaseSync): Finding[] {
  const problems: string[] = [];
  try {
    for (const row of db.prepare(`PRAGMA integrity_check(${maxPageFindings})`).iterate())
      problems.push(String(Object.values(row)[0]));
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  return problems
    .filter((text) => text !== 'ok')
    .map((text) => ({ problem: `SQLite: ${text.replace(/\s+/g, ' ')}` }));
}

function rowsOf(path: string, db: DatabaseSync): History {
  // What a damaged page hides counts as 0: the damage itself is found elsewhere.
  const one = (sql: string): number => {
    try {
      return Number(Object.values(db.prepare(sql).get() ?? {})[0] ?? 0);
    } catch {
      return 0;
    }
  };
  const compactRevision = one("SELECT value FROM fact WHERE name = 'compact_revision'");
  const leases = db.prepare('SELECT CAST(id AS TEXT) AS id, ttl FROM lease').all() as Array<{
    id: string;
    ttl: number;
  }>;
  const select = db.prepare(
    'SELECT position, revision, key, created, version, CAST(lease AS TEXT), value FROM log ' +
      'WHERE position > ? ORDER BY position LIMIT ?',
  );
  select.setReturnArrays(true);
  const read = (after: number): Row[] => {
    try {
      return select.all(after, rowsAtOnce) as unknown as Row[];
    } catch (error) {
      throw explain(path, error);
    }
  };
  return {
    name: path,
    revision: Math.max(1, compactRevision, one('SELECT max(revision) FROM log')),
    compactRevision,
    leases: leases.map(({ id, ttl }) => ({ id: BigInt(id), ttlSeconds: ttl })),
    recordCount: one('SELECT count(*) FROM log'),
    async *records() {
      for (let after = 0; ;) {
        const rows = read(after);
        const last = rows[rows.length - 1];
        if (last === undefined) return;
        [after] = last;
        yield rows.map(recordOf);
      }
    },
    close: async () => db.close(),
  };
}

const recordOf = ([position, revision, key, createRevision, version, lease, value]: Row): LogRecord => ({
  position,
  revision,
  key,
  createRevision,
  version,
  lease: lease === null ? 0n : BigInt(lease),
  value: value ?? undefined,
});
