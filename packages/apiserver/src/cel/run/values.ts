/**
 * CEL's values. bool, string, double and null are JavaScript's boolean, string, number and null; int is bigint.
 * All others are classes with a `typeName`, the name that `type()` shows.
 */
import type { CelType } from '../types.ts';
import { work } from './work.ts';

/** The outcome of what cannot be evaluated. It is a value, since `||`, `&&` and macros may yet absorb it. */
export class CelFailure {
  readonly typeName = 'error';
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export const fail = (message: string): CelFailure => new CelFailure(message);
export const noSuchOverload: CelFailure = fail('no such overload');

export class CelUint {
  readonly typeName = 'uint';
  readonly value: bigint;

  constructor(value: bigint) {
    this.value = value;
  }
}

export class CelBytes {
  readonly typeName = 'bytes';
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

export class CelTimestamp {
  readonly typeName = 'google.protobuf.Timestamp';
  /** Since the epoch. */
  readonly nanoseconds: bigint;
  /** East of UTC, as the text had it; only string() shows it. */
  readonly offsetSeconds: number;

  constructor(nanoseconds: bigint, offsetSeconds = 0) {
    this.nanoseconds = nanoseconds;
    this.offsetSeconds = offsetSeconds;
  }
}

export class CelDuration {
  readonly typeName = 'google.protobuf.Duration';
  readonly nanoseconds: bigint;

  constructor(nanoseconds: bigint) {
    this.nanoseconds = nanoseconds;
  }
}

export class CelOptional {
  static readonly none: CelOptional = new CelOptional(undefined);
  readonly typeName = 'optional_type';
  /** undefined: none. */
  readonly value: CelValue | undefined;

  private constructor(value: CelValue | undefined) {
    this.value = value;
  }

  static of(value: CelValue): CelOptional {
    return new CelOptional(value);
  }
}

export class CelTypeValue {
  readonly typeName = 'type';
  readonly name: string;

  constructor(type: CelType | string) {
    this.name = typeof type === 'string' ? type : type.name;
  }
}

/** A value of a library: a quantity, an address, an authorizer. */
export abstract class CelOpaque {
  abstract readonly typeName: string;
  /** What `==` says about another value of the same type. */
  abstract equals(other: CelOpaque): boolean;
  /** What string() gives, if the type has a conversion. */
  text(): string | undefined {
    return undefined;
  }

  /** For estimates of cost; undefined: one. */
  get size(): number | undefined {
    return undefined;
  }
}

/** An object that an expression created. */
export abstract class CelMessage {
  abstract readonly typeName: string;
  /** The fields that are set. */
  abstract readonly fields: ReadonlyMap<string, CelValue>;
  /** What `==` says about another object. */
  abstract equals(other: CelMessage): boolean;

  /** A field's value; undefined where it is not set. */
  find(field: CelValue): CelValue | undefined {
    return typeof field === 'string' ? this.fields.get(field) : undefined;
  }

  /** A field that is not set, where it has a value all the same. */
  zero(_field: CelValue): CelValue | undefined {
    return undefined;
  }
}

export abstract class CelList {
  readonly typeName = 'list';
  abstract readonly size: number;
  /** The element at an index that exists. */
  abstract at(index: number): CelValue;

  /** All elements in order. */
  *[Symbol.iterator](): IterableIterator<CelValue> {
    for (let i = 0; i < this.size; i++) yield this.at(i);
  }

  /** `this + other`. */
  concat(other: CelList): CelList {
    if (other.size === 0) return this;
    return this.size === 0 ? other : new JoinedList(this, other);
  }

  /** What `==` says; undefined: decided element by element. */
  equals(_other: CelList): boolean | CelFailure | undefined {
    return undefined;
  }
}

export class ArrayList extends CelList {
  readonly values: readonly CelValue[];

  constructor(values: readonly CelValue[]) {
    super();
    this.values = values;
  }

  override get size(): number {
    return this.values.length;
  }

  override at(index: number): CelValue {
    return this.values[index] as CelValue;
  }

  override [Symbol.iterator](): IterableIterator<CelValue> {
    return this.values[Symbol.iterator]();
  }
}

/** Two lists end to end without a copy, as concatenation costs the same for lists of any length. */
class JoinedList extends CelList {
  override readonly size: number;
  readonly #left: CelList;
  readonly #right: CelList;

  constructor(left: CelList, right: CelList) {
    super();
    this.#left = left;
    this.#right = right;
    this.size = left.size + right.size;
  }

  override at(index: number): CelValue {
    const { size: before } = this.#left;
    let list = index < before ? this.#left : this.#right;
    let i = index < before ? index : index - before;
    while (list instanceof JoinedList) {
      const { size } = list.#left;
      if (i < size) list = list.#left;
      else {
        i -= size;
        list = list.#right;
      }
    }
    return list.at(i);
  }

  /** In one walk: `at` for each would take as long as the joins are deep. */
  override *[Symbol.iterator](): IterableIterator<CelValue> {
    const pending: CelList[] = [this];
    for (let list = pending.pop(); list !== undefined; list = pending.pop()) {
      if (list instanceof JoinedList) pending.push(list.#right, list.#left);
      else {
        // A list that was doubled sixty times has more elements than there is time, and cost comes only after them.
        work(10 + 5 * list.size);
        yield* list;
      }
    }
  }
}

export abstract class CelMap {
  readonly typeName = 'map';
  abstract readonly size: number;
  /** The value of a key, undefined where there is none, a failure for a key that no map of this kind has. */
  abstract find(key: CelValue): CelValue | undefined;
  abstract keys(): Iterable<CelValue>;

  /** What `==` says; undefined: decided entry by entry. */
  equals(_other: CelMap): boolean | CelFailure | undefined {
    return undefined;
  }
}

/** Keys that `==` holds equal get one text: `1`, `1u` and `1.0` are the same key. */
export function keyOf(key: CelValue): unknown {
  if (typeof key === 'string') return `s${key}`;
  if (typeof key === 'bigint') return key;
  if (key instanceof CelUint) return key.value;
  if (typeof key === 'number') return Number.isInteger(key) ? BigInt(key) : key;
  return key;
}

export class EntryMap extends CelMap {
  readonly #entries: ReadonlyMap<unknown, readonly [CelValue, CelValue]>;

  private constructor(entries: ReadonlyMap<unknown, readonly [CelValue, CelValue]>) {
    super();
    this.#entries = entries;
  }

  static of(entries: Iterable<readonly [CelValue, CelValue]>): EntryMap {
    return new EntryMap(new Map([...entries].map((entry) => [keyOf(entry[0]), entry])));
  }

  override get size(): number {
    return this.#entries.size;
  }

  override find(key: CelValue): CelValue | undefined {
    return this.#entries.get(keyOf(key))?.[1];
  }

  override *keys(): IterableIterator<CelValue> {
    for (const [key] of this.#entries.values()) yield key;
  }
}

/** A map that a macro fills. */
export class MapBuilder {
  readonly #entries = new Map<unknown, [CelValue, CelValue]>();

  /** False where the key is there already. */
  insert(key: CelValue, value: CelValue): boolean {
    const known = keyOf(key);
    if (this.#entries.has(known)) return false;
    this.#entries.set(known, [key, value]);
    return true;
  }

  finish(): CelMap {
    return EntryMap.of(this.#entries.values());
  }
}

export type CelValue =
  | boolean
  | string
  | bigint
  | number
  | null
  | CelUint
  | CelBytes
  | CelTimestamp
  | CelDuration
  | CelOptional
  | CelTypeValue
  | CelOpaque
  | CelMessage
  | CelList
  | CelMap
  | CelFailure;

/** The name of a value's type, as `type()` shows it. */
export function typeNameOf(value: CelValue): string {
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
    case 'number':
      return 'double';
    case 'string':
      return 'string';
    default:
      return value === null ? 'null_type' : value.typeName;
  }
}

/** Go's names of types, which some messages show. */
export function goTypeOf(value: CelValue): string {
  const names: Record<string, string> = {
    boolean: 'Bool',
    bigint: 'Int',
    number: 'Double',
    string: 'String',
  };
  if (value === null) return 'types.Null';
  if (typeof value !== 'object') return `types.${names[typeof value]}`;
  if (value instanceof CelOptional) return '*types.Optional';
  if (value instanceof CelUint) return 'types.Uint';
  return `types.${value.constructor.name.replace(/^Cel/, '')}`;
}

/** Go's type of the value inside, as %T shows it. */
export function goNativeTypeOf(value: CelValue): string {
  const names: Record<string, string> = { boolean: 'bool', bigint: 'int64', number: 'float64' };
  if (typeof value !== 'object') return names[typeof value] ?? typeof value;
  if (value === null) return 'structpb.NullValue';
  if (value instanceof CelUint) return 'uint64';
  if (value instanceof CelBytes) return '[]uint8';
  if (value instanceof CelList) return '[]interface {}';
  return value instanceof CelMap ? 'map[string]interface {}' : goTypeOf(value);
}

/** Code points of a text; its length where none needs two units. */
export function textSize(text: string): number {
  let size = text.length;
  for (let i = 0; i < text.length - 1; i++)
    if ((text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) size--;
  return size;
}

/** The size that costs are computed from: of texts, bytes, lists, maps; one of all else. */
export function sizeOf(value: CelValue): number {
  if (typeof value === 'string') return textSize(value);
  if (typeof value !== 'object' || value === null) return 1;
  if (value instanceof CelList || value instanceof CelMap) return value.size;
  if (value instanceof CelBytes) return value.bytes.length;
  if (value instanceof CelOptional) return value.value === undefined ? 1 : sizeOf(value.value);
  return value instanceof CelOpaque ? (value.size ?? 1) : 1;
}
