/** Uniqueness in lists of type set and map (apiextensions-apiserver/pkg/apiserver/schema/listtype). */
import { stringifyJson } from '@cloudless/kube/codec/json';
import { type FieldError, fieldErrors, type FieldPath } from '@cloudless/kube/field';
import { isJsonObject } from '@cloudless/kube/codec/json-value';
import { schemaOfMember, type Structural } from './structural.ts';

/** Duplicates in lists of type set and map, at and below a value. */
export function validateUniqueLists(
  value: unknown,
  schema: Structural | undefined,
  path: FieldPath,
): FieldError[] {
  if (!schema?.hasUniqueLists) return [];
  if (Array.isArray(value)) {
    const found = validateList(value, schema, path);
    for (const [i, item] of (value as unknown[]).entries())
      found.push(...validateUniqueLists(item, schema.items, path.index(i)));
    return found;
  }
  if (!isJsonObject(value)) return [];
  return Object.keys(value).flatMap((key) => {
    const at = schema.properties?.has(key) ? path.child(key) : path.key(key);
    return validateUniqueLists(value[key], schemaOfMember(schema, key), at);
  });
}

function validateList(list: readonly unknown[], schema: Structural, path: FieldPath): FieldError[] {
  switch (schema.source['x-kubernetes-list-type']) {
    case 'set':
      return repeated(list).map((i) => fieldErrors.duplicate(path.index(i), list[i]));
    case 'map':
      return validateMap(list, schema.source['x-kubernetes-list-map-keys'] ?? [], path);
    default:
      return [];
  }
}

function validateMap(list: readonly unknown[], names: readonly string[], path: FieldPath): FieldError[] {
  const stranger = list.findIndex((item) => item !== null && !isJsonObject(item));
  if (stranger >= 0) {
    const text = 'must be an object for an array of list-type map';
    return [fieldErrors.invalid(path.index(stranger), list[stranger], text)];
  }
  const keys = list.map((item) => {
    const key: Record<string, unknown> = {};
    for (const name of names.toSorted())
      if (isJsonObject(item) && Object.hasOwn(item, name)) key[name] = item[name];
    return key;
  });
  return repeated(keys).map((i) => fieldErrors.duplicate(path.index(i), keys[i]));
}

/** Indexes at which a value occurs for the second time. */
function repeated(list: readonly unknown[]): number[] {
  if (list.length < 2) return [];
  const times = new Map<string, number>();
  const found: number[] = [];
  for (const [i, value] of list.entries()) {
    const text = stringifyJson(sortedKeys(value));
    const before = times.get(text) ?? 0;
    if (before === 1) found.push(i);
    times.set(text, before + 1);
  }
  return found;
}

function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sortedKeys(value[key])]),
  );
}
