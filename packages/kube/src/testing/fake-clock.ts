import type { Clock, ClockTimer } from '../clock.ts';

interface Timer {
  atMs: number;
  callback: () => void;
}

/** A clock that moves only when told. */
export class FakeClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  readonly #timers = new Set<Timer>();

  constructor(start: string | number = '2026-01-01T00:00:00Z') {
    this.#wallMs = typeof start === 'number' ? start : Date.parse(start);
  }

  nowMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  setTimeout(callback: () => void, delayMs: number): ClockTimer {
    const timer: Timer = { atMs: this.#monotonicMs + Math.max(0, delayMs), callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** Timers that have not fired: a part that has stopped must leave none. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** Moves on by `ms`, firing what falls due in its order. Does not wait for what the callbacks start. */
  advance(ms: number): void {
    const untilMs = this.#monotonicMs + ms;
    for (;;) {
      const due = this.#first();
      if (!due || due.atMs > untilMs) break;
      this.#timers.delete(due);
      this.#step(due.atMs - this.#monotonicMs);
      due.callback();
    }
    this.#step(untilMs - this.#monotonicMs);
  }

  #first(): Timer | undefined {
    let first: Timer | undefined;
    // Timers are in the order in which they were set: of those due at one time the first stays.
    for (const timer of this.#timers) if (!first || timer.atMs < first.atMs) first = timer;
    return first;
  }

  #step(ms: number): void {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
  }

  /** Steps the wall clock alone, as a time server may. */
  stepWall(ms: number): void {
    this.#wallMs += ms;
  }
}
