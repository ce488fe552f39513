/**
 * A checked tree → closures that evaluate it and count its cost to the unit as cel-go does (interpreter/planner.go,
 * interpretable.go, runtimecost.go). A chain of names, fields and indices is one step, an attribute: it costs one, and
 * one for each field and index. An attribute that only serves as index or as branch of a ternary costs nothing itself.
 */
import { CelCostError } from '../errors.ts';
import type { Call, Expr, Ident, ListExpr, MapExpr, Select, StructExpr } from '../syntax/ast.ts';
import { operators } from '../syntax/ast.ts';
import { planCall } from './call.ts';
import { planComprehension } from './comprehension.ts';
import { creationCost } from './cost.ts';
import { checkKey, find, get } from './qualify.ts';
import {
  ArrayList,
  CelFailure,
  CelMap,
  CelOptional,
  CelTypeValue,
  type CelValue,
  EntryMap,
  fail,
  noSuchOverload,
} from './values.ts';
import { formatValue } from './format.ts';

/** One evaluation. */
export interface Frame {
  cost: number;
  readonly limit: number;
  /** Variables of macros, by the slots that were given out at compile time. */
  readonly slots: Array<CelValue | undefined>;
  /** The value of a declared variable; a failure where none was given. */
  readonly variable: (name: string) => CelValue;
}

export type Step = (frame: Frame) => CelValue;

/** Counts cost. Throws `CelCostError` beyond the frame's limit. */
export function charge(frame: Frame, cost: number): void {
  frame.cost += cost;
  if (frame.cost > frame.limit) throw new CelCostError('call');
}

/** Selects something in a value. */
interface Qualifier {
  readonly optional: boolean;
  readonly testOnly: boolean;
  readonly key: Step;
}

interface Attribute {
  /** The value to select in, or where to go on. */
  readonly base: Step | Conditional;
  readonly qualifiers: readonly Qualifier[];
}

interface Conditional {
  readonly condition: Step;
  readonly ifTrue: Attribute;
  readonly ifFalse: Attribute;
}

/** A compiled node. */
export interface Plan {
  readonly step: Step;
  readonly attribute?: Attribute;
  /** Known before evaluation, at no cost. */
  readonly constant?: { readonly value: CelValue };
}

export const constantPlan = (value: CelValue): Plan => ({ step: () => value, constant: { value } });

/** What is in scope at a place of the tree, and how many slots are taken. */
export class Scope {
  readonly #parent: Scope | undefined;
  readonly #name: string;
  readonly #read: Step;
  readonly #taken: { count: number };

  private constructor(parent: Scope | undefined, name: string, read: Step, taken: { count: number }) {
    this.#parent = parent;
    this.#name = name;
    this.#read = read;
    this.#taken = taken;
  }

  static root(): Scope {
    return new Scope(undefined, '', () => null, { count: 0 });
  }

  /** How many slots a frame needs. */
  get slots(): number {
    return this.#taken.count;
  }

  takeSlot(): number {
    return this.#taken.count++;
  }

  /** With `name` read by `read`. */
  with(name: string, read: Step): Scope {
    return new Scope(this, name, read, this.#taken);
  }

  find(name: string): Step | undefined {
    if (this.#parent === undefined) return undefined;
    return this.#name === name ? this.#read : this.#parent.find(name);
  }
}

/** Compiles a node. Throws `CelProgramError` for constants that cannot be. */
export function plan(node: Expr, scope: Scope): Plan {
  switch (node.kind) {
    case 'literal':
      return constantPlan(node.value);
    case 'ident':
      return planIdent(node, scope);
    case 'select':
      return node.qualified === undefined ? planSelect(node, scope) : planIdent(node.qualified, scope);
    case 'call':
      return planAnyCall(node, scope);
    case 'list':
      return planList(node, scope);
    case 'map':
      return planMap(node, scope);
    case 'struct':
      return planStruct(node, scope);
    default:
      return planComprehension(node, scope);
  }
}

function planIdent(node: Ident, scope: Scope): Plan {
  if (node.typeValue !== undefined) return constantPlan(new CelTypeValue(node.typeValue));
  const { name } = node;
  const read = scope.find(name) ?? ((frame: Frame) => frame.variable(name));
  return attributePlan({ base: read, qualifiers: [] });
}

export const attributeOf = (of: Plan): Attribute => of.attribute ?? { base: of.step, qualifiers: [] };

/** The plan of an attribute. Ternaries have no price of their own. */
function attributePlan(attribute: Attribute): Plan {
  const resolve = resolverOf(attribute);
  if (typeof attribute.base !== 'function') return { step: resolve, attribute };
  return {
    attribute,
    step: (frame) => {
      const value = resolve(frame);
      charge(frame, 1);
      return value;
    },
  };
}

/** Reads an attribute without its own price; fields and indices on the way have theirs. */
function resolverOf({ base, qualifiers }: Attribute): Step {
  if (typeof base !== 'function') return conditionalResolver(base, qualifiers);
  if (qualifiers.length === 0) return base;
  if (qualifiers.some((qualifier) => qualifier.optional || qualifier.testOnly))
    return (frame) => qualified(frame, base(frame), qualifiers);
  if (qualifiers.length === 1) {
    const { key } = qualifiers[0] as Qualifier;
    return (frame) => {
      const value = base(frame);
      if (value instanceof CelFailure) return value;
      if (value instanceof CelOptional) return qualified(frame, value, qualifiers);
      return selected(frame, value, key);
    };
  }
  return (frame) => {
    const value = base(frame);
    if (value instanceof CelFailure || value instanceof CelOptional)
      return qualified(frame, value, qualifiers);
    let inner: CelValue = value;
    for (const { key } of qualifiers) {
      inner = selected(frame, inner, key);
      if (inner instanceof CelFailure) return inner;
    }
    return inner;
  };
}

function selected(frame: Frame, value: CelValue, key: Step): CelValue {
  const by = checkKey(key(frame));
  const inner = by instanceof CelFailure ? by : get(value, by);
  charge(frame, 1);
  return inner;
}

function conditionalResolver(
  { condition, ifTrue, ifFalse }: Conditional,
  qualifiers: readonly Qualifier[],
): Step {
  const branches = [ifTrue, ifFalse].map((branch) =>
    resolverOf({ base: branch.base, qualifiers: [...branch.qualifiers, ...qualifiers] }),
  );
  const [whenTrue, whenFalse] = branches as [Step, Step];
  return (frame) => {
    const value = condition(frame);
    if (value === true) return whenTrue(frame);
    if (value === false) return whenFalse(frame);
    return value instanceof CelFailure ? value : noSuchOverload;
  };
}

/** All cases: optionals, `?.`, `[?]` and has(). */
function qualified(frame: Frame, start: CelValue, qualifiers: readonly Qualifier[]): CelValue {
  let value = start;
  let optional = false;
  if (value instanceof CelOptional) {
    if (value.value === undefined) return value;
    value = value.value;
    optional = true;
  }
  if (value instanceof CelFailure) return value;
  for (const qualifier of qualifiers) {
    optional ||= qualifier.optional;
    const key = checkKey(qualifier.key(frame));
    let found: CelValue | undefined = key instanceof CelFailure ? key : find(value, key);
    if (!optional && found === undefined)
      found = qualifier.testOnly ? false : key instanceof CelFailure ? key : get(value, key);
    else if (!optional && qualifier.testOnly && !(found instanceof CelFailure)) found = true;
    if (!optional || (found !== undefined && !(found instanceof CelFailure))) charge(frame, 1);
    if (found === undefined) return CelOptional.none;
    if (found instanceof CelFailure) return found;
    value = found;
  }
  return optional ? CelOptional.of(value) : value;
}

function withQualifier(operand: Plan, qualifier: Qualifier): Attribute {
  const attribute = attributeOf(operand);
  return { base: attribute.base, qualifiers: [...attribute.qualifiers, qualifier] };
}

function planSelect(node: Select, scope: Scope): Plan {
  const operand = plan(node.operand, scope);
  const key: Step = () => node.field;
  const attribute = withQualifier(operand, { optional: false, testOnly: node.testOnly, key });
  if (!node.testOnly) return attributePlan(attribute);
  const resolve = resolverOf(attribute);
  const step: Step = (frame) => {
    const value = resolve(frame);
    return value instanceof CelOptional ? value.value !== undefined : value;
  };
  return { step, attribute: { base: step, qualifiers: [] } };
}

function planIndex(node: Call, scope: Scope): Plan {
  const [operandNode, indexNode] = node.args as [Expr, Expr];
  const operand = plan(operandNode, scope);
  const index = plan(indexNode, scope);
  const key = index.attribute === undefined ? index.step : resolverOf(index.attribute);
  const optional = node.name !== operators.index;
  return attributePlan(withQualifier(operand, { optional, testOnly: false, key }));
}

function planConditional(node: Call, scope: Scope): Plan {
  const [condition, ifTrue, ifFalse] = node.args.map((arg) => plan(arg, scope)) as [Plan, Plan, Plan];
  const base: Conditional = {
    condition: condition.step,
    ifTrue: attributeOf(ifTrue),
    ifFalse: attributeOf(ifFalse),
  };
  return attributePlan({ base, qualifiers: [] });
}

function planAnyCall(node: Call, scope: Scope): Plan {
  switch (node.name) {
    case operators.index:
    case operators.optionalIndex:
    case operators.optionalSelect:
      return planIndex(node, scope);
    case operators.conditional:
      return planConditional(node, scope);
    default:
      return planCall(node, scope);
  }
}

function planList(node: ListExpr, scope: Scope): Plan {
  const elements = node.elements.map((element) => plan(element, scope));
  const steps = elements.map((element) => element.step);
  const build = (frame: Frame): CelValue => {
    const values: CelValue[] = [];
    for (let i = 0; i < steps.length; i++) {
      const value = (steps[i] as Step)(frame);
      if (value instanceof CelFailure) return value;
      if (!node.optionals.has(i)) values.push(value);
      else if (!(value instanceof CelOptional))
        return fail(`cannot initialize optional list element from non-optional value ${formatValue(value)}`);
      else if (value.value !== undefined) values.push(value.value);
    }
    return new ArrayList(values);
  };
  return created(elements, build, creationCost.list);
}

function planMap(node: MapExpr, scope: Scope): Plan {
  const entries = node.entries.map((entry) => ({
    key: plan(entry.key, scope),
    value: plan(entry.value, scope),
    optional: entry.optional,
  }));
  const build = (frame: Frame): CelValue => {
    const values: Array<readonly [CelValue, CelValue]> = [];
    for (const entry of entries) {
      const key = entry.key.step(frame);
      if (key instanceof CelFailure) return key;
      const value = entry.value.step(frame);
      if (value instanceof CelFailure) return value;
      if (!entry.optional) values.push([key, value]);
      else if (!(value instanceof CelOptional))
        return fail(
          `cannot initialize optional entry '${formatValue(key)}' from non-optional value ${formatValue(value)}`,
        );
      else if (value.value !== undefined) values.push([key, value.value]);
    }
    return EntryMap.of(values);
  };
  return created(
    entries.flatMap((entry) => [entry.key, entry.value]),
    build,
    creationCost.map,
  );
}

/** Fails where the type refuses the values of its fields. */
function planStruct(node: StructExpr, scope: Scope): Plan {
  const fields = node.fields.map(({ name, value, optional }) => ({
    name,
    optional,
    value: plan(value, scope).step,
  }));
  const create = node.type?.create;
  const build = (frame: Frame): CelValue => {
    const values = new Map<string, CelValue>();
    for (const { name, value: step, optional } of fields) {
      const value = step(frame);
      if (value instanceof CelFailure) return value;
      if (!optional) values.set(name, value);
      else if (!(value instanceof CelOptional))
        return fail(
          `cannot initialize optional entry '${name}' from non-optional value ${formatValue(value)}`,
        );
      else if (value.value === undefined) values.delete(name);
      else values.set(name, value.value);
    }
    return create?.(values) ?? fail(`unknown type: ${node.name}`);
  };
  return {
    step: (frame) => {
      const value = build(frame);
      charge(frame, creationCost.message);
      return value;
    },
  };
}

const noFrame: Frame = { cost: 0, limit: Infinity, slots: [], variable: () => null };

/** A list or map; of constants alone it is a constant itself. */
function created(parts: readonly Plan[], build: Step, cost: number): Plan {
  if (parts.every((part) => part.constant !== undefined)) return constantPlan(build(noFrame));
  return {
    step: (frame) => {
      const value = build(frame);
      charge(frame, cost);
      return value;
    },
  };
}

export type { CelMap };
