import type { LoadedRecord } from './log.ts';

/**
 * Sees that a log's records come in order and that none is missing: after the compaction every revision is there, or
 * something was lost.
 */
export class RecordOrder {
  readonly #compactRevision: number;
  /** Of the last record; 1 when there was none. */
  revision = 1;

  constructor(compactRevision: number) {
    this.#compactRevision = compactRevision;
  }

  /** What is wrong with these that come next; undefined: nothing. */
  problem(records: readonly LoadedRecord[]): string | undefined {
    for (const { revision } of records) {
      const last = this.revision;
      if (revision < last) return `revision ${revision} follows ${last}`;
      const expected = Math.max(last, this.#compactRevision, 1) + 1;
      if (revision > expected) return `revisions ${expected} to ${revision - 1} are missing`;
      this.revision = revision;
    }
    return undefined;
  }
}
