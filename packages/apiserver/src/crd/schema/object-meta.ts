/**
 * apiVersion, kind and metadata of custom and of embedded resources, which no schema has to spell out
 * (apiextensions-apiserver/pkg/apiserver/schema/objectmeta).
 */
import { fieldErrors, FieldPath, type FieldError } from '@cloudless/kube/field';
import { DecodeError, decodeObject } from '@cloudless/kube/schema/decode';
import { structOf } from '@cloudless/kube/schema/schema';
import type { ObjectMeta } from '@cloudless/kube/types/meta-v1';
import { validateObjectMeta } from '../../registry/validation/metadata.ts';
import { isDns1035Label, nameIsPathSegment } from '../../registry/validation/names.ts';
import { isJsonObject, type JsonObject } from '@cloudless/kube/codec/json-value';
import { schemaOfMember, type Structural } from './structural.ts';

/** What becomes of metadata whose fields have wrong types: a DecodeError, or they are dropped. */
export type Malformed = 'refuse' | 'drop';

/**
 * `metadata` as the ObjectMeta of Go would read and write it. `onUnknown` gets the path of each field that ObjectMeta
 * does not have. Throws DecodeError for wrong types unless they are dropped.
 */
export function coerceMetadata(
  metadata: unknown,
  malformed: Malformed,
  onUnknown?: (path: string) => void,
  path = 'metadata',
): ObjectMeta {
  const struct = structOf('meta.v1.ObjectMeta');
  const tell = (texts: readonly string[]): void => {
    for (const text of texts) onUnknown?.(`${path}.${/"(.*)"/.exec(text)?.[1] ?? text}`);
  };
  try {
    const { object, strictErrors } = decodeObject(struct, metadata);
    tell(strictErrors);
    return object;
  } catch (error) {
    if (!(error instanceof DecodeError) || malformed === 'refuse' || !isJsonObject(metadata)) throw error;
  }
  const kept: JsonObject = {};
  for (const key of Object.keys(metadata)) {
    try {
      const { object, strictErrors } = decodeObject(struct, { [key]: metadata[key] });
      tell(strictErrors);
      Object.assign(kept, object);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
  }
  return kept;
}

/** An embedded resource whose apiVersion, kind or metadata have a wrong type. */
export class CoerceError extends Error {
  override readonly cause: FieldError;

  constructor(cause: FieldError) {
    super(`${cause.field}: ${cause.message}`);
    this.name = 'CoerceError';
    this.cause = cause;
  }
}

/**
 * Checks the types of embedded resources' apiVersion and kind and brings their metadata into Go's form, in place.
 * Throws CoerceError for wrong types unless they are dropped.
 */
export function coerceEmbedded(
  value: unknown,
  schema: Structural | undefined,
  path: FieldPath,
  malformed: Malformed,
  onUnknown?: (path: string) => void,
): void {
  if (!schema?.hasEmbedded) return;
  if (Array.isArray(value)) {
    for (const [i, item] of (value as unknown[]).entries())
      coerceEmbedded(item, schema.items, path.index(i), malformed, onUnknown);
    return;
  }
  if (!isJsonObject(value)) return;
  for (const key of Object.keys(value)) {
    if (schema.embedded) coerceTypeField(value, key, path, malformed, onUnknown);
    const property = schema.properties?.get(key);
    if (property) coerceEmbedded(value[key], property, path.child(key), malformed, onUnknown);
    else coerceEmbedded(value[key], schema.additional?.schema, path.key(key), malformed, onUnknown);
  }
}

function coerceTypeField(
  value: JsonObject,
  key: string,
  path: FieldPath,
  malformed: Malformed,
  onUnknown: ((path: string) => void) | undefined,
): void {
  const member = value[key];
  if (key === 'apiVersion' || key === 'kind') {
    if (typeof member === 'string') return;
    if (malformed === 'refuse')
      throw new CoerceError(fieldErrors.invalid(path.child(key), member, 'must be a string'));
    delete value[key];
  } else if (key === 'metadata') {
    const at = path.child('metadata');
    try {
      value[key] = coerceMetadata(member, malformed, onUnknown, at.toString());
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      if (malformed === 'refuse') throw new CoerceError(fieldErrors.invalid(at, member, error.message));
    }
  }
}

/** Violations in embedded resources' apiVersion, kind and metadata. */
export function validateEmbedded(
  value: unknown,
  schema: Structural | undefined,
  path: FieldPath,
): FieldError[] {
  if (!schema?.hasEmbedded) return [];
  if (Array.isArray(value)) {
    return (value as unknown[]).flatMap((item, i) => validateEmbedded(item, schema.items, path.index(i)));
  }
  if (!isJsonObject(value)) return [];
  const found = schema.embedded ? validateResource(value, path) : [];
  for (const key of Object.keys(value)) {
    const at = schema.properties?.has(key) ? path.child(key) : path.key(key);
    found.push(...validateEmbedded(value[key], schemaOfMember(schema, key), at));
  }
  return found;
}

function validateResource(value: JsonObject, path: FieldPath): FieldError[] {
  const found: FieldError[] = [];
  for (const key of ['apiVersion', 'kind'])
    if (!Object.hasOwn(value, key)) found.push(fieldErrors.required(path.child(key)));
  for (const key of Object.keys(value)) {
    if (key === 'apiVersion') found.push(...validateApiVersion(value[key], path.child(key)));
    else if (key === 'kind') found.push(...validateKind(value[key], path.child(key)));
    else if (key === 'metadata') found.push(...validateMetadata(value[key], path.child(key)));
  }
  return found;
}

function validateApiVersion(value: unknown, path: FieldPath): FieldError[] {
  if (typeof value !== 'string') return [fieldErrors.invalid(path, value, 'must be a string')];
  if (value === '') return [fieldErrors.invalid(path, value, 'must not be empty')];
  if (value.split('/').length > 2)
    return [fieldErrors.invalid(path, value, `unexpected GroupVersion string: ${value}`)];
  return [];
}

function validateKind(value: unknown, path: FieldPath): FieldError[] {
  if (typeof value !== 'string') return [fieldErrors.invalid(path, value, 'must be a string')];
  if (value === '') return [fieldErrors.invalid(path, value, 'must not be empty')];
  const wrong = isDns1035Label(value.toLowerCase());
  if (wrong.length === 0) return [];
  const text = `may have mixed case, but should otherwise match: ${wrong.join(',')}`;
  return [fieldErrors.invalid(path, value, text)];
}

function validateMetadata(value: unknown, path: FieldPath): FieldError[] {
  let metadata: ObjectMeta;
  try {
    metadata = coerceMetadata(value, 'refuse');
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return [fieldErrors.invalid(path, value, error.message)];
  }
  // Embedded resources need no name.
  const named = { ...metadata, name: metadata.name || 'fakename' };
  const rules = { namespaced: Boolean(metadata.namespace), nameRule: nameIsPathSegment, anyFinalizer: true };
  return validateObjectMeta(named, rules, path);
}
