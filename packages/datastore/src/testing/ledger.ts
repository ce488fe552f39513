import assert from 'node:assert/strict';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { Receiver } from '@cloudless/kube/etcd/compliance';

export const workers = 8;
export const groupsPerWorker = 20;
/** The keys of a group are written in one transaction: all or none of them. */
export const memberNames = ['a', 'b', 'c'];
export const groupKey = (worker: number, group: number): string =>
  `/w${worker}/g${String(group).padStart(2, '0')}/`;

/** What the writer tells: an operation before it is asked for, and when it is acknowledged. */
export type Operation =
  | { type: 'begin'; worker: number; group: number; seq: number; deletes: boolean }
  | { type: 'done'; worker: number; group: number; seq: number; revision: number };

interface GroupState {
  /** Undefined: deleted or never written. */
  seq: number | undefined;
  revision: number;
}

/** What must be in the store, from what the writer told. */
export class Ledger {
  readonly #acknowledged = new Map<string, GroupState>();
  readonly #begun = new Map<string, { seq: number; deletes: boolean }>();
  count = 0;
  nextSeq = 0;
  lastRevision = 0;

  record(operation: Operation): void {
    const key = groupKey(operation.worker, operation.group);
    this.nextSeq = Math.max(this.nextSeq, operation.seq + 1);
    if (operation.type === 'begin') {
      this.#begun.set(key, { seq: operation.seq, deletes: operation.deletes });
      return;
    }
    const begun = this.#begun.get(key);
    this.#begun.delete(key);
    this.#acknowledged.set(key, {
      seq: begun?.deletes ? undefined : operation.seq,
      revision: operation.revision,
    });
    this.count++;
    this.lastRevision = Math.max(this.lastRevision, operation.revision);
  }

  /** The same, to be checked while the writer goes on. */
  clone(): Ledger {
    const copy = new Ledger();
    for (const [key, state] of this.#acknowledged) copy.#acknowledged.set(key, { ...state });
    for (const [key, begun] of this.#begun) copy.#begun.set(key, begun);
    copy.lastRevision = this.lastRevision;
    return copy;
  }

  /**
   * Checks that the store holds every acknowledged operation, each other one wholly or not at all, and a log
   * without gaps. Operations that turn out to be there count as acknowledged from then on.
   */
  async verify(store: EtcdStore): Promise<void> {
    const { revision, compactRevision } = await store.status();
    assert.ok(
      revision >= this.lastRevision,
      `acknowledged revision ${this.lastRevision}, the store is at ${revision}`,
    );
    for (let worker = 0; worker < workers; worker++) {
      for (let group = 0; group < groupsPerWorker; group++)
        await this.#verifyGroup(store, groupKey(worker, group));
    }
    this.#begun.clear();
    await verifyNoGaps(store, revision, compactRevision);
  }

  async #verifyGroup(store: EtcdStore, key: string): Promise<void> {
    const { kvs } = await store.range({ key: Buffer.from(key), rangeEnd: Buffer.from(`${key}~`) });
    const seqs = new Set(kvs.map(({ value }) => Number(Buffer.from(value).toString().split(':')[0])));
    assert.ok(
      kvs.length === 0 || kvs.length === memberNames.length,
      `${key} is half there: ${kvs.length} keys`,
    );
    assert.ok(seqs.size <= 1, `${key} mixes transactions ${[...seqs].join(', ')}`);
    const revisions = new Set(kvs.map(({ modRevision }) => modRevision));
    assert.ok(revisions.size <= 1, `${key} has one revision`);
    const [found] = seqs;
    const acknowledged = this.#acknowledged.get(key);
    const begun = this.#begun.get(key);
    const isBegun = begun !== undefined && (begun.deletes ? found === undefined : found === begun.seq);
    assert.ok(
      found === acknowledged?.seq || isBegun,
      `${key}: acknowledged ${acknowledged?.seq ?? 'no'} value, found ${found ?? 'none'}`,
    );
    if (found === acknowledged?.seq && found !== undefined) {
      assert.deepEqual([...revisions], [acknowledged?.revision]);
    }
    const [revision = 0] = revisions;
    this.#acknowledged.set(key, { seq: found, revision });
  }
}

/** Every revision from the compaction to the head has its events. */
async function verifyNoGaps(store: EtcdStore, revision: number, compactRevision: number): Promise<void> {
  const start = Math.max(2, compactRevision);
  if (start > revision) return;
  const receiver = new Receiver();
  const all = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };
  const watch = store.watch({ ...all, startRevision: start }, receiver.receive);
  await receiver.until('the whole history', () => receiver.events.at(-1)?.kv.modRevision === revision);
  watch.cancel();
  let last = start - 1;
  for (const { kv } of receiver.events) {
    assert.ok(kv.modRevision === last || kv.modRevision === last + 1, `${kv.modRevision} follows ${last}`);
    last = kv.modRevision;
  }
}
