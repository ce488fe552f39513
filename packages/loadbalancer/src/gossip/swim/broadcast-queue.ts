import { retransmitLimit } from './scaling.ts';

interface Broadcast {
  readonly about: string;
  readonly message: Buffer;
  readonly onSent: (() => void) | undefined;
}

/** Broadcasts that may be passed over for their size while one packet is filled: bounds the work for it. */
const maxMisses = 64;

/**
 * What is to be told to the cluster, each message several times to random members. Newer ones first; one about a member
 * replaces what was to be told about it before (memberlist, queue.go).
 */
export class BroadcastQueue {
  readonly #retransmitMult: number;
  readonly #members: () => number;
  /** By how often they were sent; within, in the order in which they came there. */
  readonly #tiers: Array<Map<string, Broadcast>> = [];

  constructor(retransmitMult: number, members: () => number) {
    this.#retransmitMult = retransmitMult;
    this.#members = members;
  }

  get length(): number {
    return this.#tiers.reduce((sum, tier) => sum + tier.size, 0);
  }

  /** Whether there is something to be told about a member. */
  has(about: string): boolean {
    return this.#tiers.some((tier) => tier.has(about));
  }

  /** `onSent` is called when the message was sent as often as it is to be, or was replaced. */
  add(about: string, message: Buffer, onSent?: () => void): void {
    for (const tier of this.#tiers) {
      const old = tier.get(about);
      if (!old) continue;
      tier.delete(about);
      old.onSent?.();
    }
    this.#tier(0).set(about, { about, message, onSent });
  }

  /** Messages for one packet of `limitBytes`, each taking `entryBytes` more than its own length. */
  take(entryBytes: number, limitBytes: number): Buffer[] {
    const limit = retransmitLimit(this.#retransmitMult, this.#members());
    const taken: Broadcast[][] = [];
    let freeBytes = limitBytes;
    let misses = 0;
    for (const [sent, tier] of this.#tiers.entries())
      for (const broadcast of tier.values()) {
        if (misses > maxMisses) break;
        const bytes = entryBytes + broadcast.message.length;
        if (bytes > freeBytes) {
          misses++;
          continue;
        }
        freeBytes -= bytes;
        (taken[sent] ??= []).push(broadcast);
      }
    taken.forEach((list, sent) => this.#sent(list, sent, limit));
    return taken.flat().map((broadcast) => broadcast.message);
  }

  #sent(list: readonly Broadcast[], sent: number, limit: number): void {
    for (const broadcast of list) {
      this.#tier(sent).delete(broadcast.about);
      if (sent + 1 >= limit) broadcast.onSent?.();
      else this.#tier(sent + 1).set(broadcast.about, broadcast);
    }
  }

  #tier(sent: number): Map<string, Broadcast> {
    return (this.#tiers[sent] ??= new Map<string, Broadcast>());
  }
}
