import type { PatchType } from '../client/client.ts';
import type { JsonObject } from '../codec/json-value.ts';
import type { Resource } from '../object.ts';
import { applyJsonPatch, JsonPatchTestError } from '../patch/json-patch.ts';
import { applyMergePatch } from '../patch/merge-patch.ts';
import { applyStrategicMergePatch } from '../patch/strategic-merge.ts';
import { schemaOf } from '../schema/schema.ts';
import { errors } from '../status.ts';

/** The patched object; `apply` is taken as a merge, without ownership of fields. */
export function fakePatch<T>(resource: Resource, target: T, type: PatchType, patch: unknown): T {
  if (type === 'json') return jsonPatched(target, patch as JsonObject[]) as T;
  const schema = schemaOf(resource);
  if (type === 'strategic' && schema)
    return applyStrategicMergePatch(schema, target as JsonObject, patch as JsonObject) as T;
  return applyMergePatch(target, patch) as T;
}

function jsonPatched(target: unknown, operations: JsonObject[]): unknown {
  try {
    return applyJsonPatch(target, operations);
  } catch (error) {
    if (!(error instanceof JsonPatchTestError)) throw error;
    throw errors.invalid({ group: '', kind: '' }, '', [{ field: '', message: error.message }]);
  }
}
