import type { Compare, EtcdStore, KeyValue, RequestOp } from '@cloudless/kube/etcd/store';
import { keyBytes } from './keys.ts';

/** One key's part of a storage transaction. */
export interface KeyWrite {
  key: string;
  /** mod revision the key must have; 0: it must not exist; 'any': it must exist. */
  expected: number | 'any';
  /** Not changed any more after the call. Absent: the key is deleted. `null`: only the condition counts. */
  value: Uint8Array | undefined | null;
  lease?: bigint;
}

export type CommitResult =
  | { committed: true; revision: number }
  /** Nothing was written. `current` holds the keys as they stand, in the order of the writes. */
  | { committed: false; revision: number; current: Array<KeyValue | undefined> };

/**
 * Writes all keys in one storage transaction if every condition holds (upstream: etcd3 store's Txn with
 * `MOD = revision`; here with further keys for allocations and quota).
 */
export async function commit(store: EtcdStore, writes: readonly KeyWrite[]): Promise<CommitResult> {
  const compare: Compare[] = [];
  const success: RequestOp[] = [];
  const failure: RequestOp[] = [];
  for (const { key, expected, value, lease } of writes) {
    const bytes = keyBytes(key);
    compare.push(
      expected === 'any'
        ? { key: bytes, target: 'version', result: 'greater', operand: 0 }
        : { key: bytes, target: 'mod', result: 'equal', operand: expected },
    );
    if (value) success.push({ put: { key: bytes, value, isFinal: true, lease } });
    else if (value === undefined) success.push({ deleteRange: { key: bytes } });
    failure.push({ range: { key: bytes } });
  }
  const result = await store.txn({ compare, success, failure });
  if (result.succeeded) return { committed: true, revision: result.revision };
  const current = result.responses.map((each) => ('range' in each ? each.range.kvs[0] : undefined));
  return { committed: false, revision: result.revision, current };
}

/** Whether a key as it stands meets the write's condition. */
export function holds(write: KeyWrite, current: KeyValue | undefined): boolean {
  return write.expected === 'any' ? current !== undefined : (current?.modRevision ?? 0) === write.expected;
}
