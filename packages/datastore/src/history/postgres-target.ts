import { setTimeout } from 'node:timers/promises';
import { systemClock } from '@cloudless/kube/clock';
import { connectForCopy, type ReadingSession } from '../postgres/reading.ts';
import type { Session } from '../postgres/session.ts';
import { PostgresLog } from '../postgres/postgres-log.ts';
import { CopyError } from './errors.ts';
import type { History } from './history.ts';
import type { TargetOptions } from './sqlite-target.ts';
import { writeToLog } from './write-log.ts';

/**
 * Writes the history into a PostgreSQL database, beside the schema it is for. The schema takes its name in one
 * transaction when the copy is whole: a copy that dies leaves `SCHEMA_importing`, and no store that could be taken
 * for one.
 *
 * @throws CopyError when a store with anything in it is there and `force` was not said, or servers are connected
 * @throws PostgresError
 */
export async function writePostgres(
  url: string,
  history: History,
  options: TargetOptions & { password?: string | undefined },
): Promise<void> {
  const place = await connectForCopy(url, options.password);
  const { address, session } = place;
  const importing = `${address.schema}_importing`;
  try {
    await verifyTarget(place, options);
    await session.run(`DROP SCHEMA IF EXISTS ${importing} CASCADE`);
    const log = new PostgresLog({
      address: { ...address, schema: importing },
      clock: systemClock,
      log: options.log,
    });
    try {
      await log.open();
      // Empty; reading it tells the log where it ends.
      for await (const _ of (await log.load()).records);
      await writeToLog(log, history, options);
    } catch (error) {
      await log.close();
      await session.run(`DROP SCHEMA IF EXISTS ${importing} CASCADE`).catch(() => undefined);
      throw error;
    }
    await log.close();
    await putInPlace(place, importing, options);
  } finally {
    session.end();
  }
}

async function putInPlace(place: ReadingSession, importing: string, options: TargetOptions): Promise<void> {
  const { address, session } = place;
  await session.run('BEGIN');
  try {
    // Again: somebody may have begun a store there meanwhile.
    await verifyTarget(place, options);
    await session.run(`DROP SCHEMA IF EXISTS ${address.schema} CASCADE`);
    await session.run(`ALTER SCHEMA ${importing} RENAME TO ${address.schema}`);
    await session.run('COMMIT');
  } catch (error) {
    await session.run('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/** Whatever stands in the schema is dropped in the end: it must be an empty store of ours, or all of it is given up. */
async function verifyTarget({ address, session }: ReadingSession, { force }: TargetOptions): Promise<void> {
  const { name, schema } = address;
  const tables = await session.rows({
    text: "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'v', 'm', 'f')",
    values: [schema],
  });
  if (tables.length === 0) return;
  if (await hasServers(session)) {
    throw new CopyError(
      'unusable',
      `datastore servers are connected to ${name}: stop them (cloudless datastore serve), then copy again`,
    );
  }
  if (force) return;
  const names = tables.map(([table]) => table);
  if (names.every((table) => table === 'head' || table === 'log' || table === 'lease')) {
    const [row] = await session.rows({
      text: `SELECT (SELECT count(*) FROM ${schema}.head WHERE revision > 1) + (SELECT count(*) FROM (SELECT FROM ${schema}.log LIMIT 1) l)`,
    });
    if (Number(row?.[0]) === 0) return;
  }
  throw new CopyError(
    'not-empty',
    `the datastore ${name} (schema ${schema}) is not empty: copy to another database or ?schema=, ` +
      'or say --force to replace everything in it',
  );
}

/** Whether somebody serves a store of this database; a connection that was just ended counts for a while longer. */
async function hasServers(session: Session): Promise<boolean> {
  for (let tries = 0; tries < 30; tries++) {
    // Inside a transaction the view would show what it showed the first time.
    await session.rows({ text: 'SELECT pg_stat_clear_snapshot()' });
    const [row] = await session.rows({
      text:
        'SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ' +
        "AND application_name LIKE 'cloudless datastore %' AND application_name <> 'cloudless datastore copy'",
    });
    if (Number(row?.[0]) === 0) return false;
    await setTimeout(100);
  }
  return true;
}
