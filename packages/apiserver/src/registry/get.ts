import { errors } from '@cloudless/kube/status';
import type { Entry } from '../cache/entry.ts';
import { parseRevision } from '../cache/revisions.ts';
import type { Served } from './catalogue.ts';
import type { Registry } from './registry.ts';

/**
 * Reads one object: as of now without a resourceVersion, whatever the cache has for `0`, not older than N else.
 * Throws 404.
 */
export async function getObject(
  registry: Registry,
  served: Served,
  at: { namespace: string; name: string; resourceVersion?: string | undefined },
): Promise<Entry> {
  const stored = registry.open(served.resource);
  const revision = parseRevision(at.resourceVersion);
  let entry: Entry | undefined;
  if (revision === undefined) entry = await stored.read(at.namespace, at.name);
  else {
    const { cache } = stored;
    await (revision === 0 ? cache.ready : cache.reach(revision));
    entry = cache.get(at.namespace, at.name);
  }
  if (!entry) throw errors.notFound(served.resource, at.name);
  return entry;
}
