import type { MatchCondition } from '@cloudless/kube/types/admissionregistration-v1';
import { CostBudget, costLimits } from '../../cel/budget.ts';
import { boolType, type CelType } from '../../cel/types.ts';
import { declarations, type EnvironmentOptions, type Inputs, valuesOf } from './environment.ts';
import { aggregate, Expression } from './expression.ts';

/** The match conditions of a webhook or policy, compiled (upstream: webhook/matchconditions/matcher.go). */
export class Conditions {
  readonly #expressions: readonly Expression[];

  constructor(conditions: readonly MatchCondition[], declared: Record<string, CelType>) {
    this.#expressions = conditions.map(({ expression }) => new Expression(expression, declared, [boolType]));
  }

  /**
   * Whether all hold. One that is false decides, whatever fails beside it; else a failure is returned where
   * `failClosed`, and means no match otherwise.
   */
  evaluate(
    inputs: Inputs,
    failClosed: boolean,
    values: Record<string, unknown> = valuesOf(inputs),
    budget: CostBudget = new CostBudget(costLimits.matchConditions),
  ): boolean | Error {
    const failed: Error[] = [];
    let excluded = false;
    try {
      for (const expression of this.#expressions) {
        const value = expression.evaluate(values, budget);
        if (value instanceof Error) failed.push(value);
        else if (value === false) excluded = true;
      }
    } catch (error) {
      return failClosed ? (error as Error) : false;
    }
    if (excluded) return false;
    if (failed.length > 0) return failClosed ? aggregate(failed) : false;
    return true;
  }
}

const compiled = new WeakMap<readonly MatchCondition[], Conditions>();

/** Conditions of an object in the cache, compiled once. */
export function conditionsOf(
  conditions: readonly MatchCondition[],
  options: EnvironmentOptions = { authorizer: true },
): Conditions {
  let found = compiled.get(conditions);
  if (!found) compiled.set(conditions, (found = new Conditions(conditions, declarations(options))));
  return found;
}
