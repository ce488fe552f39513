/**
 * CEL as Kubernetes 1.36 speaks it: the language and standard library of cel-go, Kubernetes' libraries, its costs and
 * its texts. Import this module lazily: a cluster without expressions needs none of it.
 *
 * ```ts
 * const program = compileCel('self.replicas <= self.max', { self: typeOfSchema(schema)! });
 * program.evaluate({ self: { replicas: 2, max: 3 } }, new CostBudget()); // true
 * ```
 */
import type { FieldError, FieldPath } from '@cloudless/kube/field';
import type { KubeObject } from '@cloudless/kube';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import type { CostBudget } from './budget.ts';
import { CelCompileError } from './errors.ts';
import type { CelType } from './types.ts';

export { CostBudget, costLimits } from './budget.ts';
export { CelCompileError, CelCostError, CelEvaluationError, type CelIssue } from './errors.ts';
export * from './types.ts';

/** The least and the most that an evaluation costs, in CEL's units; `max` is Infinity where nothing bounds it. */
export interface CostEstimate {
  readonly min: number;
  readonly max: number;
}

export interface CompileOptions {
  /** What one evaluation may cost; `costLimits.perCall` if not given. */
  readonly perCallLimit?: number;
}

export interface CelProgram {
  readonly expression: string;
  readonly outputType: CelType;
  /** The declared variables that the expression reads. */
  readonly variables: ReadonlySet<string>;
  /**
   * Evaluates over plain JSON (bound to CEL values by the declared types, without copying). Members of `variables`
   * may be getters: they are read at first use. An absent variable fails with `no such attribute(s)`. Takes the cost
   * from `budget`, also when it fails. Returns boolean, string, bigint (int), number (double), null, or a value of
   * `values.ts`. Throws `CelEvaluationError`, `CelCostError`.
   */
  evaluate(variables: Record<string, unknown>, budget: CostBudget): unknown;
  /** Cost before any value is known, from the sizes that the types of the variables carry. */
  estimateCost(): CostEstimate;
}

/** Parses, checks and compiles. Throws `CelCompileError` with all issues in cel-go's form. */
export function compileCel(
  expression: string,
  _declarations: Record<string, CelType>,
  _options: CompileOptions = {},
): CelProgram {
  throw new CelCompileError(expression, [
    { message: 'expressions are not compiled yet', line: 1, column: 0 },
  ]);
}

/** The type of a schema's values; undefined where CEL cannot see them (unknown fields, no type). */
export function typeOfSchema(
  _schema: JSONSchemaProps,
  _options: { readonly resourceRoot?: boolean } = {},
): CelType | undefined {
  return undefined;
}

/** The type of a built-in kind's objects; undefined for a kind that is not built in. */
export function typeOfKind(_kind: { group: string; version: string; kind: string }): CelType | undefined {
  return undefined;
}

/** All errors of x-kubernetes-validations in a schema (`path` is that of the schema), with upstream's texts. */
export function checkRules(_schema: JSONSchemaProps, _path: FieldPath, _old?: JSONSchemaProps): FieldError[] {
  return [];
}

/** The rules of a schema, ready to judge objects. */
export interface RuleSet {
  /** All violations; `old` is the stored object of an update. */
  validate(object: KubeObject, old: KubeObject | undefined): FieldError[];
}

/** Undefined when the schema has no rules. */
export function compileRules(_schema: JSONSchemaProps): RuleSet | undefined {
  return undefined;
}
