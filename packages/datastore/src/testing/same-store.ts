import assert from 'node:assert/strict';
import type { EtcdStore } from '@cloudless/kube/etcd/store';
import { random } from '@cloudless/kube/testing/random';

const everything = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };

/** Everything that exists in a store at a revision (0: now), in a form that compares and prints well. */
export async function contentOf(store: EtcdStore, revision = 0): Promise<object[]> {
  const { kvs } = await store.range({ ...everything, revision });
  return kvs.map(({ key, value, ...rest }) => ({
    key: Buffer.from(key).toString('latin1'),
    value: Buffer.from(value).toString('hex'),
    ...rest,
  }));
}

/** Leases with their granted time and keys. */
export async function leasesOf(store: EtcdStore): Promise<Map<bigint, object>> {
  const leases = new Map<bigint, object>();
  for (const id of await store.leaseLeases()) {
    const { grantedTtlSeconds, keys } = await store.leaseTimeToLive(id, true);
    leases.set(id, {
      grantedTtlSeconds,
      keys: keys.map((key) => Buffer.from(key).toString('latin1')).sort(),
    });
  }
  return leases;
}

/**
 * Asserts that two stores agree key by key at every revision from the compaction on, in leases, and in where they
 * refuse to read.
 */
export async function assertSameStore(
  actual: EtcdStore,
  expected: EtcdStore,
  compactRevision: number,
): Promise<void> {
  const { revision } = await expected.range({ key: Buffer.from('x') });
  assert.equal((await actual.range({ key: Buffer.from('x') })).revision, revision, 'the revision');
  for (let at = Math.max(1, compactRevision); at <= revision; at++)
    assert.deepEqual(await contentOf(actual, at), await contentOf(expected, at), `at revision ${at}`);
  assert.deepEqual(await leasesOf(actual), await leasesOf(expected), 'leases');
  if (compactRevision > 1)
    await assert.rejects(contentOf(actual, compactRevision - 1), /required revision has been compacted/);
}

/** Writes a history at random: puts, deletions, transactions, leases, and compactions. Returns the last of these. */
export async function writeRandomly(store: EtcdStore, steps: number, seed: number): Promise<number> {
  const next = random(seed);
  const pick = (below: number): number => Math.floor(next() * below);
  const key = (): Buffer => Buffer.from(`/registry/things/${pick(25)}`);
  const leases = [0n, 0n, 0n];
  for (const ttl of [600, 3600])
    leases.push((await store.leaseGrant(ttl, (BigInt(pick(2 ** 31)) << 31n) | 1n)).id);
  let compactRevision = 0;
  for (let i = 0; i < steps; i++) {
    const lease = leases[pick(leases.length)] as bigint;
    const value = Buffer.alloc(pick(next() < 0.02 ? 300_000 : 400), i);
    const dice = next();
    if (dice < 0.6) await store.put({ key: key(), value, lease });
    else if (dice < 0.75) await store.deleteRange({ key: key() });
    else if (dice < 0.97) {
      const [a, b] = [`/registry/a/${pick(9)}`, `/registry/b/${pick(9)}`].map((text) =>
        Buffer.from(text),
      ) as [Buffer, Buffer];
      const success = [
        { put: { key: a, value } },
        next() < 0.5 ? { put: { key: b, value, lease } } : { deleteRange: { key: b } },
      ];
      await store.txn({ compare: [], success, failure: [] });
    } else {
      const { revision } = await store.range({ key: Buffer.from('x') });
      const at = compactRevision + 1 + pick(Math.max(1, revision - compactRevision));
      if (at > revision) continue;
      await store.compact(at);
      compactRevision = at;
    }
  }
  return compactRevision;
}
