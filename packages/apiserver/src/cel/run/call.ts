/** Calls of operators and functions: evaluation, choice of the overload, cost. */
import { CelProgramError } from '../errors.ts';
import type { Overload } from '../check/functions.ts';
import { type Call, type Expr, operators } from '../syntax/ast.ts';
import type { CelType } from '../types.ts';
import { add, divide, isReceiver, modulo, multiply, negate, subtract } from './arithmetic.ts';
import { compare, contains, equal } from './compare.ts';
import { charge, constantPlan, plan, type Plan, type Scope, type Step } from './compile.ts';
import { type CallCost, callCost, equalityCost, inequalityCost } from './cost.ts';
import { constantPattern } from './patterns.ts';
import {
  CelFailure,
  CelList,
  CelMap,
  CelOptional,
  type CelValue,
  fail,
  noSuchOverload,
  typeNameOf,
} from './values.ts';
import { keyOf } from './values.ts';

/** Calls of these with a constant are evaluated when the program is made. */
const conversions = new Set('bool bytes double duration dyn int string timestamp type uint'.split(' '));

type Binary = (left: CelValue, right: CelValue) => CelValue;

const ordered =
  (name: string, holds: (order: number) => boolean): Binary =>
  (left, right) => {
    const order = compare(left, right);
    if (typeof order === 'number') return holds(order);
    return order === noSuchOverload && !comparable.has(typeNameOf(left))
      ? fail(`no such overload: ${name}`)
      : order;
  };
const comparable = new Set(
  'bool int uint double string bytes google.protobuf.Timestamp google.protobuf.Duration'.split(' '),
);

const binaries: Readonly<Record<string, Binary>> = {
  [operators.add]: add,
  [operators.subtract]: subtract,
  [operators.multiply]: multiply,
  [operators.divide]: divide,
  [operators.modulo]: modulo,
  [operators.equals]: equal,
  [operators.notEquals]: (left, right) => {
    const same = equal(left, right);
    return same instanceof CelFailure ? true : !same;
  },
  [operators.less]: ordered(operators.less, (order) => order < 0),
  [operators.lessEquals]: ordered(operators.lessEquals, (order) => order <= 0),
  [operators.greater]: ordered(operators.greater, (order) => order > 0),
  [operators.greaterEquals]: ordered(operators.greaterEquals, (order) => order >= 0),
  [operators.in]: (value, container) => {
    if (container instanceof CelList) return contains(container, value);
    if (!(container instanceof CelMap)) return noSuchOverload;
    const found = container.find(value);
    return found instanceof CelFailure ? found : found !== undefined;
  },
};

const unaries: Readonly<Record<string, (value: CelValue) => CelValue>> = {
  [operators.negate]: negate,
  [operators.not]: (value) => (typeof value === 'boolean' ? !value : noSuchOverload),
};

/** Compiles a call that is no index and no ternary. */
export function planCall(node: Call, scope: Scope): Plan {
  const operands = node.target === undefined ? node.args : [node.target, ...node.args];
  const args = operands.map((arg) => plan(arg, scope));
  const [first, second] = args as [Plan, Plan];
  switch (node.name) {
    case operators.and:
      return { step: logical(first.step, second.step, false) };
    case operators.or:
      return { step: logical(first.step, second.step, true) };
    case operators.notStrictlyFalse:
      return { step: notStrictlyFalse(first.step) };
    case 'or':
    case 'orValue':
      return { step: alternative(node.name, first.step, second.step) };
    case operators.in:
      return planIn(node, first, second);
  }
  if (args.length === 1 && conversions.has(node.name) && first.constant !== undefined)
    return converted(node, first.constant.value);
  return { step: callStep(node, operands, args) };
}

function converted(node: Call, argument: CelValue): Plan {
  const value = implementationOf(node, node.args)([argument]);
  if (value instanceof CelFailure) throw new CelProgramError(value.message);
  return constantPlan(value);
}

function logical(left: Step, right: Step, decisive: boolean): Step {
  return (frame) => {
    const a = left(frame);
    if (a === decisive) return decisive;
    const b = right(frame);
    if (b === decisive) return decisive;
    for (const value of [a, b])
      if (typeof value !== 'boolean') return value instanceof CelFailure ? value : noSuchOverload;
    return !decisive;
  };
}

function notStrictlyFalse(operand: Step): Step {
  return (frame) => {
    const value = operand(frame);
    charge(frame, 1);
    return value !== false;
  };
}

function alternative(name: string, left: Step, right: Step): Step {
  return (frame) => {
    const value = left(frame);
    if (!(value instanceof CelOptional)) return value;
    if (value.value === undefined) return right(frame);
    return name === 'or' ? value : value.value;
  };
}

const isPrimitive = (value: CelValue): boolean =>
  (typeof value !== 'object' && value !== null) || (value !== null && typeNameOf(value) === 'uint');

/** Whether a constant list holds a value is looked up, at no cost. */
function planIn(node: Call, value: Plan, container: Plan): Plan {
  const list = container.constant?.value;
  if (overloadOf(node) === 'in_list' && list instanceof CelList) {
    const elements = [...list];
    if (elements.length === 0) return constantPlan(false);
    if (elements.every(isPrimitive)) {
      const known = new Set(elements.map(keyOf));
      return {
        step: (frame) => {
          const wanted = value.step(frame);
          return wanted instanceof CelFailure ? wanted : known.has(keyOf(wanted));
        },
      };
    }
  }
  return { step: callStep(node, node.args, [value, container]) };
}

const overloadOf = (node: Call): string | undefined =>
  node.overloads?.length === 1 ? node.overloads[0]?.id : undefined;

function callStep(node: Call, operands: readonly Expr[], args: readonly Plan[]): Step {
  const steps = args.map((arg) => arg.step);
  const binary = binaries[node.name];
  const cost = costOf(node);
  if (binary !== undefined) return binaryStep(steps as [Step, Step], binary, cost);
  const pattern = args[1]?.constant?.value;
  const call =
    (typeof pattern === 'string' ? constantPattern(node.name, pattern) : undefined) ??
    implementationOf(node, operands);
  if (steps.length === 1) return unaryStep(steps[0] as Step, call, cost);
  // cel-go stops at the first failed operand here, and then the call has no price.
  const stops = steps.length > 2 || (node.overloads?.length ?? 0) > 1;
  return (frame) => {
    const values: CelValue[] = [];
    let failure: CelFailure | undefined;
    for (const step of steps) {
      const value = step(frame);
      values.push(value);
      if (value instanceof CelFailure) failure ??= value;
      if (failure !== undefined && stops) break;
    }
    const result = failure ?? call(values);
    if (values.length === steps.length) charge(frame, cost(values, result));
    return result;
  };
}

function costOf(node: Call): CallCost {
  if (node.name === operators.equals) return equalityCost;
  if (node.name === operators.notEquals) return inequalityCost;
  return callCost(node.name, overloadOf(node));
}

function binaryStep([left, right]: readonly [Step, Step], apply: Binary, cost: CallCost): Step {
  return (frame) => {
    const a = left(frame);
    const b = right(frame);
    const result = a instanceof CelFailure ? a : b instanceof CelFailure ? b : apply(a, b);
    charge(frame, cost([a, b], result));
    return result;
  };
}

function unaryStep(operand: Step, call: (args: CelValue[]) => CelValue, cost: CallCost): Step {
  return (frame) => {
    const value = operand(frame);
    const result = value instanceof CelFailure ? value : call([value]);
    charge(frame, cost([value], result));
    return result;
  };
}

/** Whether a value can be of a declared type, as far as it and its first element tell. */
function accepts(type: CelType, value: CelValue): boolean {
  if (type.kind === 'list' && value instanceof CelList)
    return value.size === 0 || accepts(type.params[0] as CelType, value.at(0));
  return (
    type.kind === 'dyn' || type.kind === 'any' || type.kind === 'param' || type.name === typeNameOf(value)
  );
}

/** Evaluates a call of a function; where the checker left a choice, or operands are dyn, values decide. */
function implementationOf(node: Call, operands: readonly Expr[]): (args: CelValue[]) => CelValue {
  const unary = unaries[node.name];
  if (unary !== undefined) return ([value]) => unary(value as CelValue);
  const overloads = (node.overloads ?? []).filter((overload) => overload.call !== undefined);
  const [only] = overloads;
  if (overloads.length === 1 && only !== undefined && isCertain(only, operands))
    return (args) => (only.call as NonNullable<Overload['call']>)(...args);
  return (args) => {
    const chosen =
      unguarded(node.name, overloads, args) ??
      overloads.find((overload) => overload.args.every((type, i) => accepts(type, args[i] as CelValue)));
    if (chosen?.call !== undefined) return chosen.call(...args);
    return refused(node, args);
  };
}

/** Functions that cel-go dispatches by what a value can do. */
const dispatched = new Set(['size', 'sort', '@sortByAssociatedKeys']);
/** Functions whose values cel-go does not compare with the declared types. */
const textual = new Set(['contains', 'endsWith', 'startsWith', 'matches']);
const ofLists = new Set(['flatten', '@sortByAssociatedKeys']);

/** The overload of a function of lists, whatever the lists hold. */
function unguarded(
  name: string,
  overloads: readonly Overload[],
  args: readonly CelValue[],
): Overload | undefined {
  if (!ofLists.has(name) || !(args[0] instanceof CelList)) return undefined;
  const given = overloads.find((overload) => overload.args.length === args.length);
  return given?.args.every((type, i) => type.kind === 'list' || accepts(type, args[i] as CelValue)) &&
    given.args.every((type, i) => type.kind !== 'list' || args[i] instanceof CelList)
    ? given
    : undefined;
}

function refused(node: Call, args: readonly CelValue[]): CelFailure {
  if (textual.has(node.name)) return noSuchOverload;
  if (!dispatched.has(node.name))
    return fail(`no such overload: ${node.name}(${args.map(typeNameOf).join(', ')})`);
  return isReceiver(args[0] as CelValue) ? noSuchOverload : fail(`no such overload: ${node.name}`);
}

/** The static types of the operands leave no doubt. */
const isCertain = (overload: Overload, operands: readonly Expr[]): boolean =>
  overload.args.every((type, i) => covers(type, operands[i]?.type));

const covers = (wanted: CelType, given: CelType | undefined): boolean =>
  wanted.kind === 'param' ||
  wanted.kind === 'dyn' ||
  (wanted.name === given?.name && wanted.params.every((param, i) => covers(param, given.params[i])));
