/** Which types go together, with type variables bound on the way (cel-go checker/types.go). */
import {
  type CelType,
  formatType,
  isDyn,
  listType,
  mapType,
  opaqueType,
  typeType,
  dynType,
} from '../types.ts';

/** Two types are the same to the last parameter; objects by name. */
export function sameType(a: CelType, b: CelType): boolean {
  return (
    a.kind === b.kind &&
    a.name === b.name &&
    a.params.length === b.params.length &&
    a.params.every((param, i) => sameType(param, b.params[i] as CelType))
  );
}

/** Types that a null may stand for (cel-go: isLegacyNullable, wrappers aside). */
const nullable = (type: CelType): boolean =>
  ['opaque', 'object', 'any', 'timestamp', 'duration', 'null'].includes(type.kind);

function equalOrLessSpecific(a: CelType, b: CelType): boolean {
  if (a.kind === 'dyn' || a.kind === 'any' || a.kind === 'param') return true;
  if (b.kind === 'dyn' || b.kind === 'any' || b.kind === 'param') return false;
  if (a.kind !== b.kind) return false;
  if (a.kind === 'type') return true;
  if (a.kind !== 'list' && a.kind !== 'map' && a.kind !== 'opaque') return sameType(a, b);
  return (
    a.name === b.name &&
    a.params.length === b.params.length &&
    a.params.every((param, i) => equalOrLessSpecific(param, b.params[i] as CelType))
  );
}

export const mostGeneral = (a: CelType, b: CelType): CelType => (equalOrLessSpecific(a, b) ? a : b);

/** Bindings of type variables. An attempt that fails leaves no trace. */
export class Unifier {
  #bound = new Map<string, CelType>();
  #fresh = 0;

  freshParam(): CelType {
    return { kind: 'param', name: `_var${this.#fresh++}`, params: [] };
  }

  /** Whether `b` goes where `a` is wanted. */
  assignable(a: CelType, b: CelType): boolean {
    return this.assignableAll([a], [b]);
  }

  assignableAll(as: readonly CelType[], bs: readonly CelType[]): boolean {
    const before = this.#bound;
    this.#bound = new Map(before);
    if (this.#all(as, bs)) return true;
    this.#bound = before;
    return false;
  }

  #all(as: readonly CelType[], bs: readonly CelType[]): boolean {
    return as.length === bs.length && as.every((a, i) => this.#fits(a, bs[i] as CelType));
  }

  #fits(a: CelType, b: CelType): boolean {
    if (b.kind === 'param') {
      const { valid, bound } = this.#bind(a, b);
      if (valid) return true;
      if (bound) return false;
    }
    if (a.kind === 'param') return this.#bind(b, a).valid;
    if (isDyn(a) || isDyn(b)) return true;
    if (a.kind === 'null') return nullable(b);
    if (b.kind === 'null') return nullable(a);
    switch (a.kind) {
      case 'type':
        return b.kind === 'type';
      case 'opaque':
      case 'list':
      case 'map':
        return a.kind === b.kind && a.name === b.name && this.#all(a.params, b.params);
      default:
        return a.kind === b.kind && a.name === b.name;
    }
  }

  /** Makes the variable `param` stand for `type`, or for the more general of it and what it stands for already. */
  #bind(type: CelType, param: CelType): { valid: boolean; bound: boolean } {
    if (type.kind === 'param' && type.name === param.name) return { valid: true, bound: true };
    const known = this.#bound.get(param.name);
    if (known !== undefined) {
      if (sameType(type, known)) return { valid: true, bound: true };
      if (!this.#fits(type, known)) return { valid: false, bound: true };
      const general = mostGeneral(type, known);
      if (this.#absentFrom(param, general)) this.#bound.set(param.name, general);
      return { valid: true, bound: true };
    }
    if (!this.#absentFrom(param, type)) return { valid: false, bound: false };
    this.#bound.set(param.name, type);
    return { valid: true, bound: false };
  }

  /** A variable must not stand for something that holds itself. */
  #absentFrom(param: CelType, type: CelType): boolean {
    if (type.kind === 'param') {
      if (type.name === param.name) return false;
      const known = this.#bound.get(type.name);
      return known === undefined || this.#absentFrom(param, known);
    }
    return type.params.every((inner) => this.#absentFrom(param, inner));
  }

  /** `type` with bound variables replaced; free ones become dyn if asked to. */
  resolve(type: CelType, freeToDyn = false): CelType {
    if (type.kind === 'param') {
      const known = this.#bound.get(type.name);
      if (known !== undefined) return this.resolve(known, freeToDyn);
      return freeToDyn ? dynType : type;
    }
    if (type.params.length === 0) return type;
    const params = type.params.map((param) => this.resolve(param, freeToDyn));
    if (params.every((param, i) => param === type.params[i])) return type;
    switch (type.kind) {
      case 'list':
        return listType(params[0] as CelType);
      case 'map':
        return mapType(params[0] as CelType, params[1] as CelType);
      case 'type':
        return typeType(params[0]);
      default:
        return opaqueType(type.name, ...params);
    }
  }

  /** `types` with their variables made new ones. */
  instantiate(params: readonly string[], types: readonly CelType[]): CelType[] {
    if (params.length === 0) return [...types];
    const fresh = new Map(params.map((name) => [name, this.freshParam()]));
    const replace = (type: CelType): CelType => {
      if (type.kind === 'param') return fresh.get(type.name) ?? type;
      return type.params.length === 0 ? type : { ...type, params: type.params.map(replace) };
    };
    return types.map(replace);
  }
}

/** `(int, string)`, or `string.(int)` of a method: how the checker shows arguments. */
export function formatArguments(types: readonly CelType[], member: boolean): string {
  const shown = types.map(formatType);
  return member ? `${shown[0]}.(${shown.slice(1).join(', ')})` : `(${shown.join(', ')})`;
}
