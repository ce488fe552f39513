/** One holder at a time, first come first served. */
export class Turns {
  #tail: Promise<void> | undefined;

  /** Resolves when the turn is the caller's; the result gives it back. */
  async take(): Promise<() => void> {
    const before = this.#tail;
    let release: () => void = () => undefined;
    const turn = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#tail = turn;
    if (before !== undefined) await before;
    return () => {
      if (this.#tail === turn) this.#tail = undefined;
      release();
    };
  }
}
