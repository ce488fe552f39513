import type { Case } from '../case.ts';
import type { Ask } from '../peer.ts';
import { another, type Tested } from '../resources.ts';

const json = { 'content-type': 'application/json' };
const merge = { 'content-type': 'application/merge-patch+json' };
const options = (more: object): string =>
  JSON.stringify({ kind: 'DeleteOptions', apiVersion: 'v1', ...more });

/** The object with a label of the case. */
function marked(object: Record<string, unknown>, mark: string): string {
  const metadata = object['metadata'] as { labels?: object };
  return JSON.stringify({ ...object, metadata: { ...metadata, labels: { ...metadata.labels, mark } } });
}

/** A label's value of the case and the version: versions of a kind, and groups of Events, are one collection. */
const markOf = ({ facts }: Tested, word: string): string =>
  [word, facts.group, facts.version].filter((part) => part !== '').join('-');

/** Deletion of collections with options good and bad. */
export function collectionCases(tested: Tested): Case[] {
  const { label, facts } = tested;
  if (!facts.verbs.includes('deletecollection')) return [];
  const [one, two] = [another(tested, 'gone', 41), another(tested, 'gone-too', 42)];
  if (!one || !two) return [];
  const { collection } = tested;
  const mark = markOf(tested, 'gone');
  const remove = (query: string, body?: string): Ask => ({
    method: 'DELETE',
    path: `${collection}?labelSelector=mark%3D${mark}${query}`,
    headers: json,
    ...(body === undefined ? {} : { body }),
  });
  const create = (object: Record<string, unknown>): Ask => ({
    method: 'POST',
    path: collection,
    headers: json,
    body: marked(object, mark),
  });
  const asks: Ask[] = [
    create(one.object),
    create(two.object),
    remove('&dryRun=All'),
    remove('&dryRun=Some'),
    remove('&propagationPolicy=Sideways'),
    remove('&gracePeriodSeconds=-1&dryRun=All'),
    remove('&gracePeriodSeconds=text'),
    remove('', options({ preconditions: { uid: 'abc' } })),
    remove('', options({ orphanDependents: true, propagationPolicy: 'Orphan' })),
    remove('', '{'),
    remove('', '{"kind":"Pod","apiVersion":"v1"}'),
    remove('&fieldSelector=spec.nothing%3Da'),
    remove('&resourceVersion=abc'),
    remove('&limit=1&dryRun=All'),
    remove('&fieldSelector=metadata.name%3Dnothing'),
    remove('&gracePeriodSeconds=0'),
    { method: 'GET', path: `${collection}?labelSelector=mark%3D${mark}` },
    create(one.object),
    remove('&propagationPolicy=Foreground&gracePeriodSeconds=0'),
    { method: 'PATCH', path: one.item, headers: merge, body: '{"metadata":{"finalizers":null}}' },
    { method: 'GET', path: `${collection}?labelSelector=mark%3D${mark}` },
  ];
  return [
    { name: `${label} collection`, family: 'collection', kind: label, asks },
    {
      name: `${label} collection bad selector`,
      family: 'collection',
      kind: label,
      asks: [{ method: 'DELETE', path: `${collection}?labelSelector=a%3D%3D%3Db` }],
    },
  ];
}

/**
 * Watches of one object: what is there at the beginning, in every form, and what becomes of one that is changed. All of
 * them from version 0 and without bookmarks: for the rest upstream asks its etcd for progress, which Debian's cannot tell.
 */
export function watchCases(tested: Tested): Case[] {
  const { label, facts, collection, item } = tested;
  if (!facts.verbs.includes('watch')) return [];
  const accept = (as: string): Record<string, string> => ({
    accept: `application/json;as=${as};v=v1;g=meta.k8s.io`,
  });
  const name = item.split('/').at(-1) as string;
  const watch = (query: string, headers = {}): Ask => ({
    method: 'GET',
    path: `${collection}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3D${name}${query}`,
    headers,
  });
  const legacy = item.replace(/^(\/api\/[^/]+|\/apis\/[^/]+\/[^/]+)\//, '$1/watch/');
  const asks: Array<[string, Ask]> = [
    ['from any', watch('&resourceVersion=0')],
    ['as Table', watch('&resourceVersion=0', accept('Table'))],
    ['as metadata', watch('&resourceVersion=0', accept('PartialObjectMetadata'))],
    ['by the older path', { method: 'GET', path: `${legacy}?timeoutSeconds=1&resourceVersion=0` }],
    ['of bad version', watch('&resourceVersion=abc')],
    ['with a limit', watch('&resourceVersion=0&limit=1')],
    ['of continue', watch('&continue=abc')],
  ];
  const cases = asks.map(([word, ask]) => ({
    name: `${label} watch ${word}`,
    family: 'watch',
    kind: label,
    asks: [ask],
  }));
  const other = another(tested, 'watched', 51);
  if (!other) return cases;
  const patch = (body: object): Ask => ({
    method: 'PATCH',
    path: other.item,
    headers: merge,
    body: JSON.stringify(body),
  });
  const mark = markOf(tested, 'watched');
  const during: Ask[] = [
    { method: 'POST', path: collection, headers: json, body: marked(other.object, mark) },
    patch({ metadata: { annotations: { changed: 'yes' } } }),
    patch({ metadata: { labels: { mark: 'lost' } } }),
    patch({ metadata: { annotations: { changed: 'unseen' } } }),
    patch({ metadata: { labels: { mark }, finalizers: ['example.com/hold'] } }),
    { method: 'DELETE', path: `${other.item}?gracePeriodSeconds=0` },
    patch({ metadata: { finalizers: null } }),
  ];
  const path = `${collection}?watch=1&timeoutSeconds=3&resourceVersion=0&labelSelector=mark%3D${mark}`;
  return [
    ...cases,
    { name: `${label} watch life`, family: 'watch', kind: label, asks: [{ method: 'GET', path, during }] },
  ];
}
