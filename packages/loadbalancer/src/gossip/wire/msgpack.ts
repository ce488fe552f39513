/**
 * The MessagePack that memberlist's members exchange: structs as maps of field names, written as hashicorp/go-msgpack
 * does with its defaults: strings and bytes alike in the old specification's raw types (no str 8, no bin), empty byte
 * slices of no array as nil, keys sorted. Read are old and new types. No npm codec writes byte slices as raw, and few let
 * a hostile length fail before memory is taken for it; hence a codec of our own.
 */
export type Kind = 'uint8' | 'uint16' | 'uint32' | 'int' | 'boolean' | 'string' | 'bytes';

/** A field of a struct; `omitEmpty`: not written when zero. All fields may be missing when read: zero then. */
export interface Field<K extends Kind = Kind> {
  readonly kind: K;
  readonly omitEmpty?: true;
}

/** Fields of a struct, in the order in which they are written. */
export type Shape = Readonly<Record<string, Field>>;

interface KindTypes {
  uint8: number;
  uint16: number;
  uint32: number;
  int: number;
  boolean: boolean;
  string: string;
  bytes: Buffer;
}

/** What a shape's struct holds; `undefined` bytes are Go's nil. */
export type StructOf<S extends Shape> = { [F in keyof S]: KindTypes[S[F]['kind']] };

/** Bytes that are no struct of the shape. */
export class MsgpackError extends Error {
  override readonly name: string = 'MsgpackError';
}

/** The bytes end before the struct does. */
export class TruncatedError extends MsgpackError {
  override readonly name = 'TruncatedError';
  /** The struct takes at least this many bytes of the buffer. */
  readonly neededBytes: number;

  constructor(neededBytes: number) {
    super(`message ends early: at least ${neededBytes} bytes expected`);
    this.neededBytes = neededBytes;
  }
}

const integerMax: Readonly<Partial<Record<Kind, number>>> = {
  uint8: 0xff,
  uint16: 0xffff,
  uint32: 0xffffffff,
  int: Number.MAX_SAFE_INTEGER,
};
const maxFields = 64;
const maxDepth = 16;
/** Values passed over in one struct: bounds the work of reading it again each time more of a stream arrives. */
const maxSkipped = 1024;

/** Writes a struct. Numbers must fit their kinds. */
export function encodeStruct<S extends Shape>(shape: S, value: StructOf<S>): Buffer {
  const parts: Buffer[] = [];
  let count = 0;
  for (const [name, field] of Object.entries(shape)) {
    const one = value[name] as KindTypes[Kind];
    if (field.omitEmpty && isEmpty(one)) continue;
    parts.push(raw(Buffer.from(name)), encodeValue(one));
    count++;
  }
  return Buffer.concat([Buffer.of(0x80 | count), ...parts]);
}

function isEmpty(value: KindTypes[Kind]): boolean {
  return value === 0 || value === false || value === '' || (Buffer.isBuffer(value) && value.length === 0);
}

function encodeValue(value: KindTypes[Kind]): Buffer {
  if (typeof value === 'number') return integer(value);
  if (typeof value === 'boolean') return Buffer.of(value ? 0xc3 : 0xc2);
  if (typeof value === 'string') return raw(Buffer.from(value));
  return value.length === 0 ? Buffer.of(0xc0) : raw(value);
}

function integer(value: number): Buffer {
  if (value < 0x80) return Buffer.of(value);
  if (value <= 0xff) return Buffer.of(0xcc, value);
  if (value <= 0xffff) return Buffer.of(0xcd, value >>> 8, value & 0xff);
  const wide = value > 0xffffffff;
  const bytes = Buffer.alloc(wide ? 9 : 5);
  bytes[0] = wide ? 0xcf : 0xce;
  if (wide) bytes.writeBigUInt64BE(BigInt(value), 1);
  else bytes.writeUInt32BE(value, 1);
  return bytes;
}

function raw(bytes: Buffer): Buffer {
  const length = bytes.length;
  if (length < 32) return Buffer.concat([Buffer.of(0xa0 | length), bytes]);
  if (length <= 0xffff) return Buffer.concat([Buffer.of(0xda, length >>> 8, length & 0xff), bytes]);
  const head = Buffer.alloc(5);
  head[0] = 0xdb;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, bytes]);
}

/**
 * Reads a struct at `offset`; fields that the shape has not are skipped. Byte fields are views of `buffer`. Throws
 * {@link TruncatedError} when the buffer ends too early and {@link MsgpackError} for anything that is not the shape.
 */
export function decodeStruct<S extends Shape>(
  shape: S,
  buffer: Buffer,
  offset = 0,
): { value: StructOf<S>; end: number } {
  const reader = new Reader(buffer, offset);
  const value: Record<string, KindTypes[Kind]> = {};
  for (const [name, field] of Object.entries(shape)) value[name] = zeroOf(field.kind);
  for (let left = reader.mapLength(); left > 0; left--) {
    const name = reader.key();
    const field = Object.hasOwn(shape, name) ? shape[name] : undefined;
    if (field) value[name] = reader.value(name, field.kind);
    else reader.skip();
  }
  return { value: value as StructOf<S>, end: reader.offset };
}

const noBytes = Buffer.alloc(0);

function zeroOf(kind: Kind): KindTypes[Kind] {
  if (kind === 'boolean') return false;
  if (kind === 'string') return '';
  return kind === 'bytes' ? noBytes : 0;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

class Reader {
  readonly #buffer: Buffer;
  #skipped = 0;
  offset: number;

  constructor(buffer: Buffer, offset: number) {
    this.#buffer = buffer;
    this.offset = offset;
  }

  mapLength(): number {
    const type = this.#byte();
    const length =
      (type & 0xf0) === 0x80
        ? type & 0x0f
        : type === 0xde
          ? this.#unsigned(2)
          : type === 0xdf
            ? this.#unsigned(4)
            : -1;
    if (length < 0) throw new MsgpackError(`not a map: type 0x${type.toString(16)}`);
    if (length > maxFields) throw new MsgpackError(`a map of ${length} fields: more than ${maxFields}`);
    return length;
  }

  key(): string {
    return this.#bytes('a key').toString('latin1');
  }

  value(name: string, kind: Kind): KindTypes[Kind] {
    if (this.#peek() === 0xc0) {
      this.offset++;
      return zeroOf(kind);
    }
    if (kind === 'bytes') return this.#bytes(name);
    if (kind === 'string') return this.#text(name);
    return kind === 'boolean' ? this.#boolean(name) : this.#integer(name, integerMax[kind] ?? 0);
  }

  /** Passes over any value without taking memory for it. */
  skip(depth = 0): void {
    if (++this.#skipped > maxSkipped) throw new MsgpackError(`more than ${maxSkipped} unknown values`);
    if (depth > maxDepth) throw new MsgpackError(`values nested deeper than ${maxDepth}`);
    const type = this.#byte();
    const [bytes, values] = this.#extent(type);
    this.#advance(bytes);
    for (let left = values; left > 0; left--) this.skip(depth + 1);
  }

  /** Bytes and values that follow a type byte (and its length). */
  #extent(type: number): readonly [bytes: number, values: number] {
    if (type < 0x80 || type >= 0xe0) return [0, 0];
    if (type < 0x90) return [0, 2 * (type & 0x0f)];
    if (type < 0xa0) return [0, type & 0x0f];
    if (type < 0xc0) return [type & 0x1f, 0];
    if (type <= 0xc3) return [0, 0];
    if (type <= 0xc6) return [this.#unsigned(1 << (type - 0xc4)), 0];
    if (type <= 0xc9) return [this.#unsigned(1 << (type - 0xc7)) + 1, 0];
    if (type <= 0xcb) return [4 << (type - 0xca), 0];
    if (type <= 0xcf) return [1 << (type - 0xcc), 0];
    if (type <= 0xd3) return [1 << (type - 0xd0), 0];
    if (type <= 0xd8) return [(1 << (type - 0xd4)) + 1, 0];
    if (type <= 0xdb) return [this.#unsigned(1 << (type - 0xd9)), 0];
    if (type <= 0xdd) return [0, this.#unsigned(2 << (type - 0xdc))];
    return [0, 2 * this.#unsigned(2 << (type - 0xde))];
  }

  #boolean(name: string): boolean {
    const type = this.#byte();
    if (type !== 0xc2 && type !== 0xc3) throw new MsgpackError(`${name} is not true or false`);
    return type === 0xc3;
  }

  #text(name: string): string {
    const bytes = this.#bytes(name);
    try {
      return utf8.decode(bytes);
    } catch {
      throw new MsgpackError(`${name} is not UTF-8`);
    }
  }

  #integer(name: string, max: number): number {
    const type = this.#byte();
    const value =
      type < 0x80
        ? type
        : type >= 0xcc && type <= 0xcf
          ? this.#unsigned(1 << (type - 0xcc))
          : type >= 0xd0 && type <= 0xd3
            ? this.#unsigned(1 << (type - 0xd0), true)
            : undefined;
    if (value === undefined) throw new MsgpackError(`${name} is not an unsigned integer`);
    if (value > max) throw new MsgpackError(`${name} is above ${max}`);
    return value;
  }

  #bytes(name: string): Buffer {
    const type = this.#byte();
    const length =
      (type & 0xe0) === 0xa0
        ? type & 0x1f
        : type >= 0xc4 && type <= 0xc6
          ? this.#unsigned(1 << (type - 0xc4))
          : type >= 0xd9 && type <= 0xdb
            ? this.#unsigned(1 << (type - 0xd9))
            : undefined;
    if (length === undefined) throw new MsgpackError(`${name} is not a string`);
    const start = this.offset;
    this.#advance(length);
    return this.#buffer.subarray(start, this.offset);
  }

  /** `signed`: of a signed type; what is negative fits no field. */
  #unsigned(bytes: number, signed = false): number {
    const start = this.offset;
    this.#advance(bytes);
    if (signed && (this.#buffer[start] ?? 0) >= 0x80) throw new MsgpackError('a number is negative');
    if (bytes <= 4) return this.#buffer.readUIntBE(start, bytes);
    const wide = this.#buffer.readBigUInt64BE(start);
    if (wide > BigInt(Number.MAX_SAFE_INTEGER)) throw new MsgpackError('a number is above 2^53');
    return Number(wide);
  }

  #peek(): number {
    const byte = this.#buffer[this.offset];
    if (byte === undefined) throw new TruncatedError(this.offset + 1);
    return byte;
  }

  #byte(): number {
    const byte = this.#peek();
    this.offset++;
    return byte;
  }

  #advance(bytes: number): void {
    if (this.offset + bytes > this.#buffer.length) throw new TruncatedError(this.offset + bytes);
    this.offset += bytes;
  }
}
