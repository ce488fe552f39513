/** From an expression to something that evaluates it. */
import { CostBudget, costLimits } from './budget.ts';
import { Checker, type CheckIssue, issueAt } from './check/checker.ts';
import { estimate, type CostEstimate } from './cost/estimate.ts';
import { CelCompileError, CelCostError, CelEvaluationError } from './errors.ts';
import type { Library } from './check/functions.ts';
import { functions, typeNames } from './lib/index.ts';
import { bindValue } from './schema/bind.ts';
import { type Frame, plan, Scope } from './run/compile.ts';
import { CelFailure, type CelValue, fail } from './run/values.ts';
import { metered } from './run/work.ts';
import { childrenOf, type Expr } from './syntax/ast.ts';
import { CelSyntaxErrors } from './syntax/lexer.ts';
import { parse } from './syntax/parser.ts';
import { type CelType, dynType } from './types.ts';
import { validateTree } from './check/validate.ts';

export interface CompileOptions {
  /** What one evaluation may cost; `costLimits.perCall` if not given. */
  readonly perCallLimit?: number;
  /** `patchLibrary` where patches are made; what all expressions have if not given. */
  readonly library?: Library;
  /** Whether `cel.bind(name, value, expression)` is there (cel-go ext.Bindings). */
  readonly bindings?: boolean;
  /** The variable whose type says how large values are; `self` with the sizes of a schema if not given. */
  readonly sizedVariable?: string;
}

const common: Library = { functions, types: typeNames };

/** A compiled expression. Stateless: it may be evaluated any number of times, and within itself. */
export interface CelProgram {
  readonly expression: string;
  readonly outputType: CelType;
  /** The declared variables that the expression reads. */
  readonly variables: ReadonlySet<string>;
  /**
   * Evaluates over plain JSON, which is bound to CEL values by the declared types, without copying; values of
   * `run/values.ts` are taken as they are. Members of `variables` may be getters: each is read once, at first use. An
   * absent variable fails with `no such attribute(s)`. The cost is taken from `budget`, also after a failure. Returns
   * boolean, string, bigint (int), number (double), null, or a value of `run/values.ts` (`toJson` turns it into JSON).
   * Throws `CelEvaluationError`, `CelCostError`.
   */
  evaluate(variables: Record<string, unknown>, budget: CostBudget): CelValue;
  /** Cost before any value is known, from the sizes that the types of the variables carry. */
  estimateCost(): CostEstimate;
}

function compileError(source: string, issues: readonly CheckIssue[]): CelCompileError {
  return new CelCompileError(
    source,
    issues.map((issue) => issueAt(source, issue)),
  );
}

function parsed(source: string, bindings: boolean): Expr {
  try {
    return parse(source, { bindings });
  } catch (error) {
    if (error instanceof CelSyntaxErrors) throw compileError(source, error.issues);
    throw error;
  }
}

/** Issues in the order of the source, as cel-go sorts them. */
const inOrder = (issues: readonly CheckIssue[]): CheckIssue[] => [...issues].sort((a, b) => a.at - b.at);

/** The tree of an expression with its types. Throws `CelCompileError`. */
export function checkedTree(
  source: string,
  declarations: Readonly<Record<string, CelType>>,
  { library = common, bindings = false }: Pick<CompileOptions, 'library' | 'bindings'> = {},
): Expr {
  const root = parsed(source, bindings);
  const checker = new Checker({ variables: new Map(Object.entries(declarations)), ...library });
  checker.run(root);
  if (checker.issues.length > 0) throw compileError(source, inOrder(checker.issues));
  const issues = validateTree(root);
  if (issues.length > 0) throw compileError(source, inOrder(issues));
  return root;
}

function readVariables(node: Expr, declared: Readonly<Record<string, CelType>>, into: Set<string>): void {
  const ident = node.kind === 'select' ? node.qualified : node;
  if (ident?.kind === 'ident' && ident.typeValue === undefined && Object.hasOwn(declared, ident.name))
    into.add(ident.name);
  for (const child of childrenOf(node)) readVariables(child, declared, into);
}

/**
 * Parses, checks and compiles. `declarations` are the variables with their types. Throws `CelCompileError` with all
 * issues in cel-go's form, `CelProgramError` (one of them) for a constant that has no value.
 */
export function compileCel(
  expression: string,
  declarations: Readonly<Record<string, CelType>>,
  options: CompileOptions = {},
): CelProgram {
  const { root, scope, step } = bounded(expression, () => {
    const root = checkedTree(expression, declarations, options);
    const scope = Scope.root();
    return { root, scope, step: plan(root, scope).step };
  });
  const variables = new Set<string>();
  readVariables(root, declarations, variables);
  const limit = options.perCallLimit ?? costLimits.perCall;
  let estimated: CostEstimate | undefined;
  return {
    expression,
    outputType: root.type ?? dynType,
    variables,
    evaluate(values, budget) {
      const frame: Frame = {
        cost: 0,
        limit,
        slots: Array.from({ length: scope.slots }),
        variable: resolver(values, declarations),
      };
      const result = evaluateIn(frame, step, budget);
      if (result instanceof CelFailure) throw new CelEvaluationError(result.message);
      return result;
    },
    estimateCost() {
      estimated ??= estimate(root, sizedType(declarations, options.sizedVariable));
      return estimated;
    },
  };
}

/** Upstream knows a size for every type that comes from a schema: none that is bounded is zero. */
function sizedType(
  declarations: Readonly<Record<string, CelType>>,
  variable: string | undefined,
): CelType | undefined {
  if (variable !== undefined) return declarations[variable];
  const { self } = declarations;
  return self?.minSerializedSize === undefined ? undefined : self;
}

/** Compiles within the work of an evaluation: patterns among the constants may take long. */
function bounded<T>(expression: string, compile: () => T): T {
  try {
    return metered(compile);
  } catch (error) {
    if (!(error instanceof CelCostError)) throw error;
    throw compileError(expression, [{ message: 'expression takes too long to compile', at: -1 }]);
  }
}

function evaluateIn(frame: Frame, step: (frame: Frame) => CelValue, budget: CostBudget): CelValue {
  try {
    return metered(() => step(frame));
  } finally {
    budget.charge(frame.cost);
  }
}

/** Binds a variable when it is first read. */
function resolver(
  values: Record<string, unknown>,
  declarations: Readonly<Record<string, CelType>>,
): (name: string) => CelValue {
  const bound = new Map<string, CelValue>();
  return (name) => {
    let value = bound.get(name);
    if (value === undefined) {
      const given = name in values ? values[name] : undefined;
      value =
        given === undefined
          ? fail(`no such attribute(s): ${name}`)
          : bindValue(given, declarations[name] ?? dynType);
      bound.set(name, value);
    }
    return value;
  };
}
