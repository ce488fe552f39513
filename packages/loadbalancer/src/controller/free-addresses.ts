import type { AddressRange } from '../config/config.ts';

/** IPv4 addresses that end in .0 or .255: some old devices take them for broadcasts (`avoidBuggyIPs`). */
export const confusesOldDevices = (family: 4 | 6, value: bigint): boolean => {
  const last = value & 0xffn;
  return family === 4 && (last === 0n || last === 0xffn);
};

/**
 * Finds the lowest free address of a range in amortised logarithmic time: all below a mark that only rises have been
 * given out once; those of them that came back wait in a heap.
 */
export class FreeAddresses {
  readonly range: AddressRange;
  readonly #avoid: boolean;
  readonly #isUsed: (value: bigint) => boolean;
  #mark: bigint;
  /** A binary heap, smallest first. It may hold addresses that are in use again; they are dropped when met. */
  readonly #returned: bigint[] = [];
  readonly #isReturned = new Set<bigint>();

  constructor(range: AddressRange, avoidBuggyIPs: boolean, isUsed: (value: bigint) => boolean) {
    this.range = range;
    this.#avoid = avoidBuggyIPs;
    this.#isUsed = isUsed;
    this.#mark = range.first;
  }

  /** The lowest address that is free and may be given out; undefined when there is none. */
  lowest(): bigint | undefined {
    for (let top = this.#returned[0]; top !== undefined; top = this.#returned[0]) {
      if (!this.#isUsed(top)) return top;
      this.#removeTop();
    }
    const { family, last } = this.range;
    while (
      this.#mark <= last &&
      ((this.#avoid && confusesOldDevices(family, this.#mark)) || this.#isUsed(this.#mark))
    )
      this.#mark++;
    return this.#mark <= last ? this.#mark : undefined;
  }

  /** To be called for each address of the range that is free again. */
  release(value: bigint): void {
    if (value >= this.#mark || this.#isReturned.has(value)) return;
    if (this.#avoid && confusesOldDevices(this.range.family, value)) return;
    this.#isReturned.add(value);
    const heap = this.#returned;
    let i = heap.push(value) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if ((heap[parent] as bigint) <= value) break;
      heap[i] = heap[parent] as bigint;
      i = parent;
    }
    heap[i] = value;
  }

  #removeTop(): void {
    const heap = this.#returned;
    this.#isReturned.delete(heap[0] as bigint);
    const value = heap.pop() as bigint;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as bigint) < (heap[child] as bigint)) child++;
      if ((heap[child] as bigint) >= value) break;
      heap[i] = heap[child] as bigint;
      i = child;
    }
    heap[i] = value;
  }
}
