/** The tree of an expression. The checker writes types and what names and calls stand for into it. */
import type { CelType } from '../types.ts';
import type { CelBytes, CelUint } from '../run/values.ts';
import type { Overload } from '../check/functions.ts';

interface Node {
  /** Where errors about this node point to, in UTF-16 units of the source; -1: nowhere. */
  readonly at: number;
  /** Set by the checker. */
  type?: CelType;
}

/** int is bigint, double is number. */
export type LiteralValue = boolean | bigint | number | string | null | CelUint | CelBytes;

export interface Literal extends Node {
  readonly kind: 'literal';
  readonly value: LiteralValue;
}
export interface Ident extends Node {
  readonly kind: 'ident';
  name: string;
  /** Set where the name is that of a type. */
  typeValue?: CelType;
}
export interface Select extends Node {
  readonly kind: 'select';
  readonly operand: Expr;
  readonly field: string;
  /** `has(operand.field)`. */
  readonly testOnly: boolean;
  /** Set by the checker where the whole chain is a dotted name of a variable or type. */
  qualified?: Ident;
}
export interface Call extends Node {
  readonly kind: 'call';
  /** Set to the full name by the checker where the target turns out to be a namespace. */
  name: string;
  target: Expr | undefined;
  readonly args: readonly Expr[];
  /** The overloads that may apply, set by the checker. */
  overloads?: readonly Overload[];
}
export interface ListExpr extends Node {
  readonly kind: 'list';
  readonly elements: readonly Expr[];
  readonly optionals: ReadonlySet<number>;
}
export interface MapEntry {
  readonly key: Expr;
  readonly value: Expr;
  readonly optional: boolean;
}
export interface MapExpr extends Node {
  readonly kind: 'map';
  readonly entries: readonly MapEntry[];
}
export interface StructField {
  readonly at: number;
  readonly name: string;
  readonly value: Expr;
  readonly optional: boolean;
}
export interface StructExpr extends Node {
  readonly kind: 'struct';
  readonly name: string;
  readonly fields: readonly StructField[];
}
/**
 * A loop (cel-spec, Comprehension): `accumulator = init; for (variable[, second] of range) { if (!condition) break;
 * accumulator = step } return result`.
 */
export interface Comprehension extends Node {
  readonly kind: 'comprehension';
  readonly range: Expr;
  readonly variable: string;
  readonly second: string | undefined;
  readonly accumulator: string;
  readonly init: Expr;
  readonly condition: Expr;
  readonly step: Expr;
  readonly result: Expr;
}

export type Expr = Literal | Ident | Select | Call | ListExpr | MapExpr | StructExpr | Comprehension;

/** Names of operators as functions; they stand in messages. */
export const operators = {
  conditional: '_?_:_',
  and: '_&&_',
  or: '_||_',
  not: '!_',
  negate: '-_',
  equals: '_==_',
  notEquals: '_!=_',
  less: '_<_',
  lessEquals: '_<=_',
  greater: '_>_',
  greaterEquals: '_>=_',
  add: '_+_',
  subtract: '_-_',
  multiply: '_*_',
  divide: '_/_',
  modulo: '_%_',
  in: '@in',
  index: '_[_]',
  optionalIndex: '_[?_]',
  optionalSelect: '_?._',
  notStrictlyFalse: '@not_strictly_false',
} as const;

/** Direct children, in the order of evaluation. */
export function childrenOf(node: Expr): readonly Expr[] {
  switch (node.kind) {
    case 'literal':
    case 'ident':
      return [];
    case 'select':
      return node.qualified ? [] : [node.operand];
    case 'call':
      return node.target === undefined ? node.args : [node.target, ...node.args];
    case 'list':
      return node.elements;
    case 'map':
      return node.entries.flatMap((entry) => [entry.key, entry.value]);
    case 'struct':
      return node.fields.map((field) => field.value);
    default:
      return [node.range, node.init, node.condition, node.step, node.result];
  }
}

/** A deep copy without what the checker wrote; for macros that use an argument twice. Calls `count` for each node. */
export function copyOf(node: Expr, count: () => void): Expr {
  count();
  const copy = (child: Expr): Expr => copyOf(child, count);
  switch (node.kind) {
    case 'literal':
    case 'ident':
      return { ...node };
    case 'select':
      return { ...node, operand: copy(node.operand) };
    case 'call':
      return {
        ...node,
        target: node.target === undefined ? undefined : copy(node.target),
        args: node.args.map(copy),
      };
    case 'list':
      return { ...node, elements: node.elements.map(copy) };
    case 'map':
      return {
        ...node,
        entries: node.entries.map((entry) => ({ ...entry, key: copy(entry.key), value: copy(entry.value) })),
      };
    case 'struct':
      return { ...node, fields: node.fields.map((field) => ({ ...field, value: copy(field.value) })) };
    default:
      return {
        ...node,
        range: copy(node.range),
        init: copy(node.init),
        condition: copy(node.condition),
        step: copy(node.step),
        result: copy(node.result),
      };
  }
}
