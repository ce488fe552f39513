import type { Clock, ClockTimer } from '@cloudless/kube/clock';

export interface SuspicionOptions {
  readonly clock: Clock;
  /** Who suspects first; confirms nothing. */
  readonly from: string;
  /** Confirmations by others after which the timeout is at its minimum; 0: it is from the start. */
  readonly expected: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** A timer that comes later than this says that this process stood still and could not hear a refutation. */
  readonly frozenMs: number;
  /** Half of the minimum is over: the suspect may not have heard of it, or its refutation was missed. */
  readonly onDoubt: () => void;
  /** The suspect has not refuted in time. */
  readonly onTimeout: (confirmations: number) => void;
}

/**
 * Lifeguard's suspicion: a timeout that shortens from its maximum to its minimum, logarithmically, as others confirm
 * (memberlist, suspicion.go).
 */
export class Suspicion {
  readonly #options: SuspicionOptions;
  readonly #heard: Set<string>;
  readonly #startMs: number;
  #confirmations = 0;
  #dueMs = 0;
  #timer: ClockTimer | undefined;
  readonly #doubt: ClockTimer;

  constructor(options: SuspicionOptions) {
    this.#options = options;
    this.#heard = new Set([options.from]);
    this.#startMs = options.clock.monotonicMs();
    this.#arm(options.expected < 1 ? options.minMs : options.maxMs);
    this.#doubt = options.clock.setTimeout(options.onDoubt, options.minMs / 2);
  }

  /** Another member suspects too. True: that is news, worth telling on. */
  confirm(from: string): boolean {
    const { expected, clock } = this.#options;
    if (this.#confirmations >= expected || this.#heard.has(from)) return false;
    this.#heard.add(from);
    this.#confirmations++;
    this.#timer?.cancel();
    this.#arm(this.#timeoutMs() - (clock.monotonicMs() - this.#startMs));
    return true;
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#doubt.cancel();
  }

  #timeoutMs(): number {
    const { expected, minMs, maxMs } = this.#options;
    const share = Math.log(this.#confirmations + 1) / Math.log(expected + 1);
    return Math.max(minMs, Math.floor(maxMs - share * (maxMs - minMs)));
  }

  #arm(delayMs: number): void {
    const { clock } = this.#options;
    this.#dueMs = clock.monotonicMs() + Math.max(0, delayMs);
    this.#timer = clock.setTimeout(() => this.#due(), Math.max(0, delayMs));
  }

  #due(): void {
    const { clock, frozenMs, minMs } = this.#options;
    if (clock.monotonicMs() - this.#dueMs > frozenMs) this.#arm(minMs);
    else this.#options.onTimeout(this.#confirmations);
  }
}
