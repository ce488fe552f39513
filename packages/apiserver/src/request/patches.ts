import { goText, goTypeName, isJsonObject, type JsonObject } from '@cloudless/kube/codec/json-value';
import { fieldErrors, FieldPath } from '@cloudless/kube/field';
import type { KubeObject } from '@cloudless/kube/object';
import { applyJsonPatch, JsonPatchError, maxOperations } from '@cloudless/kube/patch/json-patch';
import { applyMergePatch } from '@cloudless/kube/patch/merge-patch';
import { applyStrategicMergePatch, StrategicPatchError } from '@cloudless/kube/patch/strategic-merge';
import { schemaOf } from '@cloudless/kube/schema/schema';
import { errors, StatusError } from '@cloudless/kube/status';
import type { ApplyPatch, BodyKind } from './body.ts';

/** Go's words for a JSON value of another type. */
function cannotUnmarshal(value: unknown, goType: string): string {
  const is = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;
  return `json: cannot unmarshal ${is} into Go value of type ${goType}`;
}

/** 422 as upstream gives it for a patch that does not apply (errors.NewGenericServerResponse). */
function unprocessable(message: string): StatusError {
  const text = 'the server rejected our request due to an error in our request';
  return new StatusError(422, 'Invalid', text, {}, new Error(message));
}

function jsonPatch(object: KubeObject, patch: unknown): unknown {
  if (!Array.isArray(patch) || !patch.every(isJsonObject)) {
    throw errors.badRequest(`error decoding patch: ${cannotUnmarshal(patch, '[]handlers.jsonPatchOp')}`);
  }
  if (patch.length > maxOperations) {
    throw errors.tooLarge(
      `The allowed maximum operations in a JSON patch is ${maxOperations}, got ${patch.length}`,
    );
  }
  try {
    return applyJsonPatch(object, patch);
  } catch (error) {
    throw error instanceof JsonPatchError ? unprocessable(error.message) : error;
  }
}

/** Throws 422 as upstream's converter of patched objects does. */
function mustKeepTypes(patched: JsonObject, patch: JsonObject): void {
  const wrong = [patched['apiVersion'], patched['kind']].find(
    (value) => value != null && typeof value !== 'string',
  );
  if (wrong === undefined) return;
  const why = `cannot convert ${goTypeName(wrong)} to string`;
  throw errors.invalid({ group: '', kind: '' }, '', [
    fieldErrors.invalid(FieldPath.of('patch'), goText(patch), why),
  ]);
}

function strategicPatch(object: KubeObject, patch: JsonObject, kind: BodyKind): unknown {
  const schema = schemaOf(kind);
  if (!schema) {
    // Upstream offers strategic merge patches for its own kinds only.
    const accepted = ['json-patch+json', 'merge-patch+json', 'apply-patch+yaml'];
    throw errors.unsupportedMediaType(
      `the body of the request was in an unknown format - accepted media types include: ${accepted.map((type) => `application/${type}`).join(', ')}`,
    );
  }
  try {
    const patched = applyStrategicMergePatch(schema, object as unknown as JsonObject, patch);
    if (isJsonObject(patched)) mustKeepTypes(patched, patch);
    // What kind it is, is known: a strategic patch does not get to say.
    return isJsonObject(patched) ? { ...patched, apiVersion: object.apiVersion, kind: object.kind } : patched;
  } catch (error) {
    if (!(error instanceof StrategicPatchError)) throw error;
    throw error.code === 422 ? unprocessable(error.message) : new StatusError(500, '', error.message);
  }
}

/** Applies one patch document and returns a new object (apiserver/pkg/endpoints/handlers/patch.go). */
export const applyPatch: ApplyPatch = (type, object, patch, kind) => {
  if (type === 'json') return jsonPatch(object, patch);
  if (!isJsonObject(patch)) {
    const why = cannotUnmarshal(patch, 'map[string]interface {}');
    throw errors.badRequest(type === 'merge' ? `error decoding patch: ${why}` : why);
  }
  return type === 'merge' ? applyMergePatch(object, patch) : strategicPatch(object, patch, kind);
};
