import type { Entry } from './entry.ts';

const byKey = (a: Entry, b: Entry): number => (a.key < b.key ? -1 : 1);

/** The entries of one resource by the value of one field, for a selector that many clients use. */
export class FieldIndex {
  readonly #valueOf: (entry: Entry) => string;
  readonly #byValue = new Map<string, Set<Entry>>();

  constructor(valueOf: (entry: Entry) => string, entries: Iterable<Entry>) {
    this.#valueOf = valueOf;
    for (const entry of entries) this.#add(entry);
  }

  /** In the order of their keys. */
  of(value: string): Entry[] {
    return [...(this.#byValue.get(value) ?? [])].sort(byKey);
  }

  /** One entry took another's place, came (no `old`) or went (no `entry`). */
  replace(old: Entry | undefined, entry: Entry | undefined): void {
    if (old) this.#remove(old);
    if (entry) this.#add(entry);
  }

  #add(entry: Entry): void {
    const value = this.#valueOf(entry);
    const entries = this.#byValue.get(value);
    if (entries) entries.add(entry);
    else this.#byValue.set(value, new Set([entry]));
  }

  #remove(entry: Entry): void {
    const value = this.#valueOf(entry);
    const entries = this.#byValue.get(value);
    if (entries?.delete(entry) && entries.size === 0) this.#byValue.delete(value);
  }
}
