import assert from 'node:assert/strict';
import { plain, Receiver } from '@cloudless/kube/etcd/compliance';
import type { EtcdStore, WatchEvent, WatchHandle, WatchRequest } from '@cloudless/kube/etcd/store';

const settleMs = 15_000;

/** A watch whose whole life is recorded: after a lost connection it goes on behind the last event it saw. */
export class RecordedWatch {
  readonly request: WatchRequest;
  readonly events: WatchEvent[] = [];
  /** Revisions of progress messages, each with the number of events before it. */
  readonly progress: Array<{ revision: number; events: number }> = [];
  #handle: WatchHandle | undefined;
  #canceled = false;

  /** @param request its `startRevision` says where the record begins: without one, nothing could be checked */
  constructor(request: WatchRequest & { startRevision: number }) {
    this.request = request;
  }

  /** Starts on `store`, again after the store before it was lost. */
  start(store: EtcdStore): void {
    this.#handle?.cancel();
    this.#canceled = false;
    const last = this.events.at(-1)?.kv.modRevision;
    const startRevision = last === undefined ? this.request.startRevision : last + 1;
    const handle = store.watch({ ...this.request, startRevision }, (message) => {
      if (this.#handle !== undefined && this.#handle !== handle) return;
      if (message.type === 'events') this.events.push(...message.events);
      else if (message.type === 'progress') {
        this.progress.push({ revision: message.revision, events: this.events.length });
      } else this.#canceled = true;
    });
    this.#handle = handle;
  }

  /**
   * Resolves when the store says that everything up to `revision` was delivered. Of several servers this one may hear
   * of it late: it is asked again, as API servers do.
   */
  async settle(revision: number): Promise<void> {
    const deadline = Date.now() + settleMs;
    while ((this.progress.at(-1)?.revision ?? 0) < revision) {
      assert.ok(!this.#canceled, 'the watch was canceled');
      if (Date.now() > deadline) assert.fail(`a watch heard of no progress to ${revision} in ${settleMs} ms`);
      this.#handle?.requestProgress();
      // A timer, not the answer: that may come before anything else had its turn.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  stop(): void {
    this.#handle?.cancel();
  }

  /**
   * Exactly the log's events of the range from its start on, in order, none twice; and every progress message only
   * after the events it speaks of.
   */
  verify(log: readonly WatchEvent[]): void {
    const { startRevision = 0, filters = [] } = this.request;
    const wanted = log.filter(
      ({ type, kv }) =>
        kv.modRevision >= startRevision &&
        isWatched(kv.key, this.request) &&
        !filters.includes(type === 'put' ? 'noput' : 'nodelete'),
    );
    const difference = wanted.findIndex((event, i) => eventText(event) !== eventText(this.events[i]));
    const at = difference >= 0 ? difference : this.events.length > wanted.length ? wanted.length : undefined;
    if (at !== undefined) {
      const [is, should] = [this.events, wanted].map((events) =>
        events
          .slice(at, at + 3)
          .map(eventText)
          .join(' '),
      );
      assert.fail(
        `a watch differs from the log at its event ${at}: it told ${is || 'nothing'}, not ${should || 'nothing'}`,
      );
    }
    for (const { revision, events } of this.progress) {
      const due = wanted.filter(({ kv }) => kv.modRevision <= revision).length;
      assert.ok(events >= due, `progress to ${revision} after ${events} of ${due} events`);
    }
  }
}

/** Without the previous value, which a compaction may leave out. */
const eventText = (event: WatchEvent | undefined): string =>
  event === undefined ? 'nothing' : JSON.stringify([event.type, plain(event.kv)]);

function isWatched(key: Uint8Array, request: WatchRequest): boolean {
  if (request.rangeEnd === undefined) return Buffer.compare(key, request.key) === 0;
  return Buffer.compare(key, request.key) >= 0 && Buffer.compare(key, request.rangeEnd) < 0;
}

/** Everything the store's history holds from `startRevision` to `revision`, by a watch of its own. */
export async function replay(
  store: EtcdStore,
  range: { key: Uint8Array; rangeEnd: Uint8Array },
  startRevision: number,
  revision: number,
): Promise<WatchEvent[]> {
  if (revision < startRevision) return [];
  const receiver = new Receiver();
  const watch = store.watch({ ...range, startRevision }, receiver.receive);
  const isThere = (): boolean => (receiver.events.at(-1)?.kv.modRevision ?? 0) >= revision;
  const isCanceled = (): boolean => receiver.messages.some(({ type }) => type === 'canceled');
  try {
    await receiver.until('the whole history', () => isThere() || isCanceled());
  } catch (error) {
    const last = receiver.events.at(-1)?.kv.modRevision ?? 'none';
    assert.fail(
      `the history is told to revision ${last} and not to ${revision}: ${String(error).slice(0, 80)}`,
    );
  }
  watch.cancel();
  assert.ok(!isCanceled(), 'the history is there');
  return receiver.events;
}
