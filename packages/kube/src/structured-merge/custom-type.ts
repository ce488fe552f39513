import type { JSONSchemaProps } from '../generated/types/apiextensions-v1.ts';
import { structOf } from '../schema/schema.ts';
import { mergeTypeOf } from './built-in-type.ts';
import {
  deducedType,
  LazyField,
  ListType,
  type MapField,
  type MapType,
  type MergeType,
  type ScalarType,
  untypedAtomic,
} from './merge-type.ts';

const roots = new WeakMap<JSONSchemaProps, MergeType>();
const string: MergeType = { scalar: 'string' };

/**
 * The merge type of a custom kind by its structural schema; lists are atomic unless they say otherwise. Unknown
 * fields under `x-kubernetes-preserve-unknown-fields` merge by member. Source: kube-openapi, pkg/schemaconv.
 */
export function mergeTypeOfSchema(schema: JSONSchemaProps): MergeType {
  let type = roots.get(schema);
  if (!type) {
    // Every object has its types and metadata, whether or not the schema speaks of them.
    type = typeOf(schema, { preserve: false, embedded: true });
    roots.set(schema, type);
  }
  return type;
}

interface Surroundings {
  /** An ancestor keeps unknown fields: so do all below it. */
  preserve: boolean;
  /** It is an object of Kubernetes. */
  embedded: boolean;
}

function typeOf(schema: JSONSchemaProps, around: Surroundings): MergeType {
  const preserve = around.preserve || schema['x-kubernetes-preserve-unknown-fields'] === true;
  const embedded = around.embedded || schema['x-kubernetes-embedded-resource'] === true;
  switch (schema.type) {
    case 'object':
      return { map: mapOf(schema, preserve, embedded) };
    case 'array':
      return { list: listOf(schema, preserve) };
    case 'integer':
    case 'number':
      return { scalar: 'numeric' };
    case 'boolean':
      return { scalar: 'boolean' };
    case 'string':
      return { scalar: stringScalar(schema.format) };
    default:
      return { scalar: 'untyped', list: listOf(schema, preserve), map: mapOf(schema, preserve, embedded) };
  }
}

const stringScalar = (format: string | undefined): ScalarType =>
  format === undefined || format === '' || format === 'byte' ? 'string' : 'untyped';

function mapOf(schema: JSONSchemaProps, preserve: boolean, embedded: boolean): MapType {
  const fields = new Map<string, MapField>();
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    fields.set(
      name,
      new LazyField(name, () => typeOf(property, { preserve, embedded: false }), property.default),
    );
  }
  if (embedded) {
    fields.set('apiVersion', new LazyField('apiVersion', () => string, undefined));
    fields.set('kind', new LazyField('kind', () => string, undefined));
    fields.set(
      'metadata',
      new LazyField('metadata', () => mergeTypeOf(structOf('meta.v1.ObjectMeta')), undefined),
    );
  }
  const { additionalProperties: more } = schema;
  let element: MergeType | undefined;
  return {
    fields,
    get element() {
      if (more === undefined) return preserve || fields.size === 0 ? deducedType : undefined;
      if (typeof more === 'boolean') return more ? deducedType : undefined;
      return (element ??= typeOf(more as JSONSchemaProps, { preserve, embedded: false }));
    },
    atomic: schema['x-kubernetes-map-type'] === 'atomic',
  };
}

function listOf(schema: JSONSchemaProps, preserve: boolean): ListType {
  const { items } = schema;
  const kind = schema['x-kubernetes-list-type'];
  const relation = kind === 'set' || kind === 'map' ? 'associative' : 'atomic';
  const keys = kind === 'map' ? (schema['x-kubernetes-list-map-keys'] ?? []) : [];
  const element = (): MergeType =>
    items === undefined ? untypedAtomic : typeOf(items as JSONSchemaProps, { preserve, embedded: false });
  return new ListType(element, relation, keys);
}
