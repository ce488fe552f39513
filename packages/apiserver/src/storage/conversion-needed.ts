/**
 * Thrown where an object is wanted in a version that only a webhook can give, by code that cannot wait: whoever can
 * prepares it and runs the code again.
 */
export class ConversionNeeded extends Error {
  /** From here on the object is known in that version. */
  readonly prepare: () => Promise<void>;

  constructor(prepare: () => Promise<void>) {
    super('an object was not converted before it was used; please report this');
    this.name = 'ConversionNeeded';
    this.prepare = prepare;
  }
}

/** One for each version that has fields of its own, of the object before and after. */
const maxConversions = 64;

/** Runs `work` until every conversion that it needs is there. It must change nothing that outlives a failed run. */
export async function withConversions<T>(work: () => T | Promise<T>): Promise<T> {
  for (let left = maxConversions; ; left--) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- each run may need one more
      return await work();
    } catch (error) {
      if (!(error instanceof ConversionNeeded) || left === 0) throw error;
      // oxlint-disable-next-line no-await-in-loop -- as above
      await error.prepare();
    }
  }
}
