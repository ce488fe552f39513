import type { AnswerKind, ForwardedAnswer } from './forwarded-answer.ts';
import type { CacheCounts } from './metrics.ts';

/** An answer that is kept. */
export interface StoredAnswer {
  readonly answer: ForwardedAnswer;
  readonly kind: AnswerKind;
  /** Monotonic clock. */
  readonly storedMs: number;
  readonly expiresMs: number;
  readonly lifetimeSeconds: number;
  readonly bytes: number;
  /** Questions in a row without a longer pause than `prefetch` allows. */
  hits: number;
  lastHitMs: number;
  /** Not fetched again before this: the last try failed. */
  recheckMs: number;
}

/** What one entry costs besides its bytes: its places, the map's. Measured at about this. */
const overheadBytes = 400;

/**
 * Answers by question, bounded by number and by bytes; the least recently asked for leaves first. Positive ones and the
 * others have rooms of their own, so that a flood of names that do not exist cannot push out the rest.
 */
export class AnswerStore {
  readonly #rooms: { success: Room; denial: Room };
  readonly #counts: CacheCounts;

  constructor(
    limits: { successEntries: number; denialEntries: number; bytesPerKind: number },
    counts: CacheCounts,
  ) {
    this.#counts = counts;
    this.#rooms = {
      success: new Room(limits.successEntries, limits.bytesPerKind),
      denial: new Room(limits.denialEntries, limits.bytesPerKind),
    };
  }

  get sizes(): { success: number; denial: number } {
    return { success: this.#rooms.success.size, denial: this.#rooms.denial.size };
  }

  /** What is kept for a question: of both kinds the one that counts now, else the one that may be served stale. */
  find(key: string, nowMs: number): StoredAnswer | undefined {
    const success = this.#rooms.success.get(key);
    if (success && success.expiresMs > nowMs) return success;
    const denial = this.#rooms.denial.get(key);
    // A failure does not outweigh what was known (RFC 8767).
    if (success && denial?.kind === 'error') return success;
    return denial && (denial.expiresMs > nowMs || !success) ? denial : success;
  }

  keep(key: string, answer: ForwardedAnswer, lifetimeMs: number, nowMs: number): void {
    const { kind } = answer;
    const entry: StoredAnswer = {
      answer,
      kind,
      storedMs: nowMs,
      expiresMs: nowMs + lifetimeMs,
      lifetimeSeconds: Math.ceil(lifetimeMs / 1000),
      bytes: answer.message.length + key.length + overheadBytes,
      hits: 0,
      lastHitMs: nowMs,
      recheckMs: 0,
    };
    const { success, denial } = this.#rooms;
    if (kind === 'success') denial.delete(key);
    else if (kind === 'denial') success.delete(key);
    const evicted = (kind === 'success' ? success : denial).set(key, entry);
    for (const old of evicted) this.#counts.evictions[old.kind] += 1;
  }
}

class Room {
  readonly #entries = new Map<string, StoredAnswer>();
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxEntries: number, maxBytes: number) {
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Asking makes it the last to leave. */
  get(key: string): StoredAnswer | undefined {
    const entry = this.#entries.get(key);
    // Moving it at every hit costs more than it is worth while there is room.
    if (entry && this.#entries.size * 2 > this.#maxEntries) {
      this.#entries.delete(key);
      this.#entries.set(key, entry);
    }
    return entry;
  }

  set(key: string, entry: StoredAnswer): StoredAnswer[] {
    this.delete(key);
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    const evicted: StoredAnswer[] = [];
    for (const [oldest, old] of this.#entries) {
      if (this.#entries.size <= this.#maxEntries && this.#bytes <= this.#maxBytes) break;
      this.delete(oldest);
      evicted.push(old);
    }
    return evicted;
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}
