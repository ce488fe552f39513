/**
 * What a structural schema does to an object before anybody looks at it: unknown fields go, nulls go where nothing
 * allows them, defaults come (apiextensions-apiserver/pkg/apiserver/schema/pruning and .../defaulting).
 */
import { setMember } from '@cloudless/kube/codec/json-reader';
import { cloneJson } from '../../storage/codec.ts';
import { isJsonObject, type JsonObject } from '@cloudless/kube/codec/json-value';
import { schemaOfMember, type Structural } from './structural.ts';

const typeFields: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);

/** Receives the path of each field that is pruned. */
export type OnUnknown = (path: string) => void;

const childPath = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);

/**
 * Removes fields that the schema does not specify, in place. apiVersion, kind and metadata of embedded resources
 * stay as they are. `onUnknown` gets the path of each removed field, in the order met.
 */
export function prune(
  value: unknown,
  schema: Structural | undefined,
  onUnknown?: OnUnknown,
  path = '',
): void {
  if (schema?.preserve) return skipPrune(value, schema, onUnknown, path);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i];
      if (typeof item === 'object' && item !== null)
        prune(item, schema?.items, onUnknown, onUnknown ? `${path}[${i}]` : '');
    }
    return;
  }
  if (!isJsonObject(value)) return;
  for (const key of Object.keys(value)) {
    if (schema?.embedded && typeFields.has(key)) continue;
    const property = schema?.properties?.get(key);
    if (property || schema?.additional) {
      const member = value[key];
      if (typeof member === 'object' && member !== null)
        prune(
          member,
          property ?? schema?.additional?.schema,
          onUnknown,
          onUnknown ? childPath(path, key) : '',
        );
    } else {
      if (onUnknown && (!typeFields.has(key) || path !== '')) onUnknown(childPath(path, key));
      delete value[key];
    }
  }
}

/** Below `x-kubernetes-preserve-unknown-fields`: only what has a schema is pruned by it. */
function skipPrune(value: unknown, schema: Structural, onUnknown: OnUnknown | undefined, path: string): void {
  if (Array.isArray(value)) {
    if (!schema.items) return;
    for (const [i, item] of (value as unknown[]).entries())
      skipPrune(item, schema.items, onUnknown, `${path}[${i}]`);
    return;
  }
  if (!isJsonObject(value)) return;
  for (const key of Object.keys(value)) {
    if (schema.embedded && typeFields.has(key)) continue;
    const property = schema.properties?.get(key);
    if (property || schema.additional)
      prune(value[key], property ?? schema.additional?.schema, onUnknown, childPath(path, key));
  }
}

/** Removes nulls of fields that are neither nullable nor defaulted, in place. */
export function pruneNulls(value: unknown, schema: Structural | undefined): void {
  if (!schema) return;
  if (Array.isArray(value)) {
    for (const item of value as unknown[])
      if (typeof item === 'object' && item !== null) pruneNulls(item, schema.items);
    return;
  }
  if (!isJsonObject(value)) return;
  for (const key in value) {
    const member = value[key];
    if (typeof member !== 'object') continue;
    const of = schemaOfMember(schema, key);
    if (member !== null) pruneNulls(member, of);
    else if (of && !of.nullable && of.default === undefined) delete value[key];
  }
}

const isMissing = (value: unknown, schema: Structural): boolean => value === null && !schema.nullable;

/** Sets the schema's defaults where fields are absent, or null and not nullable; in place. */
export function applyDefaults(value: unknown, schema: Structural | undefined): void {
  if (!schema?.hasDefaults) return;
  if (Array.isArray(value)) {
    const { items } = schema;
    if (!items) return;
    for (let i = 0; i < value.length; i++) {
      if (isMissing(value[i], items)) value[i] = cloneJson(items.default ?? null);
      applyDefaults(value[i], items);
    }
    return;
  }
  if (!isJsonObject(value)) return;
  defaultMembers(value, schema);
}

function defaultMembers(value: JsonObject, schema: Structural): void {
  for (const [name, property] of schema.properties ?? []) {
    if (!property.hasDefaults) continue;
    const present = Object.hasOwn(value, name);
    if (property.default !== undefined && (!present || isMissing(value[name], property)))
      setMember(value, name, cloneJson(property.default));
    if (Object.hasOwn(value, name)) applyDefaults(value[name], property);
  }
  const additional = schema.additional?.schema;
  if (!additional?.hasDefaults) return;
  for (const key of Object.keys(value)) {
    if (schema.properties?.has(key)) continue;
    if (isMissing(value[key], additional)) setMember(value, key, cloneJson(additional.default ?? null));
    applyDefaults(value[key], additional);
  }
}
