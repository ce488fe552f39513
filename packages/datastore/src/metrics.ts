import type { LogFigures } from './log/log.ts';

/** Counted by the engine. */
export interface Counters {
  puts: number;
  deletes: number;
  txns: number;
  ranges: number;
  /** Values read from the log because they were not in memory. */
  coldReads: number;
}

export const newCounters = (): Counters => ({ puts: 0, deletes: 0, txns: 0, ranges: 0, coldReads: 0 });

/** What the store did since start, and how large it is. */
export interface DatastoreFigures extends Readonly<Counters> {
  readonly revision: number;
  readonly compactRevision: number;
  /** Keys that exist. */
  readonly keys: number;
  readonly leases: number;
  readonly watchers: number;
  /** Watches that replay history because they started in the past or their receiver is slow. */
  readonly behind: number;
  readonly cacheBytes: number;
  readonly size: { readonly bytes: number; readonly bytesInUse: number };
  readonly log: LogFigures;
}

/** Wear: bytes handed to the device for each key written or deleted; 0 before the first. */
export function bytesWrittenPerChange({ puts, deletes, log }: DatastoreFigures): number {
  const changes = puts + deletes;
  return changes === 0 ? 0 : log.bytesWritten / changes;
}

interface Metric {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly value: (figures: DatastoreFigures) => number;
}

/** Metric names: etcd's where etcd has one, `cloudless_datastore_…` otherwise. The README's table is this one. */
export const metrics: readonly Metric[] = [
  { name: 'etcd_mvcc_put_total', type: 'counter', help: 'Keys written.', value: (f) => f.puts },
  { name: 'etcd_mvcc_delete_total', type: 'counter', help: 'Keys deleted.', value: (f) => f.deletes },
  { name: 'etcd_mvcc_txn_total', type: 'counter', help: 'Transactions.', value: (f) => f.txns },
  { name: 'etcd_mvcc_range_total', type: 'counter', help: 'Ranges read.', value: (f) => f.ranges },
  {
    name: 'etcd_mvcc_db_total_size_in_bytes',
    type: 'gauge',
    help: 'Size of the database file.',
    value: (f) => f.size.bytes,
  },
  {
    name: 'etcd_mvcc_db_total_size_in_use_in_bytes',
    type: 'gauge',
    help: 'Size of the database file without its free pages.',
    value: (f) => f.size.bytesInUse,
  },
  { name: 'etcd_debugging_mvcc_keys_total', type: 'gauge', help: 'Keys that exist.', value: (f) => f.keys },
  { name: 'etcd_debugging_mvcc_watcher_total', type: 'gauge', help: 'Watches.', value: (f) => f.watchers },
  {
    name: 'etcd_debugging_mvcc_slow_watcher_total',
    type: 'gauge',
    help: 'Watches that replay history.',
    value: (f) => f.behind,
  },
  {
    name: 'etcd_debugging_mvcc_current_revision',
    type: 'gauge',
    help: 'Revision of the store.',
    value: (f) => f.revision,
  },
  {
    name: 'etcd_debugging_mvcc_compact_revision',
    type: 'gauge',
    help: 'Revision of the last compaction.',
    value: (f) => f.compactRevision,
  },
  { name: 'cloudless_datastore_leases', type: 'gauge', help: 'Leases.', value: (f) => f.leases },
  {
    name: 'cloudless_datastore_cache_bytes',
    type: 'gauge',
    help: 'Values kept in memory.',
    value: (f) => f.cacheBytes,
  },
  {
    name: 'cloudless_datastore_cold_reads_total',
    type: 'counter',
    help: 'Values read from the log because they were not in memory.',
    value: (f) => f.coldReads,
  },
  {
    name: 'cloudless_datastore_written_bytes_total',
    type: 'counter',
    help: 'Bytes handed to the device by appends, compaction and checkpoints.',
    value: (f) => f.log.bytesWritten,
  },
  {
    name: 'cloudless_datastore_written_bytes_per_change',
    type: 'gauge',
    help: 'Wear: bytes handed to the device for each key written or deleted.',
    value: bytesWrittenPerChange,
  },
  {
    name: 'cloudless_datastore_checkpoints_total',
    type: 'counter',
    help: 'Times the -wal file was copied into the database.',
    value: (f) => f.log.checkpoints,
  },
  {
    name: 'cloudless_datastore_reclaimed_bytes_total',
    type: 'counter',
    help: 'Bytes given back to the file system.',
    value: (f) => f.log.bytesReclaimed,
  },
];

const flushHistogram = 'etcd_disk_wal_fsync_duration_seconds';

/** The figures in Prometheus' text format. */
export function metricsText(figures: DatastoreFigures): string {
  const lines: string[] = [];
  for (const { name, type, help, value } of metrics) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name} ${value(figures)}`);
  }
  const { appends, flushSeconds, flushSecondsSum } = figures.log;
  lines.push(`# HELP ${flushHistogram} Time of a flush to the device.`, `# TYPE ${flushHistogram} histogram`);
  for (const { le, count } of flushSeconds) lines.push(`${flushHistogram}_bucket{le="${le}"} ${count}`);
  lines.push(
    `${flushHistogram}_bucket{le="+Inf"} ${appends}`,
    `${flushHistogram}_sum ${flushSecondsSum}`,
    `${flushHistogram}_count ${appends}`,
  );
  return `${lines.join('\n')}\n`;
}
