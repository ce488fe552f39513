import { etcdErrors, type KeyValue, type RangeRequest } from '@cloudless/kube/etcd/store';
import { intervalOf, isPoint } from './key.ts';
import type { MvccState } from './state.ts';
import { type Version, visibleAt } from './version.ts';

/** A range's result before its values are read. */
export interface Selection {
  readonly request: RangeRequest;
  /** The store's revision when the range was evaluated. */
  readonly revision: number;
  readonly versions: Version[];
  readonly more: boolean;
  readonly count: number;
  /** The versions must still be sorted by value and cut to the limit. */
  readonly sortByValue: boolean;
}

/**
 * Which versions a range returns (upstream: server/etcdserver/txn/range.go).
 *
 * @param at revision of the view the range is evaluated in
 * @throws EtcdError `compacted`, `futureRevision`
 */
export function select(
  state: MvccState,
  request: RangeRequest,
  at: { revision: number; compactRevision: number },
): Selection {
  const revision = request.revision !== undefined && request.revision > 0 ? request.revision : at.revision;
  if (revision > at.revision) throw etcdErrors.futureRevision();
  if (revision < at.compactRevision) throw etcdErrors.compacted();
  const interval = intervalOf(request.key, request.rangeEnd);
  const base = { request, revision: at.revision, more: false, sortByValue: false };
  if (isPoint(interval) && request.rangeEnd === undefined) {
    const version = visibleAt(state.index.get(interval.start), revision);
    const versions = version === undefined || !passes(request, version) || request.countOnly ? [] : [version];
    return { ...base, versions, count: version === undefined ? 0 : 1 };
  }
  if (request.countOnly) {
    const count = state.index.count(interval.start, interval.end, revision);
    return { ...base, versions: [], count };
  }
  const limit = request.limit !== undefined && request.limit > 0 ? request.limit : Infinity;
  const inKeyOrder = isKeyOrder(request);
  const early = isFiltered(request)
    ? Infinity
    : inKeyOrder
      ? limit
      : isUnordered(request)
        ? limit + 1
        : Infinity;
  const versions: Version[] = [];
  let count = 0;
  let rest: string | undefined;
  state.index.scan(interval.start, interval.end, (head) => {
    const version = visibleAt(head, revision);
    if (version === undefined) return true;
    if (versions.length >= early) {
      rest = head.key;
      return false;
    }
    count++;
    if (passes(request, version)) versions.push(version);
    return true;
  });
  if (rest !== undefined) {
    count += state.index.count(rest, interval.end, revision);
    if (inKeyOrder) return { ...base, versions, count, more: true };
  }
  if (!inKeyOrder && request.sortTarget === 'value') return { ...base, versions, count, sortByValue: true };
  if (!inKeyOrder) sort(versions, request);
  const more = versions.length > limit;
  if (more) versions.length = limit;
  return { ...base, versions, count, more };
}

/** Whether the request wants keys ascending, which is how they come. */
function isKeyOrder({ sortTarget = 'key', sortOrder = 'none' }: RangeRequest): boolean {
  return sortTarget === 'key' && sortOrder !== 'descend';
}

/** A target without an order: etcd sorts only what it fetched for the limit, the first keys and one more. */
function isUnordered({ sortOrder = 'none' }: RangeRequest): boolean {
  return sortOrder === 'none';
}

function isFiltered(request: RangeRequest): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  return Boolean(minModRevision || maxModRevision || minCreateRevision || maxCreateRevision);
}

function passes(request: RangeRequest, version: Version): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  if (maxModRevision && version.revision > maxModRevision) return false;
  if (minModRevision && version.revision < minModRevision) return false;
  if (maxCreateRevision && version.createRevision > maxCreateRevision) return false;
  return !(minCreateRevision && version.createRevision < minCreateRevision);
}

function sort(versions: Version[], { sortTarget, sortOrder }: RangeRequest): void {
  const sign = sortOrder === 'descend' ? -1 : 1;
  const by: (version: Version) => number =
    sortTarget === 'version'
      ? (version) => version.version
      : sortTarget === 'create'
        ? (version) => version.createRevision
        : (version) => version.revision;
  if (sortTarget === undefined || sortTarget === 'key') versions.reverse();
  else versions.sort((a, b) => sign * (by(a) - by(b)));
}

/** Sorts results by value as the request wants and cuts them to its limit. */
export function sortByValue(kvs: KeyValue[], request: RangeRequest): { kvs: KeyValue[]; more: boolean } {
  const sign = request.sortOrder === 'descend' ? -1 : 1;
  const sorted = kvs.sort((a, b) => sign * Buffer.compare(a.value, b.value));
  const limit = request.limit !== undefined && request.limit > 0 ? request.limit : Infinity;
  return { kvs: sorted.slice(0, limit), more: sorted.length > limit };
}
