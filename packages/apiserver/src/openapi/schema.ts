/**
 * What the rooms of OpenAPI share: a schema, references, and the two dialects. Schemas are made in the form of version 3
 * and turned into version 2 at the end, as upstream's do (kube-openapi, pkg/openapiconv and pkg/schemaconv).
 */

/** `v2` is Swagger 2.0, `v3` is OpenAPI 3.0. */
export type OpenApiVersion = 'v2' | 'v3';

export type Schema = { readonly [member: string]: unknown };

export const refPrefix = { v2: '#/definitions/', v3: '#/components/schemas/' } as const;

export const refTo = (name: string): Schema => ({ $ref: refPrefix.v3 + name });

/** The definition that a reference in the form of version 3 leads to. */
export const referenced = (ref: string): string => ref.slice(refPrefix.v3.length);

/** A reference with members beside it: in OpenAPI 3.0 nothing counts beside `$ref`. */
export function withBeside(type: Schema, beside: Schema): Schema {
  for (const _member in beside) return '$ref' in type ? { ...beside, allOf: [type] } : { ...type, ...beside };
  return type;
}

/** Kinds that a definition stands for, in upstream's order. */
export interface KindOfDefinition {
  readonly group: string;
  readonly kind: string;
  readonly version: string;
}

/**
 * A built-in schema as version 2 has it: without defaults, references bare of `allOf`. Two types have another form there:
 * those with several JSON types, which version 2 cannot say.
 */
export function toV2(schema: Schema): Schema {
  const { default: _default, allOf, oneOf, properties, items, additionalProperties, ...rest } = schema;
  const converted: Record<string, unknown> = rest;
  const [only] = (allOf as Schema[] | undefined) ?? [];
  if (only) Object.assign(converted, toV2(only));
  if (oneOf) converted['type'] = 'string';
  if (typeof schema['$ref'] === 'string') converted['$ref'] = refPrefix.v2 + referenced(schema['$ref']);
  if (items) converted['items'] = toV2(items as Schema);
  if (additionalProperties) converted['additionalProperties'] = toV2(additionalProperties as Schema);
  if (properties) {
    converted['properties'] = Object.fromEntries(
      Object.entries(properties as Record<string, Schema>).map(([name, each]) => [name, toV2(each)]),
    );
  }
  return converted;
}
