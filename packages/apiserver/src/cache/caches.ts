import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { CacheEvent, Caches, ResourceCache } from './cache.ts';
import type { StorageCache } from './storage-cache.ts';

/** The contract's view of one {@link StorageCache}: parsed, frozen objects. */
class ObjectCache<T extends KubeObject> implements ResourceCache<T> {
  readonly #cache: StorageCache;

  constructor(cache: StorageCache) {
    this.#cache = cache;
  }

  get ready(): Promise<void> {
    return this.#cache.ready;
  }

  get revision(): number {
    return this.#cache.revision;
  }

  get(namespace: string, name: string): T | undefined {
    return this.#cache.get(namespace, name)?.object as T | undefined;
  }

  *list(namespace = ''): Generator<T> {
    for (const entry of this.#cache.entries.all(namespace)) yield entry.object as T;
  }

  subscribe(listener: (event: CacheEvent<T>) => void): () => void {
    return this.#cache.subscribe((changes) => {
      for (const { type, entry, old } of changes) {
        listener({ type, object: entry.object as T, old: old?.object as T | undefined });
      }
    });
  }

  fresh(): Promise<void> {
    return this.#cache.fresh();
  }
}

/**
 * The caches of one API server by storage resource. `open` finds or starts the cache of a resource whatever served
 * version it is asked for; objects come in the storage version.
 */
export function cachesOver(open: (resource: Resource) => StorageCache): Caches {
  const views = new Map<StorageCache, ResourceCache>();
  return {
    of<T extends KubeObject>(resource: Resource<T>): ResourceCache<T> {
      const cache = open(resource);
      let view = views.get(cache);
      if (!view) views.set(cache, (view = new ObjectCache(cache)));
      return view as unknown as ResourceCache<T>;
    },
  };
}
