import type { Version } from './version.ts';

/** Every retained change in log order, from the compaction on: what a watch replays. */
export class History {
  #versions: Version[] = [];

  get length(): number {
    return this.#versions.length;
  }

  at(i: number): Version {
    return this.#versions[i] as Version;
  }

  append(version: Version): void {
    this.#versions.push(version);
  }

  /** Position of the first change whose revision is ≥ `revision`. */
  indexOf(revision: number): number {
    let low = 0;
    let high = this.#versions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#versions[middle] as Version).revision < revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The changes from `revision` on, as they are now. */
  since(revision: number): readonly Version[] {
    return this.#versions.slice(this.indexOf(revision));
  }

  /** Cuts off and returns what is before `revision`. */
  dropBefore(revision: number): Version[] {
    const at = this.indexOf(revision);
    const dropped = this.#versions.slice(0, at);
    this.#versions = this.#versions.slice(at);
    return dropped;
  }
}
