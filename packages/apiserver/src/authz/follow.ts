import type { KubeObject } from '@cloudless/kube/object';
import type { ResourceCache } from '../cache/cache.ts';

/**
 * Keeps an index over a cache: `put` with every object there is and every new state, `remove` with what is gone. Both
 * must be idempotent. Resolves once the index holds everything of the first load.
 */
export async function follow<T extends KubeObject>(
  cache: ResourceCache<T>,
  index: { put(object: T, old: T | undefined): void; remove(object: T): void },
): Promise<void> {
  cache.subscribe((event) => {
    if (event.type === 'deleted') index.remove(event.old ?? event.object);
    else index.put(event.object, event.old);
  });
  await cache.ready;
  for (const object of cache.list()) index.put(object, undefined);
}
