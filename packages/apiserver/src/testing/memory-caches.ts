import type { KubeObject, Resource } from '@cloudless/kube/object';
import type { CacheEvent, Caches, ResourceCache } from '../cache/cache.ts';

/** One resource's objects in memory, changed by {@link MemoryCaches}. */
class MemoryCache implements ResourceCache {
  readonly ready = Promise.resolve();
  revision = 0;
  readonly #objects = new Map<string, KubeObject>();
  readonly #listeners = new Set<(event: CacheEvent<KubeObject>) => void>();

  get(namespace: string, name: string): KubeObject | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  *list(namespace = ''): Generator<KubeObject> {
    for (const object of this.#objects.values())
      if (namespace === '' || object.metadata.namespace === namespace) yield object;
  }

  subscribe(listener: (event: CacheEvent<KubeObject>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  fresh(): Promise<void> {
    return Promise.resolve();
  }

  put(object: KubeObject): void {
    const key = `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
    const old = this.#objects.get(key);
    this.revision++;
    this.#objects.set(key, object);
    for (const listener of this.#listeners) listener({ type: old ? 'modified' : 'added', object, old });
  }

  delete(namespace: string, name: string): void {
    const key = `${namespace}/${name}`;
    const old = this.#objects.get(key);
    if (!old) return;
    this.revision++;
    this.#objects.delete(key);
    for (const listener of this.#listeners) listener({ type: 'deleted', object: old, old });
  }
}

/** {@link Caches} without a store, for tests of what decides from objects in memory. */
export class MemoryCaches implements Caches {
  readonly #caches = new Map<string, MemoryCache>();

  of<T extends KubeObject>(resource: Resource<T>): ResourceCache<T> {
    return this.#cache(resource) as unknown as ResourceCache<T>;
  }

  /** Adds or replaces; a uid of `NAMESPACE/NAME` is given to what has none. Returns the frozen object. */
  put<T extends KubeObject>(resource: Resource<T>, object: T): T {
    const stored = structuredClone(object);
    stored.metadata.uid ??= `uid-of-${stored.metadata.namespace ?? ''}/${stored.metadata.name}`;
    deepFreeze(stored);
    this.#cache(resource).put(stored);
    return stored;
  }

  delete(resource: Resource, namespace: string, name: string): void {
    this.#cache(resource).delete(namespace, name);
  }

  #cache(resource: Resource): MemoryCache {
    const key = `${resource.group}/${resource.plural}`;
    let cache = this.#caches.get(key);
    if (!cache) this.#caches.set(key, (cache = new MemoryCache()));
    return cache;
  }
}

function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
}
