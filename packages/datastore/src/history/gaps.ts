/**
 * Finds from where on a history is whole. Elsewhere revisions may be missing (kine's are row numbers, and a
 * transaction that failed leaves a hole; an etcd restored with `--bump-revision` jumps). Ours never have a hole behind
 * the compaction, because a hole is how a loss shows. So a hole that came with an import is compacted away: every
 * key keeps its revisions, and who wants to watch from before the hole is told that it is compacted, and lists.
 */
export class GapFinder {
  #revision = 1;
  #compactRevision: number;

  constructor(compactRevision: number) {
    this.#compactRevision = compactRevision;
  }

  /** The next record's revision, in order. */
  see(revision: number): void {
    if (revision > Math.max(this.#revision, this.#compactRevision) + 1) this.#compactRevision = revision;
    this.#revision = revision;
  }

  /** Behind it no revision is missing. */
  get compactRevision(): number {
    return this.#compactRevision;
  }

  /** Of the last record. */
  get revision(): number {
    return this.#revision;
  }
}
