import { CelCostError } from './errors.ts';

/** Limits of upstream (apiserver/pkg/apis/cel/config.go), in CEL's units of cost. */
export const costLimits: {
  /** Of one evaluation. */
  readonly perCall: number;
  /** Of all rules of a custom resource in one request. */
  readonly runtime: number;
  /** Of all expressions of all policies of one kind in a request (matchConditions have their own, 2,500,000). */
  readonly perPolicy: number;
  readonly matchConditions: number;
} = { perCall: 1_000_000, runtime: 10_000_000, perPolicy: 10_000_000, matchConditions: 2_500_000 };

/** What the expressions of one request may cost together. Evaluations take from it when they end, failed ones too. */
export class CostBudget {
  #remaining: number;

  constructor(units: number = costLimits.runtime) {
    this.#remaining = units;
  }

  get remaining(): number {
    return this.#remaining;
  }

  /** Takes `cost` units. Throws `CelCostError` when there are fewer; the budget is empty from then on. */
  charge(cost: number): void {
    if (cost > this.#remaining) {
      this.#remaining = -1;
      throw new CelCostError('budget');
    }
    this.#remaining -= cost;
  }
}
