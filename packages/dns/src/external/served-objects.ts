/** Which versions of our own objects the zones are made of, as they are served here. */
export interface ServedObjects {
  /**
   * Version of the DNSEndpoint `name` of our namespace in a zone as it is served; '': it has none of that name. Undefined:
   * newer content of the zone waits, so which one it has cannot be told.
   */
  versionIn(origin: string, name: string): string | undefined;
  /** Called whenever that may have changed. Returns the function that ends it. */
  onChange(listener: () => void): () => void;
}

/** Those of the content that was composed last: served in every zone that does not wait. */
export class ServedVersions implements ServedObjects {
  readonly #versions = new Map<string, string>();
  readonly #listeners = new Set<() => void>();
  readonly #waits: (origin: string) => boolean;

  constructor(waits: (origin: string) => boolean) {
    this.#waits = waits;
  }

  versionIn(origin: string, name: string): string | undefined {
    return this.#waits(origin) ? undefined : (this.#versions.get(name) ?? '');
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The object goes into what is composed next in this version; undefined: it is gone. */
  take(name: string, version: string | undefined): void {
    if (version === undefined) this.#versions.delete(name);
    else this.#versions.set(name, version);
  }

  /** All objects are about to be taken anew. */
  clear(): void {
    this.#versions.clear();
  }

  /** Some of what was composed is served. */
  published(): void {
    for (const listener of this.#listeners) listener();
  }
}
