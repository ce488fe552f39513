import type { Variable } from '@cloudless/kube/types/admissionregistration-v1';
import type { CostBudget } from '../../cel/budget.ts';
import { CelCostError } from '../../cel/errors.ts';
import { fail } from '../../cel/run/values.ts';
import { type CelType, dynType } from '../../cel/types.ts';
import { declarations, type EnvironmentOptions } from './environment.ts';
import { Expression } from './expression.ts';

/** The variables of a policy: each may read those before it (upstream: admission/plugin/cel/composition.go). */
export class Variables {
  readonly #expressions = new Map<string, Expression>();
  readonly #types: Record<string, CelType> = {};

  constructor(variables: readonly Variable[], options: EnvironmentOptions) {
    for (const { name, expression } of variables) {
      const compiled = new Expression(expression, this.declarations(options), []);
      this.#expressions.set(name, compiled);
      this.#types[name] = compiled.type ?? dynType;
    }
  }

  /** What expressions see that may read all of these variables. */
  declarations(options: EnvironmentOptions): Record<string, CelType> {
    return declarations({ ...options, variables: this.#types });
  }

  /** The same values with `variables`, each computed when it is first read, and once. */
  over(values: Record<string, unknown>, budget: CostBudget): Record<string, unknown> {
    const variables: Record<string, unknown> = {};
    const all = { ...values, variables };
    for (const [name, expression] of this.#expressions) {
      let known: { value: unknown } | undefined;
      Object.defineProperty(variables, name, {
        enumerable: true,
        get: () => (known ??= { value: valueOf(name, expression, all, budget) }).value,
      });
    }
    return all;
  }
}

/** A failure is a value too: it counts only where the result depends on it. */
function valueOf(
  name: string,
  expression: Expression,
  values: Record<string, unknown>,
  budget: CostBudget,
): unknown {
  const quoted = JSON.stringify(name);
  const { program, problem } = expression;
  if (!program) return fail(`composited variable ${quoted} fails to compile: ${problem}`);
  try {
    return program.evaluate(values, budget);
  } catch (error) {
    if (error instanceof CelCostError && error.limit === 'budget') throw error;
    const why = error instanceof Error ? error.message : String(error);
    return fail(`composited variable ${quoted} fails to evaluate: ${why}`);
  }
}
