/** What cel-go's validators find in a checked tree (cel/validator.go, ext/formatting.go). */
import { patternOf } from '../run/patterns.ts';
import { CelFailure, type CelValue, typeNameOf } from '../run/values.ts';
import type { Call, Expr, ListExpr, MapExpr } from '../syntax/ast.ts';
import { childrenOf } from '../syntax/ast.ts';
import { type CelType, formatType, isOptional } from '../types.ts';
import { clausesOf, FormatError, refusals, wrongValue } from '../lib/string-format.ts';
import type { CheckIssue } from './checker.ts';
import { sameType } from './unify.ts';

/** Issues of a checked tree: literals that are no times, patterns or formats, lists of several types. */
export function validateTree(root: Expr): CheckIssue[] {
  const issues: CheckIssue[] = [];
  visit(root, false, issues);
  return issues;
}

/** `exempt`: inside the arguments of format(), which takes values of all types. */
function visit(node: Expr, exempt: boolean, issues: CheckIssue[]): void {
  let inner = exempt;
  if (node.kind === 'call') {
    checkLiteral(node, issues);
    if (node.name === 'format') {
      inner = true;
      checkFormat(node, issues);
    }
  } else if (!exempt && node.kind === 'list') checkList(node, issues);
  else if (!exempt && node.kind === 'map') checkMap(node, issues);
  for (const child of childrenOf(node)) visit(child, inner, issues);
}

function literalProblem(node: Call, value: CelValue): boolean {
  switch (node.name) {
    case 'matches':
      return typeof value === 'string' && patternOf(value) instanceof CelFailure;
    case 'timestamp':
    case 'duration': {
      const type = typeNameOf(value);
      const overload = node.overloads?.find(({ args }) => args[0]?.name === type);
      return overload?.call === undefined || overload.call(value) instanceof CelFailure;
    }
    default:
      return false;
  }
}

function checkLiteral(node: Call, issues: CheckIssue[]): void {
  const [first] = node.args;
  if (first?.kind === 'literal' && literalProblem(node, first.value))
    issues.push({ message: `invalid ${node.name} argument`, at: first.at });
}

const typeIn = (node: Expr, optional: boolean): CelType => {
  const type = node.type as CelType;
  return optional && isOptional(type) ? (type.params[0] as CelType) : type;
};

const mismatch = (at: number, expected: CelType, found: CelType): CheckIssue => ({
  message: `expected type '${formatType(expected)}' but found '${formatType(found)}'`,
  at,
});

/** Only the first element of another type is told. */
function checkList(node: ListExpr, issues: CheckIssue[]): void {
  const types = node.elements.map((element, i) => typeIn(element, node.optionals.has(i)));
  const first = types[0];
  const other = types.findIndex((type) => !sameType(type, first as CelType));
  if (first === undefined || other < 0) return;
  issues.push(mismatch((node.elements[other] as Expr).at, first, types[other] as CelType));
}

function checkMap(node: MapExpr, issues: CheckIssue[]): void {
  const [first, ...rest] = node.entries;
  if (first === undefined) return;
  const key = typeIn(first.key, false);
  const value = typeIn(first.value, first.optional);
  for (const entry of rest) {
    const entryKey = typeIn(entry.key, false);
    const entryValue = typeIn(entry.value, entry.optional);
    if (!sameType(key, entryKey)) issues.push(mismatch(entry.key.at, key, entryKey));
    if (!sameType(value, entryValue)) issues.push(mismatch(entry.value.at, value, entryValue));
  }
}

/** Types that each clause takes. */
const takes: Readonly<Record<string, ReadonlySet<string>>> = {
  s: new Set('list map int uint double bool string timestamp bytes duration type null dyn'.split(' ')),
  d: new Set(['int', 'uint', 'dyn']),
  f: new Set(['double', 'string', 'dyn']),
  e: new Set(['double', 'string', 'dyn']),
  b: new Set(['int', 'uint', 'bool', 'dyn']),
  x: new Set(['int', 'uint', 'string', 'bytes', 'dyn']),
  o: new Set(['int', 'uint', 'dyn']),
};

/** A literal format with a literal list of arguments. */
function checkFormat(node: Call, issues: CheckIssue[]): void {
  const { target } = node;
  const [list] = node.args;
  if (target?.kind !== 'literal' || typeof target.value !== 'string' || list?.kind !== 'list') return;
  const { elements } = list;
  let asked = 0;
  try {
    for (const piece of clausesOf(target.value, (index) => index <= elements.length)) {
      if (typeof piece === 'string') continue;
      const argument = elements[asked];
      if (argument === undefined) throw new FormatError(`index ${asked} out of range`);
      asked++;
      const refused = refusedPart(argument, piece.verb.toLowerCase());
      if (refused === undefined) continue;
      const type = (refused.type as CelType).name;
      issues.push({
        message: wrongValue(`${refusals[piece.verb.toLowerCase()]}${type}`).message,
        at: refused.at,
      });
      return;
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    issues.push({ message: error.message, at: node.at });
    return;
  }
  if (elements.length > asked)
    issues.push({
      message: `too many arguments supplied to string.format (expected ${asked}, got ${elements.length})`,
      at: node.at,
    });
}

/** The part of an argument that a clause does not take. */
function refusedPart(node: Expr, verb: string): Expr | undefined {
  if (!takes[verb]?.has((node.type as CelType).kind)) return node;
  if (verb !== 's') return undefined;
  if (node.kind !== 'list' && node.kind !== 'map') return undefined;
  for (const child of childrenOf(node)) {
    const refused = refusedPart(child, verb);
    if (refused !== undefined) return refused;
  }
  return undefined;
}
