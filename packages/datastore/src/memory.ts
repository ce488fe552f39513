import type { Datastore } from './datastore.ts';
import { MemoryLog } from './log/memory-log.ts';
import { openOver, type StoreOptions } from './options.ts';

/**
 * The same store as `openDatastore`, in memory: etcd's semantics whole, nothing on a disk, and all of it gone with
 * `close()`. For clusters inside a test; it loads neither SQLite nor a thread.
 */
export function openMemoryDatastore(options: StoreOptions = {}): Promise<Datastore> {
  return openOver('the datastore in memory', new MemoryLog(), options);
}
