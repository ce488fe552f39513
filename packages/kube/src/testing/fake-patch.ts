import type { PatchType } from '../client/client.ts';
import { errors } from '../status.ts';

type Json = null | boolean | number | bigint | string | Json[] | { [key: string]: Json };
type JsonObject = { [key: string]: Json };

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON merge patch (RFC 7386). */
function merge(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merge(result[key], value);
  }
  return result;
}

/** Lists that a strategic merge patch merges by key, by field name: enough for tests of controllers. */
const mergeKeys: Record<string, string> = {
  ownerReferences: 'uid',
  conditions: 'type',
  containers: 'name',
  addresses: 'type',
  volumes: 'name',
  env: 'name',
};

function strategic(target: Json | undefined, patch: Json, field = ''): Json {
  if (Array.isArray(patch)) {
    const key = mergeKeys[field];
    if (key === undefined) return patch;
    const result = Array.isArray(target) ? [...target] : [];
    for (const item of patch) {
      if (!isObject(item)) continue;
      const at = result.findIndex((other) => isObject(other) && other[key] === item[key]);
      if (item['$patch'] === 'delete') {
        if (at >= 0) result.splice(at, 1);
      } else if (at >= 0) result[at] = strategic(result[at], item);
      else result.push(item);
    }
    return result;
  }
  if (!isObject(patch)) return patch;
  const result: JsonObject = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    const primitives = /^\$deleteFromPrimitiveList\/(.*)$/.exec(key)?.[1];
    if (primitives !== undefined) {
      const list = result[primitives];
      if (Array.isArray(list)) result[primitives] = list.filter((one) => !(value as Json[]).includes(one));
    } else if (value === null) delete result[key];
    else result[key] = strategic(result[key], value, key);
  }
  return result;
}

/** JSON patch (RFC 6902): add, remove, replace, test. */
function jsonPatch(target: Json, operations: Json): Json {
  const root = structuredClone(target) as JsonObject;
  for (const operation of operations as Array<{ op: string; path: string; value?: Json }>) {
    const parts = operation.path
      .slice(1)
      .split('/')
      .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
    const last = parts.pop() as string;
    let at: Json | undefined = root;
    for (const part of parts) at = isObject(at) ? at[part] : Array.isArray(at) ? at[Number(part)] : undefined;
    const { op, path, value = null } = operation;
    if (!isObject(at) && !Array.isArray(at)) throw errors.badRequest(`no such path: ${path}`);
    if (op === 'test') {
      const found = Array.isArray(at) ? at[Number(last)] : at[last];
      if (JSON.stringify(found) !== JSON.stringify(value)) {
        throw errors.invalid({ group: '', kind: '' }, '', [{ field: path, message: 'testing value failed' }]);
      }
    } else if (Array.isArray(at)) {
      const index = last === '-' ? at.length : Number(last);
      if (op === 'remove') at.splice(index, 1);
      else if (op === 'add') at.splice(index, 0, value);
      else at[index] = value;
    } else if (op === 'remove') delete at[last];
    else at[last] = value;
  }
  return root;
}

/** The patched object; `apply` is taken as a merge, without ownership of fields. */
export function fakePatch<T>(target: T, type: PatchType, patch: unknown): T {
  const from = target as Json;
  const by = patch as Json;
  if (type === 'json') return jsonPatch(from, by) as T;
  return (type === 'strategic' ? strategic(from, by) : merge(from, by)) as T;
}
