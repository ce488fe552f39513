/**
 * From a parsed JSON value to an object of a built-in kind, as Go's decoder and encoder would leave it between a
 * request and the store (sigs.k8s.io/json, encoding/json, `omitempty`): unknown fields are dropped and named, types
 * are checked, quantities and times canonical, zero values and nulls left out where Go leaves them out, and the
 * structs that Go always writes (`metadata`, `status`, `resources`) present.
 */
import { QuantityError, Quantity } from '../quantity.ts';
import { setMember } from '../codec/json-reader.ts';
import { type StructSchema, type TypeSchema, structOf } from './schema.ts';
import { storedTimestamp } from './timestamp.ts';
import { absent, fill, omits, zeroElement, zeroStruct } from './zero.ts';

/** A value of the wrong type; the message is Go's. */
export class DecodeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DecodeError';
  }
}

export interface Decoded {
  object: Record<string, unknown>;
  /** `unknown field "spec.foo"`, each once, at most 100. */
  strictErrors: string[];
}

const maxStrictErrors = 100;
type Value = unknown;

/** What Go calls a JSON value in errors. */
function goKind(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'boolean':
      return 'bool';
    case 'number':
    case 'bigint':
      return 'number';
    default:
      return 'object';
  }
}

class Decoder {
  readonly strictErrors = new Set<string>();
  /** Go goes on after a type error and reports the first. */
  firstError: string | undefined;
  /** Keys and indexes to the value being read. */
  readonly #path: Array<string | number> = [];
  /** Go's names for the way there: fields, and embedded structs between them. */
  readonly #fields: string[] = [];
  #struct = '';

  struct(schema: StructSchema, value: unknown, goType: string): Value {
    if (goKind(value) !== 'object') return this.#mismatch(goKind(value), goType);
    const out: Record<string, unknown> = {};
    const outerStruct = this.#struct;
    const depth = this.#fields.length;
    for (const [key, member] of Object.entries(value as object)) {
      const field = schema.fields.get(key);
      if (!field) {
        this.#unknown(key);
        continue;
      }
      if (member === null) continue;
      for (const [, name] of field.via) this.#fields.push(name);
      this.#fields.push(key);
      this.#struct = schema.goName;
      this.#path.push(key);
      const read = this.value(field.type, member);
      this.#path.pop();
      this.#fields.length = depth;
      this.#struct = outerStruct;
      if (!omits(field, read)) out[key] = read;
    }
    return fill(schema, out);
  }

  value(type: TypeSchema, value: unknown): Value {
    switch (type.kind) {
      case 'struct':
        return this.struct(type.struct, value, type.goType);
      case 'list':
        return this.#list(type, value);
      case 'map':
        return this.#map(type, value);
      case 'string':
        return typeof value === 'string' ? value : this.#mismatch(goKind(value), type.goType);
      case 'bool':
        return typeof value === 'boolean' ? value : this.#mismatch(goKind(value), type.goType);
      case 'int32':
      case 'int64':
        return this.#integer(type, value);
      case 'float64':
        if (typeof value === 'number') return value;
        return typeof value === 'bigint' ? Number(value) : this.#mismatch(goKind(value), type.goType);
      case 'bytes':
        return this.#bytes(value, type.goType);
      default:
        return this.#special(type, value);
    }
  }

  #list(type: Extract<TypeSchema, { kind: 'list' }>, value: unknown): Value {
    if (!Array.isArray(value)) return this.#mismatch(goKind(value), type.goType);
    return value.map((item: unknown, index) => {
      this.#path.push(index);
      const read = this.#element(type.items, item);
      this.#path.pop();
      return read;
    });
  }

  #map(type: Extract<TypeSchema, { kind: 'map' }>, value: unknown): Value {
    if (goKind(value) !== 'object') return this.#mismatch(goKind(value), type.goType);
    const out: Record<string, unknown> = {};
    for (const [key, member] of Object.entries(value as object)) {
      this.#path.push(key);
      setMember(out, key, this.#element(type.values, member));
      this.#path.pop();
    }
    return out;
  }

  /** A list's element or map's value: null is the zero value. */
  #element(type: TypeSchema, value: unknown): unknown {
    const read = value === null ? absent : this.value(type, value);
    return read === absent ? zeroElement(type) : read;
  }

  #integer(type: TypeSchema, value: unknown): Value {
    if (typeof value !== 'number' && typeof value !== 'bigint')
      return this.#mismatch(goKind(value), type.goType);
    const limit = type.kind === 'int32' ? 2 ** 31 : 2 ** 63;
    const whole = typeof value === 'bigint' || Number.isInteger(value);
    if (!whole || value < -limit || value >= limit) return this.#mismatch(`number ${value}`, type.goType);
    return Object.is(value, -0) ? 0 : value;
  }

  #bytes(value: unknown, goType: string): Value {
    if (Array.isArray(value)) return this.#byteList(value);
    if (typeof value !== 'string') return this.#mismatch(goKind(value), goType);
    const text = value.replaceAll(/[\r\n]/g, '');
    if (/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return text;
    const valid = /^[A-Za-z0-9+/]*/.exec(text)?.[0].length ?? 0;
    this.firstError ??= `illegal base64 data at input byte ${valid === text.length ? valid - (valid % 4) : valid}`;
    return absent;
  }

  /** Go takes a list of numbers for bytes, too. */
  #byteList(list: unknown[]): Value {
    const isByte = (item: unknown): item is number =>
      Number.isInteger(item) && (item as number) >= 0 && (item as number) < 256;
    const wrong = list.find((item) => item !== null && !isByte(item));
    if (wrong === undefined) return Buffer.from(list.map((item) => (item ?? 0) as number)).toString('base64');
    return this.#mismatch(typeof wrong === 'number' ? `number ${wrong}` : goKind(wrong), 'uint8');
  }

  #special(type: TypeSchema, value: unknown): Value {
    switch (type.kind) {
      case 'quantity':
        return this.#quantity(value);
      case 'time':
      case 'microTime':
        return this.#time(type.kind, value);
      case 'intOrString':
        return this.#intOrString(value);
      case 'schemaOrBool':
        if (typeof value === 'boolean') return value;
        if (goKind(value) === 'object') return this.#nestedSchema(value);
        throw new DecodeError('boolean or JSON schema expected');
      case 'schemaOrArray':
        if (Array.isArray(value)) return value.map((item) => this.#nestedSchema(item));
        return goKind(value) === 'object' ? this.#nestedSchema(value) : absent;
      case 'schemaOrStringArray':
        if (Array.isArray(value)) return this.value(stringList, value);
        return goKind(value) === 'object' ? this.#nestedSchema(value) : absent;
      default:
        return value;
    }
  }

  /** Go reads these by a second decoder, which knows nothing of strictness. */
  #nestedSchema(value: unknown): unknown {
    const schema = structOf('apiextensions.v1.JSONSchemaProps');
    const decoder = new Decoder();
    const read = decoder.struct(schema, value, 'v1.JSONSchemaProps');
    if (decoder.firstError !== undefined) throw new DecodeError(decoder.firstError);
    return read;
  }

  #quantity(value: unknown): string {
    try {
      const scalar = typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint';
      return Quantity.parse(scalar ? value : JSON.stringify(value)).toString();
    } catch (error) {
      if (error instanceof QuantityError) throw new DecodeError(error.message);
      throw error;
    }
  }

  #time(kind: 'time' | 'microTime', value: unknown): Value {
    if (typeof value !== 'string') throw new DecodeError(this.#mismatchText(goKind(value), 'string'));
    try {
      return storedTimestamp(value, kind) ?? absent;
    } catch (error) {
      throw new DecodeError(error instanceof Error ? error.message : String(error));
    }
  }

  #intOrString(value: unknown): Value {
    if (typeof value === 'string') return value;
    const inner = new Decoder();
    const read = inner.#integer(int32, value);
    if (inner.firstError !== undefined) throw new DecodeError(inner.firstError);
    return read;
  }

  #mismatch(what: string, goType: string): typeof absent {
    this.firstError ??= this.#mismatchText(what, goType);
    return absent;
  }

  #mismatchText(what: string, goType: string): string {
    const place =
      this.#fields.length === 0 ? 'value' : `struct field ${this.#struct}.${this.#fields.join('.')}`;
    return `json: cannot unmarshal ${what} into Go ${place} of type ${goType}`;
  }

  #unknown(key: string): void {
    if (this.strictErrors.size >= maxStrictErrors) return;
    let path = '';
    for (const part of [...this.#path, key])
      path += typeof part === 'number' ? `[${part}]` : path === '' ? part : `.${part}`;
    this.strictErrors.add(`unknown field ${JSON.stringify(path)}`);
  }
}

const int32: TypeSchema = { kind: 'int32', goType: 'int32' };
const stringList: TypeSchema = {
  kind: 'list',
  goType: '[]string',
  items: { kind: 'string', goType: 'string' },
  wrapped: false,
};

/**
 * Decodes a parsed body (`parseJson`, `parseYaml`) as the struct: a new object in Go's form, and what a strict
 * decoder would refuse. The input is not changed; free-form parts are shared with it. Throws DecodeError in Go's
 * words for a wrong type.
 */
export function decodeObject(struct: StructSchema, value: unknown): Decoded {
  const decoder = new Decoder();
  const [group, version] = struct.name.split('.') as [string, string];
  const goType = `${version || group}.${struct.goName}`;
  const object = value === null ? zeroStruct(struct) : decoder.struct(struct, value, goType);
  if (decoder.firstError !== undefined) throw new DecodeError(decoder.firstError);
  return { object: object as Record<string, unknown>, strictErrors: [...decoder.strictErrors] };
}

/** What a strict decoder would refuse: `unknown field "spec.foo"`. Throws DecodeError for a wrong type. */
export function validateFields(struct: StructSchema, value: unknown): string[] {
  return decodeObject(struct, value).strictErrors;
}

/** The object without unknown fields, in Go's form. Throws DecodeError for a wrong type. */
export function pruneUnknown(struct: StructSchema, value: unknown): Record<string, unknown> {
  return decodeObject(struct, value).object;
}

/**
 * The message of a strict decoder (apimachinery/pkg/runtime/error.go); pass `duplicateFields` of codec/json.ts, as
 * `duplicate field "spec.foo"`, along with the unknown ones.
 */
export function strictDecodingMessage(strictErrors: readonly string[]): string {
  return `strict decoding error: ${strictErrors.join(', ')}`;
}

/** `duplicateFields`' paths in the words of a strict decoder. */
export function duplicateFieldErrors(paths: readonly string[]): string[] {
  return paths.map((path) => `duplicate field ${JSON.stringify(path)}`);
}
