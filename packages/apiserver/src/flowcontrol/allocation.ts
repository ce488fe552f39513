/** How many seats one priority level wants, and the bounds of what it gets. */
export interface Claim {
  readonly lower: number;
  readonly upper: number;
  readonly target: number;
}

const minTarget = 0.001;

/**
 * Divides `sum` seats: each claim gets the same fraction of its target, within its bounds (upstream:
 * computeConcurrencyAllocation). A sum beyond what the bounds allow gives everybody its bound.
 */
export function allocate(sum: number, claims: readonly Claim[]): { seats: number[]; fraction: number } {
  const targets = claims.map(({ target }) => Math.max(target, minTarget));
  const at = (fraction: number): number[] =>
    claims.map(({ lower, upper }, i) => Math.max(lower, Math.min(upper, fraction * (targets[i] as number))));
  const total = (fraction: number): number => at(fraction).reduce((a, b) => a + b, 0);
  // Between two neighbouring bounds the total grows in a straight line.
  const bounds = claims
    .flatMap(({ lower, upper }, i) => [lower / (targets[i] as number), upper / (targets[i] as number)])
    .toSorted((a, b) => a - b);
  const next = bounds.findIndex((fraction) => total(fraction) >= sum);
  if (next <= 0) {
    const fraction = bounds[next === 0 ? 0 : bounds.length - 1] ?? 0;
    return { seats: at(fraction), fraction };
  }
  const [from, to] = [bounds[next - 1] as number, bounds[next] as number];
  const [low, high] = [total(from), total(to)];
  const fraction = from + (high === low ? 0 : ((sum - low) / (high - low)) * (to - from));
  return { seats: at(fraction), fraction };
}

/** What has been wanted over a period, weighed by time. */
export interface Observed {
  readonly highest: number;
  readonly average: number;
  readonly deviation: number;
}

/** Integrates a number over time: an update is a few additions (upstream: fairqueuing.Integrator). */
export class Integrator {
  #value = 0;
  #sinceMs: number;
  #startMs: number;
  #sum = 0;
  #squares = 0;
  #highest = 0;

  constructor(nowMs: number) {
    this.#sinceMs = this.#startMs = nowMs;
  }

  set(value: number, nowMs: number): void {
    this.#advance(nowMs);
    this.#value = value;
    if (value > this.#highest) this.#highest = value;
  }

  #advance(nowMs: number): void {
    const area = this.#value * (nowMs - this.#sinceMs);
    this.#sum += area;
    this.#squares += area * this.#value;
    this.#sinceMs = nowMs;
  }

  /** What has been observed since the last call. */
  reset(nowMs: number): Observed {
    this.#advance(nowMs);
    const duration = nowMs - this.#startMs;
    const average = duration > 0 ? this.#sum / duration : this.#value;
    const variance = duration > 0 ? this.#squares / duration - average * average : 0;
    const observed = { highest: this.#highest, average, deviation: Math.sqrt(Math.max(0, variance)) };
    this.#startMs = nowMs;
    this.#sum = this.#squares = 0;
    this.#highest = this.#value;
    return observed;
  }
}
