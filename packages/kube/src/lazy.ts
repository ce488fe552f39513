import { createRequire } from 'node:module';

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

/**
 * Gives a module that is read when it is first asked for, in the same call: for code that few clusters need, where
 * nobody can wait. Node keeps what was read.
 *
 * @param from `import.meta.url` of the one who asks
 * @param module as in an import there
 * @throws LoadError by the returned function
 */
export function lazyModule<T>(from: string, module: string): () => T {
  const require = createRequire(from);
  return () => {
    try {
      return require(module) as T;
    } catch (cause) {
      throw new LoadError(module, cause);
    }
  };
}
