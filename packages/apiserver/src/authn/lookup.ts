import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { Caches } from '../cache/cache.ts';

/**
 * An object from memory. When it is not there, or is another than the one meant by `uid`, the cache is brought up to
 * date once: what was made a moment ago counts.
 */
export async function lookup<T extends KubeObject>(
  caches: Caches,
  resource: Resource<T>,
  at: { namespace: string; name: string; uid?: string | undefined },
): Promise<T | undefined> {
  const cache = caches.of(resource);
  await cache.ready;
  const found = cache.get(at.namespace, at.name);
  if (found && (at.uid === undefined || found.metadata.uid === at.uid)) return found;
  await cache.fresh();
  return cache.get(at.namespace, at.name);
}
