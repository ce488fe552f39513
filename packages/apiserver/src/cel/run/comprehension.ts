/** Loops: what macros unfold to. */
import { type Call, type Comprehension, type Expr, operators } from '../syntax/ast.ts';
import { charge, type Frame, plan, type Plan, type Scope, type Step } from './compile.ts';
import { creationCost } from './cost.ts';
import { formatValue } from './format.ts';
import {
  ArrayList,
  CelFailure,
  CelList,
  CelMap,
  type CelValue,
  fail,
  goTypeOf,
  MapBuilder,
  noSuchOverload,
} from './values.ts';

/** What a loop goes over: what its variables get. */
type Visit = (first: CelValue, second: CelValue) => boolean;

/** Calls `visit` for each round until it says stop. A failure if `range` is nothing to go over. */
function iterate(range: CelValue, two: boolean, visit: Visit): CelFailure | undefined {
  if (range instanceof CelFailure) return range;
  if (range instanceof CelList) {
    let index = 0n;
    for (const element of range) {
      if (!(two ? visit(index, element) : visit(element, element))) break;
      index++;
    }
    return undefined;
  }
  if (!(range instanceof CelMap))
    return fail(
      two
        ? `unsupported comprehension range type: ${goTypeOf(range)}`
        : `got '${goTypeOf(range)}', expected iterable type`,
    );
  for (const key of range.keys()) if (!visit(key, two ? (range.find(key) as CelValue) : key)) break;
  return undefined;
}

/** Slots of a loop, and how its parts see them. */
interface Loop {
  readonly range: Step;
  readonly two: boolean;
  readonly first: number;
  readonly second: number;
  /** Scope of condition and step. */
  readonly inside: Scope;
}

export function planComprehension(node: Comprehension, scope: Scope): Plan {
  const range = plan(node.range, scope);
  const builder = collects(node);
  const accumulator = scope.takeSlot();
  const first = scope.takeSlot();
  const second = scope.takeSlot();
  const init = plan(node.init, scope).step;
  const outer = scope.with(node.accumulator, lazily(accumulator, init));
  let inside = outer.with(node.variable, (frame) => frame.slots[first] as CelValue);
  if (node.second !== undefined)
    inside = inside.with(node.second, (frame) => frame.slots[second] as CelValue);
  const loop: Loop = { range: range.step, two: node.second !== undefined, first, second, inside };
  if (builder === 'list') return { step: listStep(node, loop) };
  if (builder === 'map') return { step: mapStep(node, loop) };
  const condition = plan(node.condition, inside).step;
  const step = plan(node.step, inside).step;
  const result = plan(node.result, outer).step;
  return {
    step: (frame) => {
      const over = loop.range(frame);
      frame.slots[accumulator] = undefined;
      const failure = iterate(over, loop.two, (one, other) => {
        frame.slots[first] = one;
        frame.slots[second] = other;
        const go = condition(frame);
        if (go === false) return false;
        frame.slots[accumulator] = step(frame);
        return true;
      });
      return failure ?? result(frame);
    },
  };
}

/** Evaluates `init` when it is first asked for. */
function lazily(slot: number, init: Step): Step {
  return (frame) => {
    const known = frame.slots[slot];
    if (known !== undefined) return known;
    const value = init(frame);
    frame.slots[slot] = value;
    return value;
  };
}

/** The call that adds to the accumulator, behind a condition or not. */
function addition(node: Comprehension): { predicate: Expr | undefined; call: Call } | undefined {
  const { step } = node;
  if (step.kind !== 'call') return undefined;
  if (step.name !== operators.conditional) return { predicate: undefined, call: step };
  const [predicate, call, otherwise] = step.args as [Expr, Expr, Expr];
  if (call.kind !== 'call' || !isAccumulator(node, otherwise)) return undefined;
  return { predicate, call };
}

const isAccumulator = (node: Comprehension, other: Expr): boolean =>
  other.kind === 'ident' && other.name === node.accumulator;

/** Whether a loop only ever adds to an empty list or map, which then is built in place. */
function collects(node: Comprehension): 'list' | 'map' | undefined {
  const found = addition(node);
  const [target, added] = found?.call.args ?? [];
  if (found === undefined || target === undefined || !isAccumulator(node, target)) return undefined;
  if (!isAccumulator(node, node.result)) return undefined;
  if (found.call.name === 'cel.@mapInsert' && node.init.kind === 'map') return 'map';
  const appends = added?.kind === 'list' && added.elements.length === 1 && added.optionals.size === 0;
  return node.init.kind === 'list' &&
    node.init.elements.length === 0 &&
    found.call.name === operators.add &&
    appends
    ? 'list'
    : undefined;
}

/** Whether a round is to add: the predicate's answer, or its failure. */
function admits(predicate: Step | undefined, frame: Frame): boolean | CelFailure {
  if (predicate === undefined) return true;
  const value = predicate(frame);
  if (typeof value === 'boolean') return value;
  return value instanceof CelFailure ? value : noSuchOverload;
}

/** `map`, `filter`, `transformList`: costs as of `accumulator + [element]` each time. */
function listStep(node: Comprehension, loop: Loop): Step {
  const { predicate, call } = addition(node) as { predicate: Expr | undefined; call: Call };
  const [, list] = call.args as [Expr, { elements: [Expr] } & Expr];
  const admit = predicate === undefined ? undefined : plan(predicate, loop.inside).step;
  const element = plan(list.elements[0], loop.inside);
  const cost = 2 + (element.constant === undefined ? creationCost.list : 0);
  return (frame) => {
    const over = loop.range(frame);
    const values: CelValue[] = [];
    let failed: CelFailure | undefined;
    const failure = iterate(over, loop.two, (one, other) => {
      frame.slots[loop.first] = one;
      frame.slots[loop.second] = other;
      const admitted = admits(admit, frame);
      if (admitted === false) return true;
      if (admitted !== true) {
        failed = admitted;
        return true;
      }
      const value = element.step(frame);
      charge(frame, cost);
      if (value instanceof CelFailure) failed ??= value;
      else values.push(value);
      return true;
    });
    if (failure !== undefined) return failure;
    charge(frame, 1);
    return failed ?? new ArrayList(values);
  };
}

/** `transformMap` and `transformMapEntry`. */
function mapStep(node: Comprehension, loop: Loop): Step {
  const { predicate, call } = addition(node) as { predicate: Expr | undefined; call: Call };
  const admit = predicate === undefined ? undefined : plan(predicate, loop.inside).step;
  const added = call.args.slice(1).map((arg) => plan(arg, loop.inside).step);
  return (frame) => {
    const over = loop.range(frame);
    const builder = new MapBuilder();
    let failed: CelFailure | undefined;
    const failure = iterate(over, loop.two, (one, other) => {
      frame.slots[loop.first] = one;
      frame.slots[loop.second] = other;
      const admitted = admits(admit, frame);
      if (admitted === false) return true;
      if (admitted !== true) failed = admitted;
      else failed = insertion(frame, builder, failed, added);
      return true;
    });
    if (failure !== undefined) return failure;
    charge(frame, 1);
    return failed ?? builder.finish();
  };
}

/** One `cel.@mapInsert`: the accumulator's price, the entry's, the call's. */
function insertion(
  frame: Frame,
  builder: MapBuilder,
  failed: CelFailure | undefined,
  added: readonly Step[],
): CelFailure | undefined {
  charge(frame, 1);
  if (failed !== undefined && added.length > 1) return failed;
  const values = added.map((step) => step(frame));
  charge(frame, 1);
  if (failed !== undefined) return failed;
  for (const value of values) if (value instanceof CelFailure) return value;
  const [first, second] = values as [CelValue, CelValue | undefined];
  if (second !== undefined) return inserted(builder, first, second);
  if (!(first instanceof CelMap)) return noSuchOverload;
  for (const key of first.keys()) {
    const failure = inserted(builder, key, first.find(key) as CelValue);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

const inserted = (builder: MapBuilder, key: CelValue, value: CelValue): CelFailure | undefined =>
  builder.insert(key, value) ? undefined : fail(`insert failed: key ${formatValue(key)} already exists`);
