/**
 * Bounds what CEL's costs do not see. Costs are upstream's to the unit, and they price some operations as constant
 * that are not (merging set lists, comparing deep values, regular expressions with counted repetitions). Each step of
 * those is counted here, so that no expression blocks the event loop for long.
 */
import { CelCostError } from '../errors.ts';

/** Some tenths of a second of the slowest steps. */
const limit = 40_000_000;

let done = 0;

/** Counts steps of the evaluation that runs. Throws `CelCostError` beyond the limit. */
export function work(steps: number): void {
  done += steps;
  if (done > limit) throw new CelCostError('call');
}

/** Runs one evaluation with a count of its own; evaluations nest where a variable is one. */
export function metered<T>(evaluate: () => T): T {
  const before = done;
  done = 0;
  try {
    return evaluate();
  } finally {
    done = before;
  }
}
