import type { KeyValue } from '@cloudless/kube/etcd/store';
import type { Version } from './version.ts';

/** What an entry costs beside its value: the result object, the key's bytes, the queue's slot. */
const entryOverheadBytes = 250;

const costOf = (version: Version): number => version.valueBytes + version.key.length + entryOverheadBytes;

/**
 * Keeps the values of recently written and read versions within a byte budget (CLOCK: a value read since the
 * hand last passed stays for another round).
 */
export class ValueCache {
  readonly #budgetBytes: number;
  #bytes = 0;
  #queue: Version[] = [];
  #hand = 0;
  #dead = 0;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The hot value of `version`, if it is hot. */
  get(version: Version): KeyValue | undefined {
    const { kv } = version;
    if (kv !== undefined) version.touched = true;
    return kv;
  }

  /** Makes `kv` the hot value of `version`; may cool others. */
  admit(version: Version, kv: KeyValue): void {
    if (version.kv !== undefined) return;
    version.kv = kv;
    version.touched = false;
    this.#queue.push(version);
    this.#bytes += costOf(version);
    if (this.#bytes > this.#budgetBytes) this.#evict();
  }

  /** Forgets the value of a version that nobody can read any more. */
  drop(version: Version): void {
    if (version.kv === undefined) return;
    version.kv = undefined;
    this.#bytes -= costOf(version);
    this.#dead++;
    if (this.#dead > 1024 && this.#dead * 2 > this.#queue.length - this.#hand) this.#sweep();
  }

  #evict(): void {
    while (this.#bytes > this.#budgetBytes && this.#hand < this.#queue.length) {
      const version = this.#queue[this.#hand++] as Version;
      if (version.kv === undefined) {
        this.#dead--;
      } else if (version.touched) {
        version.touched = false;
        this.#queue.push(version);
      } else {
        version.kv = undefined;
        this.#bytes -= costOf(version);
      }
    }
    if (this.#hand > 4096 && this.#hand * 2 > this.#queue.length) this.#sweep();
  }

  /** Drops the part of the queue behind the hand, and dead entries. */
  #sweep(): void {
    this.#queue = this.#queue.slice(this.#hand).filter((version) => version.kv !== undefined);
    this.#hand = 0;
    this.#dead = 0;
  }
}
