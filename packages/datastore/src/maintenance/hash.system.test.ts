import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EtcdMaintenance } from '@cloudless/kube/etcd/maintenance';
import type { EtcdStore, RequestOp } from '@cloudless/kube/etcd/store';
import { RealEtcd } from '@cloudless/kube/testing/real-etcd';
import { openMemoryDatastore } from '../memory.ts';
import { random as seededRandom } from '../testing/random.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6));
const bytes = (text: string): Uint8Array => Buffer.from(text);

/**
 * The same writes on every store: puts and deletions, now and then a compaction, and behind the last one transactions
 * of several keys. (What a compaction leaves of such a transaction loses its place in it here, see the README.)
 */
async function play(store: EtcdStore & EtcdMaintenance, random: () => number): Promise<Array<object>> {
  const hashes: Array<object> = [];
  const below = (n: number): number => Math.floor(random() * n);
  for (let i = 0; i < 150; i++) {
    const first = below(12);
    const ops = Array.from({ length: i < 120 ? 1 : 1 + below(3) }, (_, j): RequestOp => {
      const key = bytes(`/h/${(first + j) % 12}`);
      return below(4) === 0
        ? { deleteRange: { key } }
        : { put: { key, value: bytes('v'.repeat(below(40))) } };
    });
    const { revision } = await store.txn({ compare: [], success: ops, failure: [] });
    if (i % 40 === 39 && i < 120) await store.compact(revision - 5);
    if (i % 10 === 9) {
      const { hash, hashRevision, compactRevision } = await store.hashKv(revision - below(3));
      hashes.push({ hash, hashRevision, compactRevision });
    }
  }
  return hashes;
}

describe("HashKV beside etcd's own", () => {
  it(`is equal for equal histories, compactions included (SEED=${seed})`, async () => {
    const etcd = await RealEtcd.start();
    try {
      const theirs = await etcd.connect();
      const ours = await openMemoryDatastore();
      const expected = await play(theirs, seededRandom(seed));
      assert.deepEqual(await play(ours, seededRandom(seed)), expected);
      await theirs.close();
      await ours.close();
    } finally {
      await etcd.stop();
    }
  });
});
