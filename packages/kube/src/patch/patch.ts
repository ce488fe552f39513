/**
 * Patches as the API server takes them: from the body of a PATCH request to a function from object to object, with
 * upstream's answers to bad ones (apiserver/pkg/endpoints/handlers/patch.go). Server-side apply is not here.
 */
import { type JsonSyntaxError, duplicateFields, parseJson } from '../codec/json.ts';
import { duplicateFieldErrors } from '../schema/decode.ts';
import type { StructSchema } from '../schema/schema.ts';
import { StatusError, errors } from '../status.ts';
import { JsonPatchError, applyJsonPatch, maxOperations } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { StrategicPatchError, applyStrategicMergePatch } from './strategic-merge.ts';
import { goTypeName, isJsonObject, type JsonObject } from '../codec/json-value.ts';

export { applyJsonPatch } from './json-patch.ts';
export { applyMergePatch, createMergePatch } from './merge-patch.ts';
export { applyStrategicMergePatch } from './strategic-merge.ts';
export { createStrategicMergePatch } from './strategic-diff.ts';

export const patchTypes = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
} as const;

/** A patch that was read and can be applied, again if the object changed meanwhile. */
export interface PreparedPatch {
  /** What a strict server refuses and others warn of: `duplicate field "spec.foo"`. */
  readonly strictErrors: readonly string[];
  /** A new object; the argument is not changed. Throws StatusError (400 or 422); nothing is half applied. */
  apply(object: JsonObject): JsonObject;
}

/**
 * The answer to a patch of a type that the resource does not take: 415. Custom resources take no strategic merge
 * patches. `accepted` are media types.
 */
export function unsupportedPatchType(accepted: readonly string[]): StatusError {
  return errors.unsupportedMediaType(
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  );
}

/** 422 with upstream's sentence; the cause, which upstream keeps to itself, is among the details. */
function unprocessable(message: string): StatusError {
  return new StatusError(422, 'Invalid', 'the server rejected our request due to an error in our request', {
    causes: [{ reason: 'FieldValueInvalid', message, field: 'patch' }],
  });
}

function parseBody(body: string | Uint8Array, prefix: string): unknown {
  try {
    return parseJson(body);
  } catch (error) {
    throw errors.badRequest(`${prefix}${(error as JsonSyntaxError).message}`);
  }
}

const decodingPatch = 'error decoding patch: ';

function prepareJsonPatch(body: string | Uint8Array): PreparedPatch {
  const operations = parseBody(body, decodingPatch);
  const wrong = Array.isArray(operations) ? operations.find((item) => !isJsonObject(item)) : operations;
  if (!Array.isArray(operations) || wrong !== undefined)
    throw errors.badRequest(
      `${decodingPatch}json: cannot unmarshal ${goValueName(wrong)} into Go value of type ${
        Array.isArray(operations) ? 'handlers.jsonPatchOp' : '[]handlers.jsonPatchOp'
      }`,
    );
  if (operations.length > maxOperations)
    throw errors.tooLarge(
      `The allowed maximum operations in a JSON patch is ${maxOperations}, got ${operations.length}`,
    );
  const known = new Set(['op', 'path', 'from', 'value']);
  const unknown = (operations as JsonObject[]).flatMap((operation, index) =>
    Object.keys(operation)
      .filter((key) => !known.has(key))
      .map((key) => `unknown field ${JSON.stringify(`[${index}].${key}`)}`),
  );
  return {
    strictErrors: [...duplicates(body), ...unknown].map((text) => `json patch ${text}`),
    apply(object) {
      try {
        const result = applyJsonPatch(object, operations as JsonObject[]);
        if (isJsonObject(result)) return result;
      } catch (error) {
        if (error instanceof JsonPatchError) throw unprocessable(error.message);
        throw error;
      }
      throw unprocessable('the patched document is not an object');
    },
  };
}

function prepareMergePatch(body: string | Uint8Array): PreparedPatch {
  const patch = parseBody(body, decodingPatch);
  if (!isJsonObject(patch)) throw errors.badRequest(`${decodingPatch}${notAMap(patch)}`);
  return { strictErrors: duplicates(body), apply: (object) => applyMergePatch(object, patch) as JsonObject };
}

function prepareStrategicPatch(body: string | Uint8Array, struct: StructSchema | undefined): PreparedPatch {
  if (!struct) throw errors.badRequest('strategic merge patch format is not supported');
  const patch = parseBody(body, '');
  if (!isJsonObject(patch)) throw errors.badRequest(notAMap(patch));
  return {
    strictErrors: duplicates(body),
    apply(object) {
      try {
        return applyStrategicMergePatch(struct, object, patch);
      } catch (error) {
        if (!(error instanceof StrategicPatchError)) throw error;
        throw error.code === 422 ? unprocessable(error.message) : errors.badRequest(error.message);
      }
    },
  };
}

const duplicates = (body: string | Uint8Array): string[] => duplicateFieldErrors(duplicateFields(body));

const goNames: Record<string, string> = {
  '[]interface {}': 'array',
  'map[string]interface {}': 'object',
  int64: 'number',
  float64: 'number',
};
function goValueName(value: unknown): string {
  const name = goTypeName(value, 'nil');
  return goNames[name] ?? name;
}
const notAMap = (value: unknown): string =>
  `json: cannot unmarshal ${goValueName(value)} into Go value of type map[string]interface {}`;

/**
 * Reads the body of a patch. `struct` is the schema of the object's kind in the version of the request, undefined
 * for a custom resource (refuse its strategic patches before, with `unsupportedPatchType`). Throws StatusError: 400
 * for what is no patch, 413 for too many operations.
 */
export function preparePatch(
  type: 'json' | 'merge' | 'strategic',
  body: string | Uint8Array,
  struct: StructSchema | undefined,
): PreparedPatch {
  if (type === 'json') return prepareJsonPatch(body);
  return type === 'merge' ? prepareMergePatch(body) : prepareStrategicPatch(body, struct);
}
