/** Definitions of the built-in types, made from the generated schema by the rules of upstream's openapi-gen. */
import {
  compact,
  type FieldSchema,
  type GroupVersionKind,
  knownKinds,
  schemaOf,
  structOf,
  type StructSchema,
  type TypeSchema,
} from '@cloudless/kube/schema/schema';
import type { Descriptions, TypeDescription } from './descriptions.ts';
import { type KindOfDefinition, refTo, type Schema, withBeside } from './schema.ts';

const machinery = 'io.k8s.apimachinery.pkg';
/** Packages of groups that do not live in k8s.io/api. */
const packages: Readonly<Record<string, string>> = {
  meta: `${machinery}.apis.meta`,
  version: `${machinery}.version`,
  apiextensions: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions',
  apiregistration: 'io.k8s.kube-aggregator.pkg.apis.apiregistration',
};

/** `core.v1.Pod` → `io.k8s.api.core.v1.Pod`: the name that clients look schemas up by. */
export function definitionName(struct: string): string {
  const dot = struct.indexOf('.');
  const group = struct.slice(0, dot);
  return `${packages[group] ?? `io.k8s.api.${group}`}${struct.slice(dot)}`;
}

/** Definition of a built-in kind's type; undefined for one that is not known. */
export function definitionOfKind(kind: GroupVersionKind): string | undefined {
  const struct = schemaOf(kind);
  return struct && definitionName(struct.name);
}

export const metaDefinition = (name: string): string => `${machinery}.apis.meta.v1.${name}`;
const customMachinery = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1';

/** Types with a JSON form of their own: name of the definition and its schema. */
const specials: Readonly<Record<string, { name: string; schema: Schema }>> = {
  quantity: {
    name: `${machinery}.api.resource.Quantity`,
    schema: { oneOf: [{ type: 'string' }, { type: 'number' }] },
  },
  time: { name: metaDefinition('Time'), schema: { type: 'string', format: 'date-time' } },
  microTime: { name: metaDefinition('MicroTime'), schema: { type: 'string', format: 'date-time' } },
  intOrString: {
    name: `${machinery}.util.intstr.IntOrString`,
    schema: { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  },
  rawExtension: { name: `${machinery}.runtime.RawExtension`, schema: { type: 'object' } },
  fieldsV1: { name: metaDefinition('FieldsV1'), schema: { type: 'object' } },
  json: { name: `${customMachinery}.JSON`, schema: {} },
  schemaOrBool: { name: `${customMachinery}.JSONSchemaPropsOrBool`, schema: {} },
  schemaOrArray: { name: `${customMachinery}.JSONSchemaPropsOrArray`, schema: {} },
  schemaOrStringArray: { name: `${customMachinery}.JSONSchemaPropsOrStringArray`, schema: {} },
};

const patchName = metaDefinition('Patch');
export const versionInfoName = `${machinery}.version.Info`;

/** Definitions that are no structs of the schema. */
const others: Readonly<Record<string, Schema>> = {
  ...Object.fromEntries(Object.values(specials).map(({ name, schema }) => [name, schema])),
  [patchName]: { type: 'object' },
  [versionInfoName]: versionInfo(),
};

function versionInfo(): Schema {
  const required = [
    'major',
    'minor',
    'gitVersion',
    'gitCommit',
    'gitTreeState',
    'buildDate',
    'goVersion',
    'compiler',
    'platform',
  ];
  const optional = ['emulationMajor', 'emulationMinor', 'minCompatibilityMajor', 'minCompatibilityMinor'];
  const properties = {
    ...Object.fromEntries(required.map((name) => [name, { type: 'string', default: '' }])),
    ...Object.fromEntries(optional.map((name) => [name, { type: 'string' }])),
  };
  return { type: 'object', required, properties };
}

const scalars: Readonly<Record<string, Schema>> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  float64: { type: 'number', format: 'double' },
  bytes: { type: 'string', format: 'byte' },
};

/**
 * Go's zero values, which upstream declares as defaults of what is always written (openapi-gen, mustEnforceDefault).
 * Structs have one even where they are left out when empty.
 */
const zeroValues: Readonly<Record<string, unknown>> = {
  string: '',
  bool: false,
  int32: 0,
  int64: 0,
  float64: 0,
};
const zeroOf = (type: TypeSchema): unknown => (type.kind === 'struct' ? {} : zeroValues[type.kind]);

/**
 * Structs of which one member at most may be set (`+union` in upstream's sources): the member that says which, and Go
 * names of the others by their JSON names.
 */
const unions: Readonly<Record<string, { discriminator?: string; members: Record<string, string> }>> = {
  'core.v1.AppArmorProfile': { discriminator: 'type', members: { localhostProfile: 'LocalhostProfile' } },
  'core.v1.PodSchedulingGroup': { members: { podGroupName: 'PodGroupName' } },
  'core.v1.SeccompProfile': { discriminator: 'type', members: { localhostProfile: 'LocalhostProfile' } },
  'flowcontrol.v1.LimitResponse': { discriminator: 'type', members: { queuing: 'Queuing' } },
  'flowcontrol.v1.PriorityLevelConfigurationSpec': {
    discriminator: 'type',
    members: { exempt: 'Exempt', limited: 'Limited' },
  },
  'flowcontrol.v1.Subject': {
    discriminator: 'kind',
    members: { group: 'Group', serviceAccount: 'ServiceAccount', user: 'User' },
  },
};

/** Kinds that are registered with every group version. */
const ofEveryGroup: ReadonlySet<string> = new Set(['DeleteOptions', 'WatchEvent']);

let kindsByDefinition: ReadonlyMap<string, readonly KindOfDefinition[]> | undefined;

/** Kinds of each definition, sorted as upstream sorts them: by group, version, kind. */
function kindsOf(definition: string): readonly KindOfDefinition[] {
  kindsByDefinition ??= collectKinds();
  return kindsByDefinition.get(definition) ?? [];
}

function collectKinds(): Map<string, KindOfDefinition[]> {
  const found = new Map<string, KindOfDefinition[]>();
  const add = ({ group, version, kind }: GroupVersionKind, struct: string): void => {
    const name = definitionName(struct);
    const kinds = found.get(name);
    if (kinds) kinds.push({ group, kind, version });
    else found.set(name, [{ group, kind, version }]);
  };
  for (const kind of knownKinds()) {
    const struct = schemaOf(kind);
    if (struct) add(kind, struct.name);
  }
  for (const [kind, struct] of Object.entries(compact.metaKinds)) {
    // What discovery and errors answer with is registered in v1 only.
    if (!ofEveryGroup.has(kind)) {
      if (!found.has(definitionName(struct))) add({ group: '', version: 'v1', kind }, struct);
      continue;
    }
    for (const apiVersion of Object.keys(compact.groupVersions)) {
      const [version = '', group = ''] = apiVersion.split('/').reverse();
      add({ group, version, kind }, struct);
    }
  }
  const key = ({ group, version, kind }: KindOfDefinition): string => `${group}\0${version}\0${kind}`;
  for (const kinds of found.values()) kinds.sort((a, b) => (key(a) < key(b) ? -1 : 1));
  return found;
}

/**
 * Definitions by name. `groupVersion` limits the kinds of what all groups share to one group version and the core's, as
 * the documents of version 3 do; undefined names them all.
 */
export class Definitions {
  readonly #descriptions: Descriptions;
  #typeMeta: ReadonlyMap<string, string> | undefined;

  constructor(descriptions: Descriptions) {
    this.#descriptions = descriptions;
  }

  /** Schema of a definition, in the form of version 3. Throws for a name that no built-in type has. */
  get(name: string, of?: { group: string; version: string }): Schema {
    const described = this.#descriptions.of(name);
    const text = described?.text === undefined ? {} : { description: described.text };
    const schema = others[name]
      ? this.#other(others[name], described)
      : this.#struct(structNamed(name), described);
    const kinds = kindsOf(name).filter(
      (kind) =>
        !of ||
        !ofEveryGroup.has(kind.kind) ||
        kind.group === '' ||
        (kind.group === of.group && kind.version === of.version),
    );
    return {
      ...text,
      ...schema,
      ...(kinds.length > 0 ? { 'x-kubernetes-group-version-kind': kinds } : {}),
    };
  }

  /** Descriptions of `apiVersion` and `kind`, which all kinds share. */
  typeMeta(field: string): string | undefined {
    this.#typeMeta ??= this.#descriptions.of(metaDefinition('DeleteOptions'))?.fields ?? new Map();
    return this.#typeMeta.get(field);
  }

  /** Description of an object's `metadata`, or of a list's. */
  metadataDescription(list: '' | 'List'): string | undefined {
    return this.#descriptions.of(definitionName(`core.v1.Pod${list}`))?.fields.get('metadata');
  }

  #other(schema: Schema, described: TypeDescription | undefined): Schema {
    if (!schema['properties'] || !described) return schema;
    const properties = Object.entries(schema['properties']).map(([name, each]) => {
      const description = described.fields.get(name);
      return [name, description === undefined ? each : { ...(each as Schema), description }];
    });
    return { ...schema, properties: Object.fromEntries(properties) as Schema };
  }

  #struct(struct: StructSchema, described: TypeDescription | undefined): Schema {
    const required: string[] = [];
    const properties: Record<string, Schema> = {};
    const hasTypeMeta = struct.fields.has('apiVersion') && struct.fields.has('kind');
    for (const field of struct.fields.values()) {
      const shared = hasTypeMeta && (field.name === 'apiVersion' || field.name === 'kind');
      const description =
        described?.fields.get(field.name) ?? (shared ? this.typeMeta(field.name) : undefined);
      properties[field.name] = propertyOf(field, description);
      if (field.required) required.push(field.name);
    }
    return {
      type: 'object',
      ...(required.length > 0 ? { required } : {}),
      ...(struct.fields.size > 0 ? { properties } : {}),
      ...(struct.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
      ...unionOf(struct.name),
    };
  }
}

function structNamed(definition: string): StructSchema {
  const [name = '', version = '', group = ''] = definition.split('.').reverse();
  return structOf(`${group}.${version}.${name}`);
}

function unionOf(struct: string): Schema {
  const union = unions[struct];
  if (!union) return {};
  const { members, ...discriminator } = union;
  return { 'x-kubernetes-unions': [{ ...discriminator, 'fields-to-discriminateBy': members }] };
}

function propertyOf(field: FieldSchema, description: string | undefined): Schema {
  const beside: Record<string, unknown> = description === undefined ? {} : { description };
  const { type } = field;
  const zero = zeroOf(type);
  if (field.default !== undefined) beside['default'] = field.default;
  else if (zero !== undefined && !field.pointer && (!field.omitEmpty || type.kind === 'struct'))
    beside['default'] = zero;
  if (field.listType) beside['x-kubernetes-list-type'] = field.listType;
  if (field.listMapKeys.length > 0) beside['x-kubernetes-list-map-keys'] = field.listMapKeys;
  if (field.mapType) beside['x-kubernetes-map-type'] = field.mapType;
  if (field.patchStrategy.length > 0) beside['x-kubernetes-patch-strategy'] = field.patchStrategy.join(',');
  if (field.patchMergeKey) beside['x-kubernetes-patch-merge-key'] = field.patchMergeKey;
  return withBeside(typeSchema(type), beside);
}

/** Schema of a list's item or a map's value: what is inside is never left out. */
function elementSchema(type: TypeSchema): Schema {
  const zero = zeroOf(type);
  return withBeside(typeSchema(type), zero === undefined ? {} : { default: zero });
}

function typeSchema(type: TypeSchema): Schema {
  switch (type.kind) {
    case 'struct':
      return refTo(definitionName(type.struct.name));
    case 'list':
      return { type: 'array', items: elementSchema(type.items) };
    case 'map':
      return { type: 'object', additionalProperties: elementSchema(type.values) };
    default: {
      const special = specials[type.kind];
      if (special) return refTo(special.name);
      const schema = scalars[type.kind] as Schema;
      return 'enum' in type && type.enum ? { ...schema, enum: [...type.enum].sort() } : schema;
    }
  }
}
