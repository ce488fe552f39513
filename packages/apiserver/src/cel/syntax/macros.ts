/** Macros: calls that the parser unfolds (cel-go parser/macro.go, cel/library.go, ext/comprehensions.go, ext/lists.go). */
import { type Call, copyOf, type Expr, type Literal, operators } from './ast.ts';
import { CelSyntaxError } from './lexer.ts';

/** Not writable in source, so that no variable of a user hides it. */
export const accumulatorName = '@result';
const unused = '#unused';

/**
 * How many nodes the macros of one expression have copied. `a.optMap(…)` has `a` twice, so that a chain of a few dozen
 * would fill all memory.
 */
export interface CopyCount {
  nodes: number;
}
export interface MacroContext extends CopyCount {
  /** Whether `cel.bind` is there. */
  readonly bindings: boolean;
}
const maxCopies = 50_000;

/** Builds nodes that all point to the macro's call. */
class Builder {
  readonly at: number;
  readonly #copies: CopyCount;

  constructor(at: number, copies: CopyCount) {
    this.at = at;
    this.#copies = copies;
  }

  copy(node: Expr): Expr {
    return copyOf(node, () => {
      if (++this.#copies.nodes > maxCopies)
        throw new CelSyntaxError(`macros unfold to more than ${maxCopies} nodes`, this.at);
    });
  }

  literal(value: Literal['value']): Expr {
    return { kind: 'literal', value, at: this.at };
  }

  ident(name: string): Expr {
    return { kind: 'ident', name, at: this.at };
  }

  get accumulator(): Expr {
    return this.ident(accumulatorName);
  }

  list(...elements: Expr[]): Expr {
    return { kind: 'list', elements, optionals: new Set(), at: this.at };
  }

  call(name: string, ...args: Expr[]): Call {
    return { kind: 'call', name, target: undefined, args, at: this.at };
  }

  memberCall(name: string, target: Expr, ...args: Expr[]): Call {
    return { kind: 'call', name, target, args, at: this.at };
  }

  /** Evaluates `value` once, at its first use as `name` in `result`. */
  bind(name: string, value: Expr, result: Expr): Expr {
    return {
      kind: 'comprehension',
      range: this.list(),
      variable: unused,
      second: undefined,
      accumulator: name,
      init: value,
      condition: this.literal(false),
      step: this.ident(name),
      result,
      at: this.at,
    };
  }

  fold(range: Expr, [variable, second]: Variables, parts: FoldParts): Expr {
    return {
      kind: 'comprehension',
      range,
      variable,
      second,
      accumulator: accumulatorName,
      at: this.at,
      ...parts,
    };
  }

  /** `predicate ? step : accumulator`, or just `step`. */
  filtered(predicate: Expr | undefined, step: Expr): Expr {
    return predicate === undefined
      ? step
      : this.call(operators.conditional, predicate, step, this.accumulator);
  }
}

type Variables = readonly [string, string | undefined];
interface FoldParts {
  init: Expr;
  condition: Expr;
  step: Expr;
  result: Expr;
}
type Expander = (build: Builder, target: Expr, args: readonly Expr[]) => Expr;

function nameOf(node: Expr, message: string): string {
  if (node.kind !== 'ident') throw new CelSyntaxError(message, node.at);
  if (node.name === accumulatorName || node.name === '__result__')
    throw new CelSyntaxError('iteration variable overwrites accumulator variable', node.at);
  return node.name;
}

const simpleName = 'argument must be a simple name';

function twoNames(first: Expr, second: Expr): Variables {
  for (const node of [first, second])
    if (node.kind !== 'ident') throw new CelSyntaxError(simpleName, node.at);
  const names = [first, second].map((node) => (node as { name: string }).name) as [string, string];
  if (names[0] === names[1]) throw new CelSyntaxError(`duplicate variable name: ${names[0]}`, second.at);
  return [nameOf(first, simpleName), nameOf(second, simpleName)];
}

type Quantifier = 'all' | 'exists' | 'existsOne';

function quantifier(kind: Quantifier, build: Builder, predicate: Expr): FoldParts {
  const { accumulator } = build;
  switch (kind) {
    case 'all':
      return {
        init: build.literal(true),
        condition: build.call(operators.notStrictlyFalse, accumulator),
        step: build.call(operators.and, build.accumulator, predicate),
        result: build.accumulator,
      };
    case 'exists':
      return {
        init: build.literal(false),
        condition: build.call(operators.notStrictlyFalse, build.call(operators.not, accumulator)),
        step: build.call(operators.or, build.accumulator, predicate),
        result: build.accumulator,
      };
    default:
      return {
        init: build.literal(0n),
        condition: build.literal(true),
        step: build.filtered(predicate, build.call(operators.add, accumulator, build.literal(1n))),
        result: build.call(operators.equals, build.accumulator, build.literal(1n)),
      };
  }
}

const collect = (build: Builder, init: Expr, step: Expr): FoldParts => ({
  init,
  condition: build.literal(true),
  step,
  result: build.accumulator,
});

const append = (build: Builder, element: Expr): Expr =>
  build.call(operators.add, build.accumulator, build.list(element));

const oneVariable =
  (kind: Quantifier): Expander =>
  (build, target, [variable, predicate]) =>
    build.fold(
      target,
      [nameOf(variable as Expr, simpleName), undefined],
      quantifier(kind, build, predicate as Expr),
    );

const twoVariables =
  (kind: Quantifier): Expander =>
  (build, target, [first, second, predicate]) =>
    build.fold(target, twoNames(first as Expr, second as Expr), quantifier(kind, build, predicate as Expr));

const notIdentifier = 'argument is not an identifier';

const map: Expander = (build, target, args) => {
  const variable = nameOf(args[0] as Expr, notIdentifier);
  const predicate = args.length === 3 ? args[1] : undefined;
  const step = append(build, args.at(-1) as Expr);
  return build.fold(
    target,
    [variable, undefined],
    collect(build, build.list(), build.filtered(predicate, step)),
  );
};

const filter: Expander = (build, target, [variable, predicate]) => {
  const name = nameOf(variable as Expr, notIdentifier);
  const step = build.filtered(predicate, append(build, variable as Expr));
  return build.fold(target, [name, undefined], collect(build, build.list(), step));
};

const transformList: Expander = (build, target, args) => {
  const names = twoNames(args[0] as Expr, args[1] as Expr);
  const predicate = args.length === 4 ? args[2] : undefined;
  const step = append(build, args.at(-1) as Expr);
  return build.fold(target, names, collect(build, build.list(), build.filtered(predicate, step)));
};

const transformMap =
  (withKey: boolean): Expander =>
  (build, target, args) => {
    const names = twoNames(args[0] as Expr, args[1] as Expr);
    const predicate = args.length === 4 ? args[2] : undefined;
    const key = withKey ? [build.ident(names[0])] : [];
    const step = build.call('cel.@mapInsert', build.accumulator, ...key, args.at(-1) as Expr);
    const init: Expr = { kind: 'map', entries: [], at: build.at };
    return build.fold(target, names, collect(build, init, build.filtered(predicate, step)));
  };

const optionalMap =
  (name: string, wrap: boolean): Expander =>
  (build, target, [variable, mapped]) => {
    if (variable?.kind !== 'ident')
      throw new CelSyntaxError(
        `${name}() variable name must be a simple identifier`,
        variable?.at ?? build.at,
      );
    const value = build.memberCall('value', build.copy(target));
    const bound = build.bind(variable.name, value, mapped as Expr);
    return build.call(
      operators.conditional,
      build.memberCall('hasValue', target),
      wrap ? build.call('optional.of', bound) : bound,
      build.call('optional.none'),
    );
  };

const sortBy: Expander = (build, target, args) => {
  if (target.kind === 'literal' || target.kind === 'map' || target.kind === 'struct')
    throw new CelSyntaxError(
      'sortBy can only be applied to a list, identifier, comprehension, call or select expression',
      target.at,
    );
  const input = '@__sortBy_input__';
  const keys = map(build, build.ident(input), args);
  return build.bind(input, target, build.memberCall('@sortByAssociatedKeys', build.ident(input), keys));
};

const members: Readonly<Record<string, Expander>> = {
  'all/2': oneVariable('all'),
  'exists/2': oneVariable('exists'),
  'exists_one/2': oneVariable('existsOne'),
  'map/2': map,
  'map/3': map,
  'filter/2': filter,
  'all/3': twoVariables('all'),
  'exists/3': twoVariables('exists'),
  'exists_one/3': twoVariables('existsOne'),
  'existsOne/3': twoVariables('existsOne'),
  'transformList/3': transformList,
  'transformList/4': transformList,
  'transformMap/3': transformMap(true),
  'transformMap/4': transformMap(true),
  'transformMapEntry/3': transformMap(false),
  'transformMapEntry/4': transformMap(false),
  'optMap/2': optionalMap('optMap', true),
  'optFlatMap/2': optionalMap('optFlatMap', false),
  'sortBy/2': sortBy,
};

/** `cel.bind(name, value, result)`. */
function bindMacro(build: Builder, [name, value, result]: readonly Expr[]): Expr {
  if (name?.kind !== 'ident')
    throw new CelSyntaxError('cel.bind() variable names must be simple identifiers', name?.at ?? build.at);
  return build.bind(name.name, value as Expr, result as Expr);
}

const isBind = ({ name, target, args }: Call): boolean =>
  name === 'bind' && args.length === 3 && target?.kind === 'ident' && target.name === 'cel';

/** What a call stands for: itself, or what its macro unfolds to. Throws `CelSyntaxError` for a macro's bad argument. */
export function expand(call: Call, context: MacroContext): Expr {
  const build = new Builder(call.at, context);
  if (context.bindings && isBind(call)) return bindMacro(build, call.args);
  if (call.target !== undefined) {
    const expander = members[`${call.name}/${call.args.length}`];
    return expander === undefined ? call : expander(build, call.target, call.args);
  }
  if (call.name !== 'has' || call.args.length !== 1) return call;
  const [field] = call.args;
  if (field?.kind !== 'select')
    throw new CelSyntaxError('invalid argument to has() macro', field?.at ?? call.at);
  return { kind: 'select', operand: field.operand, field: field.field, testOnly: true, at: call.at };
}
