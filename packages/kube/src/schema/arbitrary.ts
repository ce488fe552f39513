// fast-check arbitraries of any built-in kind, derived from the schema. For tests only.
import * as fc from 'fast-check';
import { parseJson } from '../codec/json.ts';
import { Quantity } from '../quantity.ts';
import { decodeObject } from './decode.ts';
import { type GroupVersionKind, type StructSchema, type TypeSchema, schemaOf, structOf } from './schema.ts';
import { formatTimestamp } from './timestamp.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 8 });
const seconds = fc.integer({ min: -60_000_000_000, max: 250_000_000_000 });
const json = fc.jsonValue({ maxDepth: 2 }).map((value) => parseJson(JSON.stringify(value)));
const object = fc.dictionary(fc.string({ maxLength: 4 }), json, { maxKeys: 2, noNullPrototype: true });
const int64 = fc
  .oneof(fc.integer(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }))
  .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value));
const quantity = fc
  .tuple(
    fc.integer({ min: 0, max: 9_999_999 }),
    fc.constantFrom('', '.5'),
    fc.constantFrom('', 'm', 'k', 'Ki', 'Mi', 'Gi', 'e3'),
  )
  .map((parts) => Quantity.parse(parts.join('')).toString());

function arbitraryType(type: TypeSchema, depth: number): fc.Arbitrary<unknown> {
  switch (type.kind) {
    case 'struct':
      return arbitraryStruct(type.struct, depth - 1);
    case 'list':
      return fc.array(arbitraryType(type.items, depth), { maxLength: 2 });
    case 'map':
      return fc.dictionary(text, arbitraryType(type.values, depth), { maxKeys: 2, noNullPrototype: true });
    case 'string':
      return type.enum ? fc.constantFrom(...type.enum) : text;
    case 'bool':
      return fc.boolean();
    case 'int32':
      return fc.integer();
    case 'int64':
      return int64;
    case 'float64':
      return fc
        .double({ noNaN: true, noDefaultInfinity: true })
        .map((value) => (Object.is(value, -0) ? 0 : value));
    case 'bytes':
      return fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes).toString('base64'));
    case 'quantity':
      return quantity;
    case 'time':
      return seconds.map((value) => formatTimestamp({ seconds: value, nanos: 0 }, 'time'));
    case 'microTime':
      return fc
        .tuple(seconds, fc.nat({ max: 999_999 }))
        .map(([value, micros]) => formatTimestamp({ seconds: value, nanos: micros * 1000 }, 'microTime'));
    case 'intOrString':
      return fc.oneof(fc.integer(), text);
    case 'rawExtension':
    case 'fieldsV1':
      return object;
    case 'json':
      return json.filter((value) => value !== null);
    default:
      return arbitraryAlternative(type.kind, depth);
  }
}

function arbitraryAlternative(kind: TypeSchema['kind'], depth: number): fc.Arbitrary<unknown> {
  const schema = arbitraryStruct(structOf('apiextensions.v1.JSONSchemaProps'), depth - 1);
  if (kind === 'schemaOrBool') return fc.oneof(fc.boolean(), schema);
  const other: fc.Arbitrary<unknown> = kind === 'schemaOrArray' ? schema : text;
  return fc.oneof(schema, fc.array(other, { minLength: 1, maxLength: 2 }));
}

/** Members at random, few of them deep down, so that a schema that contains itself ends. */
function arbitraryStruct(struct: StructSchema, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const fields = [...struct.fields.values()].filter(({ name }) => name !== 'apiVersion' && name !== 'kind');
  const isLeaf = (type: TypeSchema): boolean =>
    type.kind === 'list'
      ? isLeaf(type.items)
      : type.kind === 'map'
        ? isLeaf(type.values)
        : !/^(struct|schemaOr)/.test(type.kind);
  const usable = depth > 0 ? fields : fields.filter(({ type }) => isLeaf(type));
  return fc.subarray(usable, { maxLength: Math.min(usable.length, depth > 2 ? 12 : 6) }).chain((chosen) =>
    fc.record(Object.fromEntries(chosen.map(({ name, type }) => [name, arbitraryType(type, depth)])), {
      noNullPrototype: true,
    }),
  );
}

/** Objects of a built-in kind in the form that `decodeObject` gives, `apiVersion` and `kind` included. */
export function arbitraryObject(kind: GroupVersionKind): fc.Arbitrary<Record<string, unknown>> {
  const struct = schemaOf(kind);
  if (!struct) throw new Error(`${kind.kind} is no built-in kind`);
  const apiVersion = kind.group === '' ? kind.version : `${kind.group}/${kind.version}`;
  return arbitraryStruct(struct, 5).map((value) => ({
    apiVersion,
    kind: kind.kind,
    ...decodeObject(struct, value).object,
  }));
}
