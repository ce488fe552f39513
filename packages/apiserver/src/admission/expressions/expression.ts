import { type CelProgram, compileCel, type CostBudget } from '../../cel/index.ts';
import type { Library } from '../../cel/check/functions.ts';
import { CelCompileError, CelCostError } from '../../cel/errors.ts';
import type { CelType } from '../../cel/types.ts';

/** The budget of a request is spent: nothing more is evaluated. */
export class OutOfBudget extends Error {
  constructor() {
    super('validation failed due to running out of cost budget, no further validation rules will be run');
    this.name = 'OutOfBudget';
  }
}

/** An expression that was compiled, or what its compiler said. */
export class Expression {
  readonly text: string;
  readonly program: CelProgram | undefined;
  /** Why it cannot be evaluated, in upstream's words. */
  readonly problem: string | undefined;

  /** `allowed`: types it may have (any when empty). */
  constructor(
    text: string,
    declared: Record<string, CelType>,
    allowed: readonly CelType[],
    library?: Library,
  ) {
    this.text = text;
    try {
      const program = compileCel(text, declared, library ? { library } : {});
      const wrong = wrongType(program.outputType, allowed);
      if (wrong === undefined) this.program = program;
      else this.problem = wrong;
    } catch (error) {
      if (!(error instanceof CelCompileError)) throw error;
      this.problem = `compilation failed: ${error.message}`;
    }
  }

  get type(): CelType | undefined {
    return this.program?.outputType;
  }

  /** The value, or what went wrong with it as an Error. Throws `OutOfBudget`. */
  evaluate(values: Record<string, unknown>, budget: CostBudget): unknown {
    if (!this.program) return new Error(`compilation error: ${this.problem}`);
    try {
      return this.program.evaluate(values, budget);
    } catch (error) {
      if (error instanceof CelCostError && error.limit === 'budget') throw new OutOfBudget();
      const why = error instanceof Error ? error.message : String(error);
      return new Error(`expression '${this.text}' resulted in error: ${why}`);
    }
  }
}

/** As cel-go's types print themselves, which is not how its checker prints them. */
const shown = ({ name, params }: CelType): string =>
  params.length === 0 ? name : `${name}(${params.map(shown).join(', ')})`;

function wrongType(found: CelType, allowed: readonly CelType[]): string | undefined {
  if (allowed.length === 0 || allowed.some((type) => shown(type) === shown(found))) return undefined;
  const wanted = allowed.map(shown);
  const list = wanted.length === 1 ? wanted[0] : `one of [${wanted.join(' ')}]`;
  return `must evaluate to ${list} but got ${shown(found)}`;
}

/** Several problems as one (apimachinery: utilerrors.NewAggregate). */
export function aggregate(found: readonly Error[]): Error {
  const texts = [...new Set(found.map((error) => error.message))];
  return new Error(texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`);
}
