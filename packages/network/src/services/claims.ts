/**
 * Who asks for what. More than one owner asks for the same only for moments, as when a Service takes a deleted one's address,
 * or by mistake; then that of the first owner by name counts.
 */
export class Claims<Value> {
  readonly #byKey = new Map<string, Map<string, Value>>();
  readonly #byOwner = new Map<string, ReadonlySet<string>>();

  /** Replaces all that `owner` asks for; yields what came to be different, key by key. */
  *set(
    owner: string,
    values: ReadonlyMap<string, Value>,
    same: (a: Value, b: Value) => boolean,
  ): Iterable<{ key: string; before: Value | undefined; after: Value | undefined }> {
    const old = this.#byOwner.get(owner) ?? new Set<string>();
    if (values.size === 0) this.#byOwner.delete(owner);
    else this.#byOwner.set(owner, new Set(values.keys()));
    for (const key of new Set([...old, ...values.keys()])) {
      const before = this.get(key);
      this.#claim(key, owner, values.get(key));
      const after = this.get(key);
      if (before === after || (before !== undefined && after !== undefined && same(before, after))) continue;
      yield { key, before, after };
    }
  }

  get(key: string): Value | undefined {
    let first: string | undefined;
    const claims = this.#byKey.get(key);
    for (const owner of claims?.keys() ?? []) if (first === undefined || owner < first) first = owner;
    return first === undefined ? undefined : claims?.get(first);
  }

  *values(): Iterable<Value> {
    for (const key of this.#byKey.keys()) yield this.get(key) as Value;
  }

  #claim(key: string, owner: string, value: Value | undefined): void {
    const claims = this.#byKey.get(key) ?? new Map<string, Value>();
    if (value === undefined) claims.delete(owner);
    else claims.set(owner, value);
    if (claims.size === 0) this.#byKey.delete(key);
    else this.#byKey.set(key, claims);
  }
}
