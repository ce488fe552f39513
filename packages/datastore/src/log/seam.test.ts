import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { etcdCompliance, plain, Receiver } from '@cloudless/kube/etcd/compliance';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { type Datastore, startEngine } from '../datastore.ts';
import { SharedLog } from '../testing/shared-log.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

const engine = (shared: SharedLog, cacheBytes?: number): Promise<Datastore> =>
  startEngine({ name: 'shared log', log: shared.connect(), cacheBytes });

etcdCompliance('an engine alone on a shared log', async () => {
  const store = await engine(new SharedLog());
  return { store, stop: () => store.close() };
});

etcdCompliance('an engine whose values always come later', async () => {
  const store = await engine(new SharedLog(), 0);
  return { store, stop: () => store.close() };
});

/** Increments the number in `key` once, by compare-and-swap. */
async function increment(store: EtcdStore, key: Uint8Array): Promise<void> {
  for (;;) {
    const kv = (await store.range({ key })).kvs[0];
    const { succeeded } = await store.txn({
      compare: [{ key, target: 'mod', result: 'equal', operand: kv?.modRevision ?? 0 }],
      success: [{ put: { key, value: bytes(String(Number(Buffer.from(kv?.value ?? []).toString()) + 1)) } }],
      failure: [],
    });
    if (succeeded) return;
  }
}

describe('two engines on one log (wall 2: the log seam)', () => {
  it('order their writes without gaps, evaluate again when overtaken, and read each other', async () => {
    const shared = new SharedLog();
    const stores = [await engine(shared), await engine(shared)] as const;
    const key = bytes('counter');
    const receivers = stores.map(() => new Receiver());
    for (const [i, store] of stores.entries()) {
      store.watch({ key, startRevision: 2, prevKv: true }, (receivers[i] as Receiver).receive);
    }
    const rounds = 40;
    await Promise.all(
      stores.flatMap((store) =>
        [0, 1].map(async () => {
          for (let i = 0; i < rounds; i++) await increment(store, key);
        }),
      ),
    );
    assert.ok(shared.conflicts > 0, 'the engines really competed');
    const total = 4 * rounds;
    for (const store of stores) {
      const { kvs, revision } = await store.range({ key });
      assert.equal(Buffer.from(kvs[0]?.value ?? []).toString(), String(total));
      assert.equal(kvs[0]?.version, total);
      assert.equal(revision, 1 + total);
    }
    const revisions = shared.changes.map((change) => ('record' in change ? change.record.revision : 0));
    assert.deepEqual(
      revisions,
      Array.from({ length: total }, (_, i) => i + 2),
    );
    for (const receiver of receivers) await receiver.until('all', () => receiver.events.length === total);
    assert.deepEqual(plain(receivers[0]?.events), plain(receivers[1]?.events));
    await Promise.all(stores.map((store) => store.close()));
  });

  it('see a write of the other at once in a linearizable read', async () => {
    const shared = new SharedLog();
    const [one, other] = [await engine(shared), await engine(shared)];
    for (let i = 0; i < 20; i++) {
      const { revision } = await one.put({ key: bytes('a'), value: bytes(String(i)) });
      const read = await other.range({ key: bytes('a') });
      assert.equal(read.revision, revision);
      assert.equal(Buffer.from(read.kvs[0]?.value ?? []).toString(), String(i));
    }
    await Promise.all([one.close(), other.close()]);
  });

  it('share leases and compactions', async () => {
    const shared = new SharedLog();
    const [one, other] = [await engine(shared), await engine(shared)];
    const { id } = await one.leaseGrant(60);
    await other.put({ key: bytes('a'), value: bytes('1'), lease: id });
    assert.deepEqual((await one.leaseTimeToLive(id, true)).keys.map(String), ['a'].map(bytes).map(String));
    const { revision } = await other.put({ key: bytes('b'), value: bytes('1') });
    await one.leaseRevoke(id);
    assert.deepEqual((await other.range({ key: bytes('a') })).kvs, []);
    await other.compact(revision);
    await assert.rejects(one.range({ key: bytes('b'), revision: revision - 1 }), /has been compacted/);
    const third = await engine(shared);
    assert.deepEqual(
      plain(await third.range({ key: bytes('b') })),
      plain(await one.range({ key: bytes('b') })),
    );
    await Promise.all([one, other, third].map((store) => store.close()));
  });
});
