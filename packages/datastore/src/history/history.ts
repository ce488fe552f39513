/**
 * A store's whole retained history, as it moves between places: a SQLite file, a PostgreSQL database, an etcd
 * snapshot, kine's table. Everything that copies, saves, restores or checks speaks this one shape.
 */
import type { LogRecord } from '../log/log.ts';

export interface HistoryHead {
  /** Revision of the newest record; 1 for a store that was never written. */
  readonly revision: number;
  /** 0: never compacted. Records below it that a later record replaced may be absent or present. */
  readonly compactRevision: number;
  readonly leases: ReadonlyArray<{ id: bigint; ttlSeconds: number }>;
}

export interface History extends HistoryHead {
  /** What it was read from, for messages: a path, a database's address without its password. */
  readonly name: string;
  /** About how many records come, for progress. */
  readonly recordCount: number;
  /** Every retained record with its value, in order of revision and sub-revision, in pieces of at least one. */
  records(): AsyncIterable<readonly LogRecord[]>;
  close(): Promise<void>;
}

/** Lengths of a record's parts, and the numbers that decide how long its encoding is. */
export type RecordSize = Pick<LogRecord, 'revision' | 'createRevision' | 'version' | 'lease'> & {
  readonly keyBytes: number;
  /** -1 for a tombstone. */
  readonly valueBytes: number;
};

/** A history that knows its records' lengths without reading values: it can be streamed in a format that begins with its own layout. */
export interface MeasuredHistory extends History {
  /** Of the same records in the same order. */
  sizes(): AsyncIterable<readonly RecordSize[]>;
}

/** Told now and then while records move. */
export type ReportProgress = (progress: { records: number; of: number; bytes: number }) => void;
