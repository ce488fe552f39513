/**
 * Writes OpenAPI documents as the protobuf messages of google/gnostic-models, from tables: JSON member → field number and
 * what is in it. Only members that our documents have are in the tables.
 */
import { newWriter, type Writer } from '@cloudless/kube/protobuf/wire';

export type Json = Record<string, unknown>;

/** Writes one member's value with its tags. */
export type FieldWriter = (writer: Writer, number: number, value: unknown) => void;

export type Table = Readonly<Record<string, readonly [number: number, write: FieldWriter]>>;

const lengthDelimited = 2;
const varint = 0;
const fixed64 = 1;
const tag = (number: number, wire: number): number => ((number << 3) | wire) >>> 0;

export const text: FieldWriter = (writer, number, value) => {
  if (value !== '') writer.uint32(tag(number, lengthDelimited)).string(value as string);
};
export const flag: FieldWriter = (writer, number, value) => {
  if (value === true) writer.uint32(tag(number, varint)).bool(true);
};
export const integer: FieldWriter = (writer, number, value) => {
  if (value !== 0) writer.uint32(tag(number, varint)).int64(Number(value));
};
export const double: FieldWriter = (writer, number, value) => {
  if (value !== 0) writer.uint32(tag(number, fixed64)).double(Number(value));
};
export const always =
  (write: (writer: Writer, value: unknown) => void): FieldWriter =>
  (writer, number, value) => {
    writer.uint32(tag(number, lengthDelimited)).fork();
    write(writer, value);
    writer.ldelim();
  };
export const repeated =
  (write: FieldWriter): FieldWriter =>
  (writer, number, value) => {
    for (const each of value as unknown[]) write(writer, number, each);
  };
/** The same field number for every item, empty strings too. */
export const texts: FieldWriter = (writer, number, value) => {
  for (const each of value as string[]) writer.uint32(tag(number, lengthDelimited)).string(each);
};

/** `Any`: JSON is YAML. */
export const any: FieldWriter = always((writer, value) => {
  text(writer, 2, JSON.stringify(value));
});

/** A message around one field. */
export const around = (inner: FieldWriter, number = 1): FieldWriter =>
  always((writer, value) => inner(writer, number, value));

/** A message with `repeated Named… = number`: an object as pairs of name and value. */
export const pairs = (value: FieldWriter, number = 1): FieldWriter =>
  always((writer, object) => entries(writer, number, object, value));

export function entries(writer: Writer, number: number, object: unknown, value: FieldWriter): void {
  for (const [name, each] of Object.entries(object as Json)) {
    writer.uint32(tag(number, lengthDelimited)).fork();
    text(writer, 1, name);
    value(writer, 2, each);
    writer.ldelim();
  }
}

/** Writes the members of an object that the table knows, and every `x-…` as an extension. */
export function members(table: Table, extensionNumber: number): (writer: Writer, value: unknown) => void {
  return (writer, value) => {
    const object = value as Json;
    for (const name in object) {
      const member = object[name];
      const field = table[name];
      if (member === undefined) continue;
      if (field) field[1](writer, field[0], member);
      else if (name.startsWith('x-')) entries(writer, extensionNumber, { [name]: member }, any);
    }
  };
}

/** One message, alone. */
export function encode(write: (writer: Writer) => void): Uint8Array {
  const writer = newWriter();
  write(writer);
  return writer.finish();
}
