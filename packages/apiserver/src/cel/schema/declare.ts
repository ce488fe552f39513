/** The types of schemas, with bounds on sizes for estimates of cost (apiserver/pkg/cel/common/schemas.go). */
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import {
  boolType,
  bytesType,
  type CelField,
  type CelType,
  doubleType,
  durationType,
  dynType,
  intType,
  stringType,
  timestampType,
} from '../types.ts';
import { escapeName } from './escape.ts';
import { binderOf } from './schema-values.ts';
import { itemsOf, valuesOf, withObjectMeta } from './structure.ts';

/** The largest request, in bytes; it bounds what no schema does. */
export const maxRequestBytes = 3 * 1024 * 1024;

/** Bytes of the smallest values in JSON, and of the largest times. */
const bytes = {
  text: 2,
  bool: 4,
  number: 1,
  duration: 3,
  maxTime: 32,
  date: 12,
  time: 21,
  container: 2,
} as const;

/** JSON's large integers are bigint, whatever the type says. */
const notNegative = (value: number | bigint): number => Math.max(0, Number(value));

/** A type whose expensive parts are computed when asked for. */
class SchemaType implements CelType {
  readonly kind: CelType['kind'];
  readonly name: string;
  readonly params: readonly CelType[];
  readonly bind: NonNullable<CelType['bind']>;
  readonly #fields: (() => ReadonlyMap<string, CelField>) | undefined;
  readonly #maxElements: (() => number) | undefined;
  readonly #minSize: () => number;
  #knownFields: ReadonlyMap<string, CelField> | undefined;

  constructor(
    like: Pick<CelType, 'kind' | 'name' | 'params'>,
    bind: NonNullable<CelType['bind']>,
    sizes: { min: () => number; max?: () => number; fields?: () => ReadonlyMap<string, CelField> },
  ) {
    this.kind = like.kind;
    this.name = like.name;
    this.params = like.params;
    this.bind = bind;
    this.#fields = sizes.fields;
    this.#maxElements = sizes.max;
    this.#minSize = sizes.min;
  }

  get fields(): ReadonlyMap<string, CelField> | undefined {
    this.#knownFields ??= this.#fields?.();
    return this.#knownFields;
  }

  get maxElements(): number | undefined {
    return this.#maxElements?.();
  }

  get minSerializedSize(): number {
    return this.#minSize();
  }
}

export interface DeclareOptions {
  /** The schema is that of a resource: apiVersion, kind, metadata.name and metadata.generateName are known. */
  readonly resourceRoot?: boolean;
  /** The name of the type, if it is an object; those inside are named after it. */
  readonly name?: string;
}

/**
 * The type of a schema's values; undefined where CEL cannot see them: no type, or elements that it cannot see. Fields
 * that a schema does not name are not visible even where they are preserved.
 */
export function typeOfSchema(schema: JSONSchemaProps, options: DeclareOptions = {}): CelType | undefined {
  return declare(schema, options.resourceRoot ?? false, options.name ?? 'object');
}

function declare(schema: JSONSchemaProps, root: boolean, name: string): CelType | undefined {
  const bind = binderOf(schema, root);
  if (schema['x-kubernetes-int-or-string']) {
    const max = textLength(schema) ?? maxRequestBytes - 2;
    return new SchemaType(dynType, bind, { min: () => 1, max: () => max });
  }
  switch (schema.type) {
    case 'array':
      return declareList(schema, bind, name);
    case 'object':
      return declareObject(root ? withObjectMeta(schema) : schema, bind, name);
    case 'string':
      return declareText(schema, bind);
    case 'boolean':
      return new SchemaType(boolType, bind, { min: () => bytes.bool });
    case 'number':
      return new SchemaType(doubleType, bind, { min: () => bytes.number });
    case 'integer':
      return new SchemaType(intType, bind, { min: () => bytes.number });
    default:
      return undefined;
  }
}

/** Keys of maps: upstream counts them as empty texts. */
const keyType: CelType = { ...stringType, minSerializedSize: bytes.text, maxElements: 0 };

/** A schema inside another one. */
const declareInner = (schema: JSONSchemaProps, name: string): CelType | undefined =>
  declare(schema, schema['x-kubernetes-embedded-resource'] ?? false, name);

const sizeOf = (type: CelType): number => type.minSerializedSize ?? 1;

function declareList(
  schema: JSONSchemaProps,
  bind: NonNullable<CelType['bind']>,
  name: string,
): CelType | undefined {
  const items = itemsOf(schema);
  const element = items && declareInner(items, `${name}.@idx`);
  if (element === undefined) return undefined;
  const max = (): number =>
    schema.maxItems === undefined
      ? Math.floor((maxRequestBytes - 2) / (sizeOf(element) + 1))
      : notNegative(schema.maxItems);
  return new SchemaType({ kind: 'list', name: 'list', params: [element] }, bind, {
    min: () => bytes.container,
    max,
  });
}

function declareObject(
  schema: JSONSchemaProps,
  bind: NonNullable<CelType['bind']>,
  name: string,
): CelType | undefined {
  const values = valuesOf(schema);
  if (values !== undefined) {
    const value = declareInner(values, `${name}.@elem`);
    if (value === undefined) return undefined;
    const max = (): number =>
      schema.maxProperties === undefined
        ? Math.floor((maxRequestBytes - 2) / (sizeOf(value) + 6))
        : notNegative(schema.maxProperties);
    return new SchemaType({ kind: 'map', name: 'map', params: [keyType, value] }, bind, {
      min: () => bytes.container,
      max,
    });
  }
  return new SchemaType({ kind: 'object', name, params: [] }, bind, {
    min: () => objectSize(schema),
    fields: () => fieldsOf(schema, name),
  });
}

function fieldsOf(schema: JSONSchemaProps, name: string): ReadonlyMap<string, CelField> {
  const fields = new Map<string, CelField>();
  for (const [jsonName, property] of Object.entries(schema.properties ?? {})) {
    const escaped = escapeName(jsonName);
    if (escaped === undefined) continue;
    const type = declareInner(property, `${name}.${escaped}`);
    if (type !== undefined)
      fields.set(escaped, { type, jsonName, required: schema.required?.includes(jsonName) ?? false });
  }
  return fields;
}

const objectSizes = new WeakMap<JSONSchemaProps, number>();

/** `{}` and all required properties that are not defaulted. */
function objectSize(schema: JSONSchemaProps): number {
  let size = objectSizes.get(schema);
  if (size !== undefined) return size;
  size = bytes.container;
  for (const name of new Set(schema.required)) {
    const property = schema.properties?.[name];
    if (property === undefined || (property.default !== undefined && property.default !== null)) continue;
    const type = declareInner(property, 'object');
    if (type !== undefined) size += Buffer.byteLength(name) + sizeOf(type) + 4;
  }
  objectSizes.set(schema, size);
  return size;
}

/** Bytes from characters: each may take four. */
const textLength = (schema: JSONSchemaProps): number | undefined =>
  schema.maxLength === undefined ? undefined : notNegative(schema.maxLength) * 4;

function declareText(schema: JSONSchemaProps, bind: NonNullable<CelType['bind']>): CelType {
  const sized = (type: CelType, min: number, max: number): CelType =>
    new SchemaType(type, bind, { min: () => min, max: () => max });
  switch (schema.format) {
    case 'byte':
      return sized(
        bytesType,
        bytes.text,
        schema.maxLength === undefined ? maxRequestBytes - 2 : notNegative(schema.maxLength),
      );
    case 'duration':
      return sized(durationType, bytes.duration, bytes.maxTime);
    case 'date':
      return sized(timestampType, bytes.date, bytes.date);
    case 'date-time':
      return sized(timestampType, bytes.time, bytes.maxTime);
    default:
      return sized(stringType, bytes.text, textLength(schema) ?? longestEnum(schema) ?? maxRequestBytes - 2);
  }
}

function longestEnum(schema: JSONSchemaProps): number | undefined {
  if (schema.enum === undefined || schema.enum.length === 0) return undefined;
  const lengths = schema.enum.map((value: unknown) =>
    typeof value === 'string' ? Buffer.byteLength(value) : 0,
  );
  return Math.max(0, ...lengths);
}
