// Compiles a struct of the schema into a reader and a writer of its protobuf message. Nothing here knows a kind.
import { type Reader, type Writer, finish, newWriter, readerOf } from '../protobuf/wire.ts';
import { type FieldSchema, type StructSchema, type TypeSchema, structOf } from '../schema/schema.ts';
import { absent, fill, omits, zeroElement } from '../schema/zero.ts';
import { setMember } from './json-reader.ts';
import {
  ProtobufError,
  type WireValue,
  rawJson,
  readMessage,
  scalars,
  schemaOr,
  specials,
} from './protobuf-values.ts';

type JsonObject = Record<string, unknown>;

/** A field, or an embedded message with the fields inside it. */
interface Member {
  number: number;
  read(reader: Reader, wireType: number, into: JsonObject): void;
  /** Writes tag and value, or nothing when the object does not have it. */
  write(writer: Writer, object: JsonObject): void;
}

/** Deepest nesting of messages: schemas of custom resources contain themselves. */
const maxDepth = 500;
/** How deep the message being read or written is; both run to their end without a pause. */
let depth = 0;

/** Set by protobuf.ts: reads an object in its envelope inside a RawExtension. */
let readEmbedded: (bytes: Uint8Array) => unknown = () => absent;
export function setEmbeddedReader(read: (bytes: Uint8Array) => unknown): void {
  readEmbedded = read;
}

const raw = rawJson((bytes) => readEmbedded(bytes));

function valueOf(type: TypeSchema): WireValue {
  switch (type.kind) {
    case 'struct':
      return structValue(() => type.struct);
    case 'list':
      return wrappedList(type);
    case 'map':
      throw new ProtobufError(`no protobuf form for ${type.goType} inside a list or map`);
    case 'rawExtension':
    case 'fieldsV1':
    case 'json':
      return raw;
    case 'schemaOrBool':
    case 'schemaOrArray':
    case 'schemaOrStringArray':
      return schemaOr(
        type.kind,
        structValue(() => structOf('apiextensions.v1.JSONSchemaProps')),
      );
    case 'quantity':
    case 'time':
    case 'microTime':
    case 'intOrString':
      return specials[type.kind] as WireValue;
    default:
      return scalars[type.kind];
  }
}

function structValue(struct: () => StructSchema): WireValue {
  return {
    wireType: 2,
    read(reader) {
      const object: JsonObject = {};
      if (++depth > maxDepth) fail('messages nest too deep');
      readInto(compileStruct(struct()), reader, object);
      depth--;
      return fill(struct(), object);
    },
    write(writer, value) {
      if (typeof value !== 'object' || Array.isArray(value))
        throw new ProtobufError(`expected object, got ${Array.isArray(value) ? 'array' : typeof value}`);
      if (++depth > maxDepth) fail('messages nest too deep');
      writer.fork();
      for (const member of compileStruct(struct()).members) member.write(writer, value as JsonObject);
      writer.ldelim();
      depth--;
    },
  };
}

function fail(message: string): never {
  throw new ProtobufError(message);
}

/** A named list that is a message: its items are field 1. */
function wrappedList(type: Extract<TypeSchema, { kind: 'list' }>): WireValue {
  const item = valueOf(type.items);
  return {
    wireType: 2,
    read(reader) {
      const list: unknown[] = [];
      readMessage(reader, (number) => {
        if (number !== 1) return false;
        list.push(item.read(reader));
        return true;
      });
      return list;
    },
    write(writer, value) {
      writer.fork();
      for (const member of value as unknown[]) item.write(writer.uint32(8 | item.wireType), member);
      writer.ldelim();
    },
  };
}

const orZero = (type: TypeSchema, value: unknown): unknown =>
  value === null || value === undefined || value === absent ? zeroElement(type) : value;

function listMember(field: FieldSchema, type: Extract<TypeSchema, { kind: 'list' }>): Member {
  const value = valueOf(type.items);
  const tag = (field.number << 3) | value.wireType;
  return {
    number: field.number,
    read(reader, wireType, into) {
      const list = (into[field.name] ??= []) as unknown[];
      if (wireType === 2 && value.wireType !== 2) {
        const end = reader.uint32() + reader.pos;
        while (reader.pos < end) list.push(value.read(reader));
      } else list.push(orZero(type.items, value.read(reader)));
    },
    write(writer, object) {
      const list = object[field.name];
      if (list === undefined || list === null) return;
      if (!Array.isArray(list)) throw new ProtobufError(`expected array, got ${typeof list}`);
      for (const item of list) value.write(writer.uint32(tag), orZero(type.items, item));
    },
  };
}

function mapMember(field: FieldSchema, type: Extract<TypeSchema, { kind: 'map' }>): Member {
  const value = valueOf(type.values);
  return {
    number: field.number,
    read(reader, _wireType, into) {
      const map = (into[field.name] ??= {}) as JsonObject;
      let key = '';
      let read: unknown = absent;
      readMessage(reader, (number) => {
        if (number === 1) key = reader.string();
        else if (number === 2) read = value.read(reader);
        else return false;
        return true;
      });
      setMember(map, key, orZero(type.values, read));
    },
    write(writer, object) {
      const map = object[field.name];
      if (map === undefined || map === null) return;
      if (typeof map !== 'object' || Array.isArray(map)) throw new ProtobufError('expected object');
      // Sorted, as upstream writes them: equal objects have equal bytes.
      for (const key of Object.keys(map).sort()) {
        writer.uint32((field.number << 3) | 2).fork();
        writer.uint32(10).string(key);
        value.write(writer.uint32(16 | value.wireType), orZero(type.values, (map as JsonObject)[key]));
        writer.ldelim();
      }
    },
  };
}

function singleMember(field: FieldSchema): Member {
  const value = valueOf(field.type);
  const tag = (field.number << 3) | value.wireType;
  return {
    number: field.number,
    read(reader, wireType, into) {
      if (wireType !== value.wireType) throw new ProtobufError(`unexpected wire type ${wireType}`);
      const read = value.read(reader);
      if (omits(field, read)) delete into[field.name];
      else into[field.name] = read;
    },
    write(writer, object) {
      const member = object[field.name];
      if (member !== undefined && member !== null) value.write(writer.uint32(tag), member);
    },
  };
}

function fieldMember(field: FieldSchema): Member {
  const { type } = field;
  const member =
    type.kind === 'list' && !type.wrapped
      ? listMember(field, type)
      : type.kind === 'map'
        ? mapMember(field, type)
        : singleMember(field);
  return located(field.name, member);
}

/** Errors name the way to the field: `spec.containers: name: expected string, got number`. */
function located(name: string, member: Member): Member {
  const locate = (error: unknown): unknown =>
    error instanceof ProtobufError
      ? new ProtobufError(`${name}: ${error.message}`)
      : new ProtobufError(`${name}: ${String(error)}`);
  return {
    number: member.number,
    read(reader, wireType, into) {
      try {
        member.read(reader, wireType, into);
      } catch (error) {
        throw locate(error);
      }
    },
    write(writer, object) {
      try {
        member.write(writer, object);
      } catch (error) {
        throw locate(error);
      }
    },
  };
}

/** An embedded Go struct: JSON shows its fields in place, the wire has a message. */
function embeddedMember(number: number, group: Compiled, names: string[]): Member {
  return {
    number,
    read: (reader, _wireType, into) => readInto(group, reader, into),
    write(writer, object) {
      if (!names.some((name) => object[name] !== undefined && object[name] !== null)) return;
      writer.uint32((number << 3) | 2).fork();
      for (const member of group.members) member.write(writer, object);
      writer.ldelim();
    },
  };
}

interface Compiled {
  /** By number, which is the order on the wire. */
  members: Member[];
  byNumber: Map<number, Member>;
}

/** Members of the message at `level` of embedding, from the fields whose way leads through it. */
function compileFields(fields: FieldSchema[], level: number): Compiled {
  const embedded = new Map<number, FieldSchema[]>();
  const members: Member[] = [];
  for (const field of fields) {
    const number = field.via[level]?.[0];
    if (number === undefined) members.push(fieldMember(field));
    else embedded.set(number, [...(embedded.get(number) ?? []), field]);
  }
  for (const [number, inside] of embedded)
    members.push(
      embeddedMember(
        number,
        compileFields(inside, level + 1),
        inside.map(({ name }) => name),
      ),
    );
  members.sort((a, b) => a.number - b.number);
  return { members, byNumber: new Map(members.map((member) => [member.number, member])) };
}

const compiled = new WeakMap<StructSchema, Compiled>();

function compileStruct(struct: StructSchema): Compiled {
  let result = compiled.get(struct);
  if (!result) {
    result = compileFields(
      [...struct.fields.values()].filter(({ number }) => number !== 0),
      0,
    );
    compiled.set(struct, result);
  }
  return result;
}

function readInto({ byNumber }: Compiled, reader: Reader, into: JsonObject): void {
  readMessage(reader, (number, wireType) => {
    const member = byNumber.get(number);
    member?.read(reader, wireType, into);
    return member !== undefined;
  });
}

/** Runs the outermost message; objects inside raw fields are outermost again. */
function fromDepthZero(run: () => void): void {
  const outer = depth;
  depth = 0;
  try {
    run();
  } finally {
    depth = outer;
  }
}

/** The message of a struct, without envelope. Throws ProtobufError naming the field. */
export function encodeMessage(struct: StructSchema, object: object): Buffer {
  const writer = newWriter();
  const { members } = compileStruct(struct);
  fromDepthZero(() => {
    for (const member of members) member.write(writer, object as JsonObject);
  });
  return finish(writer);
}

/** The object of a message without envelope, in the form that decode.ts gives. Throws ProtobufError. */
export function decodeMessage(struct: StructSchema, bytes: Uint8Array): JsonObject {
  const reader = readerOf(bytes);
  const object: JsonObject = {};
  const { byNumber } = compileStruct(struct);
  try {
    fromDepthZero(() => {
      while (reader.pos < reader.len) {
        const tag = reader.uint32();
        const member = byNumber.get(tag >>> 3);
        if (member) member.read(reader, tag & 7, object);
        else reader.skipType(tag & 7);
      }
    });
  } catch (error) {
    throw new ProtobufError(`${struct.goName}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return fill(struct, object);
}
