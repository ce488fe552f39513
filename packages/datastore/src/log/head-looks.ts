/**
 * Looks at a shared log's head for those who must see what others acknowledged. Whoever asks while a look is under
 * way waits for the next one: the one under way may have missed what was acknowledged since it began. All who wait
 * share one look.
 */
export class HeadLooks {
  readonly #look: () => Promise<void>;
  #underWay: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(look: () => Promise<void>) {
    this.#look = look;
  }

  /** Settles with a look that begins after the call. */
  look(): Promise<void> {
    if (this.#underWay === undefined) return this.#start();
    const start = (): Promise<void> => this.#start();
    this.#next ??= this.#underWay.then(start, start);
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const underWay = this.#look().finally(() => {
      if (this.#underWay === underWay) this.#underWay = undefined;
    });
    this.#underWay = underWay;
    return underWay;
  }
}
