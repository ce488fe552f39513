import type { Clock, ClockTimer } from '../clock.ts';

interface Timer {
  atMs: number;
  order: number;
  callback: () => void;
}

/** A clock that moves only when told. */
export class FakeClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  #timers: Timer[] = [];
  #order = 0;

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
    const timer: Timer = { atMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.push(timer);
    return { cancel: () => (this.#timers = this.#timers.filter((one) => one !== timer)) };
  }

  /** Timers that have not fired: a part that has stopped must leave none. */
  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** Moves on by `ms`, firing what falls due in its order. Does not wait for what the callbacks start. */
  advance(ms: number): void {
    const untilMs = this.#monotonicMs + ms;
    for (;;) {
      const due = this.#timers
        .filter((timer) => timer.atMs <= untilMs)
        .sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
      if (!due) break;
      this.#timers = this.#timers.filter((one) => one !== due);
      this.#step(due.atMs - this.#monotonicMs);
      due.callback();
    }
    this.#step(untilMs - this.#monotonicMs);
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
