import { etcdErrors } from '@cloudless/kube/etcd/store';
import type { HashKvResponse } from '@cloudless/kube/etcd/maintenance';
import type { History } from '../history/history.ts';
import type { LogRecord } from '../log/log.ts';
import { keyOf } from '../mvcc/key.ts';
import { encodeKeyValue, encodeLease, leaseKey, revisionKey } from '../snapshot/etcd-values.ts';
import { crc32c } from './crc32c.ts';

/** etcd's bucket of revisions, whose name begins the hash. */
const bucketName = Buffer.from('key');

/**
 * etcd's HashKV (server/storage/mvcc/hash.go): the checksum of every revision up to `revision`, as etcd stores them,
 * without those that a compaction up to then may have removed. Two members that agree in it hold the same.
 *
 * @param revision 0: the newest
 * @throws EtcdError `compacted`, `futureRevision`
 */
export async function hashKv(history: History, revision: number): Promise<HashKvResponse> {
  const { compactRevision } = history;
  if (revision > 0 && revision < compactRevision) throw etcdErrors.compacted();
  if (revision > history.revision) throw etcdErrors.futureRevision();
  const upTo = revision > 0 ? revision : history.revision;
  const old = await keptBelow(history, upTo);
  let hash = crc32c(bucketName);
  for await (const { record, sub } of numbered(history)) {
    if (record.revision > upTo) break;
    const isTombstone = record.value === undefined;
    if (record.revision <= compactRevision && old !== undefined && !old.has(nameOf(record))) continue;
    if (record.revision === compactRevision && isTombstone) continue;
    hash = crc32c(revisionKey(record.revision, sub, isTombstone), hash);
    hash = crc32c(encodeKeyValue(record), hash);
  }
  return { hash, revision: history.revision, compactRevision, hashRevision: upTo };
}

/** The checksum of everything stored: all revisions, and leases. */
export async function hashAll(history: History): Promise<{ hash: number; revision: number }> {
  let hash = crc32c(bucketName);
  for await (const { record, sub } of numbered(history)) {
    hash = crc32c(revisionKey(record.revision, sub, record.value === undefined), hash);
    hash = crc32c(encodeKeyValue(record), hash);
  }
  for (const lease of [...history.leases].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    hash = crc32c(leaseKey(lease.id), hash);
    hash = crc32c(encodeLease(lease), hash);
  }
  return { hash, revision: history.revision };
}

const nameOf = (record: LogRecord): string => `${record.revision} ${keyOf(record.key)}`;

/**
 * Records at or before the compaction that are their key's last up to `upTo`. Undefined when no key exists there:
 * etcd then leaves out none.
 */
async function keptBelow(history: History, upTo: number): Promise<Set<string> | undefined> {
  const { compactRevision } = history;
  if (compactRevision === 0) return undefined;
  /** Of each key: its last record, while it is no tombstone. */
  const last = new Map<string, LogRecord>();
  for await (const { record } of numbered(history)) {
    if (record.revision > upTo) break;
    const key = keyOf(record.key);
    if (record.value === undefined) last.delete(key);
    else last.set(key, { ...record, value: bucketName });
  }
  if (last.size === 0) return undefined;
  const kept = new Set<string>();
  for (const record of last.values()) if (record.revision <= compactRevision) kept.add(nameOf(record));
  return kept;
}

/** Records with their place in their transaction, counted among those that are left of it. */
async function* numbered(history: History): AsyncGenerator<{ record: LogRecord; sub: number }> {
  let revision = 0;
  let sub = 0;
  for await (const piece of history.records()) {
    for (const record of piece) {
      sub = record.revision === revision ? sub + 1 : 0;
      revision = record.revision;
      yield { record, sub };
    }
  }
}
