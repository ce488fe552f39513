/**
 * What this process handed out and cannot yet see in its cache. A reservation makes concurrent requests here pick
 * different values; the transaction makes it true across processes. It lapses by itself, so that a write that
 * failed for another reason gives its value back.
 */
export class Reservations {
  readonly #lapsesMs: number;
  readonly #untilMs = new Map<string, number>();

  constructor(lapsesMs = 10_000) {
    this.#lapsesMs = lapsesMs;
  }

  get size(): number {
    return this.#untilMs.size;
  }

  has(value: string, nowMs: number): boolean {
    return (this.#untilMs.get(value) ?? 0) > nowMs;
  }

  add(value: string, nowMs: number): void {
    // Oldest first, since a renewed entry is moved to the end.
    for (const [old, untilMs] of this.#untilMs) {
      if (untilMs > nowMs) break;
      this.#untilMs.delete(old);
    }
    this.#untilMs.delete(value);
    this.#untilMs.set(value, nowMs + this.#lapsesMs);
  }

  delete(value: string): void {
    this.#untilMs.delete(value);
  }
}
