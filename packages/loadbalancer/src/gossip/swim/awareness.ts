/**
 * Lifeguard's awareness: how far this member fails at being prompt itself. Probes that go well lower the score, those
 * that nobody answers and accusations that it has to refute raise it, and with it the time it gives others.
 */
export class Awareness {
  readonly #max: number;
  #score = 0;

  /** The score stays below `max`. */
  constructor(max: number) {
    this.#max = max;
  }

  /** 0: healthy. */
  get score(): number {
    return this.#score;
  }

  apply(delta: number): void {
    this.#score = Math.min(Math.max(0, this.#score + delta), this.#max - 1);
  }

  scale(timeoutMs: number): number {
    return timeoutMs * (this.#score + 1);
  }
}
