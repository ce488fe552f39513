import type { Entry } from './entry.ts';

/** One change of one object, shared by every watcher; frames are encoded once per format. */
export class Change {
  readonly type: 'added' | 'modified' | 'deleted';
  readonly revision: number;
  /** The state after the change; of a deletion, the last state under the deletion's revision. */
  readonly entry: Entry;
  /** The state before `modified` and `deleted`. */
  readonly old: Entry | undefined;
  /** Bytes counted against the history's budget. */
  readonly size: number;
  #left: Entry | undefined;

  constructor(
    type: 'added' | 'modified' | 'deleted',
    revision: number,
    entry: Entry,
    old: Entry | undefined,
  ) {
    this.type = type;
    this.revision = revision;
    this.entry = entry;
    this.old = old;
    this.size = entry.size;
  }

  /** How the change looks to a watcher whose selector matched the old state only. */
  get left(): Entry {
    if (this.type === 'deleted') return this.entry;
    return (this.#left ??= (this.old as Entry).at(this.revision));
  }
}

/** Changes kept for watchers that resume; upstream keeps 100 to 102,400 of them. */
export interface HistoryLimits {
  minChanges: number;
  maxChanges: number;
  maxBytes: number;
  /** Counted for each change beside its bytes: itself, its entry, and the parsed object that somebody has asked for. */
  overheadBytes: number;
}

/** A ring's worth: enough for a burst, little enough for a hundred resources. */
export const defaultHistoryLimits: HistoryLimits = {
  minChanges: 100,
  maxChanges: 20_000,
  maxBytes: 16 * 1024 * 1024,
  overheadBytes: 2_000,
};

/** The latest changes of one resource, in revision order. */
export class History {
  readonly #limits: HistoryLimits;
  #changes: Change[] = [];
  /** Index of the oldest kept change in `#changes`; the array is cut down now and then. */
  #start = 0;
  #bytes = 0;
  #completeFrom: number;

  /** `revision`: of the state that the first change follows. */
  constructor(revision: number, limits: HistoryLimits = defaultHistoryLimits) {
    this.#completeFrom = revision;
    this.#limits = limits;
  }

  /** Every change after this revision is here. */
  get completeFrom(): number {
    return this.#completeFrom;
  }

  push(change: Change): void {
    this.#changes.push(change);
    const { minChanges, maxChanges, maxBytes, overheadBytes } = this.#limits;
    this.#bytes += change.size + overheadBytes;
    while (this.#length > minChanges && (this.#length > maxChanges || this.#bytes > maxBytes))
      this.#dropOldest();
    if (this.#start > 1_000 && this.#start > this.#changes.length / 2) {
      this.#changes = this.#changes.slice(this.#start);
      this.#start = 0;
    }
  }

  get #length(): number {
    return this.#changes.length - this.#start;
  }

  #dropOldest(): void {
    const { revision } = this.#changes[this.#start] as Change;
    // One transaction is one revision: all of it goes, so that `completeFrom` stays true.
    while (this.#length > 0 && (this.#changes[this.#start] as Change).revision === revision) {
      this.#bytes -= (this.#changes[this.#start] as Change).size + this.#limits.overheadBytes;
      (this.#changes as Array<Change | undefined>)[this.#start++] = undefined;
    }
    this.#completeFrom = revision;
  }

  /** Changes after `revision`; undefined when some of them are gone. */
  after(revision: number): Change[] | undefined {
    if (revision < this.#completeFrom) return undefined;
    let low = this.#start;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#changes[middle] as Change).revision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#changes.slice(low);
  }

  /** Forgets everything: the state was loaded anew at `revision`. */
  reset(revision: number): void {
    this.#changes = [];
    this.#start = 0;
    this.#bytes = 0;
    this.#completeFrom = revision;
  }
}
