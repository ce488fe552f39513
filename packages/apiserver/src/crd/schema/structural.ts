/**
 * Structural schemas as objects are walked by them: prune, default, coerce, validate. Made once per version of a
 * CustomResourceDefinition from its JSON; property names become Map keys, so that no object's prototype answers.
 */
import type { JSONSchemaProps, ValidationRule } from '@cloudless/kube/types/apiextensions-v1';

/** `additionalProperties`: whether further properties are allowed, and what they must look like. */
export interface AdditionalProperties {
  readonly allows: boolean;
  readonly schema: Structural | undefined;
}

/** One node of a schema. */
export interface Structural {
  readonly source: JSONSchemaProps;
  readonly properties: ReadonlyMap<string, Structural> | undefined;
  readonly items: Structural | undefined;
  readonly additional: AdditionalProperties | undefined;
  readonly nullable: boolean;
  readonly preserve: boolean;
  readonly embedded: boolean;
  /** Default of this node; undefined for none (a default of null counts as none). */
  readonly default: unknown;
  /** Whether a default stands at or below this node. */
  readonly hasDefaults: boolean;
  /** Whether an embedded resource stands at or below this node. */
  readonly hasEmbedded: boolean;
  /** Whether a list of type set or map stands at or below this node. */
  readonly hasUniqueLists: boolean;
}

/** The one schema of `items`; undefined for none, and for the list of schemas that upstream does not support. */
export function itemsOf(schema: JSONSchemaProps): JSONSchemaProps | undefined {
  const { items } = schema;
  return items === undefined || items === null || Array.isArray(items) ? undefined : items;
}

/** The schemas of `items` when they are a list. */
export function itemListOf(schema: JSONSchemaProps): readonly JSONSchemaProps[] {
  return Array.isArray(schema.items) ? (schema.items as JSONSchemaProps[]) : [];
}

/** `additionalProperties` or `additionalItems`: `true`, `false`, or a schema. */
export function schemaOrBool(
  value: unknown,
): { allows: boolean; schema: JSONSchemaProps | undefined } | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'boolean') return { allows: value, schema: undefined };
  return { allows: true, schema: value };
}

/** The schemas right below one, each with the keyword that holds it. */
export function* childrenOf(schema: JSONSchemaProps): Generator<JSONSchemaProps> {
  const items = itemsOf(schema);
  if (items) yield items;
  yield* itemListOf(schema);
  yield* schema.allOf ?? [];
  yield* schema.anyOf ?? [];
  yield* schema.oneOf ?? [];
  if (schema.not) yield schema.not;
  for (const name in schema.properties) yield schema.properties[name] as JSONSchemaProps;
  const additional = schemaOrBool(schema.additionalProperties)?.schema;
  if (additional) yield additional;
  for (const name in schema.patternProperties) yield schema.patternProperties[name] as JSONSchemaProps;
  const additionalItems = schemaOrBool(schema.additionalItems)?.schema;
  if (additionalItems) yield additionalItems;
  for (const name in schema.definitions) yield schema.definitions[name] as JSONSchemaProps;
  for (const name in schema.dependencies) {
    const dependency = schema.dependencies[name];
    if (dependency && !Array.isArray(dependency)) yield dependency;
  }
}

/** Whether `predicate` holds for the schema or any below it. */
export function schemaHas(
  schema: JSONSchemaProps | undefined,
  predicate: (schema: JSONSchemaProps) => boolean,
): boolean {
  if (!schema) return false;
  if (predicate(schema)) return true;
  for (const child of childrenOf(schema)) if (schemaHas(child, predicate)) return true;
  return false;
}

export const rulesOf = (schema: JSONSchemaProps): readonly ValidationRule[] =>
  schema['x-kubernetes-validations'] ?? [];

/** The walkable form of a schema. `embedded`: treat its root as a resource with apiVersion, kind and metadata. */
export function structuralOf(source: JSONSchemaProps, embedded = false): Structural {
  const properties = source.properties && propertiesOf(source.properties);
  const itemSource = itemsOf(source);
  const items = itemSource && structuralOf(itemSource);
  const given = schemaOrBool(source.additionalProperties);
  const additional = given && { allows: given.allows, schema: given.schema && structuralOf(given.schema) };
  const children = [...(properties?.values() ?? []), items, additional?.schema];
  const listType = source['x-kubernetes-list-type'];
  const isEmbedded = embedded || source['x-kubernetes-embedded-resource'] === true;
  const below = (test: (child: Structural) => boolean): boolean =>
    children.some((child) => child !== undefined && test(child));
  return {
    source,
    properties,
    items,
    additional,
    nullable: source.nullable === true,
    preserve: source['x-kubernetes-preserve-unknown-fields'] === true,
    embedded: isEmbedded,
    default: source.default ?? undefined,
    hasDefaults: (source.default ?? undefined) !== undefined || below((child) => child.hasDefaults),
    hasEmbedded: isEmbedded || below((child) => child.hasEmbedded),
    hasUniqueLists: listType === 'set' || listType === 'map' || below((child) => child.hasUniqueLists),
  };
}

function propertiesOf(source: Readonly<Record<string, JSONSchemaProps>>): Map<string, Structural> {
  const properties = new Map<string, Structural>();
  for (const name of Object.keys(source)) properties.set(name, structuralOf(source[name] as JSONSchemaProps));
  return properties;
}

/** The schema of an object's member; undefined where none says anything of it. */
export const schemaOfMember = (schema: Structural, name: string): Structural | undefined =>
  schema.properties?.get(name) ?? schema.additional?.schema;
