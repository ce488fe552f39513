import type { StatusReason } from '@cloudless/kube/status';
import type {
  AuditAnnotation,
  ValidatingAdmissionPolicy,
  Validation,
} from '@cloudless/kube/types/admissionregistration-v1';
import { CostBudget, costLimits } from '../../cel/budget.ts';
import { boolType, nullType, stringType } from '../../cel/types.ts';
import { Conditions } from '../expressions/conditions.ts';
import { type Inputs, valuesOf } from '../expressions/environment.ts';
import { Expression } from '../expressions/expression.ts';
import { Variables } from '../expressions/variables.ts';
import { messageOf } from './invocations.ts';

/** What one validation makes of a request; undefined: it lets it pass. */
export interface Denial {
  readonly index: number;
  readonly message: string;
  readonly reason: StatusReason;
}

export interface Judgement {
  readonly denials: readonly Denial[];
  readonly annotations: ReadonlyArray<{ key: string; value: string }>;
}

/** Longest result of a messageExpression (apis/cel/config.go). */
const maxMessageBytes = 5 * 1024;
const nothing: Judgement = { denials: [], annotations: [] };

interface Rule {
  readonly validation: Validation;
  readonly expression: Expression;
  readonly message: Expression | undefined;
}

/** How long expressions may keep others waiting. */
const turnMs = 10;

/** Gives way to other requests when a policy takes long. */
class Pace {
  #sinceMs = performance.now();

  isLong(): boolean {
    return performance.now() - this.#sinceMs > turnMs;
  }

  async yield(): Promise<void> {
    await new Promise<void>((resolve) => void setImmediate(resolve));
    this.#sinceMs = performance.now();
  }
}

/** The expressions of one policy, compiled (upstream: policy/validating/validator.go). */
export class PolicyEvaluator {
  readonly #failClosed: boolean;
  readonly #variables: Variables;
  readonly #conditions: Conditions | undefined;
  readonly #rules: readonly Rule[];
  readonly #annotations: ReadonlyArray<{ annotation: AuditAnnotation; expression: Expression }>;

  constructor({ spec = {} }: ValidatingAdmissionPolicy) {
    const params = spec.paramKind !== undefined;
    this.#failClosed = spec.failurePolicy !== 'Ignore';
    this.#variables = new Variables(spec.variables ?? [], { params, authorizer: true });
    const declared = this.#variables.declarations({ params, authorizer: true });
    const withoutAuthorizer = this.#variables.declarations({ params });
    const conditions = spec.matchConditions ?? [];
    this.#conditions = conditions.length === 0 ? undefined : new Conditions(conditions, declared);
    this.#rules = (spec.validations ?? []).map((validation) => ({
      validation,
      expression: new Expression(validation.expression, declared, [boolType]),
      message: validation.messageExpression
        ? new Expression(validation.messageExpression, withoutAuthorizer, [stringType])
        : undefined,
    }));
    this.#annotations = (spec.auditAnnotations ?? []).map((annotation) => ({
      annotation,
      expression: new Expression(annotation.valueExpression, declared, [stringType, nullType]),
    }));
  }

  /** Judges a request with one set of parameters. */
  async judge(inputs: Inputs): Promise<Judgement> {
    const values = valuesOf(inputs);
    const budget = new CostBudget(costLimits.perPolicy);
    try {
      if (this.#conditions) {
        const conditionBudget = new CostBudget(costLimits.matchConditions);
        const over = this.#variables.over(values, conditionBudget);
        const met = this.#conditions.evaluate(inputs, this.#failClosed, over, conditionBudget);
        if (met instanceof Error) return this.#failed(met);
        if (!met) return nothing;
      }
      const denials = await this.#validations(values, budget);
      const annotationBudget = new CostBudget(costLimits.perPolicy);
      return this.#annotated(denials, this.#variables.over(values, annotationBudget), annotationBudget);
    } catch (error) {
      // The budget is spent: nothing of the policy is known.
      return this.#failed(error);
    }
  }

  /** A failure of the whole policy, as its failurePolicy has it. */
  #failed(error: unknown): Judgement {
    if (!this.#failClosed) return nothing;
    return { denials: [{ index: 0, message: messageOf(error), reason: '' }], annotations: [] };
  }

  async #validations(values: Record<string, unknown>, budget: CostBudget): Promise<Denial[]> {
    const over = this.#variables.over(values, budget);
    const results: unknown[] = [];
    const pace = new Pace();
    for (const { expression } of this.#rules) {
      // oxlint-disable-next-line no-await-in-loop -- others have their turn between two expressions
      if (pace.isLong()) await pace.yield();
      results.push(expression.evaluate(over, budget));
    }
    const messages = this.#variables.over(values, budget);
    return this.#rules.flatMap((rule, index): Denial[] => {
      const result = results[index];
      if (result instanceof Error)
        return this.#failClosed ? [{ index, message: result.message, reason: '' }] : [];
      if (result === true) return [];
      const reason = (rule.validation.reason ?? 'Invalid') as StatusReason;
      try {
        return [{ index, message: denialText(rule, messages, budget), reason }];
      } catch (error) {
        const message = `failed messageExpression: ${messageOf(error)}`;
        return this.#failClosed ? [{ index, message, reason: '' }] : [];
      }
    });
  }

  #annotated(denials: Denial[], values: Record<string, unknown>, budget: CostBudget): Judgement {
    const annotations: Array<{ key: string; value: string }> = [];
    for (const { annotation, expression } of this.#annotations) {
      const value = expression.evaluate(values, budget);
      if (value instanceof Error) {
        if (this.#failClosed) denials.push({ index: -1, message: value.message, reason: '' });
      } else if (typeof value === 'string' && value.trim() !== '')
        annotations.push({ key: annotation.key, value: value.trim() });
    }
    return { denials, annotations };
  }
}

/** The result of messageExpression, else message, else the expression itself. Throws `OutOfBudget`. */
function denialText(
  { validation, message }: Rule,
  values: Record<string, unknown>,
  budget: CostBudget,
): string {
  const computed = message?.evaluate(values, budget);
  if (typeof computed === 'string') {
    const text = computed.trim();
    if (text !== '' && Buffer.byteLength(text) <= maxMessageBytes && !text.includes('\n')) return text;
  }
  return validation.message?.trim() || `failed expression: ${validation.expression.trim()}`;
}

const compiled = new WeakMap<ValidatingAdmissionPolicy, PolicyEvaluator>();

/** The evaluator of a policy in the cache, compiled once. */
export function evaluatorOf(policy: ValidatingAdmissionPolicy): PolicyEvaluator {
  let found = compiled.get(policy);
  if (!found) compiled.set(policy, (found = new PolicyEvaluator(policy)));
  return found;
}
