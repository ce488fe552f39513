import type { RateLimit } from '../request.ts';
import { NetworkTable, parseNetwork } from './networks.ts';

/** What becomes of an answer. */
export type RateVerdict = 'send' | 'truncate' | 'drop';

const buckets = 65_536;
/** Buckets that one key may be in: the one that was used longest ago gives way. */
const ways = 4;
const wordsOfBucket = 4;

/** What the threads of one server share: the buckets, so that a limit counts for all of them together. */
export const rateBuckets = (): SharedArrayBuffer => new SharedArrayBuffer(buckets * wordsOfBucket * 4);

/**
 * Response rate limiting as BIND and Knot have it: answers of one kind to one network earn a credit of their rate each second
 * and spend one each; without credit every n-th goes out truncated (a real client comes back by TCP), others not at all.
 * A kind is the name and type of a positive answer, the zone of a negative one, the code of an error: what an attacker can
 * vary does not give new credit.
 *
 * Buckets are a fixed table, so a flood from everywhere takes no memory; threads write to them without locks, which may
 * lose a count now and then.
 */
export class RateLimiter {
  /** Words of a bucket: key, credit in thousandths, time of the last use in milliseconds, answers over the limit. */
  readonly #words: Int32Array;
  readonly #seed: number;
  readonly #exempt = new NetworkTable();
  readonly #limit: RateLimit;
  /** There is a limit at all. */
  readonly isOn: boolean;

  /** @param seed secret and the same for all threads, so that nobody can choose addresses that share a bucket. */
  constructor(limit: RateLimit, shared: SharedArrayBuffer, seed: number) {
    this.#limit = limit;
    this.#words = new Int32Array(shared);
    this.#seed = seed;
    this.isOn = limit.responsesPerSecond > 0 || limit.errorsPerSecond > 0;
    for (const text of limit.exempt) this.#exempt.set(parseNetwork(text), 1);
  }

  /** Whether an address of 4 or 16 octets at `start` is not limited. */
  isExempt(bytes: Uint8Array, start: number, length: number): boolean {
    return !this.#exempt.isEmpty && this.#exempt.find(bytes, start, length) !== 0;
  }

  /**
   * Spends one credit.
   *
   * @param kind a hash of what is answered
   * @param nowMs of any steady clock, the same for all threads
   */
  spend(
    bytes: Uint8Array,
    start: number,
    length: number,
    kind: number,
    isError: boolean,
    nowMs: number,
  ): RateVerdict {
    const limit = this.#limit;
    const perSecond = isError && limit.errorsPerSecond > 0 ? limit.errorsPerSecond : limit.responsesPerSecond;
    if (perSecond === 0) return 'send';
    const key = this.#keyOf(bytes, start, length, kind, isError);
    const now = nowMs | 0;
    const at = this.#bucketOf(key, perSecond, now);
    const words = this.#words;
    const most = perSecond * 1000;
    const earned = ((now - (words[at + 2] as number)) | 0) * perSecond;
    let credit = Math.min(most, (words[at + 1] as number) + Math.min(most, Math.max(0, earned)));
    words[at + 2] = now;
    if (credit >= 1000) {
      credit -= 1000;
      words[at + 1] = credit;
      words[at + 3] = 0;
      return 'send';
    }
    words[at + 1] = credit;
    const over = ((words[at + 3] as number) + 1) | 0;
    words[at + 3] = over;
    return limit.slip > 0 && over % limit.slip === 0 ? 'truncate' : 'drop';
  }

  #keyOf(bytes: Uint8Array, start: number, length: number, kind: number, isError: boolean): number {
    const bits = length === 4 ? this.#limit.ipv4PrefixLength : this.#limit.ipv6PrefixLength;
    let hash = this.#seed ^ length ^ (isError ? 0x5bd1e995 : 0);
    const whole = bits >> 3;
    for (let i = 0; i < whole; i++) hash = mix(hash, bytes[start + i] as number);
    if ((bits & 7) !== 0) hash = mix(hash, (bytes[start + whole] as number) & (0xff00 >> (bits & 7)));
    for (let shift = 0; shift < 32; shift += 8) hash = mix(hash, (kind >>> shift) & 0xff);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash ^= hash >>> 13;
    // 0 marks a bucket that nobody has.
    return hash === 0 ? 1 : hash;
  }

  #bucketOf(key: number, perSecond: number, now: number): number {
    const words = this.#words;
    const first = (key & (buckets / ways - 1)) * ways * wordsOfBucket;
    let oldest = first;
    let longestMs = -1;
    for (let way = 0; way < ways; way++) {
      const at = first + way * wordsOfBucket;
      if (words[at] === key) return at;
      const idleMs = words[at] === 0 ? 0x7fffffff : Math.abs((now - (words[at + 2] as number)) | 0);
      if (idleMs > longestMs) {
        longestMs = idleMs;
        oldest = at;
      }
    }
    words[oldest] = key;
    words[oldest + 1] = perSecond * 1000;
    words[oldest + 2] = now;
    words[oldest + 3] = 0;
    return oldest;
  }
}

const mix = (hash: number, octet: number): number => Math.imul(hash ^ octet, 0x01000193);
