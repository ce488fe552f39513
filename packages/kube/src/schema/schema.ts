/**
 * What Kubernetes 1.36 knows about its own kinds, typed. The data is generated (src/generated/schema.json and
 * structs.txt) and read once at import; structs are unfolded when they are first asked for.
 *
 * ```ts
 * const deployment = schemaOf({ group: 'apps', version: 'v1', kind: 'Deployment' });
 * deployment?.field('spec')?.type; // { kind: 'struct', … }
 * ```
 */
import { readFileSync } from 'node:fs';
import { type CompactField, type CompactSchema, flags } from './compact.ts';

const generated = (name: string): string =>
  readFileSync(new URL(`../generated/${name}`, import.meta.url), 'utf8');

/** The generated data as it is; for catalogue.ts. */
export const compact = JSON.parse(generated('schema.json')) as CompactSchema;

/** Struct name → JSON of its fields; parsed at first use, most are never used. */
const lines = new Map(
  generated('structs.txt')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const space = line.indexOf(' ');
      return [line.slice(0, space), line.slice(space + 1)];
    }),
);

export type ScalarName = 'string' | 'bool' | 'int32' | 'int64' | 'float64' | 'bytes';

/** Go types with a JSON form of their own. */
export type SpecialName =
  | 'quantity'
  | 'time'
  | 'microTime'
  | 'intOrString'
  /** Any object, kept as it is (runtime.RawExtension). */
  | 'rawExtension'
  /** The owned fields of managedFields. */
  | 'fieldsV1'
  /** Any JSON value (apiextensions JSON, and Go's `any`). */
  | 'json'
  | 'schemaOrBool'
  | 'schemaOrArray'
  | 'schemaOrStringArray';

/** `goType` is the type's name in Go, as decoding errors print it (`v1.Container`, `[]string`). */
export type TypeSchema =
  | { readonly kind: ScalarName; readonly goType: string; readonly enum?: readonly string[] | undefined }
  | {
      readonly kind: 'list';
      readonly goType: string;
      readonly items: TypeSchema;
      /** On the wire a message of its own with `items` as field 1. */
      readonly wrapped: boolean;
    }
  | { readonly kind: 'map'; readonly goType: string; readonly values: TypeSchema }
  | { readonly kind: 'struct'; readonly goType: string; readonly struct: StructSchema }
  | { readonly kind: SpecialName; readonly goType: string };

export interface FieldSchema {
  /** JSON name. */
  readonly name: string;
  readonly type: TypeSchema;
  /** Required by OpenAPI. */
  readonly required: boolean;
  /** A pointer in Go: zero (`0`, `""`, `{}`) is something else than absent. */
  readonly pointer: boolean;
  /** Zero is left out of JSON. Structs that are no pointers are always written. */
  readonly omitEmpty: boolean;
  readonly omitZero: boolean;
  /** How server-side apply merges a list. */
  readonly listType: 'atomic' | 'set' | 'map' | undefined;
  readonly listMapKeys: readonly string[];
  /** How server-side apply merges a map or struct: whole, or by member. */
  readonly mapType: 'atomic' | 'granular' | undefined;
  /** Strategic merge patch: `merge`, `retainKeys`, `replace`. */
  readonly patchStrategy: readonly string[];
  readonly patchMergeKey: string | undefined;
  /** Declared default; shared, do not change. */
  readonly default: unknown;
  /** Protobuf number in the innermost message of `via`; 0: not on the wire. */
  readonly number: number;
  /** Embedded messages on the way to the field on the wire. Its JSON has none of them. */
  readonly via: ReadonlyArray<readonly [number: number, goName: string]>;
}

const packageKinds: Record<string, SpecialName> = {
  'resource.Quantity': 'quantity',
  'meta.v1.Time': 'time',
  'meta.v1.MicroTime': 'microTime',
  'intstr.IntOrString': 'intOrString',
  'runtime.RawExtension': 'rawExtension',
  'meta.v1.FieldsV1': 'fieldsV1',
  'apiextensions.v1.JSON': 'json',
  'apiextensions.v1.JSONSchemaPropsOrBool': 'schemaOrBool',
  'apiextensions.v1.JSONSchemaPropsOrArray': 'schemaOrArray',
  'apiextensions.v1.JSONSchemaPropsOrStringArray': 'schemaOrStringArray',
};

/** `core.v1.Container` → `v1.Container`, as Go prints it. */
const goName = (name: string): string => name.split('.').slice(-2).join('.');
const goScalars: Record<string, string> = { bytes: '[]uint8', any: 'interface {}' };

/** One struct of the API (`core.v1.PodSpec`). */
export class StructSchema {
  /** Compact name: group (first part), version, Go name; `meta.v1.ObjectMeta`, `core.v1.Pod`. */
  readonly name: string;
  /** Applied as one value by server-side apply. */
  readonly atomic: boolean;
  readonly #compact: readonly CompactField[];
  #fields: ReadonlyMap<string, FieldSchema> | undefined;

  constructor(name: string, fields: readonly CompactField[]) {
    this.name = name;
    this.atomic = compact.atomic.includes(name);
    this.#compact = fields;
  }

  /** Go's name without the package: `PodSpec`. */
  get goName(): string {
    return this.name.slice(this.name.lastIndexOf('.') + 1);
  }

  /** By JSON name, in Go's order. */
  get fields(): ReadonlyMap<string, FieldSchema> {
    this.#fields ??= new Map(this.#compact.map((field) => [field[0], unfold(field)]));
    return this.#fields;
  }

  field(name: string): FieldSchema | undefined {
    return this.fields.get(name);
  }
}

function unfold([name, type, number, bits, extra]: CompactField): FieldSchema {
  return {
    name,
    type: typeOf(type),
    required: (bits & flags.required) !== 0,
    pointer: (bits & flags.pointer) !== 0,
    omitEmpty: (bits & flags.omitEmpty) !== 0,
    omitZero: (bits & flags.omitZero) !== 0,
    listType: extra?.l,
    listMapKeys: extra?.k ?? [],
    mapType: extra?.m,
    patchStrategy: extra?.s?.split(',') ?? [],
    patchMergeKey: extra?.g,
    default: extra?.d,
    number,
    via: extra?.v ?? [],
  };
}

const types = new Map<string, TypeSchema>();

/** The type of an expression (compact.ts); one object per expression. */
function typeOf(expression: string): TypeSchema {
  let type = types.get(expression);
  if (!type) {
    type = parseType(expression);
    types.set(expression, type);
  }
  return type;
}

function parseType(expression: string): TypeSchema {
  const named = /^([\w.]+)=(.*)$/.exec(expression);
  if (named) {
    const [, name, inner] = named as unknown as [string, string, string];
    const type = { ...parseType(inner), goType: goName(name) };
    if (type.kind === 'list') return { ...type, wrapped: compact.wrapped.includes(name) };
    return compact.enums[name] ? ({ ...type, enum: compact.enums[name] } as TypeSchema) : type;
  }
  if (expression.startsWith('[]')) {
    const items = typeOf(expression.slice(2));
    return { kind: 'list', goType: `[]${items.goType}`, items, wrapped: false };
  }
  if (expression.startsWith('{')) {
    const close = expression.indexOf('}');
    const values = typeOf(expression.slice(close + 1));
    const key = typeOf(expression.slice(1, close)).goType;
    return { kind: 'map', goType: `map[${key}]${values.goType}`, values };
  }
  const special = packageKinds[expression];
  if (special) return { kind: special, goType: goName(expression) };
  if (expression === 'any') return { kind: 'json', goType: 'interface {}' };
  if (!expression.includes('.'))
    return { kind: expression as ScalarName, goType: goScalars[expression] ?? expression };
  // A struct may contain itself: it is unfolded when asked for.
  return {
    kind: 'struct',
    goType: goName(expression),
    get struct() {
      return structOf(expression);
    },
  };
}

const structs = new Map<string, StructSchema>();

/** A struct by its compact name (`core.v1.PodSpec`, `meta.v1.DeleteOptions`). Throws for an unknown one. */
export function structOf(name: string): StructSchema {
  let struct = structs.get(name);
  if (!struct) {
    const line = lines.get(name);
    if (line === undefined) throw new Error(`no struct ${name} in the schema of Kubernetes 1.36`);
    struct = new StructSchema(name, JSON.parse(line) as CompactField[]);
    structs.set(name, struct);
  }
  return struct;
}

export interface GroupVersionKind {
  group: string;
  version: string;
  kind: string;
}

/** Splits `apps/v1` or `v1`. */
export function parseApiVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf('/');
  return slash < 0
    ? { group: '', version: apiVersion }
    : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

/**
 * The struct of a built-in kind, lists (`PodList`) and the kinds that every group has (`Status`, `DeleteOptions`,
 * `WatchEvent`, …) included; undefined for a custom one.
 */
export function schemaOf({ group, version, kind }: GroupVersionKind): StructSchema | undefined {
  const apiVersion = group === '' ? version : `${group}/${version}`;
  const name = ownMember(compact.kinds, `${apiVersion}/${kind}`) ?? metaKind(apiVersion, kind);
  return name === undefined ? undefined : structOf(name);
}

/** Names come from clients: `constructor` is none. */
const ownMember = (table: Readonly<Record<string, string>>, name: string): string | undefined =>
  Object.hasOwn(table, name) ? table[name] : undefined;

function metaKind(apiVersion: string, kind: string): string | undefined {
  return apiVersion === 'meta.k8s.io/v1' || Object.hasOwn(compact.groupVersions, apiVersion)
    ? ownMember(compact.metaKinds, kind)
    : undefined;
}

/** As `schemaOf`, by an object's own `apiVersion` and `kind`. */
export function schemaOfObject(object: { apiVersion?: string; kind?: string }): StructSchema | undefined {
  return schemaOf({ ...parseApiVersion(object.apiVersion ?? ''), kind: object.kind ?? '' });
}

/** All built-in kinds, lists included. */
export function knownKinds(): GroupVersionKind[] {
  return Object.keys(compact.kinds).map((key) => {
    const slash = key.lastIndexOf('/');
    return { ...parseApiVersion(key.slice(0, slash)), kind: key.slice(slash + 1) };
  });
}
