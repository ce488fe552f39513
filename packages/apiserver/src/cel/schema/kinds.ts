/** The types of built-in kinds, from the schema of Kubernetes 1.36. */
import {
  type GroupVersionKind,
  schemaOf,
  type StructSchema,
  type TypeSchema,
} from '@cloudless/kube/schema/schema';
import {
  boolType,
  bytesType,
  type CelField,
  type CelType,
  doubleType,
  dynType,
  intType,
  listType,
  mapType,
  objectType,
  stringType,
  timestampType,
} from '../types.ts';
import { escapeName } from './escape.ts';

const structs = new Map<string, CelType>();

/**
 * The type of a built-in kind's objects, as upstream derives it from the published OpenAPI: times are timestamps,
 * quantities and ints-or-strings are dyn. Undefined for a kind that is not built in.
 */
export function typeOfKind(kind: GroupVersionKind): CelType | undefined {
  const struct = schemaOf(kind);
  return struct && typeOfStruct(struct);
}

function typeOfStruct(struct: StructSchema): CelType {
  let type = structs.get(struct.name);
  if (type === undefined) {
    type = objectType(struct.name, () => fieldsOf(struct));
    structs.set(struct.name, type);
  }
  return type;
}

function fieldsOf(struct: StructSchema): ReadonlyMap<string, CelField> {
  const fields = new Map<string, CelField>();
  for (const field of struct.fields.values()) {
    const name = escapeName(field.name);
    if (name !== undefined)
      fields.set(name, { type: typeOf(field.type), jsonName: field.name, required: field.required });
  }
  return fields;
}

function typeOf(type: TypeSchema): CelType {
  switch (type.kind) {
    case 'string':
      return stringType;
    case 'bool':
      return boolType;
    case 'int32':
    case 'int64':
      return intType;
    case 'float64':
      return doubleType;
    case 'bytes':
      return bytesType;
    case 'time':
    case 'microTime':
      return timestampType;
    case 'list':
      return listType(typeOf(type.items));
    case 'map':
      return mapType(stringType, typeOf(type.values));
    case 'struct':
      return typeOfStruct(type.struct);
    default:
      return dynType;
  }
}
