const tombstone = -1;
const dropped = -2;

/** Where a value lies in a segment. */
export interface ValuePlace {
  readonly at: number;
  readonly bytes: number;
}

/** The rows of one segment that the database lacks, in position order: so that they can be read and left out. */
export class FramedRows {
  #positions: number[] = [];
  #offsets: number[] = [];
  #lengths: number[] = [];
  /** Bytes of the values that are neither applied nor dropped. */
  bytes = 0;

  get length(): number {
    return this.#positions.length;
  }

  /** `valueAt`: offset in the segment's file; -1 for a tombstone. Positions must only grow. */
  add(position: number, valueAt: number, valueBytes: number): void {
    this.#positions.push(position);
    this.#offsets.push(valueAt);
    this.#lengths.push(valueAt < 0 ? tombstone : valueBytes);
    if (valueAt >= 0) this.bytes += valueBytes;
  }

  find(position: number): ValuePlace | undefined {
    const i = this.#indexOf(position);
    if (this.#positions[i] !== position) return undefined;
    const bytes = this.#lengths[i] as number;
    return bytes < 0 ? undefined : { at: this.#offsets[i] as number, bytes };
  }

  /** Leaves the row out when its frame is applied. Returns whether it is here. */
  drop(position: number): boolean {
    const i = this.#indexOf(position);
    if (this.#positions[i] !== position) return false;
    this.#forget(i);
    return true;
  }

  /** The positions among rows [from, to) that were dropped. */
  droppedIn(from: number, to: number): Float64Array<ArrayBuffer> {
    const positions: number[] = [];
    for (let i = from; i < to; i++) {
      if (this.#lengths[i] === dropped) positions.push(this.#positions[i] as number);
    }
    return Float64Array.from(positions);
  }

  /** The database has the rows [from, to) now: they are read from there. */
  applied(from: number, to: number): void {
    for (let i = from; i < to; i++) this.#forget(i);
  }

  clear(): void {
    this.#positions = [];
    this.#offsets = [];
    this.#lengths = [];
    this.bytes = 0;
  }

  #forget(i: number): void {
    const length = this.#lengths[i] as number;
    if (length > 0) this.bytes -= length;
    this.#lengths[i] = dropped;
  }

  #indexOf(position: number): number {
    let low = 0;
    let high = this.#positions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#positions[middle] as number) < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
