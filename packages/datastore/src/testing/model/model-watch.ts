import assert from 'node:assert/strict';
import { plain, Receiver } from '@cloudless/kube/etcd/compliance';
import type { ModelStore } from '@cloudless/kube/etcd/compliance/model-store';
import type { EtcdStore, WatchEvent, WatchHandle, WatchRequest } from '@cloudless/kube/etcd/store';

/** A watch of a store and what the model says that it must have told. */
export class ModelWatch {
  readonly #model: ModelStore;
  readonly #request: WatchRequest & { startRevision: number };
  readonly #receiver = new Receiver();
  #handle: WatchHandle | undefined;
  /** Compaction when it began: what lies before is told by no event. */
  readonly #compactRevision: number;
  /** What has been compared. */
  #told = 0;
  #upTo: number;

  constructor(model: ModelStore, request: WatchRequest & { startRevision: number }) {
    this.#model = model;
    this.#request = request;
    this.#compactRevision = model.state.compactRevision;
    this.#upTo = request.startRevision - 1;
  }

  start(store: EtcdStore): void {
    this.#handle = store.watch(this.#request, this.#receiver.receive);
  }

  stop(): void {
    this.#handle?.cancel();
  }

  get #isCanceled(): boolean {
    return this.#receiver.messages.some(({ type }) => type === 'canceled');
  }

  /** Waits for everything up to now and compares it. */
  async settle(): Promise<void> {
    const { revision } = this.#model;
    if (this.#request.startRevision < this.#compactRevision) return this.#refused();
    // etcd promises no word to one who waits for the future.
    if (revision < this.#request.startRevision) return assert.deepEqual(this.#receiver.events, []);
    await this.heard(revision);
    const wanted = this.#wanted(this.#upTo + 1, revision);
    const told = this.#receiver.events.slice(this.#told);
    assert.deepEqual(plain(told), plain(wanted));
    this.#told += told.length;
    this.#upTo = revision;
  }

  async #refused(): Promise<void> {
    await this.#receiver.until('a refusal', () => this.#isCanceled);
    const [message] = this.#receiver.messages;
    assert.ok(message?.type === 'canceled');
    assert.ok(message.compactRevision >= this.#compactRevision && message.error === undefined);
  }

  /** Waits until the store says that everything up to `revision` was told. */
  async heard(revision: number): Promise<void> {
    const { messages } = this.#receiver;
    const hasHeard = (): boolean =>
      this.#isCanceled || messages.some((one) => one.type === 'progress' && one.revision >= revision);
    while (!hasHeard()) {
      const before = messages.length;
      this.#handle?.requestProgress();
      await this.#receiver.until('progress', () => messages.length > before);
    }
    assert.ok(!this.#isCanceled, 'a watch goes on');
  }

  /** The key of the first event at a revision. */
  keyAt(revision: number): string | undefined {
    const event = this.#receiver.events.find(({ kv }) => kv.modRevision === revision);
    return event === undefined ? undefined : Buffer.from(event.kv.key).toString('latin1');
  }

  #wanted(from: number, to: number): WatchEvent[] {
    const wanted: WatchEvent[] = [];
    for (const [revision, events] of this.#model.events) {
      if (revision < from || revision > to) continue;
      wanted.push(...events.filter((event) => this.#isWanted(event)).map((event) => this.#shown(event)));
    }
    return wanted;
  }

  #isWanted({ type, kv }: WatchEvent): boolean {
    const { key, rangeEnd, filters = [] } = this.#request;
    if (filters.includes(type === 'put' ? 'noput' : 'nodelete')) return false;
    const [order, endOrder] = [Buffer.compare(kv.key, key), Buffer.compare(kv.key, rangeEnd ?? key)];
    return rangeEnd === undefined ? order === 0 : order >= 0 && endOrder < 0;
  }

  #shown({ prevKv, ...event }: WatchEvent): WatchEvent {
    const isRetained = event.kv.modRevision > this.#compactRevision;
    return this.#request.prevKv && prevKv !== undefined && isRetained ? { ...event, prevKv } : event;
  }
}
