/**
 * Schemas of custom kinds as they are published (apiextensions-apiserver, pkg/controller/openapi): nearly as written in
 * version 3; version 2 cannot say null, alternatives, or that unknown fields are kept, and says less.
 */
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import type { CustomVersion } from '../registry/catalogue.ts';
import { type Definitions, metaDefinition } from './definitions.ts';
import { type OpenApiVersion, refPrefix, refTo, type Schema, toV2, withBeside } from './schema.ts';

/** `example.com`, `v1`, `Foo` → `com.example.v1.Foo` */
export function customDefinitionName(group: string, version: string, kind: string): string {
  return `${group.split('.').reverse().join('.')}.${version}.${kind}`;
}

const nothingButAnObject: Schema = { type: 'object' };
const preserve = 'x-kubernetes-preserve-unknown-fields';
const embedded = 'x-kubernetes-embedded-resource';

/** The definition of a custom kind in one dialect. References in it are in the form of that dialect. */
export function customSchema(custom: CustomVersion, dialect: OpenApiVersion, shared: Definitions): Schema {
  const { definition, version } = custom;
  const { group, names } = definition.spec;
  const kinds = [{ group, kind: names.kind, version: version.name }];
  const facts = { 'x-kubernetes-group-version-kind': kinds, ...selectableFields(custom) };
  const root = version.schema?.openAPIV3Schema;
  // With properties, kubectl would refuse all others.
  const keepsAll = definition.spec.preserveUnknownFields === true || root?.[preserve] === true;
  if (!root || (dialect === 'v2' && keepsAll)) return { ...nothingButAnObject, ...facts };
  const published = new Publisher(dialect, shared).publish(root);
  const properties = { ...(published['properties'] as Record<string, Schema>), ...typeMeta(dialect, shared) };
  return { ...published, properties, ...facts };
}

/** The list of a custom kind. */
export function customListSchema(
  custom: CustomVersion,
  dialect: OpenApiVersion,
  shared: Definitions,
): Schema {
  const { definition, version } = custom;
  const { group, names } = definition.spec;
  const kind = names.listKind ?? `${names.kind}List`;
  const { apiVersion, kind: kindSchema } = typeMeta(dialect, shared);
  return {
    description: `${kind} is a list of ${names.kind}`,
    type: 'object',
    required: ['items'],
    properties: {
      apiVersion,
      items: {
        description: `List of ${names.plural}.`,
        type: 'array',
        items: { $ref: refPrefix[dialect] + customDefinitionName(group, version.name, names.kind) },
      },
      kind: kindSchema,
      metadata: metadataOf('ListMeta', dialect, shared),
    },
    'x-kubernetes-group-version-kind': [{ group, kind, version: version.name }],
    ...selectableFields(custom),
  };
}

function selectableFields({ version }: CustomVersion): Schema {
  const fields = version.selectableFields ?? [];
  if (fields.length === 0) return {};
  const paths = fields.map(({ jsonPath }) => ({ fieldPath: jsonPath.replace(/^\./, '') }));
  return { 'x-kubernetes-selectable-fields': paths };
}

function metadataOf(type: 'ObjectMeta' | 'ListMeta', dialect: OpenApiVersion, shared: Definitions): Schema {
  const list = type === 'ListMeta' ? 'List' : '';
  const description = shared.metadataDescription(list);
  const schema = withBeside(refTo(metaDefinition(type)), description === undefined ? {} : { description });
  return dialect === 'v2' ? toV2(schema) : schema;
}

function typeMeta(
  dialect: OpenApiVersion,
  shared: Definitions,
): Record<'apiVersion' | 'kind' | 'metadata', Schema> {
  const string = (field: string): Schema => {
    const description = shared.typeMeta(field);
    return { ...(description === undefined ? {} : { description }), type: 'string' };
  };
  return {
    apiVersion: string('apiVersion'),
    kind: string('kind'),
    metadata: metadataOf('ObjectMeta', dialect, shared),
  };
}

/** Members of a schema that are published as they are. */
const plain = [
  'description',
  'title',
  'default',
  'externalDocs',
  'example',
  'format',
  'maximum',
  'exclusiveMaximum',
  'minimum',
  'exclusiveMinimum',
  'maxLength',
  'minLength',
  'pattern',
  'maxItems',
  'minItems',
  'uniqueItems',
  'multipleOf',
  'enum',
  'maxProperties',
  'minProperties',
  preserve,
  embedded,
  'x-kubernetes-int-or-string',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-list-type',
  'x-kubernetes-map-type',
  'x-kubernetes-validations',
] as const;
const alternatives = ['allOf', 'oneOf', 'anyOf', 'not'] as const;

const integerOrString = [{ type: 'integer' }, { type: 'string' }];

function isIntegerOrString(anyOf: unknown): boolean {
  return JSON.stringify(anyOf) === JSON.stringify(integerOrString);
}

class Publisher {
  readonly #dialect: OpenApiVersion;
  readonly #shared: Definitions;

  constructor(dialect: OpenApiVersion, shared: Definitions) {
    this.#dialect = dialect;
    this.#shared = shared;
  }

  publish(schema: JSONSchemaProps): Schema {
    const published: Record<string, unknown> = {};
    for (const member of plain) {
      const value = schema[member];
      // Go leaves out what is zero: an absent flag and a false one are the same; a default of false is not.
      if (value !== undefined && (value !== false || member === 'default')) published[member] = value;
    }
    if (schema.type) published['type'] = schema.type;
    if (schema.required && schema.required.length > 0) published['required'] = schema.required;
    const items = schema.items as JSONSchemaProps | undefined;
    if (items) published['items'] = this.publish(items);
    if (schema.properties) published['properties'] = this.#properties(schema.properties);
    const additional = schema.additionalProperties as JSONSchemaProps | boolean | undefined;
    if (additional !== undefined)
      published['additionalProperties'] =
        typeof additional === 'object' ? this.publish(additional) : additional;
    if (this.#dialect === 'v3') this.#onlyInV3(schema, published);
    else this.#withoutWhatV2Lacks(schema, published);
    if (published[embedded] === true) this.#embed(published);
    return published;
  }

  #properties(properties: Record<string, JSONSchemaProps>): Record<string, Schema> {
    const published: Record<string, Schema> = {};
    for (const name of Object.keys(properties))
      published[name] = this.publish(properties[name] as JSONSchemaProps);
    return published;
  }

  #onlyInV3(schema: JSONSchemaProps, published: Record<string, unknown>): void {
    if (schema.nullable) published['nullable'] = true;
    for (const member of alternatives) if (schema[member]) published[member] = schema[member];
    if (!schema['x-kubernetes-int-or-string']) return;
    if (isIntegerOrString(schema.anyOf) || isIntegerOrString(schema.allOf?.[0]?.anyOf)) return;
    if (!schema.anyOf) published['anyOf'] = integerOrString;
    else published['allOf'] = [{ anyOf: integerOrString }, ...(schema.allOf ?? [])];
  }

  /** What remains has no type wherever kubectl would take an incomplete one for the whole truth. */
  #withoutWhatV2Lacks(schema: JSONSchemaProps, published: Record<string, unknown>): void {
    delete published['default'];
    if (schema.nullable) delete published['type'];
    if (schema.nullable || schema[preserve]) {
      delete published['items'];
      delete published['properties'];
    }
    if (!published['items'] && published['type'] === 'array') delete published['type'];
    if (schema[preserve] && published['type'] === 'object') delete published['type'];
    const values = schema.additionalProperties as JSONSchemaProps | boolean | undefined;
    const required = (published['required'] as string[] | undefined)?.filter(
      (name) => !published['properties'] || !schema.properties?.[name]?.nullable,
    );
    const nullableValues = typeof values === 'object' && values.nullable === true;
    if (!required || required.length === 0 || nullableValues) delete published['required'];
    else published['required'] = required;
  }

  /** A whole object in a field: it has apiVersion, kind and metadata, which its schema need not name. */
  #embed(published: Record<string, unknown>): void {
    if (this.#dialect === 'v2' && published[preserve] === true) return;
    published['properties'] = {
      ...(published['properties'] as Record<string, Schema>),
      ...typeMeta(this.#dialect, this.#shared),
    };
    const required = (published['required'] as string[] | undefined) ?? [];
    const missing = ['kind', 'apiVersion'].filter((name) => !required.includes(name));
    published['required'] = [...required, ...missing];
  }
}
