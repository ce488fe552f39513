/** Reading structural schemas. */
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';

/** The schema of an array's elements. */
export function itemsOf(schema: JSONSchemaProps): JSONSchemaProps | undefined {
  const items = schema.items as JSONSchemaProps | JSONSchemaProps[] | undefined;
  return items === undefined || Array.isArray(items) ? undefined : items;
}

/** The schema of a map's values. */
export function valuesOf(schema: JSONSchemaProps): JSONSchemaProps | undefined {
  const values = schema.additionalProperties as JSONSchemaProps | boolean | undefined;
  return typeof values === 'object' ? values : undefined;
}

const text: JSONSchemaProps = { type: 'string' };
const meta: JSONSchemaProps = { type: 'object', properties: { name: text, generateName: text } };

/**
 * A schema of an object that has apiVersion, kind, metadata.name and metadata.generateName: rules see those of every
 * resource, and nothing else of metadata unless the schema names all of these itself.
 */
export function withObjectMeta(schema: JSONSchemaProps): JSONSchemaProps {
  const { properties } = schema;
  const known =
    properties?.['kind']?.type === 'string' &&
    properties['apiVersion']?.type === 'string' &&
    properties['metadata']?.type === 'object' &&
    properties['metadata'].properties?.['name']?.type === 'string' &&
    properties['metadata'].properties['generateName']?.type === 'string';
  if (known) return schema;
  return { ...schema, properties: { ...properties, kind: text, apiVersion: text, metadata: meta } };
}
