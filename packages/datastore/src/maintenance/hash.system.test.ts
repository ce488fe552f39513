import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { EtcdMaintenance } from '@cloudless/kube/etcd/maintenance';
import type { EtcdStore, RequestOp } from '@cloudless/kube/etcd/store';
import { RealEtcd } from '@cloudless/kube/testing/real-etcd';
import { logger } from '@cloudless/kube/logger';
import { writeSqlite } from '../history/sqlite-target.ts';
import { openDatastore } from '../index.ts';
import { openMemoryDatastore } from '../memory.ts';
import { openSnapshot } from '../snapshot/etcd-reader.ts';
import { random as seededRandom } from '@cloudless/kube/testing/random';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e6));
const log = logger('hash-test').child({}, { level: 'silent' });
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

/** A store made of etcd's snapshot has etcd's hashes. */
async function sameInItsSnapshot(etcd: EtcdStore & EtcdMaintenance): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'datastore-hash-'));
  try {
    const saved = join(folder, 'saved.db');
    await writeFile(saved, etcd.snapshot());
    const path = join(folder, 'state.db');
    const history = await openSnapshot(saved);
    await writeSqlite(path, history, { log });
    await history.close();
    await using restored = await openDatastore({ path, log });
    const { revision } = await etcd.status();
    for (const at of [0, revision - 10, revision - 20])
      assert.deepEqual(await restored.hashKv(at), await etcd.hashKv(at));
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("HashKV beside etcd's own", () => {
  it(`is equal for equal histories, compactions included (SEED=${seed})`, async () => {
    const etcd = await RealEtcd.start();
    try {
      const theirs = await etcd.connect();
      const ours = await openMemoryDatastore();
      const expected = await play(theirs, seededRandom(seed));
      assert.deepEqual(await play(ours, seededRandom(seed)), expected);
      await ours.close();
      await sameInItsSnapshot(theirs);
      await theirs.close();
    } finally {
      await etcd.stop();
    }
  });
});
