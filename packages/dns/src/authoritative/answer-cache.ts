import type { Inquiry } from './inquiry.ts';

/** An answer as it was written, without options of its client; its id and the case of its question are another's. */
export interface ReadyAnswer {
  /** Memory that it is in, where it begins, and how long it is. */
  bytes: Uint8Array;
  at: number;
  length: number;
  /** Which answers count as the same for rate limits. */
  kind: number;
  rcode: number;
}

/** Words of an entry before its octets. */
const headWords = 8;
const ways = 2;

/**
 * Ready answers in one piece of memory that is written round and round: what is written next takes the place of the
 * oldest, so the cache never grows, frees nothing and makes no garbage. An entry counts while its zone's stamp is the
 * one it was written under, and until it expires.
 *
 * ```
 * entry   hash, zone, stamp, end of its time, kind, length of the answer, length of the name and flavour, type; octets
 * index   sets of two: where entries of that hash begin, counted from the first octet ever written
 * ```
 */
export class AnswerCache {
  readonly #words: Int32Array;
  readonly #octets: Uint8Array;
  readonly #index: Float64Array;
  readonly #setMask: number;
  /** Words written since the beginning; 0 in the index: free. */
  #head = 1;
  #isEmpty = true;
  readonly #found: ReadyAnswer;

  /**
   * @param capacityBytes of all entries; a multiple of 4
   * @param indexSlots a power of two
   */
  constructor(capacityBytes: number, indexSlots: number) {
    const memory = new ArrayBuffer(capacityBytes);
    this.#words = new Int32Array(memory);
    this.#octets = new Uint8Array(memory);
    this.#index = new Float64Array(indexSlots);
    this.#setMask = indexSlots / ways - 1;
    this.#found = { bytes: this.#octets, at: 0, length: 0, kind: 0, rcode: 0 };
  }

  /**
   * The answer to what was asked, valid until the next call; undefined: there is none.
   *
   * @param stamps of the zones, by index
   */
  find(
    inquiry: Inquiry,
    flavour: number,
    stamps: ArrayLike<number>,
    nowSeconds: number,
  ): ReadyAnswer | undefined {
    const words = this.#words;
    const set = (inquiry.hash & this.#setMask) * ways;
    for (let way = 0; way < ways; way++) {
      const position = this.#index[set + way] as number;
      if (position === 0 || position + words.length <= this.#head) continue;
      const at = position % words.length;
      if (words[at] !== inquiry.hash || words[at + 6] !== (inquiry.nameLength | (flavour << 16))) continue;
      if (words[at + 7] !== inquiry.type || words[at + 2] !== stamps[words[at + 1] as number]) continue;
      if ((words[at + 3] as number) <= nowSeconds || !this.#isNamed(at, inquiry)) continue;
      const found = this.#found;
      found.at = (at + headWords) * 4 + inquiry.nameLength;
      found.length = words[at + 5] as number;
      found.kind = words[at + 4] as number;
      found.rcode = (this.#octets[found.at + 3] as number) & 0xf;
      return found;
    }
    return undefined;
  }

  add(
    inquiry: Inquiry,
    flavour: number,
    zone: number,
    stamp: number,
    endSeconds: number,
    kind: number,
    answer: Uint8Array,
  ): void {
    const words = this.#words;
    const size = headWords + ((inquiry.nameLength + answer.length + 3) >> 2);
    // A few large answers must not push out all others.
    if (size * 16 > words.length) return;
    let at = this.#head % words.length;
    if (at + size > words.length) {
      this.#head += words.length - at;
      at = 0;
    }
    const position = this.#head;
    this.#head += size;
    words[at] = inquiry.hash;
    words[at + 1] = zone;
    words[at + 2] = stamp;
    words[at + 3] = endSeconds;
    words[at + 4] = kind;
    words[at + 5] = answer.length;
    words[at + 6] = inquiry.nameLength | (flavour << 16);
    words[at + 7] = inquiry.type;
    const octet = (at + headWords) * 4;
    for (let i = 0; i < inquiry.nameLength; i++) this.#octets[octet + i] = inquiry.name[i] as number;
    this.#octets.set(answer, octet + inquiry.nameLength);
    const set = (inquiry.hash & this.#setMask) * ways;
    const older = (this.#index[set] as number) <= (this.#index[set + 1] as number) ? set : set + 1;
    this.#index[older] = position;
    this.#isEmpty = false;
  }

  clear(): void {
    // A thousand zones at a start clear it a thousand times.
    if (this.#isEmpty) return;
    this.#isEmpty = true;
    this.#index.fill(0);
  }

  #isNamed(at: number, { name, nameLength }: Inquiry): boolean {
    const octet = (at + headWords) * 4;
    for (let i = 0; i < nameLength; i++) if (this.#octets[octet + i] !== name[i]) return false;
    return true;
  }
}
