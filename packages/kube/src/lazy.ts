/**
 * Makes `load` run when it is first asked for: those who ask meanwhile and later share what it gives. After a failure,
 * which all who waited see, the next to ask tries again: what could not be read once may be there later.
 */
export function lazily<T>(load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | undefined;
  return () => {
    if (loading) return loading;
    const mine = load();
    loading = mine;
    mine.catch(() => {
      if (loading === mine) loading = undefined;
    });
    return mine;
  };
}

/** Our own code could not be read when it was needed: no fault of whoever sent what it was needed for. */
export class LoadError extends Error {
  constructor(module: string, cause: unknown) {
    super(`${module} cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'LoadError';
  }
}
