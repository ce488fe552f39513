import type { Endpoint } from '../wire/address.ts';
import { limits } from '../wire/limits.ts';

interface Lost {
  readonly endpoint: Endpoint;
  readonly sinceMs: number;
}

/** How long one that was found again makes this member look for the others each time: the network mends as a whole. */
const eagerMs = 10_000;

/**
 * Members that died, for trying to find them again: memberlist forgets its dead and never asks for them, so that two
 * halves of a cluster that lost each other would stay apart. All members together try about as often in an interval as
 * there are lost ones, however many they are (as serf does).
 */
export class Reconnector {
  readonly #random: () => number;
  readonly #timeoutMs: number;
  readonly #lost = new Map<string, Lost>();
  #eagerUntilMs = 0;

  /** One lost for longer than `timeoutMs` is given up. */
  constructor(timeoutMs: number, random: () => number) {
    this.#timeoutMs = timeoutMs;
    this.#random = random;
  }

  lost(name: string, endpoint: Endpoint, nowMs: number): void {
    if (this.#lost.has(name) || this.#lost.size < limits.members)
      this.#lost.set(name, { endpoint, sinceMs: nowMs });
  }

  /** It is alive again, or has left. */
  found(name: string, nowMs: number): void {
    if (this.#lost.delete(name)) this.#eagerUntilMs = nowMs + eagerMs;
  }

  /** Whom to ask in this interval, if anyone. */
  next(aliveMembers: number, nowMs: number): Endpoint | undefined {
    for (const [name, { sinceMs }] of this.#lost)
      if (nowMs - sinceMs > this.#timeoutMs) this.#lost.delete(name);
    const eager = nowMs < this.#eagerUntilMs;
    if (!eager && this.#random() * aliveMembers >= this.#lost.size) return undefined;
    return [...this.#lost.values()][Math.floor(this.#random() * this.#lost.size)]?.endpoint;
  }
}
