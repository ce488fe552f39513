import type { MutatingAdmissionPolicy, Mutation } from '@cloudless/kube/types/admissionregistration-v1';
import { CostBudget, costLimits } from '../../../cel/budget.ts';
import { applyConfigurationType, jsonPatchType, patchLibrary } from '../../../cel/lib/patches.ts';
import { Conditions } from '../../expressions/conditions.ts';
import { type Inputs, valuesOf } from '../../expressions/environment.ts';
import { Expression } from '../../expressions/expression.ts';
import { Variables } from '../../expressions/variables.ts';

/** One mutation; its expression evaluates to an object to apply, or to operations. */
export interface Mutator {
  readonly kind: 'apply' | 'patch';
  readonly expression: Expression;
}

/** The expressions of one policy, compiled (upstream: policy/mutating/compilation.go). */
export class PolicyMutators {
  readonly mutators: readonly Mutator[];
  readonly #failClosed: boolean;
  readonly #variables: Variables;
  readonly #conditions: Conditions | undefined;

  constructor({ spec = {} }: MutatingAdmissionPolicy) {
    const options = { params: spec.paramKind !== undefined, authorizer: true };
    this.#failClosed = spec.failurePolicy !== 'Ignore';
    this.#variables = new Variables(spec.variables ?? [], options);
    const declared = this.#variables.declarations(options);
    const conditions = spec.matchConditions ?? [];
    this.#conditions = conditions.length === 0 ? undefined : new Conditions(conditions, declared);
    const compile = ({ patchType, applyConfiguration, jsonPatch }: Mutation): Mutator => {
      const isApply = patchType === 'ApplyConfiguration';
      const text = (isApply ? applyConfiguration : jsonPatch)?.expression ?? '';
      const type = isApply ? applyConfigurationType : jsonPatchType;
      return {
        kind: isApply ? 'apply' : 'patch',
        expression: new Expression(text, declared, [type], patchLibrary),
      };
    };
    this.mutators = (spec.mutations ?? []).map(compile);
  }

  /** Whether the match conditions hold; a failure of theirs as the failurePolicy has it. */
  matches(inputs: Inputs): boolean | Error {
    if (!this.#conditions) return true;
    const budget = new CostBudget(costLimits.matchConditions);
    const values = this.#variables.over(valuesOf(inputs), budget);
    return this.#conditions.evaluate(inputs, this.#failClosed, values, budget);
  }

  /** What a mutation makes of the object as it is now. Throws what is wrong with the expression. */
  evaluate({ expression }: Mutator, inputs: Inputs): unknown {
    if (expression.problem !== undefined) throw new Error(expression.problem);
    const budget = new CostBudget(costLimits.perPolicy);
    const value = expression.evaluate(this.#variables.over(valuesOf(inputs), budget), budget);
    if (value instanceof Error) throw value;
    return value;
  }
}

const compiled = new WeakMap<MutatingAdmissionPolicy, PolicyMutators>();

/** The mutators of a policy in the cache, compiled once. */
export function mutatorsOf(policy: MutatingAdmissionPolicy): PolicyMutators {
  let found = compiled.get(policy);
  if (!found) compiled.set(policy, (found = new PolicyMutators(policy)));
  return found;
}
