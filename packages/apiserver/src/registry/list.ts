import { EtcdError, grpcCode, prefixEnd } from '@cloudless/kube/etcd/store';
import { fieldErrors, FieldPath } from '@cloudless/kube/field';
import { errors } from '@cloudless/kube/status';
import type { Entry } from '../cache/entry.ts';
import { ContinueExpired, listExpired, parseRevision, tooLargeRevision } from '../cache/revisions.ts';
import { withConversions } from '../storage/conversion-needed.ts';
import { decodeContinue, encodeContinue } from '../storage/continue.ts';
import { keyBytes } from '../storage/keys.ts';
import type { Served } from './catalogue.ts';
import type { Registry, StoredResource } from './registry.ts';
import { type Selection, selectionOf } from './selection.ts';
import { prepareViews } from './view.ts';

/** Parameters of a list or watch as they came, unparsed. */
export interface ListParameters {
  namespace: string;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  limit?: number | undefined;
  continue?: string | undefined;
  resourceVersion?: string | undefined;
  resourceVersionMatch?: string | undefined;
  sendInitialEvents?: boolean | undefined;
}

export interface ListResult {
  /** The same array for the same state of the cache. */
  entries: readonly Entry[];
  revision: number;
  /** Token of the next page. */
  continue?: string;
  /** Objects after this page; only without selectors. */
  remaining?: number;
}

/** Keys read per request when a selector filters a page from the store. */
const storePageSize = 1_000;

/** Refuses combinations of parameters that upstream refuses (apis/meta/internalversion/validation). */
function validate(parameters: ListParameters): void {
  const { resourceVersionMatch: match, resourceVersion } = parameters;
  const found = [];
  if (match) {
    const path = FieldPath.of('resourceVersionMatch');
    if (!resourceVersion) {
      found.push(
        fieldErrors.forbidden(path, 'resourceVersionMatch is forbidden unless resourceVersion is provided'),
      );
    }
    if (parameters.continue) {
      found.push(fieldErrors.forbidden(path, 'resourceVersionMatch is forbidden when continue is provided'));
    }
    if (match !== 'Exact' && match !== 'NotOlderThan') {
      found.push(fieldErrors.notSupportedAsListed(path, match, ['Exact', 'NotOlderThan', '']));
    }
    if (match === 'Exact' && resourceVersion === '0') {
      found.push(
        fieldErrors.forbidden(path, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
      );
    }
  }
  if (parameters.sendInitialEvents !== undefined) {
    found.push(
      fieldErrors.forbidden(FieldPath.of('sendInitialEvents'), 'sendInitialEvents is forbidden for list'),
    );
  }
  if (found.length > 0) throw errors.invalid({ group: 'meta.k8s.io', kind: 'ListOptions' }, '', found);
}

/**
 * Lists objects with upstream's meaning of resourceVersion: unset: current as of the request; `0`: whatever the
 * cache has; N: not older than N, or exactly N with `Exact` (or a limit, as upstream's legacy rule has it).
 */
export async function listObjects(
  registry: Registry,
  served: Served,
  parameters: ListParameters,
): Promise<ListResult> {
  validate(parameters);
  const stored = registry.open(served.resource);
  const selection = selectionOf(served.resource, stored, parameters);
  const limit = parameters.limit ?? 0;
  const revision = parseRevision(parameters.resourceVersion);
  if (parameters.continue) {
    if (revision !== undefined && revision !== 0) {
      throw errors.badRequest('specifying resource version is not allowed when using continue');
    }
    return await nextPage(registry, stored, selection, limit, parameters.continue);
  }
  const { resourceVersionMatch: match } = parameters;
  if (revision !== undefined && revision > 0 && (match === 'Exact' || (!match && limit > 0))) {
    return await fromStore(registry, stored, selection, { limit, revision, from: undefined });
  }
  const { cache } = stored;
  if (revision === undefined) await cache.fresh();
  else await (revision === 0 ? cache.ready : cache.reach(revision));
  return await selected(stored, selection, () =>
    fromCache(stored, selection, revision === 0 ? 0 : limit, undefined),
  );
}

async function nextPage(
  registry: Registry,
  stored: StoredResource,
  selection: Selection,
  limit: number,
  token: string,
): Promise<ListResult> {
  const prefix = stored.keys.under(selection.namespace);
  const { startKey, revision } = decodeContinue(token, prefix);
  const { cache } = stored;
  if (revision < 0) {
    await cache.fresh();
    return await selected(stored, selection, () => fromCache(stored, selection, limit, startKey));
  }
  // Upstream's clients rely on tokens ending with their history, so ours do too.
  if (revision < registry.compactedRevision) throw new ContinueExpired(encodeContinue(startKey, prefix, -1));
  await cache.ready;
  // Nothing changed since the first page: the cache still is that revision.
  const unchanged = (): boolean => cache.lastChange <= revision && cache.revision >= revision;
  if (unchanged()) {
    const page = await selected(stored, selection, () =>
      unchanged() ? fromCache(stored, selection, limit, startKey, revision) : undefined,
    );
    if (page) return { ...page, revision };
  }
  return await fromStore(registry, stored, selection, { limit, revision, from: startKey });
}

/** Lets selectors see the objects in the version asked for, also where a webhook converts them. */
async function selected<T>(stored: StoredResource, selection: Selection, list: () => T): Promise<T> {
  const { matches, namespace, resource } = selection;
  if (!matches || !stored.codec.versions?.convertAll) return list();
  await prepareViews(stored.cache.entries.snapshot(namespace), resource);
  // What changed meanwhile comes one by one.
  return await withConversions(list);
}

/** Serves a page of the cache as it is; `revision` overrides that of the token. */
function fromCache(
  stored: StoredResource,
  selection: Selection,
  limit: number,
  startKey: string | undefined,
  revision = stored.cache.revision,
): ListResult {
  const { entries: all } = stored.cache;
  const { namespace, name, matches } = selection;
  if (name !== undefined || (selection.isIndexed && limit === 0 && startKey === undefined)) {
    const entries: Entry[] = [];
    for (const entry of candidates(stored, selection)) {
      const inNamespace = namespace === '' || entry.namespace === namespace;
      if (inNamespace && (!matches || matches(entry))) entries.push(entry);
    }
    return { entries, revision };
  }
  if (startKey === undefined && (limit === 0 || all.count(namespace) <= limit)) {
    const snapshot = all.snapshot(namespace);
    return { entries: matches ? snapshot.filter(matches) : snapshot, revision };
  }
  const entries: Entry[] = [];
  const from = startKey?.slice(stored.keys.root.length);
  let passed = 0;
  for (const entry of from === undefined ? all.all(namespace) : all.from(from, namespace)) {
    if (matches && !matches(entry)) continue;
    if (limit > 0 && entries.length === limit) {
      const last = entries.at(-1) as Entry;
      const token = encodeContinue(`${last.key}\0`, stored.keys.under(namespace), revision);
      if (matches) return { entries, revision, continue: token };
      if (from === undefined)
        return { entries, revision, continue: token, remaining: all.count(namespace) - limit };
      passed++;
      continue;
    }
    entries.push(entry);
  }
  if (passed === 0) return { entries, revision };
  const last = entries.at(-1) as Entry;
  const token = encodeContinue(`${last.key}\0`, stored.keys.under(namespace), revision);
  return { entries, revision, continue: token, remaining: passed };
}

/** The entries among which those of the selection are, as few as the cache can tell at once. */
export function candidates(stored: StoredResource, selection: Selection): Iterable<Entry> {
  const { cache } = stored;
  const { name, namespace, route, isIndexed } = selection;
  if (name !== undefined) return single(stored, selection, name);
  return route && isIndexed ? cache.indexed(route) : cache.entries.all(namespace);
}

/** Objects of one name: one at most, but in every namespace when none is given. */
function single(stored: StoredResource, selection: Selection, name: string): readonly Entry[] {
  const { cache, resource } = stored;
  if (!resource.namespaced || selection.namespace !== '') {
    const entry = cache.get(selection.namespace, name);
    return entry ? [entry] : [];
  }
  return cache.entries.snapshot().filter((entry) => entry.name === name);
}

/** Reads a page at an exact revision from the store, through as many requests as a selector needs. */
async function fromStore(
  registry: Registry,
  stored: StoredResource,
  selection: Selection,
  wanted: { limit: number; revision: number; from: string | undefined },
): Promise<ListResult> {
  const prefix = stored.keys.under(selection.namespace);
  const rangeEnd = prefixEnd(keyBytes(prefix));
  const { limit, revision } = wanted;
  const entries: Entry[] = [];
  let from = wanted.from ?? prefix;
  for (;;) {
    const ask = selection.matches || selection.name !== undefined ? storePageSize : limit;
    const answer = await registry.parts.store
      .range({ key: keyBytes(from), rangeEnd, limit: ask, revision })
      .catch((error: unknown) => {
        throw expiredOr(error, wanted, stored.cache.revision, from, prefix);
      });
    const page = answer.kvs.map((kv) => stored.entryOf(kv));
    if (selection.matches)
      await prepareViews(
        page.filter((entry) => entry !== undefined),
        selection.resource,
      );
    for (const [i, entry] of page.entries()) {
      if (!entry) continue;
      from = `${entry.key}\0`;
      if (selection.name !== undefined && entry.name !== selection.name) continue;
      if (selection.matches && !selection.matches(entry)) continue;
      entries.push(entry);
      if (limit === 0 || entries.length < limit) continue;
      const left = answer.count - (i + 1);
      if (left === 0) return { entries, revision };
      const token = encodeContinue(from, prefix, revision);
      const counted = !selection.matches && selection.name === undefined;
      return { entries, revision, continue: token, ...(counted ? { remaining: left } : {}) };
    }
    if (!answer.more) return { entries, revision };
  }
}

function expiredOr(
  error: unknown,
  page: { revision: number; from: string | undefined },
  current: number,
  from: string,
  prefix: string,
): unknown {
  if (!(error instanceof EtcdError) || error.code !== grpcCode.outOfRange) return error;
  if (/future revision/.test(error.message)) return tooLargeRevision(page.revision, current);
  return page.from === undefined ? listExpired() : new ContinueExpired(encodeContinue(from, prefix, -1));
}
