/** The types of CEL expressions, with what Kubernetes' schemas say about the size of values. */
import type { CelFailure, CelMessage, CelValue } from './run/values.ts';

export type CelKind =
  | 'dyn'
  | 'any'
  | 'error'
  | 'null'
  | 'bool'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'timestamp'
  | 'duration'
  | 'list'
  | 'map'
  | 'object'
  /** A type of a library: optional, quantity, URL, … `params` as declared. */
  | 'opaque'
  /** The type of types. */
  | 'type'
  /** A variable of a generic signature (`T` of `list(T)`). */
  | 'param';

export interface CelField {
  readonly type: CelType;
  /** Name in JSON, where it differs from the name in expressions (`__dot__` and the like). */
  readonly jsonName?: string;
  readonly required?: boolean;
}

export interface CelType {
  readonly kind: CelKind;
  /** As `type()` shows it: `int`, `null_type`, `google.protobuf.Timestamp`, `optional_type`; an object's full name. */
  readonly name: string;
  readonly params: readonly CelType[];
  /** Of an object, by name in expressions. */
  readonly fields?: ReadonlyMap<string, CelField>;
  /** How many elements, entries or bytes a value has at most; for estimates of cost. */
  readonly maxElements?: number;
  /** The fewest bytes of a value in JSON; for estimates of cost. */
  readonly minSerializedSize?: number;
  /** Of a map, for estimates of cost: the type behind every name that is selected from it. */
  readonly everyEntry?: CelType;
  /** JSON → value, where a schema says more than the type does; a failure for JSON that does not fit. */
  readonly bind?: (json: unknown) => CelValue;
  /** Of an object that expressions may create, as `NAME{field: value}`. */
  readonly create?: (fields: ReadonlyMap<string, CelValue>) => CelMessage | CelFailure;
}

/** Limits on sizes as typeOfSchema attaches them. */
export interface TypeSize {
  readonly maxElements?: number;
  readonly minSerializedSize?: number;
}

const simple = (kind: CelKind, name: string): CelType => ({ kind, name, params: [] });

export const dynType: CelType = simple('dyn', 'dyn');
export const anyType: CelType = simple('any', 'google.protobuf.Any');
/** What has an error of its own: fits everywhere, so that one mistake is told once. */
export const errorType: CelType = simple('error', '!error!');
export const nullType: CelType = simple('null', 'null_type');
export const boolType: CelType = simple('bool', 'bool');
export const intType: CelType = simple('int', 'int');
export const uintType: CelType = simple('uint', 'uint');
export const doubleType: CelType = simple('double', 'double');
export const stringType: CelType = simple('string', 'string');
export const bytesType: CelType = simple('bytes', 'bytes');
export const timestampType: CelType = simple('timestamp', 'google.protobuf.Timestamp');
export const durationType: CelType = simple('duration', 'google.protobuf.Duration');

export const listType = (element: CelType, size: TypeSize = {}): CelType => ({
  kind: 'list',
  name: 'list',
  params: [element],
  ...size,
});
export const mapType = (key: CelType, value: CelType, size: TypeSize = {}): CelType => ({
  kind: 'map',
  name: 'map',
  params: [key, value],
  ...size,
});
export const opaqueType = (name: string, ...params: CelType[]): CelType => ({ kind: 'opaque', name, params });
export const optionalType = (value: CelType): CelType => opaqueType('optional_type', value);
export const typeType = (of?: CelType): CelType => ({
  kind: 'type',
  name: 'type',
  params: of === undefined ? [] : [of],
});
export const paramType = (name: string): CelType => simple('param', name);

/** An object with declared fields; they are asked for at first use, so a type may contain itself. */
export function objectType(
  name: string,
  fields: ReadonlyMap<string, CelField> | (() => ReadonlyMap<string, CelField>),
  size: TypeSize = {},
): CelType {
  let known = typeof fields === 'function' ? undefined : fields;
  return {
    kind: 'object',
    name,
    params: [],
    ...size,
    get fields() {
      known ??= (fields as () => ReadonlyMap<string, CelField>)();
      return known;
    },
  };
}

/** An object of a library, known by its name: it has no fields. */
export const nominalType = (name: string): CelType => simple('object', name);

/** Shorthand for objects whose JSON names are their names in expressions. */
export const objectOf = (name: string, fields: Record<string, CelType>): CelType =>
  objectType(name, new Map(Object.entries(fields).map(([field, type]) => [field, { type }])));

export const isOptional = (type: CelType): boolean => type.kind === 'opaque' && type.name === 'optional_type';
export const isDyn = (type: CelType): boolean =>
  type.kind === 'dyn' || type.kind === 'any' || type.kind === 'error';

/** As cel-go's checker prints types: `list(int)`, `map(string, dyn)`, `timestamp`, `wrapper(int)`. */
export function formatType(type: CelType): string {
  switch (type.kind) {
    case 'null':
      return 'null';
    case 'any':
      return 'any';
    case 'timestamp':
      return 'timestamp';
    case 'duration':
      return 'duration';
    case 'type':
      return type.params[0] === undefined ? 'type' : `type(${formatType(type.params[0])})`;
    case 'list':
    case 'map':
    case 'opaque':
      return type.params.length === 0 ? type.name : `${type.name}(${type.params.map(formatType).join(', ')})`;
    case 'object':
      return type.name;
    default:
      return type.name;
  }
}
