// How the Go types with a form of their own look on the wire (apimachinery: quantity_proto.go, time_proto.go,
// intstr/generated.proto, runtime/generated.proto; apiextensions/v1/generated.proto). Scalars too.
import { type Reader, type Writer, readJsonInt64, writeInt64 } from '../protobuf/wire.ts';
import { Quantity } from '../quantity.ts';
import type { ScalarName, SpecialName } from '../schema/schema.ts';
import { formatTimestamp, parseTimestamp, zeroSeconds } from '../schema/timestamp.ts';
import { absent } from '../schema/zero.ts';
import { parseJson, stringifyJson } from './json.ts';

/** One value: `read` and `write` leave out the tag, and treat messages with their length. */
export interface WireValue {
  wireType: 0 | 1 | 2;
  read(reader: Reader): unknown;
  write(writer: Writer, value: unknown): void;
}

/** Bytes that cannot be read as the kind they claim, or an object that has no such form. */
export class ProtobufError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProtobufError';
  }
}

const wrong = (expected: string, value: unknown): ProtobufError =>
  new ProtobufError(`expected ${expected}, got ${Array.isArray(value) ? 'array' : typeof value}`);

/** Reads a message's fields up to its end; `member` returns false for a number it does not know. */
export function readMessage(reader: Reader, member: (number: number, wireType: number) => boolean): void {
  const end = reader.uint32() + reader.pos;
  if (end > reader.len) throw new ProtobufError('message is truncated');
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (!member(tag >>> 3, tag & 7)) reader.skipType(tag & 7);
  }
  if (reader.pos !== end) throw new ProtobufError('a field reaches beyond its message');
}

function writeMessage(writer: Writer, body: () => void): void {
  writer.fork();
  body();
  writer.ldelim();
}

const varint = (number: number): number => number << 3;
const delimited = (number: number): number => (number << 3) | 2;

export const scalars: Record<ScalarName, WireValue> = {
  string: {
    wireType: 2,
    read: (reader) => reader.string(),
    write(writer, value) {
      if (typeof value !== 'string') throw wrong('string', value);
      writer.string(value);
    },
  },
  bool: {
    wireType: 0,
    read: (reader) => reader.bool(),
    write(writer, value) {
      if (typeof value !== 'boolean') throw wrong('boolean', value);
      writer.bool(value);
    },
  },
  int32: {
    wireType: 0,
    read: (reader) => reader.int32(),
    write(writer, value) {
      if (typeof value !== 'number' || (value | 0) !== value) throw wrong('int32', value);
      writer.int32(value);
    },
  },
  int64: {
    wireType: 0,
    read: readJsonInt64,
    write(writer, value) {
      if (typeof value !== 'number' && typeof value !== 'bigint') throw wrong('int64', value);
      writeInt64(writer, value);
    },
  },
  float64: {
    wireType: 1,
    read: (reader) => reader.double(),
    write(writer, value) {
      if (typeof value !== 'number' && typeof value !== 'bigint') throw wrong('number', value);
      writer.double(Number(value));
    },
  },
  bytes: {
    wireType: 2,
    read: (reader) => Buffer.from(reader.bytes()).toString('base64'),
    write(writer, value) {
      if (typeof value !== 'string') throw wrong('base64 text', value);
      writer.bytes(Buffer.from(value, 'base64'));
    },
  },
};

const quantity: WireValue = {
  wireType: 2,
  read(reader) {
    let text = '0';
    readMessage(reader, (number) => {
      if (number !== 1) return false;
      text = reader.string();
      return true;
    });
    return Quantity.parse(text === '' ? '0' : text).toString();
  },
  write(writer, value) {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint')
      throw wrong('quantity', value);
    writeMessage(writer, () => writer.uint32(delimited(1)).string(Quantity.parse(value).toString()));
  },
};

/** What RFC 3339 can say. */
const minSeconds = -62_167_219_200;
const maxSeconds = 253_402_300_799;

const timeOf = (kind: 'time' | 'microTime'): WireValue => ({
  wireType: 2,
  read(reader) {
    let seconds = 0;
    let nanos = 0;
    let sent = false;
    readMessage(reader, (number) => {
      sent = true;
      if (number === 1) seconds = Number(readJsonInt64(reader));
      else if (number === 2) nanos = reader.int32();
      else return false;
      return true;
    });
    if (!sent) return absent;
    if (seconds < minSeconds || seconds > maxSeconds)
      throw new ProtobufError(`time ${seconds} is not within the years 0 to 9999`);
    return formatTimestamp({ seconds, nanos }, kind);
  },
  write(writer, value) {
    if (typeof value !== 'string') throw wrong('time', value);
    const { seconds, nanos } = parseTimestamp(value, kind);
    writeMessage(writer, () => {
      // The zero time is an empty message; whole seconds and microseconds are all that JSON carries.
      if (seconds === zeroSeconds && nanos === 0) return;
      writeInt64(writer.uint32(varint(1)), seconds);
      writer.uint32(varint(2)).int32(kind === 'time' ? 0 : nanos - (nanos % 1000));
    });
  },
});

const intOrString: WireValue = {
  wireType: 2,
  read(reader) {
    let type = 0;
    let int = 0;
    let text = '';
    readMessage(reader, (number) => {
      if (number === 1) type = Number(readJsonInt64(reader));
      else if (number === 2) int = reader.int32();
      else if (number === 3) text = reader.string();
      else return false;
      return true;
    });
    return type === 0 ? int : text;
  },
  write(writer, value) {
    if (typeof value !== 'string' && typeof value !== 'number') throw wrong('int32 or string', value);
    writeMessage(writer, () => {
      writer.uint32(varint(1)).int32(typeof value === 'string' ? 1 : 0);
      scalars.int32.write(writer.uint32(varint(2)), typeof value === 'string' ? 0 : value);
      writer.uint32(delimited(3)).string(typeof value === 'string' ? value : '');
    });
  },
};

/** A message whose first field holds a JSON text; `embedded` reads what begins with the protobuf magic. */
export function rawJson(embedded: (bytes: Uint8Array) => unknown): WireValue {
  return {
    wireType: 2,
    read(reader) {
      let bytes: Uint8Array = new Uint8Array();
      readMessage(reader, (number) => {
        if (number !== 1) return false;
        bytes = reader.bytes();
        return true;
      });
      if (bytes.length === 0) return absent;
      if (isEnveloped(bytes)) return embedded(bytes);
      return parseJson(bytes);
    },
    write(writer, value) {
      const text = Buffer.from(stringifyJson(value));
      writeMessage(writer, () => writer.uint32(delimited(1)).bytes(text));
    },
  };
}

/** Four bytes before every object: `k8s` and a zero (apimachinery/pkg/runtime/serializer/protobuf). */
export const magic: Buffer = Buffer.from('k8s\0', 'latin1');

export function isEnveloped(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && bytes[0] === 0x6b && bytes[1] === 0x38 && bytes[2] === 0x73 && bytes[3] === 0;
}

/** JSON alternatives of apiextensions: a schema, or something simpler. `schema` reads and writes JSONSchemaProps. */
export function schemaOr(
  kind: 'schemaOrBool' | 'schemaOrArray' | 'schemaOrStringArray',
  schema: WireValue,
): WireValue {
  const numbers = kind === 'schemaOrBool' ? { schema: 2, other: 1 } : { schema: 1, other: 2 };
  const other = kind === 'schemaOrBool' ? scalars.bool : kind === 'schemaOrArray' ? schema : scalars.string;
  return {
    wireType: 2,
    read(reader) {
      let found: unknown = absent;
      const list: unknown[] = [];
      let allows: unknown = false;
      readMessage(reader, (number) => {
        if (number === numbers.schema) found = schema.read(reader);
        else if (number !== numbers.other) return false;
        else if (kind === 'schemaOrBool') allows = other.read(reader);
        else list.push(other.read(reader));
        return true;
      });
      if (found !== absent) return found;
      if (kind === 'schemaOrBool') return allows;
      return list.length === 0 ? absent : list;
    },
    write(writer, value) {
      writeMessage(writer, () => {
        if (Array.isArray(value)) {
          for (const item of value) other.write(writer.uint32(delimited(numbers.other)), item);
        } else if (typeof value === 'boolean') {
          other.write(writer.uint32(varint(numbers.other)), value);
        } else {
          if (kind === 'schemaOrBool') writer.uint32(varint(numbers.other)).bool(true);
          schema.write(writer.uint32(delimited(numbers.schema)), value);
        }
      });
    },
  };
}

/** The special types that need nothing else. */
export const specials: Partial<Record<SpecialName, WireValue>> = {
  quantity,
  time: timeOf('time'),
  microTime: timeOf('microTime'),
  intOrString,
};
