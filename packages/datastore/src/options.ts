import type { Clock } from '@cloudless/kube/clock';
import { type Logger, logger } from '@cloudless/kube/logger';
import { type Datastore, startEngine } from './datastore.ts';
import type { Log } from './log/log.ts';

/** What may be asked of a store wherever it lies. */
export interface StoreOptions {
  clock?: Clock | undefined;
  log?: Logger | undefined;
  /** Closes the store when it aborts. */
  signal?: AbortSignal | undefined;
  /** Budget for values kept in memory; default 32 MiB. */
  cacheBytes?: number | undefined;
  /** Gathers writes for so long before each flush or commit: less wear, later acknowledgements. Default 0. */
  commitWindowMs?: number | undefined;
  /** Size of the database at which writes are refused; none by default. */
  quotaBytes?: number | undefined;
  /** How often an idle watch that asked for it is told the revision; default 10 minutes, etcd's. */
  progressIntervalMs?: number | undefined;
}

/** Starts the engine over a log; closes it when the caller's signal aborts. */
export async function openOver(name: string, log: Log, options: StoreOptions): Promise<Datastore> {
  const { log: sink = logger('datastore'), signal, ...engine } = options;
  const datastore = await startEngine({ ...engine, name, log, logger: sink });
  signal?.addEventListener('abort', () => void datastore.close(), { once: true });
  return datastore;
}
