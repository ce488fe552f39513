import { parsePostgresUrl, type PostgresAddress } from './address.ts';
import { PostgresError } from './errors.ts';
import { connectSession, type Session } from './session.ts';

export interface ReadingSession {
  readonly address: PostgresAddress;
  readonly session: Session;
}

/**
 * A connection of its own in one transaction, in which the database stays as it is now however long it is read.
 *
 * @throws PostgresError
 */
export async function connectForReading(url: string, password?: string): Promise<ReadingSession> {
  const connected = await connectForCopy(url, password);
  await connected.session.run('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  return connected;
}

/** A connection without limits of time, for what is copied at a stretch. @throws PostgresError */
export async function connectForCopy(url: string, password?: string): Promise<ReadingSession> {
  const parsed = parsePostgresUrl(url);
  const address = password === undefined ? parsed : { ...parsed, password };
  let failure: unknown;
  for (const { host, port } of address.hosts) {
    try {
      const session = await connectSession({
        address,
        host,
        port,
        applicationName: 'cloudless datastore copy',
      });
      await session.run(
        'SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = 0',
      );
      return { address, session };
    } catch (error) {
      failure = error;
    }
  }
  throw failure instanceof Error ? failure : new PostgresError('unreachable', String(failure));
}

/** Which of these tables there are (`schema.name`). */
export async function tablesOf({ session }: ReadingSession, names: readonly string[]): Promise<Set<string>> {
  const text = 'SELECT n FROM unnest($1::text[]) n WHERE to_regclass(n) IS NOT NULL';
  const rows = await session.rows({ text, values: [`{${names.join(',')}}`] });
  return new Set(rows.map(([name]) => name as string));
}
