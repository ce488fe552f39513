import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import { EtcdError, type EtcdStore, grpcCode } from '@cloudless/kube/etcd/store';
import { type Running, running } from '@cloudless/kube/lifecycle';
import type { Logger } from '@cloudless/kube/logger';

const hourMs = 3_600_000;
/** Revisions are noted so often within a period, or within an hour if that is shorter (etcd: 10). */
const notesPerInterval = 10;

export interface AutoCompactionOptions {
  store: Pick<EtcdStore, 'status' | 'compact'>;
  /** How much history is kept. */
  periodMs: number;
  clock: Clock;
  log: Logger;
}

/**
 * etcd's periodic auto-compaction (server/etcdserver/api/v3compactor/periodic.go): keeps the history of the last
 * period; compacts once in a period, or once an hour where that is longer. Several servers of one store may all do it.
 */
export function startAutoCompaction({ store, periodMs, clock, log }: AutoCompactionOptions): Running {
  const intervalMs = Math.min(periodMs, hourMs);
  const everyMs = Math.max(1, Math.floor(intervalMs / notesPerInterval));
  const kept = Math.ceil(periodMs / everyMs);
  const notes: number[] = [];
  const stopped = new AbortController();
  let sinceCompaction = 0;
  let timer: ClockTimer = clock.setTimeout(tick, everyMs);
  let work: Promise<void> = Promise.resolve();

  function tick(): void {
    work = look().finally(() => {
      if (!stopped.signal.aborted) timer = clock.setTimeout(tick, everyMs);
    });
  }

  async function look(): Promise<void> {
    try {
      notes.push((await store.status()).revision);
      sinceCompaction++;
      if (notes.length <= kept) return;
      const revision = notes.shift() as number;
      if (sinceCompaction < notesPerInterval) return;
      sinceCompaction = 0;
      await store.compact(revision, { signal: stopped.signal });
      log.info({ revision }, 'compacted');
    } catch (error) {
      // Another server, or the API server, was first; or there was nothing.
      if (error instanceof EtcdError && error.code === grpcCode.outOfRange) return;
      if (!stopped.signal.aborted)
        log.warn({ error: (error as Error).message }, 'auto-compaction failed, it is tried again');
    }
  }

  return running(async () => {
    stopped.abort();
    timer.cancel();
    await work;
  });
}

/**
 * etcd's `--auto-compaction-retention` in periodic mode: a duration (`10m`, `1h30m`), or hours as a whole number.
 * Milliseconds; 0 is off; undefined when it is neither.
 */
export function parseRetention(text: string): number | undefined {
  if (/^\d+$/.test(text)) return Number(text) * hourMs;
  const [, h, m, s] = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text) ?? [];
  if (h === undefined && m === undefined && s === undefined) return undefined;
  return Number(h ?? 0) * hourMs + Number(m ?? 0) * 60_000 + Number(s ?? 0) * 1000;
}
