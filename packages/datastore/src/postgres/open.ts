/**
 * The datastore over PostgreSQL: the same engine and promises as over SQLite, shared by any number of servers, all of
 * them writable. Loaded only where a database is used.
 *
 * ```ts
 * await using store = await openPostgresDatastore({ url: 'postgres://cloudless@db.example/cluster', password });
 * await store.put({ key: Buffer.from('/registry/configmaps/default/hello'), value: Buffer.from('world') });
 * ```
 */
import { systemClock } from '@cloudless/kube/clock';
import { logger } from '@cloudless/kube/logger';
import type { Datastore } from '../datastore.ts';
import { openOver, type StoreOptions } from '../options.ts';
import { parsePostgresUrl } from './address.ts';
import { PostgresLog } from './postgres-log.ts';

export { PostgresError, type PostgresReason } from './errors.ts';

export interface PostgresDatastoreOptions extends StoreOptions {
  /** `postgres://user:password@host:port,host:port/database?sslmode=…`; see {@link parsePostgresUrl}. */
  url: string;
  /** Instead of one in the URL, which may be seen by others in a list of processes. */
  password?: string | undefined;
}

/**
 * Opens the store, and makes its tables in an empty database. Resolves when everything is loaded and it answers.
 *
 * @throws PostgresError when the address is wrong, the database cannot be reached or written, or holds something
 * else; it says which, and what to do
 */
export async function openPostgresDatastore(options: PostgresDatastoreOptions): Promise<Datastore> {
  const { url, password, ...store } = options;
  store.signal?.throwIfAborted();
  const parsed = parsePostgresUrl(url);
  const address = password === undefined ? parsed : { ...parsed, password };
  const { clock = systemClock, log = logger('datastore') } = store;
  const postgres = new PostgresLog({ address, clock, log });
  try {
    await postgres.open();
  } catch (error) {
    await postgres.close();
    throw error;
  }
  return openOver(address.name, postgres, { ...store, clock, log });
}
