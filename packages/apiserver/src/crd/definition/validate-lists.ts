/** Lists of type set and map, and maps, in schemas. */
import { type FieldError, fieldErrors, type FieldPath } from '@cloudless/kube/field';
import type { JSONSchemaProps } from '@cloudless/kube/types/apiextensions-v1';
import { itemsOf } from '../schema/structural.ts';

const listTypeKey = 'x-kubernetes-list-type';
const mapTypeKey = 'x-kubernetes-map-type';
const keysKey = 'x-kubernetes-list-map-keys';

/** Items of sets and maps are never null, and keys of maps are always there. */
export function validateListMapKeys(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const items = itemsOf(schema);
  const listType = schema[listTypeKey];
  if (!items || (listType !== 'set' && listType !== 'map')) return [];
  const found: FieldError[] = [];
  if (items.nullable) {
    const text = `cannot be nullable when ${listTypeKey} is ${listType}`;
    found.push(fieldErrors.forbidden(path.child('items', 'nullable'), text));
  }
  if (listType === 'set') return found;
  for (const key of schema[keysKey] ?? []) {
    const property = Object.hasOwn(items.properties ?? {}, key) ? items.properties?.[key] : undefined;
    if (!property) continue;
    const at = path.child('items', 'properties').key(key);
    if (!items.required?.includes(key) && property.default === undefined) {
      const text = `this property is in ${keysKey}, so it must have a default or be a required property`;
      found.push(fieldErrors.required(at.child('default'), text));
    }
    if (property.nullable) {
      const text = `this property is in ${keysKey}, so it cannot be nullable`;
      found.push(fieldErrors.forbidden(at.child('nullable'), text));
    }
  }
  return found;
}

function typeMustBe(schema: JSONSchemaProps, type: string, key: string, path: FieldPath): FieldError[] {
  const text = `must be ${type} if ${key} is specified`;
  const at = path.child('type');
  return [schema.type ? fieldErrors.invalid(at, schema.type, text) : fieldErrors.required(at, text)];
}

/** List and map types, and what they demand of the schema. */
export function validateListTypes(
  schema: JSONSchemaProps,
  path: FieldPath,
  nonAtomicSets: boolean,
): FieldError[] {
  const found: FieldError[] = [];
  const mapType = schema[mapTypeKey];
  if (mapType !== undefined) {
    if (schema.type !== 'object') found.push(...typeMustBe(schema, 'object', mapTypeKey, path));
    const types = ['atomic', 'granular'];
    if (!types.includes(mapType))
      found.push(fieldErrors.notSupportedAsListed(path.child(mapTypeKey), mapType, types));
  }
  const listType = schema[listTypeKey];
  if (listType !== undefined && schema.type !== 'array')
    found.push(...typeMustBe(schema, 'array', listTypeKey, path));
  else if (listType === 'set' && !nonAtomicSets) found.push(...validateSetItems(schema, path));
  if (listType !== undefined && !['atomic', 'set', 'map'].includes(listType)) {
    found.push(fieldErrors.notSupportedAsListed(path.child(listTypeKey), listType, ['atomic', 'set', 'map']));
  }
  if ((schema[keysKey]?.length ?? 0) > 0 && listType !== 'map') {
    const text = `must be map if ${keysKey} is non-empty`;
    const at = path.child(listTypeKey);
    found.push(
      listType === undefined ? fieldErrors.required(at, text) : fieldErrors.invalid(at, listType, text),
    );
  }
  if (listType === 'map') found.push(...validateMap(schema, path));
  return found;
}

function validateSetItems(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const items = itemsOf(schema);
  const text = `must be atomic as item of a list with ${listTypeKey}=set`;
  const of = items?.[listTypeKey];
  if (items?.type === 'array' && of !== undefined && of !== 'atomic')
    return [fieldErrors.invalid(path.child('items', listTypeKey), of, text)];
  if (items?.type === 'object' && items[mapTypeKey] !== 'atomic')
    return [fieldErrors.invalid(path.child('items', mapTypeKey), of, text)];
  return [];
}

function validateMap(schema: JSONSchemaProps, path: FieldPath): FieldError[] {
  const found: FieldError[] = [];
  const keys = schema[keysKey] ?? [];
  const at = path.child(keysKey);
  if (keys.length === 0) found.push(fieldErrors.required(at, `must not be empty if ${listTypeKey} is map`));
  const itemsPath = path.child('items');
  if (schema.items === undefined) {
    found.push(fieldErrors.required(itemsPath, `must have a schema if ${listTypeKey} is map`));
    return found;
  }
  const items = itemsOf(schema);
  if (!items) {
    const text = `must only have a single schema if ${listTypeKey} is map`;
    return [...found, fieldErrors.invalid(itemsPath, schema.items, text)];
  }
  if (items.type !== 'object') {
    const text = `must be object if parent array's ${listTypeKey} is map`;
    return [...found, fieldErrors.invalid(itemsPath.child('type'), items.type ?? '', text)];
  }
  const seen = new Set<string>();
  for (const key of keys) {
    const property = Object.hasOwn(items.properties ?? {}, key) ? items.properties?.[key] : undefined;
    if (!property) found.push(fieldErrors.invalid(at, keys, 'entries must all be names of item properties'));
    else if (property.type === 'array' || property.type === 'object') {
      const text = `must be a scalar type if parent array's ${listTypeKey} is map`;
      found.push(fieldErrors.invalid(itemsPath.child('properties').key(key).child('type'), items.type, text));
    }
    if (seen.has(key)) found.push(fieldErrors.invalid(at, keys, 'must not contain duplicate entries'));
    seen.add(key);
  }
  return found;
}
