import type { KubeObject } from '../object.ts';

/** Key of an object in a store: `namespace/name`, or `name` for cluster-scoped objects, as upstream's queues use it. */
export function keyOf(object: { metadata: { namespace?: string; name?: string } }): string {
  const { namespace, name } = object.metadata;
  return namespace ? `${namespace}/${name ?? ''}` : (name ?? '');
}

/** The two parts of a key; `namespace` is empty for cluster-scoped objects. */
export function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return slash < 0
    ? { namespace: '', name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

/** The values under which an object is found in an index. */
export type Indexer<T> = (object: T) => readonly string[];

/** Read access to an informer's copy. The objects are shared: copy before changing. */
export interface Lister<T> {
  readonly size: number;
  get(key: string): T | undefined;
  /** All, or those of one namespace. */
  list(namespace?: string): T[];
  /** Objects under `value` in the index `name`, in the order they came. */
  byIndex(name: string, value: string): T[];
}

/** Indexes every store has: `namespace`; others are the user's. */
export const namespaceIndex = 'namespace';

export class Store<T extends KubeObject> implements Lister<T> {
  readonly #objects = new Map<string, T>();
  readonly #indexers = new Map<string, Indexer<T>>([
    [namespaceIndex, (object) => [object.metadata.namespace ?? '']],
  ]);
  readonly #indexes = new Map<string, Map<string, Set<string>>>([[namespaceIndex, new Map()]]);

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  keys(): IterableIterator<string> {
    return this.#objects.keys();
  }

  list(namespace?: string): T[] {
    return namespace === undefined ? [...this.#objects.values()] : this.byIndex(namespaceIndex, namespace);
  }

  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name);
    if (!index) throw new Error(`there is no index "${name}"; add it before it is used`);
    const found: T[] = [];
    for (const key of index.get(value) ?? []) {
      const object = this.#objects.get(key);
      if (object) found.push(object);
    }
    return found;
  }

  /** Adds an index over what is there and what comes. The same name again must mean the same index. */
  addIndex(name: string, indexer: Indexer<T>): void {
    if (this.#indexers.has(name)) return;
    this.#indexers.set(name, indexer);
    this.#indexes.set(name, new Map());
    for (const [key, object] of this.#objects) this.#insert(name, indexer, key, object);
  }

  set(key: string, object: T): void {
    const old = this.#objects.get(key);
    if (old) this.#unindex(key, old);
    this.#objects.set(key, object);
    for (const [name, indexer] of this.#indexers) this.#insert(name, indexer, key, object);
  }

  delete(key: string): T | undefined {
    const old = this.#objects.get(key);
    if (!old) return undefined;
    this.#unindex(key, old);
    this.#objects.delete(key);
    return old;
  }

  #insert(name: string, indexer: Indexer<T>, key: string, object: T): void {
    const index = this.#indexes.get(name) as Map<string, Set<string>>;
    for (const value of indexer(object)) {
      let keys = index.get(value);
      if (!keys) index.set(value, (keys = new Set()));
      keys.add(key);
    }
  }

  #unindex(key: string, object: T): void {
    for (const [name, indexer] of this.#indexers) {
      const index = this.#indexes.get(name) as Map<string, Set<string>>;
      for (const value of indexer(object)) {
        const keys = index.get(value);
        keys?.delete(key);
        if (keys?.size === 0) index.delete(value);
      }
    }
  }
}
