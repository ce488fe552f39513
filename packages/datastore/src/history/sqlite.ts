import type { Logger } from '@cloudless/kube/logger';
import { SqliteLog } from '../log/sqlite-log.ts';

/**
 * The log in an SQLite file, opened or created for this process alone, without an engine on it.
 *
 * @throws DatastoreFileError when a server has it, or it is none of ours
 */
export const openSqliteLog = ({ path, log }: { path: string; log: Logger }): SqliteLog =>
  new SqliteLog({
    path,
    log,
    checkpointBytes: 8 * 1024 * 1024,
    reservePages: 1024,
    segmentBytes: 16 * 1024 * 1024,
  });
