// What a strategic merge needs to know of a field (apimachinery/pkg/util/strategicpatch/meta.go), and its errors.
import type { StructSchema, TypeSchema } from '../schema/schema.ts';

/** A patch that cannot be applied. Nothing of it was applied. The message is upstream's. */
export class StrategicPatchError extends Error {
  /** What the server answers. */
  readonly code: 400 | 422;

  constructor(message: string, code: 400 | 422 = 400) {
    super(message);
    this.name = 'StrategicPatchError';
    this.code = code;
  }
}

export const directive = '$patch';
export const deletePrefix = '$deleteFromPrimitiveList/';
export const orderPrefix = '$setElementOrder/';
export const retainKeys = '$retainKeys';

/** The type of the map being merged. */
export type Meta = StructSchema | TypeSchema;

export interface FieldMeta {
  type: TypeSchema;
  /** `merge`, `replace` or empty: the strategy besides `retainKeys`. */
  strategy: string;
  retainKeys: boolean;
  mergeKey: string;
}

const goKinds: Partial<Record<TypeSchema['kind'], string>> = {
  list: 'slice',
  bytes: 'slice',
  map: 'map',
  json: 'interface',
};

/** Go's reflect.Kind of a type. */
export function goKindOf(meta: Meta): string {
  if (!('kind' in meta) || meta.kind === 'struct') return 'struct';
  if (meta.kind in goKinds) return goKinds[meta.kind] as string;
  return /^(string|bool|int32|int64|float64)$/.test(meta.kind) ? meta.kind : 'struct';
}

/** How a member of a map of type `meta` is patched. */
export function lookup(meta: Meta, key: string): FieldMeta {
  if (goKindOf(meta) !== 'struct')
    throw new StrategicPatchError(
      `merging an object in json but data type is not struct, instead is: ${goKindOf(meta)}`,
    );
  const struct = !('kind' in meta) ? meta : meta.kind === 'struct' ? meta.struct : undefined;
  const field = struct?.field(key);
  if (!field) {
    const name = struct?.goName ?? (meta as TypeSchema).goType.replace(/^.*\./, '');
    throw new StrategicPatchError(
      `unable to find api field in struct ${name} for the json field ${JSON.stringify(key)}`,
    );
  }
  return {
    type: field.type,
    strategy: field.patchStrategy.find((strategy) => strategy !== 'retainKeys') ?? '',
    retainKeys: field.patchStrategy.includes('retainKeys'),
    mergeKey: field.patchMergeKey ?? '',
  };
}

/** As `lookup`, for a member whose value is a list: the type is that of its elements. */
export function lookupList(meta: Meta, key: string): FieldMeta {
  const field = lookup(meta, key);
  const { type } = field;
  if (type.kind !== 'list')
    throw new StrategicPatchError(`expected slice or array type, but got: ${goKindOf(meta)}`);
  if (type.items.kind === 'list') throw new StrategicPatchError('unexpected slice of slice');
  return { ...field, type: type.items };
}
