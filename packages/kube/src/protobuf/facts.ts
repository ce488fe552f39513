// From committed interface facts (data/cri-v1-proto.json, data/etcd-v3-proto.json: message names, field names,
// numbers and types) to codecs for their messages and definitions of their services.
import protobuf from 'protobufjs/light.js';
import { type MessageCodec, compileMessage } from './message.ts';

export type { MessageCodec } from './message.ts';

/** One field of a message, as in the facts: `type` is a scalar, `map<K,V>`, or a message's or enum's name. */
export interface FieldFact {
  name: string;
  number: number;
  type: string;
  label?: 'optional' | 'required' | 'repeated' | undefined;
  /** The oneof that the field belongs to. */
  oneof?: string | undefined;
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

/** `container_id` → `containerId`, `fsGroup` stays: the JSON name of protobuf's language guide. */
export const camelCase = (name: string): string =>
  name.replace(/_([a-zA-Z0-9])/g, (_, next: string) => next.toUpperCase());

const packageName = (facts: PackageFacts): string =>
  facts.package.replace(/^package\s+/, '').replace(/[;"]/g, '');

function typeOf(name: string, fields: readonly FieldFact[], rename: (name: string) => string): protobuf.Type {
  const type = new protobuf.Type(name);
  const oneofs = new Map<string, protobuf.OneOf>();
  for (const fact of fields) {
    const key = rename(fact.name);
    const map = /^map<\s*([^,\s]+)\s*,\s*([^>\s]+)\s*>$/.exec(fact.type);
    if (map) {
      type.add(new protobuf.MapField(key, fact.number, map[1] as string, map[2] as string));
      continue;
    }
    const field = new protobuf.Field(
      key,
      fact.number,
      fact.type,
      fact.label === 'repeated' ? 'repeated' : undefined,
    );
    type.add(field);
    if (fact.oneof === undefined) continue;
    const oneof = oneofs.get(fact.oneof) ?? new protobuf.OneOf(rename(fact.oneof));
    oneofs.set(fact.oneof, oneof.add(field));
  }
  for (const oneof of oneofs.values()) type.add(oneof);
  return type;
}

function addPackage(root: protobuf.Root, facts: PackageFacts, rename: (name: string) => string): void {
  const scope = root.define(packageName(facts));
  const parentOf = (path: string[]): protobuf.NamespaceBase =>
    path.length === 1 ? scope : scope.lookupType(path.slice(0, -1));
  // Outer before Outer.Inner, so that the inner one finds its parent.
  const names = Object.keys(facts.messages).sort((a, b) => a.split('.').length - b.split('.').length);
  for (const name of names) {
    const path = name.split('.');
    parentOf(path).add(typeOf(path.at(-1) as string, facts.messages[name] as FieldFact[], rename));
  }
  for (const [name, values] of Object.entries(facts.enums)) {
    const path = name.split('.');
    parentOf(path).add(new protobuf.Enum(path.at(-1) as string, { ...values }));
  }
  for (const [name, methods] of Object.entries(facts.services ?? {})) {
    const service = new protobuf.Service(name);
    for (const [method, { request, response, requestStream, responseStream }] of Object.entries(methods))
      service.add(new protobuf.Method(method, 'rpc', request, response, requestStream, responseStream));
    scope.add(service);
  }
}

/**
 * A protobufjs root from facts, for `messageCodec` and `serviceDefinition`. With `camelCase`, fields carry their
 * JSON names; otherwise the names of the `.proto` file. Throws when a field's type is in none of the packages.
 */
export function loadRoot(
  packages: readonly PackageFacts[],
  options: { camelCase?: boolean } = {},
): protobuf.Root {
  const root = new protobuf.Root();
  for (const facts of packages) addPackage(root, facts, options.camelCase ? camelCase : (name) => name);
  root.resolveAll();
  return root;
}

/**
 * The codec of one message by its full name (`runtime.v1.PodSandbox`). Decoded: scalars, lists and maps are always
 * present (proto3's defaults), messages and members of a oneof only if they were sent; enums are numbers, 64-bit
 * integers `bigint`, bytes views of the input. Encoding takes any of them left out, and 64-bit integers as safe
 * `number` too. Both throw an error that names message and field.
 */
export function messageCodec<
  Decoded extends object = Record<string, unknown>,
  Encoded extends object = Decoded,
>(root: protobuf.Root, name: string): MessageCodec<Decoded, Encoded> {
  return compileMessage(root.lookupType(name)) as unknown as MessageCodec<Decoded, Encoded>;
}

/** One method as `@grpc/grpc-js` takes it (its `MethodDefinition`). */
export interface MethodDefinition {
  path: string;
  requestStream: boolean;
  responseStream: boolean;
  requestSerialize(value: object): Buffer;
  requestDeserialize(bytes: Buffer): object;
  responseSerialize(value: object): Buffer;
  responseDeserialize(bytes: Buffer): object;
}

/**
 * All methods of a service (`etcdserverpb.KV`) under their names, for grpc-js: `makeGenericClientConstructor`,
 * `Server.addService`.
 */
export function serviceDefinition(root: protobuf.Root, name: string): Record<string, MethodDefinition> {
  const service = root.lookupService(name);
  const definition: Record<string, MethodDefinition> = {};
  for (const method of service.methodsArray) {
    const request = compileMessage(service.lookupType(method.requestType));
    const response = compileMessage(service.lookupType(method.responseType));
    definition[method.name] = {
      path: `/${name}/${method.name}`,
      requestStream: method.requestStream === true,
      responseStream: method.responseStream === true,
      requestSerialize: request.encode,
      requestDeserialize: request.decode,
      responseSerialize: response.encode,
      responseDeserialize: response.decode,
    };
  }
  return definition;
}
