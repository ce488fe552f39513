/** Evaluates the rules of one value: their outcome, messages, costs. */
import { type FieldError, fieldErrors, type FieldPath } from '@cloudless/kube/field';
import type { JSONSchemaProps, ValidationRule } from '@cloudless/kube/types/apiextensions-v1';
import type { CostBudget } from '../budget.ts';
import { CelCostError, CelEvaluationError } from '../errors.ts';
import type { CelProgram } from '../program.ts';
import { CelOptional, type CelValue } from '../run/values.ts';
import { type CompiledRule, trimmed } from './compile.ts';

/** The longest message that an expression may give, in bytes. */
const maxMessageBytes = 5 * 1024;

/** A value whose rules are due. */
export interface Subject {
  readonly schema: JSONSchemaProps;
  readonly path: FieldPath;
  readonly value: unknown;
  readonly old: unknown;
  /** Whether the value is what it was before the update. */
  readonly unchanged: () => boolean;
}

const shownRule = (rule: ValidationRule): string => trimmed(rule.message || rule.rule);
const outOfBudget =
  'validation failed due to running out of cost budget, no further validation rules will be run';

/** Go prints the path of the object itself so. */
const shownPath = (path: FieldPath): string => path.toString() || '<nil>';

const invalid = (path: FieldPath, value: unknown, detail: string): FieldError => ({
  ...fieldErrors.invalid(path, value, detail),
  field: shownPath(path),
});

/** The evaluation of all rules of one request. */
export class Evaluation {
  readonly #budget: CostBudget;
  readonly #warn: ((text: string) => void) | undefined;
  #stopped = false;

  constructor(budget: CostBudget, warn: ((text: string) => void) | undefined) {
    this.#budget = budget;
    this.#warn = warn;
  }

  /** The budget is spent, or one rule took more than a rule may: no more are run. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Runs the rules of a value. */
  rules(rules: readonly CompiledRule[], subject: Subject, errors: FieldError[]): void {
    if (rules.length === 0) return;
    if (this.#budget.remaining <= 0) {
      this.#stop(errors, invalid(subject.path, subject.schema.type ?? '', outOfBudget));
      return;
    }
    const { old } = subject;
    const hasOld = old !== undefined && old !== null;
    for (const compiled of rules) {
      const { rule, program } = compiled;
      if (compiled.error !== undefined)
        errors.push(
          invalid(subject.path, subject.schema.type ?? '', `rule compile error: ${compiled.error}`),
        );
      if (program === undefined || (compiled.usesOldSelf && !hasOld && !rule.optionalOldSelf)) continue;
      const variables = variablesOf(compiled, subject, hasOld);
      const outcome = this.#run(program, variables, subject, rule, errors);
      if (outcome === false) this.#violated(compiled, variables, subject, errors);
      if (this.#stopped) return;
    }
  }

  #stop(errors: FieldError[], error: FieldError): void {
    errors.push(error);
    this.#stopped = true;
  }

  /** What the rule says; undefined where it failed to, which is an error. */
  #run(
    program: CelProgram,
    variables: Record<string, unknown>,
    { path, schema }: Subject,
    rule: ValidationRule,
    errors: FieldError[],
  ): CelValue | undefined {
    try {
      return program.evaluate(variables, this.#budget) === true;
    } catch (error) {
      if (error instanceof CelCostError) {
        const text =
          error.limit === 'budget'
            ? outOfBudget
            : `'${error.message}': no further validation rules will be run due to call cost exceeds limit for rule: ${shownRule(rule)}`;
        this.#stop(errors, invalid(path, schema.type ?? '', text));
        return undefined;
      }
      if (!(error instanceof CelEvaluationError)) throw error;
      const text = error.message.startsWith('no such overload')
        ? `'${error.message}': call arguments did not match a supported operator, function or macro signature for rule: ${shownRule(rule)}`
        : `${error.message} evaluating rule: ${shownRule(rule)}`;
      errors.push(invalid(path, schema.type ?? '', text));
      return undefined;
    }
  }

  #violated(
    compiled: CompiledRule,
    variables: Record<string, unknown>,
    subject: Subject,
    errors: FieldError[],
  ): void {
    const { rule } = compiled;
    const path = compiled.fieldPath === undefined ? subject.path : subject.path.child(compiled.fieldPath);
    const add = (error: FieldError): void => {
      if (!compiled.usesOldSelf && subject.unchanged()) this.#warn?.(`${error.field}: ${error.message}`);
      else errors.push(error);
    };
    let message: string | undefined;
    if (compiled.message !== undefined) {
      try {
        message = this.#message(compiled.message, variables);
      } catch (error) {
        if (!(error instanceof CelCostError)) throw error;
        add(invalid(path, subject.schema.type ?? '', messageCostText(error, compiled.message.expression)));
        this.#stopped = true;
        return;
      }
    }
    message ??= rule.message ? trimmed(rule.message) : `failed rule: ${trimmed(rule.rule)}`;
    add(violation(path, subject, message, rule.reason));
  }

  /** The message of a message expression; undefined for one that is none. Throws `CelCostError`. */
  #message(program: CelProgram, variables: Record<string, unknown>): string | undefined {
    try {
      const text = program.evaluate(variables, this.#budget);
      if (typeof text !== 'string') return undefined;
      const message = text.trim();
      const usable =
        message !== '' && !message.includes('\n') && Buffer.byteLength(message) <= maxMessageBytes;
      return usable ? message : undefined;
    } catch (error) {
      if (error instanceof CelEvaluationError) return undefined;
      throw error;
    }
  }
}

const messageCostText = (error: CelCostError, expression: string): string =>
  error.limit === 'budget'
    ? 'messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run'
    : `no further validation rules will be run due to call cost exceeds limit for messageExpression: ${JSON.stringify(expression)}`;

/** Bound by the schema that types them; an optional old value may be none. */
function variablesOf(
  compiled: CompiledRule,
  { value, old }: Subject,
  hasOld: boolean,
): Record<string, unknown> {
  if (!compiled.usesOldSelf) return { self: value };
  if (!compiled.rule.optionalOldSelf) return { self: value, oldSelf: old };
  return { self: value, oldSelf: hasOld ? CelOptional.of(compiled.bindOld(old)) : CelOptional.none };
}

function violation(
  path: FieldPath,
  { schema, value }: Subject,
  message: string,
  reason: string | undefined,
): FieldError {
  const field = shownPath(path);
  const omitted = schema.type === 'object' || schema.type === 'array';
  switch (reason) {
    case 'FieldValueForbidden':
      return { ...fieldErrors.forbidden(path, message), field };
    case 'FieldValueRequired':
      return { ...fieldErrors.required(path, message), field };
    case 'FieldValueDuplicate':
      return omitted
        ? { reason, field, message: 'Duplicate value' }
        : { ...fieldErrors.duplicate(path, value), field };
    default:
      return omitted
        ? { reason: 'FieldValueInvalid', field, message: `Invalid value: ${message}` }
        : invalid(path, value, message);
  }
}
