import type { Entry } from './entry.ts';

/** Entries of one namespace in key order. */
interface Shelf {
  /** Namespace with a trailing slash ('' for cluster-scoped): what orders shelves as the store orders keys. */
  readonly order: string;
  readonly byName: Map<string, Entry>;
  /** In name order. */
  readonly names: string[];
}

/** First index whose element is not less than `value`. */
function lowerBound(sorted: readonly string[], value: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] as string) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** All objects of one resource, in the byte order of their keys, by namespace. */
export class OrderedEntries {
  readonly #shelves = new Map<string, Shelf>();
  #order: Shelf[] = [];
  #size = 0;
  /** Snapshots by namespace since the last change. */
  readonly #snapshots = new Map<string, readonly Entry[]>();

  get size(): number {
    return this.#size;
  }

  get(namespace: string, name: string): Entry | undefined {
    return this.#shelves.get(namespace)?.byName.get(name);
  }

  /** Puts the entry in its place; returns what stood there. */
  set(entry: Entry): Entry | undefined {
    const shelf = this.#shelves.get(entry.namespace) ?? this.#newShelf(entry.namespace);
    const old = shelf.byName.get(entry.name);
    shelf.byName.set(entry.name, entry);
    this.#changed(entry.namespace);
    if (old) return old;
    const last = shelf.names.at(-1);
    if (last === undefined || last < entry.name) shelf.names.push(entry.name);
    else shelf.names.splice(lowerBound(shelf.names, entry.name), 0, entry.name);
    this.#size++;
    return undefined;
  }

  delete(namespace: string, name: string): Entry | undefined {
    const shelf = this.#shelves.get(namespace);
    const old = shelf?.byName.get(name);
    if (!shelf || !old) return undefined;
    this.#changed(namespace);
    shelf.byName.delete(name);
    shelf.names.splice(lowerBound(shelf.names, name), 1);
    this.#size--;
    if (shelf.names.length === 0) {
      this.#shelves.delete(namespace);
      this.#order.splice(this.#order.indexOf(shelf), 1);
    }
    return old;
  }

  #newShelf(namespace: string): Shelf {
    const shelf: Shelf = { order: namespace === '' ? '' : `${namespace}/`, byName: new Map(), names: [] };
    this.#shelves.set(namespace, shelf);
    this.#order.push(shelf);
    // Namespaces come and go rarely; 'a-b/' sorts before 'a/', as in the store.
    this.#order.sort((a, b) => (a.order < b.order ? -1 : 1));
    return shelf;
  }

  count(namespace = ''): number {
    if (namespace === '') return this.#size;
    return this.#shelves.get(namespace)?.names.length ?? 0;
  }

  *all(namespace = ''): Generator<Entry> {
    const shelves = namespace === '' ? this.#order : this.#some(namespace);
    for (const shelf of shelves) {
      for (const name of shelf.names) yield shelf.byName.get(name) as Entry;
    }
  }

  /** An array at once: of one namespace, or of all. The same array as long as nothing changes. */
  snapshot(namespace = ''): readonly Entry[] {
    const known = this.#snapshots.get(namespace);
    if (known) return known;
    const entries = [...this.all(namespace)];
    this.#snapshots.set(namespace, entries);
    return entries;
  }

  #changed(namespace: string): void {
    if (this.#snapshots.size === 0) return;
    this.#snapshots.delete('');
    this.#snapshots.delete(namespace);
  }

  /** Entries from the first whose key, relative to the resource's root, is not less than `from`. */
  *from(from: string, namespace = ''): Generator<Entry> {
    const shelves = namespace === '' ? this.#order : this.#some(namespace);
    for (const shelf of shelves) {
      const within = from.startsWith(shelf.order);
      if (!within && shelf.order < from) continue;
      let at = within ? lowerBound(shelf.names, from.slice(shelf.order.length)) : 0;
      for (; at < shelf.names.length; at++) yield shelf.byName.get(shelf.names[at] as string) as Entry;
    }
  }

  #some(namespace: string): Shelf[] {
    const shelf = this.#shelves.get(namespace);
    return shelf ? [shelf] : [];
  }
}
