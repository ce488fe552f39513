/**
 * CEL as Kubernetes 1.36 speaks it: the language and standard library of cel-go, Kubernetes' libraries, its costs and
 * its texts. Import this module lazily: a cluster without expressions needs none of it.
 *
 * ```ts
 * const program = compileCel('self.replicas <= self.max', { self: typeOfSchema(schema)! });
 * program.evaluate({ self: { replicas: 2, max: 3 } }, new CostBudget()); // true
 * ```
 */
export { CostBudget, costLimits } from './budget.ts';
export { type CostEstimate } from './cost/estimate.ts';
export { unbounded } from './cost/sizes.ts';
export {
  CelCompileError,
  CelCostError,
  CelEvaluationError,
  type CelIssue,
  CelProgramError,
} from './errors.ts';
export { type CelProgram, compileCel, type CompileOptions } from './program.ts';
export {
  type Answer,
  authorizerType,
  authorizerValue,
  type PathQuestion,
  type QuestionedAuthorizer,
  resourceCheckType,
  resourceCheckValue,
  type ResourceQuestion,
} from './lib/authorizer.ts';
export { checkRules, staticCostLimits } from './rules/check.ts';
export { compileRules, type RuleSet } from './rules/rule-set.ts';
export { typeOfKind } from './schema/kinds.ts';
export { type DeclareOptions, typeOfSchema } from './schema/declare.ts';
export { toJson } from './schema/json.ts';
export * from './types.ts';
