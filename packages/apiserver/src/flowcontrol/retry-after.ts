/**
 * How long the clients of a priority level that were refused are asked to wait (upstream:
 * apiserver/pkg/util/flowcontrol/dropped_requests_tracker.go): twice as long while many are refused, a second less when few.
 */
const maxSeconds = 32;

/** Of one level. Time is passed in, in whole seconds. */
export class RetryAfter {
  /** What refused clients are told. */
  seconds = 1;
  /** Refusals by second, the oldest first; the last is the second that goes on. */
  #history: Array<{ second: number; refused: number }> = [];
  #raisedAt = -Infinity;

  /** Counts a refusal, and says what to tell its client. */
  refused(second: number): number {
    const current = this.#history.at(-1);
    if (current?.second === second) current.refused++;
    else {
      // Judged by the seconds before: of this one only the beginning is known.
      this.#adjust(second);
      this.#history.push({ second, refused: 1 });
    }
    return this.seconds;
  }

  #adjust(second: number): void {
    const counted = this.#history.filter((each) => second - each.second <= this.seconds);
    const refused = counted.reduce((sum, each) => sum + each.refused, 0);
    if (second - this.#raisedAt >= this.seconds && refused >= 3 * this.seconds) {
      this.seconds = Math.min(2 * this.seconds, maxSeconds);
      this.#raisedAt = second;
    } else if (refused < this.seconds && this.seconds > 1) this.seconds--;
    const kept = Math.min(2 * this.seconds, maxSeconds);
    this.#history = this.#history.filter((each) => second - each.second <= kept);
  }
}
