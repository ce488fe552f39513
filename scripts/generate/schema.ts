// Writes src/generated/{schema.json,structs.txt}, the compact schema that packages/kube/src/schema reads: kinds,
// enums and the catalogue of resources; and a struct a line with its fields (JSON name, type, protobuf number,
// presence, list and patch rules). Facts: data/kubernetes-1.36/{structs,definitions,proto,enums,defaults,discovery}.json.
import { readFileSync, writeFileSync } from 'node:fs';
import type {
  CompactExtra,
  CompactField,
  CompactResource,
  CompactSchema,
} from '../../packages/kube/src/schema/compact.ts';
import { flags } from '../../packages/kube/src/schema/compact.ts';

const root = new URL('../../packages/kube/', import.meta.url);
const facts = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`data/kubernetes-1.36/${name}.json`, root), 'utf8')) as T;

/** JSON name (empty: embedded), type expression, protobuf number (0: none), presence: p, e, z. */
type StructField = [name: string, type: string, number: number, presence: string];

interface Structs {
  kinds: Record<string, string>;
  metaKinds: Record<string, string>;
  structs: Record<string, StructField[]>;
}

interface Property {
  default?: unknown;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-map-type'?: string;
  'x-kubernetes-patch-strategy'?: string;
  'x-kubernetes-patch-merge-key'?: string;
}

interface Definition extends Property {
  properties?: Record<string, Property>;
  required?: string[];
}

interface ProtoFile {
  messages: Record<string, Array<{ name: string; number: number; type: string }>>;
}

interface DiscoveredResource {
  kind: string;
  namespaced: boolean;
  singularName?: string;
  verbs: string[];
  shortNames?: string[];
  categories?: string[];
  group?: string;
  version?: string;
  storage?: string;
}

interface Discovery {
  groupVersions: Record<string, { groupPriority?: number; versionPriority?: number; served: boolean }>;
  resources: Record<string, Record<string, DiscoveredResource>>;
}

const { kinds, metaKinds, structs } = facts<Structs>('structs');
const definitions = facts<Record<string, Definition>>('definitions');
const proto = facts<Record<string, ProtoFile>>('proto');
const enums = facts<Record<string, Record<string, string[]>>>('enums');
const defaults = facts<Record<string, Record<string, Record<string, string>>>>('defaults');
const discovery = facts<Discovery>('discovery');

/** Prefixes that the compact names leave out: `core.v1.Pod`, `meta.v1.ObjectMeta`, `resource.Quantity`. */
const prefixes = [
  'io.k8s.apimachinery.pkg.apis.',
  'io.k8s.apimachinery.pkg.api.',
  'io.k8s.apimachinery.pkg.util.',
  'io.k8s.apimachinery.pkg.',
  'io.k8s.apiextensions-apiserver.pkg.apis.',
  'io.k8s.kube-aggregator.pkg.apis.',
  'io.k8s.api.',
];

function short(name: string): string {
  const prefix = prefixes.find((candidate) => name.startsWith(candidate));
  if (prefix === undefined) throw new Error(`${name} is in no known Go package`);
  return name.slice(prefix.length);
}

const shortType = (expression: string): string =>
  expression.replace(/io\.k8s\.[\w.-]+/g, (name) => short(name));

/** `io.k8s.api.core.v1.Pod` → its message in proto.json. */
function messageOf(name: string): ProtoFile['messages'][string] | undefined {
  const parts = name
    .replace(/^io\.k8s\./, 'k8s.io.')
    .replaceAll('-', '_')
    .split('.');
  const message = parts.pop() as string;
  return proto[parts.join('.')]?.messages[message];
}

/** `core/v1`'s declared default of a field, as a value. `ref(Constant)` names a value of the field's enum. */
function declaredDefault(struct: string, field: string, type: string): unknown {
  const parts = short(struct).split('.');
  const name = parts.pop() as string;
  const text = defaults[parts.join('/')]?.[name]?.[field];
  if (text === undefined) return undefined;
  const constant = /^ref\((\w+)\)$/.exec(text)?.[1];
  if (constant === undefined) return JSON.parse(text);
  const path = short(type.replace(/=.*/, '')).split('.');
  const enumName = path.pop() as string;
  const value = enums[path.join('/')]?.[enumName]?.find((candidate) => constant.includes(candidate));
  if (value === undefined)
    throw new Error(`${struct}.${field}: default ${constant} is no value of ${enumName}`);
  return value;
}

interface Place {
  /** The struct whose JSON has the field. */
  outer: string;
  /** The struct that declares it: `outer`, or one embedded in it. */
  declarer: string;
  via: Array<[number: number, goName: string]>;
}

function compactField(
  [name, type, number, presence]: StructField,
  { outer, declarer, via }: Place,
): CompactField {
  const definition = definitions[outer];
  const property = definition?.properties?.[name] ?? {};
  let bits = 0;
  if (presence.includes('p')) bits |= flags.pointer;
  if (presence.includes('e')) bits |= flags.omitEmpty;
  if (presence.includes('z')) bits |= flags.omitZero;
  if (definition?.required?.includes(name)) bits |= flags.required;
  const extra: CompactExtra = {};
  if (property['x-kubernetes-list-type'])
    extra.l = property['x-kubernetes-list-type'] as NonNullable<CompactExtra['l']>;
  if (property['x-kubernetes-list-map-keys']) extra.k = property['x-kubernetes-list-map-keys'];
  if (property['x-kubernetes-map-type'])
    extra.m = property['x-kubernetes-map-type'] as NonNullable<CompactExtra['m']>;
  if (property['x-kubernetes-patch-strategy']) extra.s = property['x-kubernetes-patch-strategy'];
  if (property['x-kubernetes-patch-merge-key']) extra.g = property['x-kubernetes-patch-merge-key'];
  const value = declaredDefault(declarer, name, type);
  if (value !== undefined) extra.d = value;
  if (via.length > 0) extra.v = via;
  const head = [name, shortType(type), number, bits] as const;
  return Object.keys(extra).length === 0 ? [...head] : [...head, extra];
}

/** A struct's fields as its JSON has them: those of embedded structs in place, with the way to them. */
function compactFields(outer: string, declarer = outer, via: Place['via'] = []): CompactField[] {
  return (structs[declarer] ?? []).flatMap((field) => {
    const [name, type, number] = field;
    if (name !== '') return [compactField(field, { outer, declarer, via })];
    if (number !== 0) return compactFields(outer, type, [...via, [number, type.split('.').at(-1) as string]]);
    // TypeMeta is embedded in every kind and in no message: the envelope carries it.
    return compactFields(outer, type, via).map(([key, expression, , bits, extra]): CompactField =>
      extra ? [key, expression, 0, bits, extra] : [key, expression, 0, bits],
    );
  });
}

/** Named lists that are messages of their own on the wire (`map<string,ExtraValue>`, `Verbs`). */
function wrappedLists(): string[] {
  const named = new Set(
    Object.values(structs)
      .flat()
      .flatMap(([, type]) =>
        [...type.matchAll(/(io\.k8s\.[\w.-]+)=\[\]/g)].map((match) => match[1] as string),
      ),
  );
  return [...named].filter((name) => messageOf(name)).map(short);
}

function checkNumbers(): void {
  for (const [name, fields] of Object.entries(structs)) {
    const message = messageOf(name);
    if (!message) continue;
    const numbers = new Set(message.map((field) => field.number));
    for (const [field, , number] of fields)
      if (number !== 0 && !numbers.has(number))
        throw new Error(`${name}.${field}: number ${number} is not in proto.json`);
  }
}

function splitGroupVersion(groupVersion: string): [group: string, version: string] {
  const [first, second] = groupVersion.split('/') as [string, string?];
  return second === undefined ? ['', first] : [first, second];
}

/**
 * Where upstream's hash names a version that 1.36 has no types for: the CRD server encodes v1beta1, for its
 * size, and reads both.
 */
const storageVersions: Record<string, string> = {
  'apiextensions.k8s.io/customresourcedefinitions': 'apiextensions.k8s.io/v1',
};

function catalogue(): CompactResource[] {
  const out: CompactResource[] = [];
  for (const [groupVersion, resources] of Object.entries(discovery.resources)) {
    const [group, version] = splitGroupVersion(groupVersion);
    for (const [plural, fact] of Object.entries(resources)) {
      if (plural.includes('/')) continue;
      const subresources: NonNullable<CompactResource['subresources']> = {};
      for (const [path, sub] of Object.entries(resources)) {
        if (!path.startsWith(`${plural}/`)) continue;
        subresources[path.slice(plural.length + 1)] = {
          kind: sub.kind,
          apiVersion:
            sub.version === undefined
              ? groupVersion
              : sub.group
                ? `${sub.group}/${sub.version}`
                : sub.version,
          verbs: sub.verbs,
        };
      }
      out.push({
        group,
        version,
        plural,
        kind: fact.kind,
        singular: fact.singularName ?? '',
        namespaced: fact.namespaced,
        verbs: fact.verbs,
        shortNames: fact.shortNames ?? [],
        categories: fact.categories ?? [],
        storage: storageVersions[`${group}/${plural}`] ?? fact.storage ?? '',
        subresources,
      });
    }
  }
  return out;
}

/** Generates the files; returns how many structs it has. */
export function generateSchema(): number {
  checkNumbers();
  const schema: CompactSchema = {
    kinds: Object.fromEntries(Object.entries(kinds).map(([key, name]) => [key, short(name)])),
    metaKinds: Object.fromEntries(Object.entries(metaKinds).map(([key, name]) => [key, short(name)])),
    atomic: Object.entries(definitions)
      .filter(([name, definition]) => definition['x-kubernetes-map-type'] === 'atomic' && structs[name])
      .map(([name]) => short(name)),
    wrapped: wrappedLists(),
    enums: Object.fromEntries(
      Object.entries(enums).flatMap(([path, named]) =>
        Object.entries(named).map(([name, values]) => [`${path.replace('/', '.')}.${name}`, values]),
      ),
    ),
    groupVersions: discovery.groupVersions,
    resources: catalogue(),
  };
  // A resource a line: small in a diff.
  const text = JSON.stringify(schema).replaceAll('{"group":', '\n{"group":');
  writeFileSync(new URL('src/generated/schema.json', root), `${text}\n`);
  const names = Object.keys(structs);
  const lines = names.map((name) => `${short(name)} ${JSON.stringify(compactFields(name))}\n`);
  writeFileSync(new URL('src/generated/structs.txt', root), lines.join(''));
  return names.length;
}
