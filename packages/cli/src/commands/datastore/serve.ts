import type { Datastore } from '@cloudless/datastore/datastore';
import { endpointName, openEndpoint } from '@cloudless/datastore/endpoint';
import { startAutoCompaction } from '@cloudless/datastore/maintenance/auto-compaction';
import { type DatastoreServer, serveDatastore } from '@cloudless/datastore/server/serve';
import { systemClock } from '@cloudless/kube/clock';
import type { Running } from '@cloudless/kube/lifecycle';
import { logger } from '@cloudless/kube/logger';
import { formatMs, Progress } from '../../progress.ts';
import { parseServeFlags, type ServeFlags, type ServeSettings } from './serve-options.ts';

export type { ServeFlags } from './serve-options.ts';

/** `cloudless datastore serve`: until a signal stops it, or the store fails. */
export async function serve(flags: ServeFlags): Promise<void> {
  const settings = parseServeFlags(flags);
  const progress = new Progress();
  const stop = stopSignal();
  const name = endpointName(settings.endpoint);
  progress.step(`open ${name}`);
  let store: Datastore;
  try {
    store = await open(settings);
  } catch (error) {
    progress.fail('cannot be opened');
    throw error;
  }
  try {
    progress.done(`revision ${store.revision}`);
    await run(store, settings, stop.signal, progress);
    progress.step(`close ${name}`);
  } finally {
    await store.close();
    progress.done();
  }
}

function open({
  endpoint,
  quotaBytes,
  commitWindowMs,
  progressIntervalMs,
}: ServeSettings): Promise<Datastore> {
  // The variable of PostgreSQL's own programs: a URL is seen in the list of processes.
  const password = process.env['PGPASSWORD'];
  return openEndpoint(endpoint, { quotaBytes, commitWindowMs, progressIntervalMs, password });
}

/** Serves until the signal. @throws when the store fails */
async function run(
  store: Datastore,
  settings: ServeSettings,
  signal: AbortSignal,
  progress: Progress,
): Promise<void> {
  const { listen, tls, advertise, metrics, retentionMs } = settings;
  const log = logger('datastore');
  const server = await serveDatastore({ store, listen, tls, advertise, metrics, log });
  const parts: Running[] = [server];
  try {
    if (retentionMs > 0)
      parts.push(startAutoCompaction({ store, periodMs: retentionMs, clock: systemClock, log }));
    progress.note(`ready in ${formatMs(progress.elapsedMs)}: ${describe(server, settings)}`);
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([stopped, store.failed.then((error) => Promise.reject(error))]);
    progress.step('stop serving');
  } finally {
    for (const part of parts.reverse()) await part.stop();
    progress.done();
  }
}

function describe({ url, metricsAddress }: DatastoreServer, { tls }: ServeSettings): string {
  const clients =
    tls === undefined
      ? ', without TLS'
      : tls.trustedCaFile === undefined
        ? ', without client certificates'
        : '';
  const metrics =
    metricsAddress === undefined
      ? ''
      : `, metrics at ${'path' in metricsAddress ? metricsAddress.path : `http://${metricsAddress.host}:${metricsAddress.port}/metrics`}`;
  return `the etcd v3 API at ${url}${clients}${metrics}`;
}

/** Aborts at SIGINT or SIGTERM. A second one ends the process as usual. */
function stopSignal(): { signal: AbortSignal } {
  const controller = new AbortController();
  const stop = (): void => {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return controller;
}
