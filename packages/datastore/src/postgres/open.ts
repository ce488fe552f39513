/**
 * The datastore over PostgreSQL: the same engine and promises as over SQLite, shared by any number of servers, all of
 * them writable. Loaded only where a database is used.
 *
 * ```ts
 * await using store = await openPostgresDatastore({ url: 'postgres://cloudless@db.example/cluster', password });
 * await store.put({ key: Buffer.from('/registry/configmaps/default/hello'), value: Buffer.from('world') });
 * ```
 */
import { type Clock, systemClock } from '@cloudless/kube/clock';
import { type Logger, logger } from '@cloudless/kube/logger';
import { type Datastore, startEngine } from '../datastore.ts';
import { parsePostgresUrl } from './address.ts';
import { PostgresLog } from './postgres-log.ts';

export { PostgresError, type PostgresReason } from './errors.ts';

export interface PostgresDatastoreOptions {
  /** `postgres://user:password@host:port,host:port/database?sslmode=…`; see {@link parsePostgresUrl}. */
  url: string;
  /** Instead of one in the URL, which may be seen by others in a list of processes. */
  password?: string | undefined;
  clock?: Clock | undefined;
  log?: Logger | undefined;
  /** Closes the store when it aborts. */
  signal?: AbortSignal | undefined;
  /** Budget for values kept in memory; default 32 MiB. */
  cacheBytes?: number | undefined;
  /** Gathers writes for so long before each commit: less wear, later acknowledgements. Default 0. */
  commitWindowMs?: number | undefined;
  /** Size of the database at which writes are refused; none by default. */
  quotaBytes?: number | undefined;
  /** How often an idle watch that asked for it is told the revision; default 10 minutes. */
  progressIntervalMs?: number | undefined;
}

/**
 * Opens the store, and makes its tables in an empty database. Resolves when everything is loaded and it answers.
 *
 * @throws PostgresError when the address is wrong, the database cannot be reached or written, or holds something
 * else; it says which, and what to do
 */
export async function openPostgresDatastore(options: PostgresDatastoreOptions): Promise<Datastore> {
  const { url, password, signal, clock = systemClock } = options;
  signal?.throwIfAborted();
  const parsed = parsePostgresUrl(url);
  const address = password === undefined ? parsed : { ...parsed, password };
  const log = options.log ?? logger('datastore');
  const postgres = new PostgresLog({ address, clock, log });
  try {
    await postgres.open();
  } catch (error) {
    await postgres.close();
    throw error;
  }
  const { cacheBytes, commitWindowMs, quotaBytes, progressIntervalMs } = options;
  const datastore = await startEngine({
    name: address.name,
    log: postgres,
    clock,
    logger: log,
    cacheBytes,
    commitWindowMs,
    quotaBytes,
    progressIntervalMs,
  });
  signal?.addEventListener('abort', () => void datastore.close(), { once: true });
  return datastore;
}
