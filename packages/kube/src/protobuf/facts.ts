import protobuf from 'protobufjs';

/** One field of a message, as in the facts: `type` is a scalar, `map<K,V>`, or a message's or enum's name. */
export interface FieldFact {
  name: string;
  number: number;
  type: string;
  label?: 'optional' | 'required' | 'repeated' | undefined;
}

/** A call of a service; `request` and `response` are message names in the package. */
export interface MethodFact {
  request: string;
  response: string;
  requestStream: boolean;
  responseStream: boolean;
}

/** One protobuf package of `packages/kube/data`. Nested names are written with a dot (`Compare.CompareResult`). */
export interface PackageFacts {
  package: string;
  syntax: string;
  imports: readonly string[];
  messages: Readonly<Record<string, readonly FieldFact[]>>;
  enums: Readonly<Record<string, Readonly<Record<string, number>>>>;
  services?: Readonly<Record<string, Readonly<Record<string, MethodFact>>>> | undefined;
}

export interface MessageCodec<Decoded, Encoded = Decoded> {
  encode(value: Encoded): Buffer;
  /** Throws on bytes that are no such message. */
  decode(bytes: Uint8Array): Decoded;
}

/** `container_id` → `containerId`, `fsGroup` stays: the JSON name of protobuf's language guide. */
export const camelCase = (name: string): string =>
  name.replace(/_([a-zA-Z0-9])/g, (_, next: string) => next.toUpperCase());

interface Node {
  nested: Record<string, Node>;
  fields?: Record<string, object>;
  values?: Record<string, number>;
  edition?: string;
}

const packageName = (facts: PackageFacts): string =>
  facts.package.replace(/^package\s+/, '').replace(/[;"]/g, '');

function nodeAt(root: Node, path: readonly string[]): Node {
  let node = root;
  for (const part of path) node = node.nested[part] ??= { nested: {} };
  return node;
}

function fieldOf(fact: FieldFact): object {
  const map = /^map<\s*([^,\s]+)\s*,\s*([^>\s]+)\s*>$/.exec(fact.type);
  if (map) return { keyType: map[1], type: map[2], id: fact.number };
  return { type: fact.type, id: fact.number, ...(fact.label === 'repeated' ? { rule: 'repeated' } : {}) };
}

/**
 * A protobufjs root from facts, for {@link messageCodec}. With `camelCase`, fields carry their JSON names;
 * otherwise the names of the `.proto` file.
 */
export function loadRoot(
  packages: readonly PackageFacts[],
  options: { camelCase?: boolean } = {},
): protobuf.Root {
  const root: Node = { nested: {} };
  for (const facts of packages) {
    const path = packageName(facts).split('.');
    const edition = /proto2/.test(facts.syntax) ? 'proto2' : 'proto3';
    for (const [name, fields] of Object.entries(facts.messages)) {
      const node = nodeAt(root, [...path, ...name.split('.')]);
      node.edition = edition;
      node.fields = Object.fromEntries(
        fields.map((fact) => [options.camelCase ? camelCase(fact.name) : fact.name, fieldOf(fact)]),
      );
    }
    for (const [name, values] of Object.entries(facts.enums)) {
      const node = nodeAt(root, [...path, ...name.split('.')]) as Partial<Node>;
      node.values = { ...values };
      node.edition = edition;
      delete node.nested;
    }
  }
  const built = protobuf.Root.fromJSON(root as protobuf.INamespace);
  built.resolveAll();
  return built;
}

const conversion: protobuf.IConversionOptions = { longs: BigInt, defaults: true };

/** Takes away the `null`s that protobufjs puts for absent messages, all the way down. */
function dropAbsent(value: unknown): void {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return;
  for (const [key, inner] of Object.entries(value)) {
    if (inner === null) delete (value as Record<string, unknown>)[key];
    else if (typeof inner === 'object') dropAbsent(inner);
  }
}

/**
 * The codec of one message by its full name (`runtime.v1.PodSandbox`). Decoded values are plain objects: every
 * scalar, list and map is present, absent messages are not; 64-bit integers are `bigint`, enums numbers, bytes
 * `Uint8Array`. Encoding takes any of them left out.
 */
export function messageCodec<Decoded extends object, Encoded extends object = Decoded>(
  root: protobuf.Root,
  name: string,
): MessageCodec<Decoded, Encoded> {
  const type = root.lookupType(name);
  return {
    encode: (value) => Buffer.from(type.encode(type.fromObject(value as Record<string, unknown>)).finish()),
    decode(bytes) {
      const value = type.toObject(type.decode(bytes), conversion);
      dropAbsent(value);
      return value as Decoded;
    },
  };
}
