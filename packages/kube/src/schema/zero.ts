// Which zero values Go writes and which it leaves out (encoding/json: pointers, `omitempty`, `omitzero`), so that an
// object has one form whether it came as JSON, YAML or protobuf.
import type { FieldSchema, StructSchema, TypeSchema } from './schema.ts';

/** No value: the member is left out. */
export const absent = Symbol('absent');

const zeroScalars: Partial<Record<TypeSchema['kind'], unknown>> = {
  string: '',
  bool: false,
  int32: 0,
  int64: 0,
  float64: 0,
  bytes: '',
};

/** Go structs whatever their JSON: never empty for `omitempty`. */
const zeroStructs: Partial<Record<TypeSchema['kind'], unknown>> = {
  quantity: '0',
  intOrString: 0,
  time: null,
  microTime: null,
};

/** What a field that is no pointer holds though nothing was sent; `absent` if it is not written. */
function zeroOf(field: FieldSchema): unknown {
  const { kind } = field.type;
  if (field.pointer || field.omitZero) return absent;
  if (field.type.kind === 'struct') return zeroStruct(field.type.struct);
  if (kind in zeroStructs) return zeroStructs[kind];
  if (field.omitEmpty) return absent;
  if (kind === 'bytes') return absent;
  if (kind in zeroScalars) return zeroScalars[kind];
  // Go writes null for a list or map that is not there, and protobuf cannot tell it from an empty one. Clients that
  // want it to be there want it empty.
  if (kind === 'list') return [];
  return kind === 'map' ? {} : absent;
}

const fillsOf = new WeakMap<StructSchema, FieldSchema[]>();

/** The fields that are written even when they are not set. */
function fills(struct: StructSchema): FieldSchema[] {
  let list = fillsOf.get(struct);
  if (!list) {
    list = [...struct.fields.values()].filter((field) => zeroOf(field) !== absent);
    fillsOf.set(struct, list);
  }
  return list;
}

/** Adds to `object` the fields that Go writes even when they are not set; returns it. */
export function fill(struct: StructSchema, object: Record<string, unknown>): Record<string, unknown> {
  for (const field of fills(struct)) if (!(field.name in object)) object[field.name] = zeroOf(field);
  return object;
}

/** A struct of which nothing was sent. */
export const zeroStruct = (struct: StructSchema): Record<string, unknown> => fill(struct, {});

/** Whether `omitempty` leaves the value out. */
function isEmpty(value: unknown): boolean {
  if (value === '' || value === 0 || value === false || value === absent) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/** Whether Go leaves a field's value out of JSON. */
export function omits(field: FieldSchema, value: unknown): boolean {
  if (value === absent) return true;
  if (field.pointer || !field.omitEmpty) return false;
  const { kind } = field.type;
  return (kind === 'list' || kind === 'map' || kind in zeroScalars) && isEmpty(value);
}

/** The zero value of a list's element or a map's value. */
export function zeroElement(type: TypeSchema): unknown {
  if (type.kind === 'struct') return zeroStruct(type.struct);
  return zeroScalars[type.kind] ?? zeroStructs[type.kind] ?? null;
}
