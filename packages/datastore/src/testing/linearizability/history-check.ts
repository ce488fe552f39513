import assert from 'node:assert/strict';
import type { EtcdStore, WatchEvent } from '@cloudless/kube/etcd/store';
import { emptyState } from '@cloudless/kube/etcd/compliance/model-store';
import { checkLinearizable } from './checker.ts';
import type { Recorder } from './recorder.ts';
import { eventsByRevision, type StoreOperation, storeModel } from './store-model.ts';
import { type RecordedWatch, replay } from './watchers.ts';
import { everything } from './workload.ts';

/** A client that only reads, after all others. */
const auditor = -1;
const auditMs = 15_000;

/**
 * Judges a finished history on a store that was empty, at revision `base`, before it: its answers are linearizable,
 * the log holds exactly the writes that explain them, and every watch saw that log.
 *
 * @throws AssertionError telling the operations that nothing explains
 */
export async function judge(
  store: EtcdStore,
  recorder: Recorder,
  watches: readonly RecordedWatch[],
  base = 1,
): Promise<void> {
  // What is there at the end is part of the history: it leaves no write without a place.
  const revision = await audit(store, recorder);
  const log = await replay(store, everything, base + 1, revision);
  judgeLog(log, base, revision);
  judgeHistory(recorder.operations, log, base);
  for (const watch of watches) {
    await watch.settle(revision);
    watch.stop();
    watch.verify(log);
  }
}

/**
 * Writes a last time and reads everything, as soon as the store answers again. The write takes a revision behind
 * which no watch begins: etcd tells of no progress on a stream while one of its watches waits for its first revision.
 */
async function audit(store: EtcdStore, recorder: Recorder): Promise<number> {
  for (const deadline = Date.now() + auditMs; Date.now() < deadline;) {
    const put = { key: Buffer.from('h/audit'), value: Buffer.from('the end') };
    const written = await recorder.write(auditor, store, { put });
    const revision = written === undefined ? undefined : await recorder.range(auditor, store, everything);
    if (revision !== undefined) return revision;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return assert.fail(`the store does not answer ${auditMs} ms after the history`);
}

/** Every revision wrote something, in order. */
function judgeLog(log: readonly WatchEvent[], base: number, revision: number): void {
  let last = base;
  for (const { kv } of log) {
    assert.ok(kv.modRevision === last || kv.modRevision === last + 1, `${kv.modRevision} follows ${last}`);
    last = kv.modRevision;
  }
  assert.equal(last, revision, 'the log ends at the revision of the store');
}

/** The answers alone, and with what the log says each revision wrote. */
export function judgeHistory(
  history: readonly StoreOperation[],
  log: readonly WatchEvent[] | undefined,
  base = 1,
): void {
  const events = log === undefined ? undefined : eventsByRevision(log);
  const verdict = checkLinearizable(history, storeModel(emptyState(base), events));
  if (verdict.type === 'linearizable') return;
  if (verdict.type === 'too-long') assert.fail(`undecided after ${verdict.steps} steps`);
  const { longest, stuck, state } = verdict;
  assert.fail(
    [
      `not linearizable: ${longest.length} of ${history.length} operations have an order, which ends with`,
      ...longest.slice(-5).map(describe),
      `in the state ${state.text}, and then nothing explains one of`,
      ...stuck.slice(0, 20).map(describe),
      ...(events === undefined
        ? []
        : [`at revision ${state.model.revision + 1} the log has ${events.get(state.model.revision + 1)}`]),
    ].join('\n  '),
  );
}

function describe({ client, input, output, calledAt, returnedAt }: StoreOperation): string {
  const asked = JSON.stringify(input, (_, value: unknown) =>
    value instanceof Uint8Array || isBufferJson(value) ? textOf(value) : value,
  );
  return `client ${client} [${calledAt}, ${returnedAt}] ${asked} → ${output ?? 'no answer'}`;
}

const isBufferJson = (value: unknown): value is { data: number[] } =>
  typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'Buffer';

const textOf = (value: Uint8Array | { data: number[] }): string =>
  Buffer.from(value instanceof Uint8Array ? value : value.data).toString('latin1');
