/** What was done for one address since it is in the plans. */
export interface AddressCounters {
  readonly address: string;
  readonly received: number;
  readonly sent: number;
  readonly gratuitous: number;
}

/** Counts in the thread; the main side gets what changed. */
export class Counters {
  readonly #counts = new Map<string, { received: number; sent: number; gratuitous: number }>();
  readonly #changed = new Set<string>();

  received(address: string): void {
    this.#of(address).received += 1;
  }

  sent(address: string): void {
    this.#of(address).sent += 1;
  }

  gratuitous(address: string): void {
    this.#of(address).gratuitous += 1;
  }

  forget(address: string): void {
    this.#counts.delete(address);
    this.#changed.delete(address);
  }

  get changed(): boolean {
    return this.#changed.size > 0;
  }

  /** The counts that changed since the last call. */
  takeChanged(): AddressCounters[] {
    const taken = [...this.#changed].flatMap((address) => {
      const counts = this.#counts.get(address);
      return counts === undefined ? [] : [{ address, ...counts }];
    });
    this.#changed.clear();
    return taken;
  }

  #of(address: string): { received: number; sent: number; gratuitous: number } {
    let counts = this.#counts.get(address);
    if (counts === undefined) this.#counts.set(address, (counts = { received: 0, sent: 0, gratuitous: 0 }));
    this.#changed.add(address);
    return counts;
  }
}
