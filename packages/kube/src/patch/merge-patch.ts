/**
 * JSON merge patch (RFC 7386), as the library that kube-apiserver uses applies it
 * (gopkg.in/evanphx/json-patch.v4/merge.go).
 */
import { isJsonObject, type JsonObject } from '../codec/json-value.ts';
import { clone, equal, own, put } from './value.ts';

/** A copy without null members; nulls that are elements of lists stay. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutNulls(item));
  if (!isJsonObject(value)) return value;
  const out: JsonObject = {};
  for (const key of Object.keys(value)) if (value[key] !== null) put(out, key, withoutNulls(value[key]));
  return out;
}

function mergeInto(document: JsonObject, patch: JsonObject): void {
  for (const key of Object.keys(patch)) {
    const value = patch[key];
    const current = own(document, key);
    if (value === null) delete document[key];
    else if (current === undefined || current === null) put(document, key, withoutNulls(value));
    else if (isJsonObject(current) && isJsonObject(value)) mergeInto(current, value);
    // In place of an object, upstream takes a list over as it is; in place of anything else it prunes nulls.
    else put(document, key, isJsonObject(current) ? clone(value) : withoutNulls(value));
  }
}

/** The document with the patch merged in; neither is changed. */
export function applyMergePatch(document: unknown, patch: unknown): unknown {
  if (!isJsonObject(patch) || !isJsonObject(document)) return withoutNulls(patch);
  const out = clone(document);
  mergeInto(out, patch);
  return out;
}

/**
 * The merge patch from one object to another; empty when they are equal. A null in `modified` that `original` does
 * not have cannot be said in a merge patch and is left out.
 */
export function createMergePatch(original: JsonObject, modified: JsonObject): JsonObject {
  const patch: JsonObject = {};
  for (const key of Object.keys(original)) if (!Object.hasOwn(modified, key)) put(patch, key, null);
  for (const key of Object.keys(modified)) {
    const before = own(original, key);
    const after = modified[key];
    if (equal(before, after)) continue;
    if (!isJsonObject(before) || !isJsonObject(after)) put(patch, key, clone(after));
    else {
      const inner = createMergePatch(before, after);
      if (Object.keys(inner).length > 0) put(patch, key, inner);
    }
  }
  return patch;
}
