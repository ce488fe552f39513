/**
 * The datastore: an ordered, watchable, durable key-value store with etcd's semantics, in one SQLite file.
 *
 * Promises: a write is acknowledged, readable and seen by watches only once it survives `kill -9` and power
 * loss; what was not acknowledged is wholly there or wholly absent; revisions have no gaps; a watch misses and
 * reorders nothing from any retained revision; the file's space comes back after compaction.
 *
 * ```ts
 * await using store = await openDatastore({ path: '/var/lib/cloudless/datastore/state.db' });
 * const key = Buffer.from('/registry/configmaps/default/hello');
 * const { revision } = await store.put({ key, value: Buffer.from('world') });
 * const watch = store.watch({ key, startRevision: revision }, (message) => console.log(message));
 * await watch.created;
 * ```
 */
import { logger } from '@cloudless/kube/logger';
import type { Datastore } from './datastore.ts';
import { SqliteLog } from './log/sqlite-log.ts';
import { openOver, type StoreOptions } from './options.ts';

export { Datastore, type EngineOptions, startEngine } from './datastore.ts';
export { DatastoreFailedError, DatastoreFileError, NoSpaceError } from './errors.ts';
export { bytesWrittenPerChange, type DatastoreFigures, metricsText } from './metrics.ts';
export type * from './log/log.ts';
export type { StoreOptions } from './options.ts';

export interface DatastoreOptions extends StoreOptions {
  /** The database file; its folder is made if missing. Beside it live `-wal`, `-shm`, `-segment-0`, `-segment-1` and `.lock`. */
  path: string;
  /** Size of the -wal file at which it is copied into the database; default 8 MiB. */
  checkpointBytes?: number | undefined;
  /** Size of each of the two segments that take writes in front of the database; default 16 MiB. */
  segmentBytes?: number | undefined;
  /** Free pages (4 KiB) kept for coming writes after a compaction; default 1024. */
  reservePages?: number | undefined;
  /** In place of the kernel's synchronous writes; only for tests that prove what is lost without it. */
  flush?: ((fd: number) => Promise<void>) | undefined;
}

/**
 * Opens or creates the store. Resolves when everything is loaded and the store answers.
 *
 * @throws DatastoreFileError when the file is in use, damaged, foreign, or of a newer version
 */
export async function openDatastore(options: DatastoreOptions): Promise<Datastore> {
  const { path, checkpointBytes, segmentBytes, reservePages, flush, ...store } = options;
  store.signal?.throwIfAborted();
  const log = store.log ?? logger('datastore');
  const file = new SqliteLog({
    path,
    log,
    checkpointBytes: checkpointBytes ?? 8 * 1024 * 1024,
    segmentBytes: segmentBytes ?? 16 * 1024 * 1024,
    reservePages: reservePages ?? 1024,
    flush,
  });
  return openOver(path, file, { ...store, log });
}
