import type { Clock } from '@cloudless/kube/clock';

/**
 * There is no time to sign another answer about a name that does not exist. By UDP a client should be told to come by
 * TCP, which nobody does under a forged address; else SERVFAIL.
 */
export class SigningBusyError extends Error {
  override readonly name = 'SigningBusyError';
  constructor() {
    super('too many questions about names that do not exist are being signed; try again');
  }
}

/** Of a thread's time, how much signing may take before made-up names are refused. */
const share = 0.5;
/** Milliseconds of signing that may come at once after quiet. */
const burstMs = 250;

/**
 * What a thread may spend on signatures, measured in time so that it holds on any machine. All signatures are charged;
 * only those about made-up names, of which there is no end, are refused: a flood of random names leaves the thread
 * half its time, and cached and real names are answered on.
 */
export class SigningBudget {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #leftMs = burstMs;
  #seenMs: number;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
    this.#seenMs = clock.monotonicMs();
  }

  /** Runs `work` and charges its time. Throws {@link SigningBusyError} for a made-up name when nothing is left. */
  spend<Result>(isMadeUp: boolean, work: () => Result): Result {
    const beginMs = this.#clock.monotonicMs();
    this.#leftMs = Math.min(burstMs, this.#leftMs + (beginMs - this.#seenMs) * share);
    this.#seenMs = beginMs;
    if (isMadeUp && this.#leftMs <= 0) throw new SigningBusyError();
    try {
      return work();
    } finally {
      // Real names may go into debt, so that after many of them made-up ones wait; not for ever.
      this.#leftMs = Math.max(-burstMs, this.#leftMs - (this.#clock.monotonicMs() - beginMs));
    }
  }
}
