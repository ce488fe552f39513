import type { Clock } from '@cloudless/kube/clock';
import { type Logger, logger } from '@cloudless/kube/logger';
import { type Datastore, startEngine } from './datastore.ts';
import { MemoryLog } from './log/memory-log.ts';

/**
 * The same store as `openDatastore`, in memory: etcd's semantics whole, nothing on a disk, and all of it gone with
 * `close()`. For clusters inside a test; it loads neither SQLite nor a thread.
 */
export function openMemoryDatastore(options: { clock?: Clock; log?: Logger } = {}): Promise<Datastore> {
  return startEngine({
    name: 'the datastore in memory',
    log: new MemoryLog(),
    clock: options.clock,
    logger: options.log ?? logger('datastore'),
  });
}
