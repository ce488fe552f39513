/**
 * The strategic merge patch from one object to another (upstream: CreateTwoWayMergePatch), as `kubectl` and
 * controllers send it: lists with a merge key by element, with `$setElementOrder` and `$retainKeys`.
 */
import type { StructSchema } from '../schema/schema.ts';
import { findByKey, holdsMaps, keyOf } from './strategic-list.ts';
import {
  type FieldMeta,
  type Meta,
  deletePrefix,
  directive,
  lookup,
  lookupList,
  orderPrefix,
  retainKeys,
} from './strategic-meta.ts';
import { isJsonObject, type JsonObject } from '../codec/json-value.ts';
import { clone, equal, own, put } from './value.ts';

function diffMaps(original: JsonObject, modified: JsonObject, meta: Meta): JsonObject {
  const patch: JsonObject = {};
  for (const key of Object.keys(original)) if (!Object.hasOwn(modified, key)) put(patch, key, null);
  for (const key of Object.keys(modified)) {
    const before = own(original, key);
    const after = modified[key];
    if (equal(before, after)) continue;
    if (isJsonObject(before) && isJsonObject(after)) {
      const field = lookup(meta, key);
      put(patch, key, field.strategy === 'replace' ? clone(after) : diffRetaining(before, after, field));
    } else if (Array.isArray(before) && Array.isArray(after) && before.length > 0) {
      diffLists(patch, key, before, after, lookupList(meta, key));
    } else put(patch, key, clone(after));
  }
  return patch;
}

/** The difference of two maps that do differ. */
function diffRetaining(before: JsonObject, after: JsonObject, field: FieldMeta): JsonObject {
  const patch = diffMaps(before, after, field.type);
  if (field.retainKeys) patch[retainKeys] = Object.keys(after).sort();
  return patch;
}

function diffLists(
  patch: JsonObject,
  key: string,
  before: unknown[],
  after: unknown[],
  field: FieldMeta,
): void {
  if (field.strategy !== 'merge') return put(patch, key, clone(after));
  if (!holdsMaps(before, after)) {
    const added = after.filter((item) => !before.includes(item));
    const removed = before.filter((item) => !after.includes(item));
    if (added.length > 0) put(patch, key, added);
    if (removed.length > 0) patch[`${deletePrefix}${key}`] = removed;
    patch[`${orderPrefix}${key}`] = clone(after);
    return;
  }
  const { mergeKey } = field;
  const items: JsonObject[] = [];
  for (const item of after as JsonObject[]) {
    const id = keyOf(item, mergeKey);
    const at = findByKey(before, mergeKey, id);
    if (at < 0) items.push(clone(item));
    else if (!equal(before[at], item))
      items.push({ ...diffRetaining(before[at] as JsonObject, item, field), [mergeKey]: id });
  }
  for (const item of before) {
    const id = keyOf(item, mergeKey);
    if (findByKey(after, mergeKey, id) < 0) items.push({ [directive]: 'delete', [mergeKey]: id });
  }
  if (items.length > 0) put(patch, key, items);
  patch[`${orderPrefix}${key}`] = after.map((item) => ({ [mergeKey]: keyOf(item, mergeKey) }));
}

/** Empty when both are equal. Throws StrategicPatchError, for a list element without its merge key for one. */
export function createStrategicMergePatch(
  struct: StructSchema,
  original: JsonObject,
  modified: JsonObject,
): JsonObject {
  return diffMaps(original, modified, struct);
}
