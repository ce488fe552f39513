import type { FieldSchema, StructSchema, TypeSchema } from '../schema/schema.ts';
import {
  deducedType,
  LazyField,
  ListType,
  type MapField,
  type MergeType,
  untypedAtomic,
} from './merge-type.ts';

const scalars: Partial<Record<TypeSchema['kind'], MergeType>> = {
  string: { scalar: 'string' },
  bytes: { scalar: 'string' },
  bool: { scalar: 'boolean' },
  int32: { scalar: 'numeric' },
  int64: { scalar: 'numeric' },
  float64: { scalar: 'numeric' },
  quantity: { scalar: 'untyped' },
  time: { scalar: 'untyped' },
  microTime: { scalar: 'untyped' },
  intOrString: { scalar: 'untyped' },
  rawExtension: untypedAtomic,
};

const zeros: Partial<Record<TypeSchema['kind'], unknown>> = {
  string: '',
  bool: false,
  int32: 0,
  int64: 0,
  float64: 0,
};

/** The declared default; what Go always writes has its zero value for one. */
const defaultOf = ({ default: declared, omitEmpty, pointer, type }: FieldSchema): unknown =>
  declared ?? (omitEmpty || pointer ? undefined : zeros[type.kind]);

/** A struct's type as it says itself, and as a field that holds it may say instead. */
interface StructTypes {
  readonly own: MergeType;
  readonly granular: MergeType;
  readonly atomic: MergeType;
}

const structs = new WeakMap<StructSchema, StructTypes>();

function structTypes(struct: StructSchema): StructTypes {
  let types = structs.get(struct);
  if (!types) {
    const fields = new Map<string, MapField>();
    for (const field of struct.fields.values()) {
      fields.set(field.name, new LazyField(field.name, () => fieldType(field), defaultOf(field)));
    }
    // A struct of no fields takes anything, by member.
    const element = fields.size === 0 ? deducedType : undefined;
    types = {
      own: { map: { fields, element, atomic: struct.atomic } },
      granular: { map: { fields, element, atomic: false } },
      atomic: { map: { fields, element, atomic: true } },
    };
    structs.set(struct, types);
  }
  return types;
}

/**
 * The merge type of a built-in kind, made as far as it is asked for and kept. Source of the rules: kube-openapi,
 * pkg/schemaconv, over the markers in the schema (listType, listMapKeys, mapType, patch strategies where there is no
 * list type).
 */
export const mergeTypeOf = (struct: StructSchema): MergeType => structTypes(struct).own;

function fieldType({
  type,
  listType,
  listMapKeys,
  mapType,
  patchStrategy,
  patchMergeKey,
}: FieldSchema): MergeType {
  if (type.kind === 'list') {
    const keys = listType === undefined ? (patchMergeKey === undefined ? [] : [patchMergeKey]) : listMapKeys;
    const associative =
      listType === undefined ? patchStrategy.includes('merge') : listType === 'map' || listType === 'set';
    const element = (): MergeType => plainType(type.items);
    return { list: new ListType(element, associative ? 'associative' : 'atomic', associative ? keys : []) };
  }
  if (mapType === 'atomic') {
    if (type.kind === 'struct') return structTypes(type.struct).atomic;
    if (type.kind === 'map') return mapOf(type.values, true);
  }
  if (mapType === 'granular' && type.kind === 'struct') return structTypes(type.struct).granular;
  return plainType(type);
}

/** A type without a field's markers. */
function plainType(type: TypeSchema): MergeType {
  if (type.kind === 'struct') return mergeTypeOf(type.struct);
  if (type.kind === 'list') return { list: new ListType(() => plainType(type.items), 'atomic') };
  if (type.kind === 'map') return mapOf(type.values, false);
  // What is left is free form: JSON, and the schemas of custom resources that may be a boolean or a list as well.
  return scalars[type.kind] ?? deducedType;
}

function mapOf(values: TypeSchema, atomic: boolean): MergeType {
  let element: MergeType | undefined;
  return {
    map: {
      fields: new Map(),
      get element() {
        return (element ??= plainType(values));
      },
      atomic,
    },
  };
}
