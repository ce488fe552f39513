import { parsePlace, placeName } from '@cloudless/datastore/history/place';
import { UsageError } from '../../options.ts';
import { Progress } from '../../progress.ts';
import { fetchMetrics } from './metrics.ts';
import {
  megabytes,
  type PlaceFlags,
  printJson,
  printTable,
  step,
  tlsOf,
  wantsJson,
} from './place-options.ts';

const dayMs = 24 * 60 * 60_000;

/** `cloudless datastore wear`: from a running server's metrics. */
export async function wear(flags: PlaceFlags): Promise<void> {
  const place = parsePlace(flags.endpoint);
  const isJson = wantsJson(flags.output);
  if (place.kind !== 'etcd') {
    throw new UsageError(
      `--endpoint ${flags.endpoint}: a server counts what it writes while it runs; give its address, such as ` +
        'http://127.0.0.1:2379 (or its --metrics-address)',
    );
  }
  const [endpoint = ''] = place.endpoints;
  const metrics = await step(new Progress(), `ask ${placeName(place)}`, () =>
    fetchMetrics(endpoint, tlsOf(flags)),
  );
  const figures = figuresOf(metrics, endpoint);
  if (isJson) return printJson({ endpoint, ...figures });
  const { writtenBytes, upMs, changes, flushes, bytesPerChange, bytesPerFlush, bytesPerDay } = figures;
  printTable([
    ['endpoint', endpoint],
    ['running for', `${(upMs / 3_600_000).toFixed(1)} hours`],
    ['written', `${megabytes(writtenBytes)} for ${changes} changes of keys, in ${flushes} flushes`],
    ['per change', changes === 0 ? 'no change yet' : megabytes(bytesPerChange)],
    ['per flush', flushes === 0 ? 'no flush yet' : megabytes(bytesPerFlush)],
    ['per day', `${megabytes(bytesPerDay)}, ${((bytesPerDay * 365) / 1e12).toFixed(2)} TB a year`],
  ]);
}

interface WearFigures {
  writtenBytes: number;
  upMs: number;
  changes: number;
  flushes: number;
  bytesPerChange: number;
  bytesPerFlush: number;
  bytesPerDay: number;
}

/** @throws UsageError when the server does not count its writes (etcd does not) */
export function figuresOf(
  metrics: ReadonlyMap<string, number>,
  endpoint: string,
  now = Date.now(),
): WearFigures {
  const writtenBytes = metrics.get('cloudless_datastore_written_bytes_total');
  const started = metrics.get('process_start_time_seconds');
  if (writtenBytes === undefined || started === undefined) {
    throw new UsageError(
      `${endpoint} does not tell what it writes to its disk: only cloudless datastore serve counts that`,
    );
  }
  const changes = (metrics.get('etcd_mvcc_put_total') ?? 0) + (metrics.get('etcd_mvcc_delete_total') ?? 0);
  const flushes = metrics.get('etcd_disk_wal_fsync_duration_seconds_count') ?? 0;
  const upMs = Math.max(1, now - started * 1000);
  return {
    writtenBytes,
    upMs,
    changes,
    flushes,
    bytesPerChange: changes === 0 ? 0 : writtenBytes / changes,
    bytesPerFlush: flushes === 0 ? 0 : writtenBytes / flushes,
    bytesPerDay: (writtenBytes / upMs) * dayMs,
  };
}
