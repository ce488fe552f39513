import type { EtcdStore, RequestOp } from '@cloudless/kube/etcd/store';
import type { LogRecord } from '../log/log.ts';
import { type BinaryKey, keyOf } from '../mvcc/key.ts';
import { CopyError } from './errors.ts';
import type { History } from './history.ts';
import type { TargetOptions } from './sqlite-target.ts';

const everything = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };
/** etcd's limits are 128 operations and 1.5 MB a request. */
const maxOps = 100;
const maxBytes = 1024 * 1024;

/** Stands in the target while a copy is under way, so that half of one is not taken for the whole. */
export const copyMarkerKey = Buffer.from('cloudless/copy-under-way');

/**
 * Writes the keys, values and leases that exist at the end of the history into a live etcd, in the order in which they
 * were last written. Revisions, versions and history are the target's own: no etcd takes those over its API.
 *
 * @throws CopyError when the target holds anything and `force` was not said; with `force` all of it is deleted first
 */
export async function writeEtcd(
  name: string,
  target: EtcdStore,
  history: History,
  options: TargetOptions,
): Promise<{ keys: number }> {
  await prepare(name, target, history, options);
  const newest = await newestOf(history);
  await grantLeases(target, history);
  let [ops, bytes, keys, total] = [[] as RequestOp[], 0, 0, 0];
  const flush = async (): Promise<void> => {
    if (ops.length > 0) await target.txn({ compare: [], success: ops, failure: [] });
    keys += ops.length;
    options.report?.({ records: keys, of: newest.size, bytes: total });
    [ops, bytes] = [[], 0];
  };
  for await (const piece of history.records()) {
    for (const record of piece) {
      if (newest.get(keyOf(record.key)) !== record.position) continue;
      const { key, value, lease } = record as LogRecord & { value: Uint8Array };
      const size = key.byteLength + value.byteLength;
      if (ops.length === maxOps || bytes + size > maxBytes) await flush();
      options.signal?.throwIfAborted();
      ops.push({ put: { key, value, lease } });
      bytes += size;
      total += size;
    }
  }
  await flush();
  await target.deleteRange({ key: copyMarkerKey });
  return { keys };
}

async function prepare(
  name: string,
  target: EtcdStore,
  history: History,
  { force }: TargetOptions,
): Promise<void> {
  const { count } = await target.range({ ...everything, countOnly: true });
  if (count > 0 && !force) {
    const { kvs } = await target.range({ key: copyMarkerKey });
    const marker = kvs[0] && Buffer.from(kvs[0].value).toString();
    throw marker === undefined
      ? new CopyError(
          'not-empty',
          `${name} is not empty (${count} keys): say --force to delete all of them first`,
        )
      : new CopyError(
          'incomplete',
          `${name} holds half a copy, which broke off (${marker}): say --force to delete it and copy again`,
        );
  }
  const marker = `of ${history.name}, begun ${new Date().toISOString()}`;
  // The mark before anything else, and what is deleted around it: half a copy is never without.
  await target.put({ key: copyMarkerKey, value: Buffer.from(marker) });
  if (count === 0) return;
  await target.deleteRange({ key: Uint8Array.of(0), rangeEnd: copyMarkerKey });
  await target.deleteRange({
    key: Buffer.concat([copyMarkerKey, Uint8Array.of(0)]),
    rangeEnd: Uint8Array.of(0),
  });
}

/** Which row of each key is the one that counts. */
async function newestOf(history: History): Promise<Map<BinaryKey, number>> {
  const newest = new Map<BinaryKey, number>();
  for await (const piece of history.records()) {
    for (const { key, value, position } of piece) {
      if (value === undefined) newest.delete(keyOf(key));
      else newest.set(keyOf(key), position);
    }
  }
  return newest;
}

async function grantLeases(target: EtcdStore, history: History): Promise<void> {
  const there = new Set(await target.leaseLeases());
  for (const { id, ttlSeconds } of history.leases)
    if (!there.has(id)) await target.leaseGrant(ttlSeconds, id);
}
