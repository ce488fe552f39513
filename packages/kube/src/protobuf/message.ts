// Compiles a protobufjs Type into closures over Reader and Writer. protobufjs' own generated code would hand out
// 64-bit integers as objects and need a second pass for defaults.
import protobuf from 'protobufjs/light.js';
import {
  type Reader,
  type Writer,
  finish,
  newWriter,
  readInt64,
  readUint64,
  readerOf,
  writeInt64,
} from './wire.ts';

export interface MessageCodec<Decoded, Encoded = Decoded> {
  /** Throws TypeError or RangeError naming message and field. */
  readonly encode: (value: Encoded) => Buffer;
  /** Throws on bytes that are no such message. */
  readonly decode: (bytes: Uint8Array) => Decoded;
}

interface Scalar {
  wireType: number;
  initial: () => unknown;
  isDefault(value: unknown): boolean;
  read(reader: Reader): unknown;
  /** Throws TypeError for a value of another type. */
  write(writer: Writer, value: unknown): void;
}

const empty = Buffer.alloc(0);

function expected(type: string, value: unknown): TypeError {
  return new TypeError(`expected ${type}, got ${value === null ? 'null' : typeof value}`);
}

function asInteger(value: unknown, min: number, max: number, type: string): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) throw expected(type, value);
  if (value < min || value > max) throw new RangeError(`${value} exceeds ${type}`);
  return value;
}

const int32 = (value: unknown): number => asInteger(value, -(2 ** 31), 2 ** 31 - 1, 'int32');
const uint32 = (value: unknown): number => asInteger(value, 0, 2 ** 32 - 1, 'uint32');

function long(value: unknown): number | bigint {
  if (typeof value !== 'number' && typeof value !== 'bigint') throw expected('bigint or number', value);
  return value;
}

function double(value: unknown): number {
  if (typeof value !== 'number') throw expected('number', value);
  return value;
}

const zero = (): unknown => 0;
const isZero = (value: unknown): boolean => value === 0;
const zeroLong = (): unknown => 0n;
const isZeroLong = (value: unknown): boolean => value === 0n || value === 0;

const scalars: Record<string, Scalar> = {
  int32: {
    wireType: 0,
    initial: zero,
    isDefault: isZero,
    read: (r) => r.int32(),
    write: (w, v) => w.int32(int32(v)),
  },
  uint32: {
    wireType: 0,
    initial: zero,
    isDefault: isZero,
    read: (r) => r.uint32(),
    write: (w, v) => w.uint32(uint32(v)),
  },
  int64: {
    wireType: 0,
    initial: zeroLong,
    isDefault: isZeroLong,
    read: readInt64,
    write: (w, v) => writeInt64(w, long(v)),
  },
  uint64: {
    wireType: 0,
    initial: zeroLong,
    isDefault: isZeroLong,
    read: readUint64,
    write: (w, v) => writeInt64(w, long(v)),
  },
  bool: {
    wireType: 0,
    initial: () => false,
    isDefault: (value) => value === false,
    read: (r) => r.bool(),
    write: (w, v) => {
      if (typeof v !== 'boolean') throw expected('boolean', v);
      w.bool(v);
    },
  },
  double: {
    wireType: 1,
    initial: zero,
    isDefault: (value) => Object.is(value, 0),
    read: (r) => r.double(),
    write: (w, v) => w.double(double(v)),
  },
  float: {
    wireType: 5,
    initial: zero,
    isDefault: (value) => Object.is(value, 0),
    read: (r) => r.float(),
    write: (w, v) => w.float(double(v)),
  },
  string: {
    wireType: 2,
    initial: () => '',
    isDefault: (value) => value === '',
    read: (r) => r.string(),
    write: (w, v) => {
      if (typeof v !== 'string') throw expected('string', v);
      w.string(v);
    },
  },
  bytes: {
    wireType: 2,
    initial: () => empty,
    isDefault: (value) => value instanceof Uint8Array && value.length === 0,
    read: (r) => r.bytes(),
    write: (w, v) => {
      if (!(v instanceof Uint8Array)) throw expected('Uint8Array', v);
      w.bytes(v);
    },
  },
};

const enumeration: Scalar = { ...(scalars['int32'] as Scalar) };

function scalarOf(type: string): Scalar {
  const scalar = scalars[type];
  if (!scalar) throw new Error(`protobuf type ${type} is in none of the facts this codec was made for`);
  return scalar;
}

interface Member {
  name: string;
  /** Value before anything is read; `undefined`: absent unless sent. */
  initial: (() => unknown) | undefined;
  read(reader: Reader, wireType: number, message: Record<string, unknown>): void;
  write(writer: Writer, value: unknown): void;
}

interface Compiled extends MessageCodec<Record<string, unknown>> {
  read(reader: Reader, end: number): Record<string, unknown>;
  write(writer: Writer, message: Record<string, unknown>): void;
}

function mismatch(wireType: number): Error {
  return new Error(`unexpected wire type ${wireType}`);
}

/** A value with its tag, messages with their length. */
function valueOf(field: protobuf.FieldBase): Scalar & { message?: true } {
  const { resolvedType } = field;
  if (resolvedType === null) return scalarOf(field.type);
  if ('values' in resolvedType) return enumeration;
  // Looked up at first use: messages may contain themselves.
  const codec = (): Compiled => compileMessage(resolvedType);
  return {
    message: true,
    wireType: 2,
    initial: () => undefined,
    isDefault: () => false,
    read: (reader) => {
      const length = reader.uint32();
      return codec().read(reader, reader.pos + length);
    },
    write: (writer, value) => {
      if (typeof value !== 'object' || value === null) throw expected('object', value);
      writer.fork();
      codec().write(writer, value as Record<string, unknown>);
      writer.ldelim();
    },
  };
}

function mapMember(field: protobuf.MapField): Member {
  const key = scalarOf(field.keyType);
  const value = valueOf(field);
  return {
    name: field.name,
    initial: () => ({}),
    read(reader, _wireType, message) {
      const end = reader.uint32() + reader.pos;
      let k: unknown = key.initial();
      let v: unknown = value.initial();
      while (reader.pos < end) {
        const tag = reader.uint32();
        if (tag >>> 3 === 1) k = key.read(reader);
        else if (tag >>> 3 === 2) v = value.read(reader);
        else reader.skipType(tag & 7);
      }
      Object.defineProperty(message[field.name], String(k), {
        value: v,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    },
    write(writer, map) {
      if (typeof map !== 'object' || map === null) throw expected('object', map);
      for (const [k, v] of Object.entries(map)) {
        writer.uint32((field.id << 3) | 2).fork();
        key.write(writer.uint32(8 | key.wireType), k);
        value.write(writer.uint32(16 | value.wireType), v);
        writer.ldelim();
      }
    },
  };
}

function repeatedMember(field: protobuf.FieldBase): Member {
  const value = valueOf(field);
  const packable = value.wireType !== 2;
  return {
    name: field.name,
    initial: () => [],
    read(reader, wireType, message) {
      const list = message[field.name] as unknown[];
      if (packable && wireType === 2) {
        const end = reader.uint32() + reader.pos;
        while (reader.pos < end) list.push(value.read(reader));
      } else if (wireType === value.wireType) list.push(value.read(reader));
      else throw mismatch(wireType);
    },
    write(writer, list) {
      if (!Array.isArray(list)) throw expected('array', list);
      if (list.length === 0) return;
      if (packable) {
        writer.uint32((field.id << 3) | 2).fork();
        for (const item of list as unknown[]) value.write(writer, item);
        writer.ldelim();
      } else for (const item of list as unknown[]) value.write(writer.uint32((field.id << 3) | 2), item);
    },
  };
}

function singleMember(field: protobuf.FieldBase): Member {
  const value = valueOf(field);
  const chosen = field.partOf !== null;
  return {
    name: field.name,
    initial: value.message || chosen ? undefined : value.initial,
    read(reader, wireType, message) {
      if (wireType !== value.wireType) throw mismatch(wireType);
      // The last member of a oneof wins.
      for (const other of field.partOf?.oneof ?? []) delete message[other];
      message[field.name] = value.read(reader);
    },
    write(writer, item) {
      if (!chosen && value.isDefault(item)) return;
      value.write(writer.uint32((field.id << 3) | value.wireType), item);
    },
  };
}

function memberOf(field: protobuf.FieldBase): Member {
  field.resolve();
  if (field instanceof protobuf.MapField) return mapMember(field);
  return field.repeated ? repeatedMember(field) : singleMember(field);
}

function located(type: protobuf.Type, member: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  error.message = `${type.fullName.slice(1)}.${member}: ${error.message}`;
  return error;
}

function compile(type: protobuf.Type): Compiled {
  const members = type.fieldsArray.map(memberOf);
  const byNumber = new Map(type.fieldsArray.map((field, i) => [field.id, members[i] as Member]));
  const initials = members.filter((member) => member.initial !== undefined);

  function read(reader: Reader, end: number): Record<string, unknown> {
    if (end > reader.len) throw new RangeError(`${type.fullName.slice(1)}: message is truncated`);
    const message: Record<string, unknown> = {};
    for (const member of initials) message[member.name] = member.initial?.();
    while (reader.pos < end) {
      const tag = reader.uint32();
      const member = byNumber.get(tag >>> 3);
      if (!member) {
        reader.skipType(tag & 7);
        continue;
      }
      try {
        member.read(reader, tag & 7, message);
      } catch (error) {
        throw located(type, member.name, error);
      }
    }
    return message;
  }

  function write(writer: Writer, message: Record<string, unknown>): void {
    for (const member of members) {
      const value = message[member.name];
      if (value === undefined || value === null) continue;
      try {
        member.write(writer, value);
      } catch (error) {
        throw located(type, member.name, error);
      }
    }
  }

  return {
    read,
    write,
    encode(message) {
      const writer = newWriter();
      write(writer, message);
      return finish(writer);
    },
    decode(bytes) {
      return read(readerOf(bytes), bytes.length);
    },
  };
}

const compiled = new WeakMap<protobuf.Type, Compiled>();

/** The codec of a type; compiled once. See `messageCodec` in facts.ts for what it promises. */
export function compileMessage(type: protobuf.Type): Compiled {
  let codec = compiled.get(type);
  if (!codec) {
    codec = compile(type);
    compiled.set(type, codec);
  }
  return codec;
}
