/**
 * Strategic merge patch (apimachinery/pkg/util/strategicpatch): a merge patch that merges the lists whose fields say
 * so by their merge key, with the directives `$patch`, `$deleteFromPrimitiveList`, `$setElementOrder` and
 * `$retainKeys`. Only for kinds with a schema.
 */
import type { StructSchema } from '../schema/schema.ts';
import {
  applyElementDirectives,
  checkOrder,
  findByKey,
  holdsMaps,
  keyOf,
  ordered,
  unknownDirective,
  wrongType,
} from './strategic-list.ts';
import {
  type FieldMeta,
  type Meta,
  StrategicPatchError,
  deletePrefix,
  directive,
  goKindOf,
  lookup,
  lookupList,
  orderPrefix,
  retainKeys,
} from './strategic-meta.ts';
import { goTypeName, isJsonObject, type JsonObject } from '../codec/json-value.ts';
import { clone, own, put } from './value.ts';

export { StrategicPatchError } from './strategic-meta.ts';

const badRetainKeys = (): StrategicPatchError =>
  new StrategicPatchError('invalid patch format of retainKeys');

/** Merges into `original`, which it changes; takes `patch` apart. */
function mergeMap(original: JsonObject, patch: JsonObject, meta: Meta): JsonObject {
  if (Object.hasOwn(patch, directive)) {
    const { [directive]: kind, ...rest } = patch;
    if (kind === 'replace') return rest;
    if (kind === 'delete') return {};
    throw unknownDirective(kind, patch);
  }
  applyRetainKeys(original, patch);
  applyOrders(original, patch, meta);
  for (const key of Object.keys(patch)) {
    const deletion = key.startsWith(deletePrefix);
    mergeMember(original, deletion ? key.slice(deletePrefix.length) : key, patch[key], deletion, meta);
  }
  return original;
}

/** `$retainKeys` empties the original of all members that the list does not name. */
function applyRetainKeys(original: JsonObject, patch: JsonObject): void {
  const list = own(patch, retainKeys);
  if (list === undefined) return;
  delete patch[retainKeys];
  if (!Array.isArray(list)) throw badRetainKeys();
  const retained = new Set<unknown>(list);
  for (const [key, value] of Object.entries(patch)) {
    const isDirective = key.startsWith(deletePrefix) || key.startsWith(orderPrefix);
    if (value !== null && !isDirective && !retained.has(key)) throw badRetainKeys();
  }
  for (const key of Object.keys(original)) if (!retained.has(key)) delete original[key];
}

/** Merges the lists that have a `$setElementOrder`, and takes both out of the patch. */
function applyOrders(original: JsonObject, patch: JsonObject, meta: Meta): void {
  for (const key of Object.keys(patch)) {
    if (!key.startsWith(orderPrefix)) continue;
    const order = patch[key];
    delete patch[key];
    const name = key.slice(orderPrefix.length);
    const live = own(original, name);
    const wanted = own(patch, name);
    for (const list of [
      order,
      ...(live === undefined ? [] : [live]),
      ...(wanted === undefined ? [] : [wanted]),
    ])
      if (!Array.isArray(list)) throw wrongType('[]interface {}', list);
    const field = lookupList(meta, name);
    checkOrder((wanted ?? []) as unknown[], order as unknown[], field.mergeKey);
    if (live === undefined && wanted === undefined) continue;
    const merged = mergeForOrder(live as unknown[] | undefined, wanted as unknown[] | undefined, field);
    put(original, name, ordered(merged, order as unknown[], (live ?? []) as unknown[], field.mergeKey));
    delete patch[name];
  }
}

function mergeForOrder(
  live: unknown[] | undefined,
  wanted: unknown[] | undefined,
  field: FieldMeta,
): unknown[] {
  if (wanted === undefined) return live as unknown[];
  if (live === undefined) return withoutDirectives(wanted) as unknown[];
  return mergeListField(clone(live), wanted, field, false);
}

function mergeMember(original: JsonObject, key: string, value: unknown, deletion: boolean, meta: Meta): void {
  if (value === null) {
    delete original[key];
    return;
  }
  const current = own(original, key);
  if (current === undefined || goTypeName(current) !== goTypeName(value)) {
    if (!deletion) take(original, key, value);
    return;
  }
  if (isJsonObject(current)) {
    const { type, strategy } = lookup(meta, key);
    put(original, key, strategy === 'replace' ? value : mergeMap(current, value as JsonObject, type));
  } else if (Array.isArray(current)) {
    put(original, key, mergeListField(current, value as unknown[], lookupList(meta, key), deletion));
  } else take(original, key, value);
}

/** Takes over a value that has nothing to be merged with. */
function take(original: JsonObject, key: string, value: unknown): void {
  const kept = withoutDirectives(withoutNulls(value));
  if (kept === undefined) delete original[key];
  else put(original, key, kept);
}

function mergeListField(
  current: unknown[],
  patch: unknown[],
  field: FieldMeta,
  deletion: boolean,
): unknown[] {
  return field.strategy === 'merge' || deletion ? mergeList(current, patch, field, deletion) : patch;
}

function mergeList(current: unknown[], patch: unknown[], field: FieldMeta, deletion: boolean): unknown[] {
  if (current.length === 0 && patch.length === 0) return current;
  if (!holdsMaps(current, patch)) {
    if (deletion) return current.filter((item) => !patch.includes(item));
    return ordered([...new Set([...current, ...patch])], patch, current, field.mergeKey);
  }
  const { type, mergeKey } = field;
  if (mergeKey === '')
    throw new StrategicPatchError(`cannot merge lists without merge key for ${goKindOf(type)}`);
  const without = applyElementDirectives(current, patch, mergeKey);
  const merged = [...without.original];
  for (const item of without.patch as JsonObject[]) {
    const at = findByKey(merged, mergeKey, keyOf(item, mergeKey));
    if (at < 0) merged.push(item);
    else merged[at] = mergeMap(clone(merged[at] as JsonObject), item, type);
  }
  return ordered(merged, without.patch, without.original, mergeKey);
}

/** The value without null members, at any depth. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isJsonObject(value)) return value;
  const out: JsonObject = {};
  for (const key of Object.keys(value)) if (value[key] !== null) put(out, key, withoutNulls(value[key]));
  return out;
}

/** The value without maps that are directives; undefined if it is one. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives).filter((item) => item !== undefined);
  if (!isJsonObject(value)) return value;
  if (Object.hasOwn(value, directive)) return undefined;
  const out: JsonObject = {};
  for (const key of Object.keys(value)) {
    const kept = withoutDirectives(value[key]);
    if (kept !== undefined) put(out, key, kept);
  }
  return out;
}

/**
 * The object with the patch merged in; neither argument is changed, nothing is shared with the patch. Throws
 * StrategicPatchError in upstream's words.
 */
export function applyStrategicMergePatch(
  struct: StructSchema,
  object: JsonObject,
  patch: JsonObject,
): JsonObject {
  return mergeMap(clone(object), clone(patch), struct);
}
