import {
  type GroupVersionKind,
  knownKinds,
  schemaOf,
  type FieldSchema,
  type StructSchema,
  type TypeSchema,
} from '@cloudless/kube/schema/schema';
import type { Served } from '../registry/catalogue.ts';
import { type OpenApiVersion, schemaPath } from './paths.ts';

type Schema = Record<string, unknown>;

/** Packages of groups that do not live in k8s.io/api. */
const packages: Readonly<Record<string, string>> = {
  meta: 'io.k8s.apimachinery.pkg.apis.meta',
  apiextensions: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions',
  apiregistration: 'io.k8s.kube-aggregator.pkg.apis.apiregistration',
};

/** `core.v1.Pod` → `io.k8s.api.core.v1.Pod`: the name that clients look schemas up by. */
export function definitionName(struct: string): string {
  const dot = struct.indexOf('.');
  const group = struct.slice(0, dot);
  return `${packages[group] ?? `io.k8s.api.${group}`}${struct.slice(dot)}`;
}

/** Types with a JSON form of their own, as upstream names and describes them. */
const specials: Readonly<Record<string, { name: string; schema: (version: OpenApiVersion) => Schema }>> = {
  quantity: {
    name: 'io.k8s.apimachinery.pkg.api.resource.Quantity',
    schema: (version) =>
      version === 'v2' ? { type: 'string' } : { oneOf: [{ type: 'string' }, { type: 'number' }] },
  },
  time: {
    name: 'io.k8s.apimachinery.pkg.apis.meta.v1.Time',
    schema: () => ({ type: 'string', format: 'date-time' }),
  },
  microTime: {
    name: 'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime',
    schema: () => ({ type: 'string', format: 'date-time' }),
  },
  intOrString: {
    name: 'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
    schema: (version) =>
      version === 'v2'
        ? { type: 'string', format: 'int-or-string' }
        : { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  },
  rawExtension: { name: 'io.k8s.apimachinery.pkg.runtime.RawExtension', schema: () => ({ type: 'object' }) },
  fieldsV1: { name: 'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1', schema: () => ({ type: 'object' }) },
  json: { name: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON', schema: () => ({}) },
  schemaOrBool: {
    name: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool',
    schema: () => ({}),
  },
  schemaOrArray: {
    name: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray',
    schema: () => ({}),
  },
  schemaOrStringArray: {
    name: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray',
    schema: () => ({}),
  },
};

const scalars: Readonly<Record<string, Schema>> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  float64: { type: 'number', format: 'double' },
  bytes: { type: 'string', format: 'byte' },
};

/** Collects the schemas that a set of resources needs, each struct once. */
class Components {
  readonly schemas: Record<string, Schema> = {};
  readonly #version: OpenApiVersion;
  readonly #kinds = kindsByStruct();

  constructor(version: OpenApiVersion) {
    this.#version = version;
  }

  add(struct: StructSchema): string {
    const name = definitionName(struct.name);
    if (name in this.schemas) return name;
    const schema: Schema = { type: 'object' };
    this.schemas[name] = schema;
    const required: string[] = [];
    const properties: Record<string, Schema> = {};
    for (const field of struct.fields.values()) {
      properties[field.name] = this.#field(field);
      if (field.required) required.push(field.name);
    }
    if (required.length > 0) schema['required'] = required;
    if (struct.fields.size > 0) schema['properties'] = properties;
    if (struct.atomic) schema['x-kubernetes-map-type'] = 'atomic';
    const kinds = this.#kinds.get(struct.name);
    if (kinds) schema['x-kubernetes-group-version-kind'] = kinds;
    return name;
  }

  #field(field: FieldSchema): Schema {
    const type = this.#type(field.type);
    const facts: Schema = {};
    if (field.default !== undefined) facts['default'] = field.default;
    if (field.listType) facts['x-kubernetes-list-type'] = field.listType;
    if (field.listMapKeys.length > 0) facts['x-kubernetes-list-map-keys'] = field.listMapKeys;
    if (field.mapType) facts['x-kubernetes-map-type'] = field.mapType;
    if (field.patchStrategy.length > 0) facts['x-kubernetes-patch-strategy'] = field.patchStrategy.join(',');
    if (field.patchMergeKey) facts['x-kubernetes-patch-merge-key'] = field.patchMergeKey;
    if (Object.keys(facts).length === 0) return type;
    // Beside a reference nothing else counts in OpenAPI 3.0.
    return '$ref' in type && this.#version === 'v3' ? { allOf: [type], ...facts } : { ...type, ...facts };
  }

  #type(type: TypeSchema): Schema {
    switch (type.kind) {
      case 'struct':
        return { $ref: schemaPath(this.add(type.struct), this.#version) };
      case 'list':
        return { type: 'array', items: this.#type(type.items) };
      case 'map':
        return { type: 'object', additionalProperties: this.#type(type.values) };
      default: {
        const special = specials[type.kind];
        if (!special) {
          const schema = { ...scalars[type.kind] };
          return 'enum' in type && type.enum ? { ...schema, enum: type.enum } : schema;
        }
        this.schemas[special.name] ??= special.schema(this.#version);
        return { $ref: schemaPath(special.name, this.#version) };
      }
    }
  }
}

let byStruct: Map<string, GroupVersionKind[]> | undefined;

function kindsByStruct(): Map<string, GroupVersionKind[]> {
  if (byStruct) return byStruct;
  byStruct = new Map();
  for (const kind of knownKinds()) {
    const struct = schemaOf(kind);
    if (!struct) continue;
    const kinds = byStruct.get(struct.name);
    if (kinds) kinds.push(kind);
    else byStruct.set(struct.name, [kind]);
  }
  return byStruct;
}

/** Every schema that the bodies of these resources refer to. */
export function componentsOf(served: readonly Served[], version: OpenApiVersion): Record<string, Schema> {
  const components = new Components(version);
  const add = (kind: GroupVersionKind): void => {
    const struct = schemaOf(kind);
    if (struct) components.add(struct);
  };
  for (const { resource, subresources, computed } of served) {
    add(resource);
    if (!computed) add({ ...resource, kind: `${resource.kind}List` });
    for (const subresource of subresources.values()) add(subresource);
    for (const kind of ['DeleteOptions', 'Status', 'WatchEvent'])
      add({ group: resource.group, version: resource.version, kind });
  }
  return components.schemas;
}
