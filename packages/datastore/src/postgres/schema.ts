import type { PostgresAddress } from './address.ts';
import { messageOf, PostgresError, sqlState, sqlStateOf } from './errors.ts';
import type { Session } from './session.ts';

/** Of the tables below; a database of a newer one is refused. */
export const schemaVersion = 1;

/**
 * - `head`: one row, where the log ends. `tag` is drawn anew with every batch, so that two logs which agree in it
 *   agree in all before it; `fence` changes to make appends under way miss. `removing_revision`: rows of history
 *   before this compaction may be gone; `removed_revision`: all of them are. `lessor`: who owns the leases' time.
 * - `log`: a row for each write of a key (`value` NULL: deleted). Without a key: a change of a lease (`created` its
 *   seconds, -1 when it is revoked), or nothing but the end of a batch, whose `tag` is in its last row.
 * - `lease`: those that exist.
 */
const tables = `
  CREATE TABLE head (
    one boolean PRIMARY KEY CHECK (one),
    cloudless_schema integer NOT NULL,
    revision bigint NOT NULL,
    position bigint NOT NULL,
    tag bigint NOT NULL,
    fence bigint NOT NULL,
    compact_revision bigint NOT NULL,
    removing_revision bigint NOT NULL,
    removed_revision bigint NOT NULL,
    lessor text NOT NULL,
    facts text NOT NULL
  ) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
  CREATE TABLE log (
    position bigint PRIMARY KEY,
    revision bigint NOT NULL,
    created bigint NOT NULL,
    version bigint NOT NULL,
    lease bigint,
    tag bigint,
    key bytea,
    value bytea
  ) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.2);
  CREATE INDEX log_other ON log (revision) WHERE key IS NULL;
  CREATE TABLE lease (id bigint PRIMARY KEY, ttl bigint NOT NULL) WITH (fillfactor = 50);
  INSERT INTO head VALUES (true, ${schemaVersion}, 1, 0, 0, 0, 0, 0, 0, '', '');
`;

/**
 * Makes sure that the tables are there and ours; any number of servers may do so at once.
 *
 * @throws PostgresError when they are another program's, of a newer version, or may not be made or used
 */
export async function prepareSchema(session: Session, address: PostgresAddress): Promise<void> {
  if (await isReady(session, address)) return;
  try {
    // A transaction of its own: either all tables are there or none, and only one server makes them.
    await session.run(
      `BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('cloudless ${address.schema}', 0));` +
        `${await missingSchema(session, address)}
         DO $$ BEGIN IF to_regclass('${address.schema}.head') IS NULL THEN ${tables} END IF; END $$; COMMIT`,
    );
  } catch (error) {
    await session.run('ROLLBACK').catch(() => undefined);
    throw explainTables(address, error);
  }
  if (!(await isReady(session, address))) {
    throw new PostgresError('unusable', `${place(address)} has no head row: restore it from a backup`);
  }
}

/** CREATE SCHEMA asks for a right on the database even where the schema exists. */
async function missingSchema(session: Session, { schema }: PostgresAddress): Promise<string> {
  const [row] = await session.rows({ text: 'SELECT to_regnamespace($1)::text', values: [schema] });
  return row?.[0] == null ? `CREATE SCHEMA IF NOT EXISTS ${schema};` : '';
}

/** Whether the tables are there and may be used. */
async function isReady(session: Session, address: PostgresAddress): Promise<boolean> {
  const { schema } = address;
  const columns = await session.rows({
    text: `SELECT c.relname, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname =
           'cloudless_schema') FROM pg_class c WHERE c.relnamespace = to_regnamespace($1)
           AND c.relname IN ('head', 'log', 'lease')`,
    values: [schema],
  });
  if (columns.length === 0) return false;
  if (!columns.some(([name, isOurs]) => name === 'head' && isOurs === 't')) {
    const names = columns.map(([name]) => `${schema}.${name}`).join(', ');
    throw new PostgresError(
      'foreign',
      `${place(address)} holds tables of another program (${names}): use another database, or ?schema=NAME`,
    );
  }
  try {
    const [head] = await session.rows({ text: `SELECT cloudless_schema FROM ${schema}.head` });
    const version = Number(head?.[0] ?? 0);
    if (version > schemaVersion) {
      throw new PostgresError(
        'newer-schema',
        `${place(address)} was written by a newer Cloudless (schema ${version}, this one reads up to ` +
          `${schemaVersion}): start that version, or use another database`,
      );
    }
    return version > 0;
  } catch (error) {
    throw explainTables(address, error);
  }
}

const place = ({ name, schema }: PostgresAddress): string => `the datastore ${name} (schema ${schema})`;

/** Says why the tables cannot be made or used. */
export function explainTables(address: PostgresAddress, error: unknown): Error {
  if (error instanceof PostgresError) return error;
  const { user, schema, database } = address;
  switch (sqlStateOf(error)) {
    case sqlState.noRights:
      return new PostgresError(
        'rights',
        `the user ${user} may not use ${place(address)}: ${messageOf(error)}. As an administrator of the database: ` +
          `CREATE SCHEMA ${schema} AUTHORIZATION ${user}; if the schema exists: ALTER SCHEMA ${schema} OWNER TO ` +
          `${user}, and the same for its tables; or GRANT CREATE ON DATABASE ${database} TO ${user}`,
        error,
      );
    case sqlState.noSuchTable:
    case sqlState.noSuchSchema:
    case sqlState.noSuchColumn:
      return new PostgresError(
        'unusable',
        `${place(address)} lacks a table or a column: ${messageOf(error)}. Restore it from a backup`,
        error,
      );
    case undefined:
      return error instanceof Error ? error : new Error(String(error));
    default:
      return new PostgresError('unusable', `${place(address)} cannot be used: ${messageOf(error)}`, error);
  }
}
