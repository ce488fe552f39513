/** Functions as they are declared to the checker, with what evaluates them. */
import type { CelValue } from '../run/values.ts';
import type { CelType } from '../types.ts';

/** Evaluates a call; arguments have the declared types, failures never come in. */
export type Implementation = (...args: CelValue[]) => CelValue;

export interface Overload {
  /** cel-go's name for the signature; costs go by it. */
  readonly id: string;
  readonly name: string;
  /** Called as `first.name(rest)`. */
  readonly member: boolean;
  /** The receiver first. */
  readonly args: readonly CelType[];
  readonly result: CelType;
  /** Type variables of the signature. */
  readonly params: readonly string[];
  /** Absent for operators, which the compiler knows. */
  readonly call: Implementation | undefined;
}

export type FunctionTable = ReadonlyMap<string, readonly Overload[]>;

/** Types by the names that expressions use for them. */
export interface TypeTable {
  get(name: string): CelType | undefined;
}

/** What expressions may use besides the language and their variables. */
export interface Library {
  readonly functions: FunctionTable;
  readonly types: TypeTable;
}

function collectParams(type: CelType, into: Set<string>): void {
  if (type.kind === 'param') into.add(type.name);
  for (const inner of type.params) collectParams(inner, into);
}

function overload(
  member: boolean,
  name: string,
  id: string,
  args: readonly CelType[],
  result: CelType,
  call: ((...args: never[]) => CelValue) | undefined,
): Overload {
  const params = new Set<string>();
  for (const type of [...args, result]) collectParams(type, params);
  return { id, name, member, args, result, params: [...params], call: call as Implementation | undefined };
}

/** `name(args)`. The implementation takes the JavaScript form of the declared types. */
export const fn = (
  name: string,
  id: string,
  args: readonly CelType[],
  result: CelType,
  call?: (...args: never[]) => CelValue,
): Overload => overload(false, name, id, args, result, call);

/** `args[0].name(args[1], …)`. */
export const method = (
  name: string,
  id: string,
  args: readonly CelType[],
  result: CelType,
  call?: (...args: never[]) => CelValue,
): Overload => overload(true, name, id, args, result, call);

/** Overloads by function name, each in the order given. */
export function tableOf(overloads: Iterable<Overload>): FunctionTable {
  const table = new Map<string, Overload[]>();
  for (const one of overloads) {
    const known = table.get(one.name);
    if (known === undefined) table.set(one.name, [one]);
    else known.push(one);
  }
  return table;
}
