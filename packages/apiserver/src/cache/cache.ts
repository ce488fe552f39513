import type { KubeObject, Resource } from '@cloudless/kube/object';

/** A change as listeners of a cache see it; objects are frozen and shared. */
export interface CacheEvent<T> {
  type: 'added' | 'modified' | 'deleted';
  object: T;
  /** The object before `modified` and `deleted`. */
  old: T | undefined;
}

/**
 * All objects of one resource, kept current by one storage watch. Reads are synchronous, of frozen shared
 * objects, and may lag the store by the watch's delivery time.
 */
export interface ResourceCache<T extends KubeObject = KubeObject> {
  /** Resolves when the first full load is done. */
  readonly ready: Promise<void>;
  /** Revision up to which the cache is complete. */
  readonly revision: number;
  /** `namespace` is '' for cluster-scoped resources. */
  get(namespace: string, name: string): T | undefined;
  /** Every object, or those of one namespace. */
  list(namespace?: string): Iterable<T>;
  /** Called in revision order, synchronously after the cache changed; returns the way to unsubscribe. */
  subscribe(listener: (event: CacheEvent<T>) => void): () => void;
  /** Resolves once everything committed to the store before the call is in the cache. */
  fresh(): Promise<void>;
}

/** The caches of one API server; each is started on first use. */
export interface Caches {
  of<T extends KubeObject>(resource: Resource<T>): ResourceCache<T>;
}
