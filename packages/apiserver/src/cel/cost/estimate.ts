/**
 * Costs before any value is known (cel-go checker/cost.go): every operation's, times how often loops go round at
 * most, by what schemas say about sizes.
 */
import { accumulatorName } from '../syntax/macros.ts';
import { type Call, type Comprehension, type Expr, operators } from '../syntax/ast.ts';
import { CelBytes, textSize } from '../run/values.ts';
import { type CelType, isOptional } from '../types.ts';
import { type CallEstimate, estimateCall, type Operand } from './call-estimates.ts';
import { exactly, multiply, nothing, plus, type Range, union, unknownSize } from './sizes.ts';

/** The least and the most that an evaluation costs, in CEL's units; `max` is `unbounded` where nothing bounds it. */
export type CostEstimate = Range;

/** Sizes of what a list or map holds. */
interface EntrySize {
  readonly container: 'list' | 'map';
  readonly key: Range;
  readonly value: Range;
}

/**
 * The part of a schema that a value is of; null for one that the schema does not have, undefined for a value that is
 * computed. As upstream has it, a part of a computed value is taken for a part of the whole schema, and so is every
 * name that no macro declares.
 */
type Source = CelType | null | undefined;

interface Local {
  readonly source: Source;
  readonly size: Range | undefined;
  readonly entries: EntrySize | undefined;
}

const access = exactly(1);
const costs = { list: exactly(10), map: exactly(30), struct: exactly(40) } as const;

/** Estimates a checked tree; sizes come with the type `sized` of the variable that has any. */
export function estimate(root: Expr, sized: CelType | undefined): CostEstimate {
  return new Estimator(sized).cost(root);
}

class Estimator {
  readonly #root: Source;
  readonly #locals = new Map<string, Local[]>();
  readonly #sources = new Map<Expr, Source>();
  readonly #sizes = new Map<Expr, Range>();
  readonly #entries = new Map<Expr, EntrySize>();

  constructor(sized: CelType | undefined) {
    this.#root = sized;
  }

  cost(node: Expr): Range {
    switch (node.kind) {
      case 'literal':
        return nothing;
      case 'ident':
        this.#sources.set(node, this.#identSource(node.name));
        return access;
      case 'select':
        return this.#select(node);
      case 'call':
        return this.#call(node);
      case 'list':
        return this.#list(node);
      case 'map':
        return this.#map(node);
      case 'struct':
        return plus(costs.struct, ...node.fields.map((field) => this.cost(field.value)));
      default:
        return isBinding(node) ? this.#binding(node) : this.#loop(node);
    }
  }

  #local(name: string): Local | undefined {
    return this.#locals.get(name)?.at(-1);
  }

  #identSource(name: string): Source {
    const local = this.#local(name);
    return local === undefined ? this.#root : local.source;
  }

  #sourceOf(node: Expr): Source {
    if (node.kind === 'ident') {
      const local = this.#local(node.name);
      if (local !== undefined) return local.source;
    }
    return this.#sources.get(node);
  }

  /** What is at a place inside a value. */
  #inside(source: Source, part: (type: CelType) => CelType | undefined): Source {
    if (source === undefined) return this.#root;
    return source === null ? null : (part(source) ?? null);
  }

  #select(node: Expr & { kind: 'select' }): Range {
    if (node.qualified !== undefined) {
      this.#sources.set(node, this.#identSource(node.qualified.name));
      return access;
    }
    const operand = this.cost(node.operand);
    if (node.testOnly) return operand;
    const kind = node.operand.type?.kind;
    const source = this.#sourceOf(node.operand);
    this.#sources.set(
      node,
      this.#inside(source, (type) => type.fields?.get(node.field)?.type),
    );
    return kind === 'map' || kind === 'object' || kind === 'param' ? plus(operand, access) : operand;
  }

  #list(node: Expr & { kind: 'list' }): Range {
    let sum = costs.list;
    let value: Range | undefined;
    for (const element of node.elements) {
      sum = plus(sum, this.cost(element));
      value = joined(value, this.#sizeOrUnknown(element));
    }
    this.#entries.set(node, { container: 'list', key: exactly(1), value: value ?? nothing });
    return sum;
  }

  #map(node: Expr & { kind: 'map' }): Range {
    let sum = costs.map;
    let key: Range | undefined;
    let value: Range | undefined;
    for (const entry of node.entries) {
      sum = plus(sum, this.cost(entry.key), this.cost(entry.value));
      key = joined(key, this.#sizeOrUnknown(entry.key));
      value = joined(value, this.#sizeOrUnknown(entry.value));
    }
    this.#entries.set(node, { container: 'map', key: key ?? nothing, value: value ?? nothing });
    return sum;
  }

  /** The size of a node's value: computed, of a literal, by its schema, by its type. */
  #size(node: Expr): Range | undefined {
    const known = this.#sizes.get(node) ?? literalSize(node);
    if (known !== undefined) return known;
    const source = this.#sourceOf(node);
    if (source) return { min: 0, max: source.maxElements ?? 0 };
    if (node.type !== undefined && isScalar(node.type)) return exactly(1);
    return node.kind === 'ident' ? this.#local(node.name)?.size : undefined;
  }

  #sizeOrUnknown(node: Expr): Range {
    return this.#size(node) ?? unknownSize;
  }

  #entriesOf(node: Expr): EntrySize | undefined {
    const known = this.#entries.get(node);
    if (known !== undefined) return known;
    return node.kind === 'ident' ? this.#local(node.name)?.entries : undefined;
  }

  #push(name: string, local: Local): void {
    const known = this.#locals.get(name);
    if (known === undefined) this.#locals.set(name, [local]);
    else known.push(local);
  }

  #pop(name: string): void {
    this.#locals.get(name)?.pop();
  }

  #operand(node: Expr): Operand {
    const source = this.#sourceOf(node);
    const element = source === undefined ? undefined : this.#inside(source, elementOf);
    return {
      type: node.type as CelType,
      size: this.#size(node),
      elementSize: () => (element ? { min: 0, max: element.maxElements ?? 0 } : undefined),
      literal: node.kind === 'literal' && typeof node.value === 'bigint' ? node.value : undefined,
    };
  }

  #call(node: Call): Range {
    const argCosts = node.args.map((arg) => this.cost(arg));
    const args = node.args.map((arg) => this.#operand(arg));
    if (node.name === 'dyn') {
      this.#copy(node, node.args[0] as Expr);
      return plus(exactly(1), argCosts[0] as Range);
    }
    const targetCost = node.target === undefined ? nothing : this.cost(node.target);
    const target = node.target === undefined ? undefined : this.#operand(node.target);
    let cost: Range | undefined;
    let size: Range | undefined;
    for (const { id } of node.overloads ?? []) {
      const { cost: own, result } = this.#overload(node, id, target, args, argCosts);
      cost = joined(cost, own);
      if (result !== undefined) size = joined(size, result);
      size = this.#indexed(node, id, size) ?? size ?? this.#size(node);
    }
    if (cost === undefined) return nothing;
    if (size !== undefined) this.#sizes.set(node, size);
    return plus(targetCost, cost);
  }

  /** Of one overload, with its operands. */
  #overload(
    node: Call,
    id: string,
    target: Operand | undefined,
    args: readonly Operand[],
    argCosts: readonly Range[],
  ): CallEstimate {
    if (node.name === operators.and || node.name === operators.or) {
      const [left, right] = argCosts as [Range, Range];
      return { cost: { min: left.min, max: plus(left, right).max } };
    }
    if (node.name === operators.conditional) return this.#conditional(node, argCosts);
    if (node.name === operators.add) this.#joinEntries(node, node.args);
    const call = estimateCall(node.name, id, target, args);
    return { ...call, cost: plus(call.cost, ...argCosts) };
  }

  #conditional(node: Call, [condition, ifTrue, ifFalse]: readonly Range[]): CallEstimate {
    const [, left, right] = node.args as [Expr, Expr, Expr];
    this.#joinEntries(node, [left, right]);
    return {
      cost: plus(condition as Range, union(ifTrue as Range, ifFalse as Range)),
      result: union(this.#sizeOrUnknown(left), this.#sizeOrUnknown(right)),
    };
  }

  #joinEntries(node: Expr, parts: readonly Expr[]): void {
    const [left, right] = parts.map((part) => this.#entriesOf(part));
    if (left === undefined || right === undefined) return;
    this.#entries.set(node, {
      container: left.container,
      key: union(left.key, right.key),
      value: union(left.value, right.value),
    });
  }

  /** An index leads to the elements of a list or the values of a map. */
  #indexed(node: Call, id: string, size: Range | undefined): Range | undefined {
    if (id !== 'index_list' && id !== 'index_map') return undefined;
    const container = node.args[0] as Expr;
    this.#sources.set(node, this.#inside(this.#sourceOf(container), elementOf));
    return this.#entriesOf(container)?.value ?? (size === undefined ? this.#size(node) : undefined);
  }

  #copy(to: Expr, from: Expr): void {
    const size = this.#size(from);
    if (size !== undefined) this.#sizes.set(to, size);
    const entries = this.#entriesOf(from);
    if (entries !== undefined) this.#entries.set(to, entries);
  }

  #bind(name: string, value: Expr): void {
    this.#push(name, {
      source: this.#sourceOf(value),
      size: this.#size(value),
      entries: this.#entriesOf(value),
    });
  }

  #binding(node: Comprehension): Range {
    const before = plus(this.cost(node.range), this.cost(node.init));
    this.#bind(node.accumulator, node.init);
    const result = this.cost(node.result);
    this.#pop(node.accumulator);
    this.#copy(node, node.result);
    return plus(before, result);
  }

  #loop(node: Comprehension): Range {
    let sum = plus(this.cost(node.range), this.cost(node.init));
    this.#bind(node.accumulator, node.init);
    this.#iteration(node);
    const round = plus(this.cost(node.condition), this.cost(node.step));
    this.#pop(node.variable);
    if (node.second !== undefined) this.#pop(node.second);
    sum = plus(sum, this.cost(node.result));
    this.#pop(node.accumulator);
    const rounds = this.#sizeOrUnknown(node.range);
    if (node.init.kind === 'literal') this.#sizes.set(node, exactly(1));
    else if (node.init.kind === 'list' || node.init.kind === 'map') {
      this.#sizes.set(node, rounds);
      const entries = this.#entriesOf(node.step);
      if (entries !== undefined) this.#entries.set(node, entries);
    }
    return plus(sum, multiply(rounds, round));
  }

  #iteration(node: Comprehension): void {
    const entries = this.#entriesOf(node.range);
    const container = entries?.container ?? node.range.type?.kind;
    const source = this.#sourceOf(node.range);
    const keySource = this.#inside(source, (type) => (type.kind === 'map' ? type.params[0] : undefined));
    const key: Local = { source: keySource, size: entries?.key, entries: undefined };
    const value: Local = {
      source: this.#inside(source, elementOf),
      size: entries?.value,
      entries: undefined,
    };
    if (node.second === undefined) {
      this.#push(node.variable, container === 'list' ? value : key);
      return;
    }
    this.#push(node.variable, key);
    this.#push(node.second, value);
  }
}

/** `optMap` and the like: a loop that never goes round. */
const isBinding = ({ range, condition, accumulator }: Comprehension): boolean =>
  range.kind === 'list' &&
  range.elements.length === 0 &&
  condition.kind === 'literal' &&
  condition.value === false &&
  accumulator !== accumulatorName;

const joined = (sum: Range | undefined, range: Range): Range =>
  sum === undefined ? range : union(sum, range);

const elementOf = (type: CelType): CelType | undefined =>
  type.kind === 'list' || type.kind === 'map' ? type.params.at(-1) : undefined;

function literalSize(node: Expr): Range | undefined {
  switch (node.kind) {
    case 'literal':
      if (typeof node.value === 'string') return exactly(textSize(node.value));
      return exactly(node.value instanceof CelBytes ? node.value.bytes.length : 1);
    case 'list':
      return exactly(node.elements.length);
    case 'map':
      return exactly(node.entries.length);
    default:
      return undefined;
  }
}

const scalars = new Set(['bool', 'double', 'duration', 'int', 'timestamp', 'uint']);

function isScalar(type: CelType): boolean {
  if (isOptional(type)) return isScalar(type.params[0] as CelType);
  return scalars.has(type.kind);
}
