import type { KeyValue, WatchEvent } from '@cloudless/kube/etcd/store';
import type { ValueReader } from '../mvcc/value-reader.ts';
import { keyValueOf, type Version } from '../mvcc/version.ts';

export interface EventOptions {
  readonly prevKv: boolean;
  readonly noPut: boolean;
  readonly noDelete: boolean;
}

/** Whether a watch with these filters wants the change. */
export function wants(options: EventOptions, version: Version): boolean {
  return version.isTombstone ? !options.noDelete : !options.noPut;
}

/**
 * What the key was a revision earlier, if it existed and the compaction has left it: not what the same transaction
 * wrote before (upstream: server/etcdserver/api/v3rpc/watch.go).
 */
function replaced(version: Version, compactRevision: number): Version | undefined {
  // The chain may still show what another server has removed already.
  if (version.revision <= compactRevision) return undefined;
  if (!version.isTombstone && version.version === 1) return undefined;
  let { prev } = version;
  while (prev !== undefined && prev.revision === version.revision) prev = prev.prev;
  return prev === undefined || prev.isTombstone ? undefined : prev;
}

/**
 * The events of these changes; at once when their values are in memory.
 *
 * @param compactRevision of the store: changes up to it have lost what they replaced
 */
export function eventsOf(
  versions: readonly Version[],
  prevKv: boolean,
  values: ValueReader,
  compactRevision: number,
): WatchEvent[] | Promise<WatchEvent[]> {
  const needed: Version[] = [];
  for (const version of versions) {
    if (!version.isTombstone) needed.push(version);
    const prev = prevKv ? replaced(version, compactRevision) : undefined;
    if (prev !== undefined) needed.push(prev);
  }
  // Which versions have a predecessor is read once: a compaction may cut the chain while values load.
  const withPrev = versions.map((version) => prevKv && replaced(version, compactRevision) !== undefined);
  const kvs = values.read(needed);
  return kvs instanceof Promise
    ? kvs.then((all) => assemble(versions, withPrev, all))
    : assemble(versions, withPrev, kvs);
}

function assemble(
  versions: readonly Version[],
  withPrev: readonly boolean[],
  kvs: readonly KeyValue[],
): WatchEvent[] {
  let next = 0;
  return versions.map((version, i): WatchEvent => {
    const kv = version.isTombstone ? keyValueOf(version) : (kvs[next++] as KeyValue);
    const prevKv = withPrev[i] ? (kvs[next++] as KeyValue) : undefined;
    return { type: version.isTombstone ? 'delete' : 'put', kv, ...(prevKv === undefined ? {} : { prevKv }) };
  });
}
