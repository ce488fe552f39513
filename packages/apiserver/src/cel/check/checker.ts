/** Types of expressions (cel-go checker/checker.go); what it finds is written into the tree. */
import type { CelIssue } from '../errors.ts';
import type {
  Call,
  Comprehension,
  Expr,
  Ident,
  ListExpr,
  MapExpr,
  Select,
  StructExpr,
} from '../syntax/ast.ts';
import { childrenOf, operators } from '../syntax/ast.ts';
import { CelBytes, CelUint } from '../run/values.ts';
import {
  boolType,
  bytesType,
  type CelType,
  doubleType,
  dynType,
  errorType,
  formatType,
  intType,
  isDyn,
  isOptional,
  listType,
  mapType,
  nullType,
  optionalType,
  stringType,
  typeType,
  uintType,
} from '../types.ts';
import type { FunctionTable, Overload, TypeTable } from './functions.ts';
import { formatArguments, mostGeneral, sameType, Unifier } from './unify.ts';

export interface Environment {
  readonly variables: ReadonlyMap<string, CelType>;
  readonly functions: FunctionTable;
  /** Names that stand for types. */
  readonly types: TypeTable;
}

/** A problem at a place of the source (UTF-16 units). */
export interface CheckIssue {
  readonly message: string;
  readonly at: number;
}

/** Words of the language that a field may have as its name (Kubernetes escapes those: `__namespace__`). */
const reserved = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

/** `a.b.c` of a chain of names; undefined where something else is in it. */
function qualifiedName(node: Expr): string | undefined {
  if (node.kind === 'ident') return node.name;
  if (node.kind !== 'select' || node.testOnly) return undefined;
  const prefix = qualifiedName(node.operand);
  return prefix === undefined ? undefined : `${prefix}.${node.field}`;
}

const withoutDot = (name: string): string => (name.startsWith('.') ? name.slice(1) : name);
const unwrap = (type: CelType): CelType => (isOptional(type) ? (type.params[0] as CelType) : type);

export class Checker {
  readonly issues: CheckIssue[] = [];
  readonly #environment: Environment;
  readonly #types = new Unifier();
  /** Variables of macros, the innermost last. */
  readonly #scopes: Array<ReadonlyMap<string, CelType>> = [];

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** Checks a tree and puts its types into it, without variables. */
  run(root: Expr): void {
    this.#check(root);
    this.#settle(root);
  }

  #settle(node: Expr): void {
    node.type = this.#types.resolve(node.type ?? errorType, true);
    for (const child of childrenOf(node)) this.#settle(child);
  }

  #report(at: number, message: string): CelType {
    this.issues.push({ message, at });
    return errorType;
  }

  #undeclared(at: number, name: string): CelType {
    return this.#report(at, `undeclared reference to '${name}' (in container '')`);
  }

  /** Types `node` and gives what it found. */
  #check(node: Expr): CelType {
    const type = this.#typeOf(node);
    node.type = type;
    return type;
  }

  #typeOf(node: Expr): CelType {
    switch (node.kind) {
      case 'literal':
        return literalType(node.value);
      case 'ident':
        return this.#ident(node) ?? this.#undeclared(node.at, node.name);
      case 'select':
        return this.#select(node);
      case 'call':
        return this.#call(node);
      case 'list':
        return this.#list(node);
      case 'map':
        return this.#map(node);
      case 'struct':
        return this.#struct(node);
      default:
        return this.#comprehension(node);
    }
  }

  #ident(node: Ident): CelType | undefined {
    const found = this.#lookup(node.name);
    if (found === undefined) return undefined;
    node.name = withoutDot(node.name);
    if (found.isType) node.typeValue = found.type.params[0] as CelType;
    return found.type;
  }

  #lookup(qualified: string): { type: CelType; isType: boolean } | undefined {
    const name = withoutDot(qualified);
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const local = this.#scopes[i]?.get(name);
      if (local !== undefined) return { type: local, isType: false };
    }
    const variable = this.#environment.variables.get(name);
    if (variable !== undefined) return { type: variable, isType: false };
    const named = this.#environment.types.get(name);
    return named === undefined ? undefined : { type: typeType(named), isType: true };
  }

  #select(node: Select): CelType {
    const name = qualifiedName(node);
    if (name !== undefined) {
      const ident: Ident = { kind: 'ident', name, at: node.at };
      const type = this.#ident(ident);
      if (type !== undefined) {
        node.qualified = ident;
        ident.type = type;
        return type;
      }
    }
    const type = this.#field(node.at, node.operand, node.field, false);
    return node.testOnly ? boolType : this.#types.resolve(type);
  }

  #field(at: number, operand: Expr, field: string, optional: boolean): CelType {
    const operandType = this.#types.resolve(this.#check(operand));
    const target = unwrap(operandType);
    const result = this.#fieldOf(at, target, field);
    return optional || isOptional(operandType) ? optionalType(result) : result;
  }

  #fieldOf(at: number, target: CelType, field: string): CelType {
    switch (target.kind) {
      case 'map':
        return target.params[1] as CelType;
      case 'object':
        return this.#lookupField(at, target, field) ?? errorType;
      case 'param':
        this.#types.assignable(dynType, target);
        return dynType;
      default:
        if (!isDyn(target)) this.#report(at, `type '${formatType(target)}' does not support field selection`);
        return dynType;
    }
  }

  #lookupField(at: number, target: CelType, field: string): CelType | undefined {
    const found =
      target.fields?.get(field) ?? (reserved.has(field) ? target.fields?.get(`__${field}__`) : undefined);
    if (found !== undefined) return found.type;
    if (target.fields === undefined) this.#report(at, `unexpected failed resolution of '${target.name}'`);
    else this.#report(at, `undefined field '${field}'`);
    return undefined;
  }

  #call(node: Call): CelType {
    if (node.name === operators.optionalSelect) return this.#optionalSelect(node);
    for (const arg of node.args) this.#check(arg);
    if (node.target === undefined) {
      const overloads = this.#environment.functions.get(withoutDot(node.name));
      if (overloads === undefined) return this.#undeclared(node.at, node.name);
      node.name = withoutDot(node.name);
      return this.#resolve(node, overloads);
    }
    const prefix = qualifiedName(node.target);
    if (prefix !== undefined) {
      const name = withoutDot(`${prefix}.${node.name}`);
      const overloads = this.#environment.functions.get(name);
      if (overloads !== undefined) {
        node.name = name;
        node.target = undefined;
        return this.#resolve(node, overloads);
      }
    }
    this.#check(node.target);
    const overloads = this.#environment.functions.get(node.name);
    if (overloads === undefined) return this.#undeclared(node.at, node.name);
    return this.#resolve(node, overloads);
  }

  #optionalSelect(node: Call): CelType {
    const [operand, field] = node.args;
    if (operand === undefined || field?.kind !== 'literal' || typeof field.value !== 'string')
      return this.#report(node.at, 'unsupported optional field selection');
    field.type = stringType;
    node.overloads = this.#environment.functions.get(node.name) ?? [];
    return this.#types.resolve(this.#field(node.at, operand, field.value, true));
  }

  #resolve(node: Call, overloads: readonly Overload[]): CelType {
    const operands = node.target === undefined ? node.args : [node.target, ...node.args];
    const argTypes = operands.map((arg) => arg.type as CelType);
    if (node.name === operators.and || node.name === operators.or) {
      node.overloads = overloads;
      return this.#logical(node, argTypes);
    }
    const matching: Overload[] = [];
    let result: CelType | undefined;
    for (const overload of overloads) {
      if (overload.member !== (node.target !== undefined)) continue;
      const [returned, ...wanted] = this.#types.instantiate(overload.params, [
        overload.result,
        ...overload.args,
      ]) as [CelType, ...CelType[]];
      if (!this.#types.assignableAll(argTypes, wanted)) continue;
      matching.push(overload);
      const type = this.#types.resolve(returned);
      if (result === undefined) result = type;
      else if (result.kind !== 'dyn' && result.kind !== 'any' && !sameType(type, result)) result = dynType;
    }
    node.overloads = matching;
    if (result !== undefined) return result;
    const shown = formatArguments(
      argTypes.map((type) => this.#types.resolve(type, true)),
      node.target !== undefined,
    );
    return this.#report(node.at, `found no matching overload for '${node.name}' applied to '${shown}'`);
  }

  #logical(node: Call, argTypes: readonly CelType[]): CelType {
    let failed = false;
    for (const [i, type] of argTypes.entries()) {
      if (this.#types.assignable(type, boolType)) continue;
      this.#mismatch((node.args[i] as Expr).at, boolType, type);
      failed = true;
    }
    return failed ? errorType : boolType;
  }

  #mismatch(at: number, expected: CelType, found: CelType): CelType {
    return this.#report(at, `expected type '${formatType(expected)}' but found '${formatType(found)}'`);
  }

  /** The type of a value that may be an optional marked with `?`. */
  #element(node: Expr, optional: boolean): CelType {
    const type = this.#check(node);
    if (!optional) return type;
    const inner = unwrap(type);
    if (!isOptional(type) && type.kind !== 'dyn' && type.kind !== 'any')
      this.#mismatch(node.at, optionalType(inner), inner);
    return inner;
  }

  /** Elements of different types are refused later (validate.ts), where they matter. */
  #join(previous: CelType | undefined, current: CelType): CelType {
    if (previous === undefined) return current;
    return this.#types.assignable(previous, current) ? mostGeneral(previous, current) : dynType;
  }

  #list(node: ListExpr): CelType {
    let element: CelType | undefined;
    for (const [i, value] of node.elements.entries())
      element = this.#join(element, this.#element(value, node.optionals.has(i)));
    return listType(element ?? this.#types.freshParam());
  }

  #map(node: MapExpr): CelType {
    let key: CelType | undefined;
    let value: CelType | undefined;
    for (const entry of node.entries) {
      key = this.#join(key, this.#check(entry.key));
      value = this.#join(value, this.#element(entry.value, entry.optional));
    }
    return mapType(key ?? this.#types.freshParam(), value ?? this.#types.freshParam());
  }

  #struct(node: StructExpr): CelType {
    const found = this.#lookup(node.name);
    if (found === undefined) return this.#undeclared(node.at, node.name);
    if (!found.isType) return this.#report(node.at, `'${found.type.name}' is not a type`);
    const type = found.type.params[0] as CelType;
    if (type.create === undefined) return this.#report(node.at, `'${type.name}' is not a message type`);
    for (const { at, name, value, optional } of node.fields) {
      const given = this.#element(value, optional);
      const wanted = this.#lookupField(at, type, name);
      if (wanted === undefined || this.#types.assignable(wanted, given)) continue;
      const [expected, provided] = [wanted, this.#types.resolve(given)].map(formatType);
      this.#report(
        at,
        `expected type of field '${name}' is '${expected}' but provided type is '${provided}'`,
      );
    }
    return type;
  }

  #comprehension(node: Comprehension): CelType {
    this.#check(node.range);
    const accumulator = this.#check(node.init);
    this.#scopes.push(new Map([[node.accumulator, accumulator]]));
    const variables = this.#iteration(node);
    this.#scopes.push(variables);
    this.#expect(node.condition, boolType);
    this.#expect(node.step, accumulator);
    this.#scopes.pop();
    const result = this.#check(node.result);
    this.#scopes.pop();
    return this.#types.resolve(result);
  }

  #expect(node: Expr, wanted: CelType): void {
    const type = this.#check(node);
    if (!this.#types.assignable(wanted, type)) this.#mismatch(node.at, wanted, type);
  }

  #iteration(node: Comprehension): Map<string, CelType> {
    const range = this.#types.resolve(node.range.type as CelType);
    const [first, second] = this.#iterated(node, range);
    const variables = new Map([[node.variable, first]]);
    if (node.second !== undefined) variables.set(node.second, second);
    return variables;
  }

  /** Types of the variables of a loop over `range`. */
  #iterated(node: Comprehension, range: CelType): [CelType, CelType] {
    switch (range.kind) {
      case 'list': {
        const element = range.params[0] as CelType;
        return node.second === undefined ? [element, element] : [intType, element];
      }
      case 'map':
        return [range.params[0] as CelType, range.params[1] as CelType];
      case 'dyn':
      case 'error':
      case 'param':
        this.#types.assignable(dynType, range);
        return [dynType, dynType];
      default:
        this.#report(
          node.range.at,
          `expression of type '${formatType(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`,
        );
        return [errorType, errorType];
    }
  }
}

function literalType(value: unknown): CelType {
  switch (typeof value) {
    case 'boolean':
      return boolType;
    case 'bigint':
      return intType;
    case 'number':
      return doubleType;
    case 'string':
      return stringType;
    default:
      if (value instanceof CelUint) return uintType;
      return value instanceof CelBytes ? bytesType : nullType;
  }
}

/** Place in the source as issues show it: lines from 1, columns (code points) from 0; -1 and -1 for nowhere. */
export function issueAt(source: string, { message, at }: CheckIssue): CelIssue {
  if (at < 0) return { message, line: -1, column: -1 };
  const before = source.slice(0, at);
  const line = before.split('\n').length;
  const column = Array.from(before.slice(before.lastIndexOf('\n') + 1)).length;
  return { message, line, column };
}
