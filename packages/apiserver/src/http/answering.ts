import type { Clock, ClockTimer } from '@cloudless/kube/clock';
import type { Outgoing } from './respond.ts';

const maxSweepMs = 5_000;

/**
 * The requests that are being answered. An answer that its client does not take within `answerMs` of its request is
 * cut off, so that nobody holds places and memory by not reading. Watches and streams are not among them.
 */
export class Answering {
  readonly #clock: Clock;
  readonly #answerMs: number;
  readonly #signal: AbortSignal;
  readonly #began = new Map<Outgoing, number>();
  #timer: ClockTimer | undefined;
  #underWay = 0;
  #idle = Promise.withResolvers<void>();

  /** `signal`: aborted when the server has stopped, whatever is still being answered. */
  constructor(clock: Clock, answerMs: number, signal: AbortSignal) {
    this.#clock = clock;
    this.#answerMs = answerMs;
    this.#signal = signal;
    this.#idle.resolve();
    signal.addEventListener('abort', () => this.#timer?.cancel(), { once: true });
  }

  enter(out: Outgoing, nowMs: number): void {
    if (this.#underWay++ === 0) this.#idle = Promise.withResolvers();
    this.#began.set(out, nowMs);
    this.#timer ??= this.#sweepLater();
  }

  /** A watch or a stream: it may take as long as it likes. */
  release(out: Outgoing): void {
    this.#forget(out);
    this.#left();
  }

  /** The answer is made; what of it is still to be sent has the same time. */
  leave(out: Outgoing): void {
    if (!this.#began.has(out)) return;
    this.#left();
    if (out.isGone || out.unsentBytes === 0) this.#forget(out);
    else void out.closed.then(() => this.#forget(out));
  }

  /** Resolves when no request is being answered. */
  async idle(): Promise<void> {
    while (this.#underWay > 0) await this.#idle.promise;
  }

  #left(): void {
    if (--this.#underWay === 0) this.#idle.resolve();
  }

  #forget(out: Outgoing): void {
    if (!this.#began.delete(out) || this.#began.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #sweepLater(): ClockTimer | undefined {
    if (this.#signal.aborted) return undefined;
    return this.#clock.setTimeout(() => this.#sweep(), Math.min(maxSweepMs, this.#answerMs));
  }

  #sweep(): void {
    const beforeMs = this.#clock.monotonicMs() - this.#answerMs;
    // In the order in which they began.
    for (const [out, beganMs] of this.#began) {
      if (beganMs > beforeMs) break;
      if (out.headersSent) out.destroy();
    }
    this.#timer = this.#sweepLater();
  }
}
