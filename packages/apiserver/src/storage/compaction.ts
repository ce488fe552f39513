import type { Clock } from '@cloudless/kube/clock';
import { EtcdError, type EtcdStore, grpcCode } from '@cloudless/kube/etcd/store';
import type { Logger } from '@cloudless/kube/logger';
import { keyBytes } from './keys.ts';

/** The key by which API servers agree on who compacts, and how often (apiserver/pkg/storage/etcd3/compact.go). */
const compactKey = 'compact_rev_key';
const defaultIntervalMs = 5 * 60_000;

interface Agreed {
  version: number;
  revision: number;
}

/**
 * One round: advances the agreed version if nobody has since `agreed`, and compacts what was current a round ago.
 * The key's value is the revision to compact at the next round.
 */
async function round(store: EtcdStore, agreed: Agreed): Promise<Agreed> {
  const key = keyBytes(compactKey);
  const result = await store.txn({
    compare: [{ key, target: 'version', result: 'equal', operand: agreed.version }],
    success: [{ put: { key, value: keyBytes(String(agreed.revision)) } }],
    failure: [{ range: { key } }],
  });
  if (!result.succeeded) {
    // Another server was first: follow it.
    const [response] = result.responses;
    const kv = response && 'range' in response ? response.range.kvs[0] : undefined;
    return { version: kv?.version ?? 0, revision: result.revision };
  }
  const next = { version: agreed.version + 1, revision: result.revision };
  if (agreed.revision === 0) return next;
  try {
    await store.compact(agreed.revision);
  } catch (error) {
    // Already compacted there, or further.
    if (!(error instanceof EtcdError && error.code === grpcCode.outOfRange)) throw error;
  }
  return next;
}

/** Compacts the store's history to the last one to two intervals (default 5 minutes) until `signal` aborts. */
export function startCompaction(options: {
  store: EtcdStore;
  clock: Clock;
  log: Logger;
  signal: AbortSignal;
  intervalMs?: number | undefined;
  /** Gets the revision below which this server knows history to be gone. */
  onCompacted?: (revision: number) => void;
}): void {
  const { store, clock, log, signal, intervalMs = defaultIntervalMs } = options;
  let agreed: Agreed = { version: 0, revision: 0 };
  let timer = clock.setTimeout(tick, intervalMs);
  signal.addEventListener('abort', () => timer.cancel(), { once: true });
  function tick(): void {
    round(store, agreed)
      .then(
        (next) => {
          // A round that was the first compacted at what the one before it had agreed on.
          if (next.version === agreed.version + 1 && agreed.revision > 0)
            options.onCompacted?.(agreed.revision);
          agreed = next;
        },
        (error: unknown) => log.warn({ err: error }, 'compaction of the datastore failed, trying again'),
      )
      .finally(() => {
        if (!signal.aborted) timer = clock.setTimeout(tick, intervalMs);
      });
  }
}
